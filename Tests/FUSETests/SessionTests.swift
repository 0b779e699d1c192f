// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport
import Foundation
import NIOConcurrencyHelpers
import ProcessSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct SessionTests {
    @Test func aMountElsewhereEndedIsSeen() async throws {
        try await mounted(MemoryFileSystem()) { session, path in
            async let ended: Void = session.waitUntilEnded()
            #expect(await onThread { umount2(path, 0) } == 0)
            await ended
            #expect(!session.isServing)
            session.invalidate(inode: 1)
        }
    }

    @Test func aCutConnectionEndsTheSessionAndTheMount() async throws {
        let files = MemoryFileSystem()
        files.add("file")
        try await mounted(files) { session, path in
            let file = await onThread { open(path + "/file", O_RDONLY | O_CLOEXEC) }
            // An open file makes it busy, but MNT_FORCE has cut the connection before that is looked at; the session may
            // even have detached the mount by then.
            let code = await onThread { errnoNegated(Int(umount2(path, Int32(MNT_FORCE)))) }
            #expect([-Int(EBUSY), -Int(EINVAL)].contains(code))
            await session.waitUntilEnded()
            #expect(MountTable.entries(at: path).isEmpty)
            close(file)
        }
    }

    @Test func stoppingWorksWithFilesOpen() async throws {
        let files = MemoryFileSystem()
        files.add("file", bytes: [1])
        try await mounted(files) { session, path in
            let file = await onThread { open(path + "/file", O_RDONLY | O_CLOEXEC) }
            #expect(file >= 0)
            await onThread { session.stop() }
            var byte: UInt8 = 0
            #expect(read(file, &byte, 1) < 0)
            close(file)
        }
    }

    @Test func stoppingWorksWhileAnotherNamespaceHasTheMount() async throws {
        try await mounted(MemoryFileSystem()) { session, _ in
            let child = try await Child.start(
                "unshare", ["-m", "--propagation", "private", "sh", "-c", "echo ready; read line"],
                input: .pipe, output: .collected)
            #expect(try await child.wait(forOutput: "ready\n"))
            await onThread { session.stop() }
            child.closeInput()
            _ = try await child.wait()
        }
    }

    @Test func stoppingWorksWhileADetachedMountIsInUse() async throws {
        let files = SlowFileSystem()
        try await mounted(files) { session, path in
            async let held = statError(path + "/held")
            await files.begun.reach(1)
            // Nothing ends the connection now, and the notification waits for the lookup to let go of the directory.
            #expect(await onThread { umount2(path, Int32(MNT_DETACH)) } == 0)
            async let invalidated: Void = onThread { session.invalidate(parent: 1, name: "fast") }
            await onThread { session.stop() }
            #expect(await held != 0)
            await invalidated
        }
    }

    @Test func closedFilesAreReleasedBeforeTheEnd() async throws {
        let files = MemoryFileSystem()
        try await mounted(files) { session, path in
            for number in 0..<50 {
                #expect(await onThread { writeAll("\(path)/file-\(number)", [1]) } == 0)
            }
        }
        #expect(files.state.withLockedValue(\.releases) == 50)
    }

    @Test func aDroppedSessionUnmounts() async throws {
        let path = try emptyDirectory()
        var session: Session? = try Session(mountPoint: path, operations: MemoryFileSystem())
        try session?.mount()
        session = nil
        // The end is on a thread of its own; the directory can be removed once it is no mount point.
        await onThread {
            while rmdir(path) != 0 { sched_yield() }
        }
        #expect(MountTable.entries(at: path).isEmpty)
    }

    @Test func aSessionMountsOnce() async throws {
        try await mounted(MemoryFileSystem()) { session, _ in
            let error = #expect(throws: FUSEError.self) { try session.mount() }
            #expect(error?.code == .alreadyMounted)
        }
    }

    @Test func aMountPointMustBeADirectory() throws {
        let path = try emptyDirectory()
        defer { rmdir(path) }
        for bad in [path + "/missing", "relative", "/proc/self/mountinfo"] {
            let error = #expect(throws: FUSEError.self) {
                _ = try Session(mountPoint: bad, operations: MemoryFileSystem())
            }
            #expect(error?.code == .mountPoint)
        }
    }

    @Test func theOptionsAreInTheMountTable() async throws {
        var options = SessionOptions()
        options.fileSystemName = "a name, with \\ in it"
        options.subtype = "test"
        options.readOnly = true
        try await mounted(MemoryFileSystem(), options: options) { session, path in
            let entries = MountTable.entries(at: path)
            #expect(entries.map(\.source) == [options.fileSystemName])
            #expect(entries.map(\.fsType) == ["fuse.test"])
            #expect(await onThread { writeAll(path + "/file", [1]) } == EROFS)
            let device = try #require(entries.first?.device)
            if session.readAheadSet {
                let text = try String(contentsOfFile: "/sys/class/bdi/\(device)/read_ahead_kb", encoding: .utf8)
                #expect(text == "8192\n")
            }
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct MountTableTests {
    @Test func aStaleMountIsSeenAndDetached() throws {
        let path = try emptyDirectory()
        defer { rmdir(path) }
        #expect(!MountTable.isStale(path))
        let device = open("/dev/fuse", O_RDWR | O_CLOEXEC)
        #expect(mount("gone", path, "fuse.test", 0, "fd=\(device),rootmode=40000,user_id=0,group_id=0") == 0)
        close(device)
        #expect(MountTable.isStale(path))
        #expect(MountTable.entries(at: path).map(\.source) == ["gone"])
        let error = #expect(throws: FUSEError.self) {
            _ = try Session(mountPoint: path, operations: MemoryFileSystem())
        }
        #expect(error?.code == .stale)
        try MountTable.detach(path)
        #expect(!MountTable.isStale(path))
        #expect(MountTable.entries(at: path).isEmpty)
        #expect(throws: FUSEError.self) { try MountTable.detach(path) }
    }

    @Test func escapesAreDecoded() {
        let table = """
            36 35 98:0 / /a\\040b\\134c rw,noatime master:1 shared:2 - fuse.larder a\\011name rw,errors=continue
            37 35 0:55 / /other rw - tmpfs tmpfs rw
            38 36 0:56 / /a\\040b\\134c rw - fuse second rw
            """
        let entries = MountTable.entries(at: "/a b\\c", in: table)
        #expect(entries.map(\.source) == ["a\tname", "second"])
        #expect(entries.map(\.fsType) == ["fuse.larder", "fuse"])
        #expect(entries.map(\.device) == ["98:0", "0:56"])
        #expect(MountTable.entries(at: "/a", in: table).isEmpty)
    }
}
