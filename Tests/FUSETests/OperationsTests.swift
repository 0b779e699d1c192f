// SPDX-License-Identifier: Apache-2.0

import FUSE
import FUSESupport
import Foundation
import NIOConcurrencyHelpers
import Testing

@Suite(.timeLimit(.minutes(5))) struct OperationsTests {
    @Test func whatIsWrittenIsReadInRequestsOfAMebibyte() async throws {
        let files = MemoryFileSystem(directIO: true)
        try await mounted(files) { _, path in
            let bytes = pattern(5 << 20 | 4321)
            #expect(await onThread { writeAll(path + "/file", bytes) } == 0)
            let read = await onThread { readAll(path + "/file", step: 2 << 20) }
            #expect(read == .bytes(bytes))
            let state = files.state.withLockedValue { $0 }
            #expect(state.largestWrite == 1 << 20)
            #expect(state.largestRead == 1 << 20)
        }
    }

    @Test func thePageCacheServesTheSecondRead() async throws {
        let files = MemoryFileSystem(timeout: 60)
        let bytes = pattern(3 << 20 | 77)
        let inode = files.add("file", bytes: bytes)
        try await mounted(files) { session, path in
            #expect(await onThread { readAll(path + "/file") } == .bytes(bytes))
            // The kernel may drop pages at any time, on a machine that is short of memory in the midst of a test, too.
            var reads = -1
            for _ in 0..<20 where reads != files.state.withLockedValue(\.reads) {
                reads = files.state.withLockedValue(\.reads)
                #expect(await onThread { readAll(path + "/file") } == .bytes(bytes))
            }
            #expect(files.state.withLockedValue(\.reads) == reads)
            await onThread { session.invalidate(inode: inode) }
            #expect(await onThread { readAll(path + "/file") } == .bytes(bytes))
            #expect(files.state.withLockedValue(\.reads) > reads)
        }
    }

    @Test func errorsArriveAsErrno() async throws {
        let errors: [(Errno, Int32)] = [
            (.notPermitted, EPERM), (.notFound, ENOENT), (.interrupted, EINTR), (.io, EIO), (.noBuffer, ENXIO),
            (.badDescriptor, EBADF), (.again, EAGAIN), (.access, EACCES), (.busy, EBUSY), (.exists, EEXIST),
            (.crossDevice, EXDEV), (.noDevice, ENODEV), (.notDirectory, ENOTDIR), (.isDirectory, EISDIR),
            (.invalid, EINVAL), (.fileTooBig, EFBIG), (.noSpace, ENOSPC), (.readOnly, EROFS), (.range, ERANGE),
            (.nameTooLong, ENAMETOOLONG), (.notEmpty, ENOTEMPTY), (.loop, ELOOP), (.noData, ENODATA),
            (.noAttribute, ENODATA), (.illegalSequence, EILSEQ), (.notSupported, EOPNOTSUPP), (.timedOut, ETIMEDOUT),
            (.noSystemCall, ENOSYS), (.stale, ESTALE), (.quota, EDQUOT),
        ]
        try await mounted(SlowFileSystem()) { _, path in
            for (error, number) in errors {
                #expect(error.rawValue == number)
                #expect(await statError("\(path)/errno-\(number)") == number)
            }
        }
    }

    @Test func aDroppedReplyIsAnIOError() async throws {
        try await mounted(SlowFileSystem()) { _, path in
            #expect(await statError(path + "/drop") == EIO)
            #expect(await statError(path + "/drop-later") == EIO)
        }
    }

    @Test func namesAreMadeRenamedAndRemoved() async throws {
        try await mounted(MemoryFileSystem()) { _, path in
            let results: [Int] = await onThread {
                [
                    Int(mkdir(path + "/directory", 0o755)),
                    Int(writeAll(path + "/directory/file", [1, 2, 3])),
                    Int(link(path + "/directory/file", path + "/linked")),
                    Int(symlink("directory/file", path + "/symbolic")),
                    Int(mknod(path + "/node", S_IFREG | 0o600, 0)),
                    Int(rename(path + "/node", path + "/renamed")),
                    Unimported.renameNoReplace(path + "/renamed", path + "/linked"),
                    errnoNegated(Int(rmdir(path + "/directory"))),
                    Int(unlink(path + "/directory/file")),
                    Int(rmdir(path + "/directory")),
                    errnoNegated(Int(unlink(path + "/directory"))),
                ]
            }
            #expect(results == [0, 0, 0, 0, 0, 0, -Int(EEXIST), -Int(ENOTEMPTY), 0, 0, -Int(ENOENT)])
            #expect(await onThread { readAll(path + "/linked") } == .bytes([1, 2, 3]))
            let target = await onThread {
                try? FileManager.default.destinationOfSymbolicLink(atPath: path + "/symbolic")
            }
            #expect(target == "directory/file")
            #expect(await onThread { names(path)?.sorted() } == [".", "..", "linked", "renamed", "symbolic"])
        }
    }

    @Test func namesThatAreNotUTF8AreRefusedUnseen() async throws {
        let files = MemoryFileSystem()
        try await mounted(files) { _, path in
            let bad = Array(path.utf8) + [UInt8(ascii: "/"), 0xff, 0xfe, 0]
            let error = await onThread {
                var status = stat()
                return bad.map { CChar(bitPattern: $0) }.withUnsafeBufferPointer {
                    $0.baseAddress.map { lstat($0, &status) == 0 ? 0 : errno }
                }
            }
            #expect(error == EILSEQ)
            #expect(files.state.withLockedValue(\.lookups).isEmpty)
        }
    }

    @Test func changesOfAttributesArriveOneByOne() async throws {
        let files = MemoryFileSystem()
        files.add("file", bytes: [1, 2, 3])
        try await mounted(files) { _, path in
            let file = path + "/file"
            let results: [Int32] = await onThread {
                let omit = timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)
                let now = timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1)
                let past = timespec(tv_sec: -2, tv_nsec: 500_000_000)
                return [
                    chmod(file, 0o600), chown(file, 12, UInt32.max), truncate(file, 2),
                    utimensat(AT_FDCWD, file, [omit, past], 0), utimensat(AT_FDCWD, file, [now, omit], 0),
                ]
            }
            #expect(results == [0, 0, 0, 0, 0])
            let changes = files.state.withLockedValue(\.changes)
            #expect(changes.count == 5)
            #expect(changes[0].mode.map { $0 & 0o7777 } == 0o600 && changes[0].size == nil && changes[0].uid == nil)
            #expect(changes[1].uid == 12 && changes[1].gid == nil)
            #expect(changes[2].size == 2)
            guard case .at(let modified) = changes[3].modified else { throw FUSEError(.mount, "no time") }
            #expect(modified == -1_500_000_000 && changes[3].accessed == nil)
            guard case .now = changes[4].accessed else { throw FUSEError(.mount, "not now") }
            let (_, found) = await onThread { status(file) }
            #expect(found.st_size == 2 && found.st_mode == S_IFREG | 0o600 && found.st_uid == 12)
            #expect(found.st_mtim.tv_sec == -2 && found.st_mtim.tv_nsec == 500_000_000)
        }
    }

    @Test func extendedAttributesHaveTheirSizes() async throws {
        let files = MemoryFileSystem()
        files.add("file")
        try await mounted(files) { _, path in
            let file = path + "/file"
            let results: [Int] = await onThread {
                [
                    Unimported.setxattr(file, "user.one", Array("12345".utf8)),
                    Unimported.getxattr(file, "user.one", size: 0),
                    Unimported.getxattr(file, "user.one", size: 4),
                    Unimported.getxattr(file, "user.one", size: 16),
                    Unimported.getxattr(file, "user.two", size: 16),
                    Unimported.listxattr(file, size: 0),
                    Unimported.removexattr(file, "user.one"),
                    Unimported.removexattr(file, "user.one"),
                ]
            }
            #expect(results == [0, 5, -Int(ERANGE), 5, -Int(ENODATA), 9, 0, -Int(ENODATA)])
        }
    }

    @Test func seekAllocateAndStatisticsPass() async throws {
        let files = MemoryFileSystem()
        files.add("file", bytes: [1, 2, 3])
        try await mounted(files) { _, path in
            let results: [Int] = await onThread {
                let file = open(path + "/file", O_RDWR | O_CLOEXEC)
                defer { close(file) }
                var space = statvfs()
                return [
                    Int(lseek(file, 1, Unimported.seekData)),
                    Int(lseek(file, 1, Unimported.seekHole)),
                    errnoNegated(Int(lseek(file, 9, Unimported.seekData))),
                    Unimported.fallocate(file, mode: 1, offset: 4096, length: 8192),
                    Int(fsync(file)), Int(fdatasync(file)), Int(statvfs(path, &space)),
                    Int(space.f_blocks * space.f_frsize), Int(space.f_bavail * space.f_frsize),
                ]
            }
            #expect(results == [1, 3, -Int(ENXIO), 0, 0, 0, 0, 8 << 30, 3 << 30])
            #expect(files.state.withLockedValue(\.allocations) == ["1 4096 8192"])
        }
    }
}
