// SPDX-License-Identifier: Apache-2.0

import CFuse
import Glibc

extension SessionCore {
    /// Mounts, starts the threads and waits until the kernel and they agree on the protocol.
    func start() throws(FUSEError) {
        let first = lifecycle.withLock { lifecycle in
            defer { lifecycle.mounted = true }
            return !lifecycle.mounted
        }
        if !first { throw FUSEError(.alreadyMounted, "\(mountPoint): this session was mounted already") }
        do throws(FUSEError) {
            if let held {
                try attach(held)
            } else {
                try checkDevice()
                try mountSession()
            }
        } catch {
            finish()
            throw error
        }
        device = MountTable.entries(at: mountPoint).last?.device
        guard startThreads() else {
            end()
            throw FUSEError(.threads, "\(mountPoint): a thread could not be started; raise the limit on processes")
        }
        lifecycle.change { $0.threadsStarted = true }
        lifecycle.wait { $0.initialised || $0.ended }
        if !lifecycle.withLock(\.initialised) {
            throw FUSEError(.mount, "\(mountPoint): the kernel ended the mount before it was in use")
        }
        let readAheadSet = setReadAhead()
        lifecycle.withLock { $0.readAheadSet = readAheadSet }
    }

    private func checkDevice() throws(FUSEError) {
        let path = "/dev/fuse"
        let file = open(path, O_RDWR | O_CLOEXEC)
        if file >= 0 {
            close(file)
            return
        }
        let cause = Errno(rawValue: errno)
        switch cause {
        case .notFound, .noDevice, .noAddress:
            throw FUSEError(
                .deviceMissing,
                "\(path) is missing: load the module with `modprobe fuse`, or give the container the device",
                cause: cause
            )
        case .notPermitted, .access:
            throw FUSEError(
                .notPermitted,
                "\(path) is refused to this process: run it as root, and in a container privileged or with the device",
                cause: cause
            )
        default:
            throw FUSEError(.mount, "\(path) does not open", cause: cause)
        }
    }

    private func mountSession() throws(FUSEError) {
        var mountOptions = [
            "fsname=" + escaped(options.fileSystemName), "subtype=" + escaped(options.subtype),
        ]
        if options.allowOther { mountOptions.append("allow_other") }
        if options.defaultPermissions { mountOptions.append("default_permissions") }
        if options.readOnly { mountOptions.append("ro") }
        var arguments = fuse_args()
        defer { fuse_opt_free_args(&arguments) }
        for argument in ["fuse", "-o", mountOptions.joined(separator: ",")] {
            fuse_opt_add_arg(&arguments, argument)
        }
        var table = Callbacks.table()
        let size = MemoryLayout<fuse_lowlevel_ops>.size
        let core = Unmanaged.passUnretained(self).toOpaque()
        guard let session = fuse_session_new(&arguments, &table, size, core) else {
            throw FUSEError(.mount, "\(mountPoint): libfuse refuses the options \(mountOptions)")
        }
        errno = 0
        if fuse_session_mount(session, mountPoint) != 0 {
            let cause = Errno(rawValue: errno)
            fuse_session_destroy(session)
            throw FUSEError(
                cause == .notPermitted ? .notPermitted : .mount,
                "\(mountPoint) could not be mounted: the process needs CAP_SYS_ADMIN (a privileged container), "
                    + "or fusermount3 and a mount point of its own",
                cause: cause.rawValue == 0 ? nil : cause
            )
        }
        self.session = session
    }

    private func escaped(_ value: String) -> String {
        var escaped = ""
        for character in value {
            if character == "," || character == "\\" { escaped.append("\\") }
            escaped.append(character)
        }
        return escaped
    }

    private func startThreads() -> Bool {
        guard let key else { return false }
        for _ in 0..<max(options.threadCount, 1) {
            guard let worker = makeWorker(key) else { return false }
            let failed =
                held == nil
                ? pthread_create(&worker.pointee.thread, nil, cfuse_worker_run, worker)
                : pthread_create(&worker.pointee.thread, nil, cfuse_held_worker_run, worker)
            if failed != 0 {
                free(worker)
                return false
            }
            workers.append(worker)
        }
        var supervisor = pthread_t()
        let core = Unmanaged.passRetained(self)
        let started = pthread_create(
            &supervisor, nil,
            { core in
                guard let core else { return nil }
                Unmanaged<SessionCore>.fromOpaque(core).takeRetainedValue().supervise()
                return nil
            }, core.toOpaque())
        if started != 0 {
            core.release()
            return false
        }
        pthread_detach(supervisor)
        return true
    }

    private func makeWorker(_ key: pthread_key_t) -> UnsafeMutablePointer<cfuse_worker>? {
        let page = sysconf(Int32(_SC_PAGESIZE))
        // The kernel reads as much at once as it writes, in whole pages.
        let size = (max(options.maxWrite, 1 << 20) + page - 1) / page * page
        var memory: UnsafeMutableRawPointer?
        guard posix_memalign(&memory, page, size) == 0, let memory else { return nil }
        let worker = UnsafeMutablePointer<cfuse_worker>.allocate(capacity: 1)
        worker.initialize(to: cfuse_worker())
        let directory = DirectoryBuffer(over: UnsafeMutableRawBufferPointer(start: memory, count: size))
        worker.pointee.session = session
        worker.pointee.key = key
        worker.pointee.reply = memory
        worker.pointee.reply_size = size
        worker.pointee.directory = Unmanaged.passRetained(directory).toOpaque()
        worker.pointee.context = Unmanaged.passUnretained(self).toOpaque()
        addHeld(worker)
        worker.pointee.on_initialised = { context in
            guard let context else { return }
            let core = Unmanaged<SessionCore>.fromOpaque(context)
            core._withUnsafeGuaranteedRef { $0.lifecycle.change { $0.initialised = true } }
        }
        worker.pointee.on_end = { context in
            guard let context else { return }
            let core = Unmanaged<SessionCore>.fromOpaque(context)
            core._withUnsafeGuaranteedRef {
                $0.lifecycle.change {
                    $0.endRequested = true
                    $0.cut = true
                }
            }
        }
        return worker
    }

    private func addHeld(_ worker: UnsafeMutablePointer<cfuse_worker>) {
        guard let held else { return }
        worker.pointee.device = held.mount.device
        worker.pointee.capacity = RequestMemory.slotByteCount
        worker.pointee.on_begin = { worker in
            guard let worker, let context = worker.pointee.context else { return }
            Unmanaged<SessionCore>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.held?.begin(worker) }
        }
        worker.pointee.serve = { worker in
            guard let worker, let context = worker.pointee.context else { return }
            Unmanaged<SessionCore>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.held?.serve(worker) }
        }
    }

    /// Releases a worker's memory, whose thread is gone or never was.
    func free(_ worker: UnsafeMutablePointer<cfuse_worker>) {
        if let directory = worker.pointee.directory {
            Unmanaged<DirectoryBuffer>.fromOpaque(directory).release()
        }
        if held == nil { Glibc.free(worker.pointee.request.mem) }
        Glibc.free(worker.pointee.reply)
        worker.deallocate()
    }

    /// The kernel offers 128 KiB in INIT and takes no more back; more goes through sysfs, once it has INIT's reply.
    private func setReadAhead() -> Bool {
        guard let device else { return false }
        let file = open("/sys/class/bdi/\(device)/read_ahead_kb", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        let text = "\(options.maxReadAhead / 1024)"
        return text.withCString { write(file, $0, strlen($0)) } == text.utf8.count
    }
}
