// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import TestSupport
import Testing

/// The mount against a local file system: the same calls in both, and every answer compared.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ModelTests {
    /// A directory on a local file system.
    private func besideLocal(_ program: String, processes: Int, _ arguments: [String]) async throws {
        try await MountFixture.run { mount in
            let local = mount.agent.directory + "/local"
            try FileManager.default.createDirectory(atPath: local, withIntermediateDirectories: true)
            try await withThrowingTaskGroup(of: Outcome.self) { group in
                for process in 0..<processes {
                    group.addTask { try await mount.python(program, [local, "\(process)"] + arguments) }
                }
                for try await run in group {
                    #expect(run.output == "" && run.code == 0, "\(arguments): \(run.output.prefix(4000))")
                }
            }
        }
    }

    @Test("Random operations of several processes have the outcomes that they have on a local file system")
    func randomOperations() async throws {
        let seed = UInt32.random(in: 0...UInt32.max)
        print("seed of the random operations: \(seed)")
        try await besideLocal(Self.operations, processes: 4, ["\(seed)"])
    }

    /// Each process has names of its own in directories that all share. Files are opened for writing and closed within
    /// one step, or are new and have no other name's bytes: S6 is where the mount differs on purpose.
    private static let operations = """
        local, process, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
        rng = random.Random(seed * 31 + process)
        roots = ['.', local]
        for root in roots:
            for d in ('d0', 'd1', 'd0/deep'):
                os.makedirs(f'{root}/{d}', exist_ok=True)
        names = [f'{d}p{process}{n}' for d in ('', 'd0/', 'd1/', 'd0/deep/') for n in ('a', 'b', 'é')]
        names += [f'p{process}a/x', f'd1/p{process}b/y']
        held = []

        def data():
            return rng.randbytes(rng.choice((0, 1, 100, 4096, 4097, 70_000, 400_000)))

        def both(call):
            return [outcome(call, root + '/') for root in roots]

        def info(path):
            found = os.lstat(path)
            kind = stat.S_IFMT(found.st_mode)
            regular = stat.S_ISREG(found.st_mode)
            return kind, found.st_size if not stat.S_ISDIR(found.st_mode) else 0, \
                stat.S_IMODE(found.st_mode) if regular else 0, get(path) if regular else None

        def change(path, flags, *steps):
            file = os.open(path, flags, 0o640)
            try:
                for step in steps:
                    step(file)
                return os.fstat(file).st_size
            finally:
                os.close(file)

        def step():
            a, b = rng.choice(names), rng.choice(names)
            size, at, bytes_ = rng.randrange(200_000), rng.randrange(100_000), data()
            mode, when = rng.choice((0o600, 0o644, 0o755)), rng.randrange(-10**18, 4 * 10**18)
            what = rng.choice(operations)
            if what == 'write':
                flags = os.O_WRONLY | os.O_CREAT | rng.choice((0, os.O_TRUNC, os.O_EXCL, os.O_APPEND))
                return what, a, both(lambda root: change(root + a, flags, lambda f: os.write(f, bytes_)))
            if what == 'patch':
                return what, a, both(lambda root: change(root + a, os.O_RDWR,
                    lambda f: os.pwrite(f, bytes_[:5000], at), lambda f: os.ftruncate(f, size)))
            if what == 'truncate':
                return what, a, both(lambda root: os.truncate(root + a, size))
            if what == 'rename':
                return what, (a, b), both(lambda root: os.rename(root + a, root + b))
            if what == 'unlink':
                return what, a, both(lambda root: os.unlink(root + a))
            if what == 'mkdir':
                return what, a, both(lambda root: os.mkdir(root + a))
            if what == 'rmdir':
                return what, a, both(lambda root: os.rmdir(root + a))
            if what == 'symlink':
                return what, a, both(lambda root: os.symlink(b, root + a))
            if what == 'readlink':
                return what, a, both(lambda root: os.readlink(root + a))
            if what == 'chmod':
                return what, a, both(lambda root: None if os.path.islink(root + a) else os.chmod(root + a, mode))
            if what == 'utime':
                return what, a, both(lambda root: (os.utime(root + a, ns=(when, when), follow_symlinks=False),
                    os.lstat(root + a).st_mtime_ns))
            if what == 'list':
                d = rng.choice(('', 'd0', 'd1', 'd0/deep', a))
                mine = lambda root: sorted(n for n in os.listdir(root + d) if n.startswith(f'p{process}') or d == a)
                return what, d, both(mine)
            if what == 'hold':
                # A reader of what is there, or a writer of what is not.
                files = both(lambda root: os.open(root + a, os.O_RDONLY | os.O_NOFOLLOW))
                if isinstance(files[0], str) and files == ['ENOENT', 'ENOENT']:
                    files = both(lambda root: os.open(root + a, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
                    if all(isinstance(file, int) for file in files):
                        for file in files:
                            os.write(file, bytes_)
                if all(isinstance(file, int) for file in files):
                    if stat.S_ISREG(os.fstat(files[0]).st_mode):
                        # A file being written is one file for all; of a version a reader keeps what it opened (P3).
                        version = os.getxattr(files[0], 'user.larder.state') == b'local'
                        held.append((a, files, os.pread(files[0], 1 << 20, 0) if version else None))
                        return what, a, [0, 0]
                    for file in files:
                        os.close(file)
                    files = ['directory', 'directory']
                for file in files:
                    if isinstance(file, int):
                        os.close(file)
                return what, a, files
            if what == 'release':
                if not held:
                    return what, '', [0, 0]
                name, files, begin = held.pop(rng.randrange(len(held)))
                contents = [os.pread(f, 1 << 20, 0) for f in files]
                if begin is not None:
                    contents[1] = begin
                for file in files:
                    os.close(file)
                return what, name, contents
            return what, a, both(lambda root: info(root + a))

        operations = ['write'] * 5 + ['patch', 'truncate', 'rename', 'rename', 'unlink', 'mkdir', 'rmdir', 'symlink',
            'readlink', 'chmod', 'utime', 'list', 'hold', 'release', 'info', 'info', 'info']
        begin = time.monotonic()
        done = 0
        while done < 600 and time.monotonic() - begin < 8:
            if len(held) > 8:
                operations_now, operations[:] = operations[:], ['release']
                what, name, (got, want) = step()
                operations[:] = operations_now
            else:
                what, name, (got, want) = step()
            if got != want:
                shown = lambda x: x if len(repr(x)) < 200 else repr(x)[:200]
                print(f'process {process}, step {done}: {what} {name}: {shown(got)}, on a local file system {shown(want)}')
                sys.exit(1)
            done += 1
        for _, files, _ in held:
            for file in files:
                os.close(file)
        for name in names:
            got, want = both(lambda root: info(root + name))
            check(f'process {process} at the end: {name}', got == want, True)
        """
}
