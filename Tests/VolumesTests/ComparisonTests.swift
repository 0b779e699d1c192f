// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import TestSupport
import Testing

/// What POSIX says of each call's errors, as a table that is run in the mount and on a local file system.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ComparisonTests {
    @Test("Each call fails with the errno with which it fails on a local file system")
    func sameErrors() async throws {
        try await MountFixture.run { mount in
            let local = mount.agent.directory + "/local"
            try FileManager.default.createDirectory(atPath: local, withIntermediateDirectories: true)
            let run = try await mount.python(Self.table, [local])
            #expect(run.output.hasSuffix("cases\n") && run.output.split(separator: "\n").count == 1, "\(run.output)")
            #expect(run.code == 0)
        }
    }

    /// A case is a line of Python, begun in a directory that holds what `prepare` makes.
    private static let table = """
        def prepare():
            put('file', b'0123456789'), os.mkdir('empty'), os.makedirs('full/below'), put('full/file', b'x')
            os.symlink('file', 'link'), os.symlink('nowhere', 'dangling'), os.symlink('loop', 'loop')
            os.symlink('full', 'dirlink'), os.chmod('file', 0o644)

        def opened(path, flags, call, *arguments):
            file = os.open(path, flags, 0o644)
            try:
                return outcome(call, file, *arguments)
            finally:
                os.close(file)

        def seen(path):
            found = os.lstat(path)
            return stat.S_IFMT(found.st_mode), found.st_size if stat.S_ISREG(found.st_mode) else 0

        long, deep = 'n' * 255, 'd/' * 2050
        R, W, RW, C, X, T, A, D, N = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_EXCL, os.O_TRUNC,
            os.O_APPEND, os.O_DIRECTORY, os.O_NOFOLLOW)
        paths = ['file', 'empty', 'full', 'full/file', 'link', 'dangling', 'loop', 'dirlink', 'none', 'none/x', 'file/x',
            'link/x', 'dangling/x', 'loop/x', 'empty/x', 'dirlink/file', 'dirlink/none', '', '.', 'file/', 'link/',
            'full/', 'none/', 'full/.', 'empty/..', long, long + 'n', 'full/' + long + 'n', deep]
        cases = []
        for path in paths:
            p = repr(path)
            cases += [f'{call}({p})' for call in ('os.stat', 'os.lstat', 'os.readlink', 'os.unlink', 'os.rmdir', 'os.mkdir',
                'os.listdir', 'seen')]
            cases += [f'opened({p}, {flags}, os.fstat) and None' for flags in ('R', 'W', 'RW', 'W|C', 'W|C|X', 'R|C|X',
                'W|T', 'W|C|T', 'RW|A', 'R|D', 'R|N', 'W|N', 'W|C|N', 'R|T', 'R|C|D')]
            cases += [f'os.truncate({p}, {size})' for size in (0, 5, 20, -1)]
            cases += [f'os.chmod({p}, 0o600)', f'os.utime({p}, (1, 2))', f'os.symlink("target", {p})',
                f'os.access({p}, os.R_OK)', f'os.access({p}, os.X_OK)', f'os.statvfs({p}) and None', f'os.chdir({p}) or os.chdir("/proc/self/fd/" + str(here))']
        ends = ['file', 'empty', 'full', 'full/file', 'full/new', 'link', 'dangling', 'dirlink', 'none', 'none/x', 'file/x',
            'empty/x', 'full/below', '.', long + 'n']
        cases += [f'os.rename({a!r}, {b!r})' for a in ends for b in ends]
        cases += [f'opened("file", {flags}, {call})' for flags in ('R', 'W', 'RW', 'RW|A') for call in (
            'os.pread, 20, 5', 'os.pread, 20, 100', 'os.pwrite, b"xyz", 8', 'os.pwrite, b"", 3', 'os.ftruncate, 3',
            'os.ftruncate, -1', 'os.lseek, 0, os.SEEK_END', 'os.lseek, -1, os.SEEK_SET', 'os.lseek, 50, os.SEEK_SET',
            'os.lseek, 10, os.SEEK_DATA', 'os.lseek, 10, os.SEEK_HOLE', 'os.fsync', 'os.fdatasync', 'os.fchmod, 0o600',
            'os.fchown, 0, 0', 'os.pread, 5, -1', 'os.pwrite, b"x", -1', 'fcntl.flock, fcntl.LOCK_SH',
            'os.posix_fallocate, 0, 100', 'os.posix_fallocate, 0, 0', 'os.posix_fallocate, -1, 5',
            'os.posix_fadvise, 0, 0, os.POSIX_FADV_SEQUENTIAL', 'os.listdir')]
        cases += [f'opened("empty", R, {call})' for call in ('os.read, 5', 'os.fsync', 'os.ftruncate, 0', 'os.write, b"x"',
            'os.listdir', 'os.pread, 5, 0')]
        cases += [f'renameat2({a!r}, {b!r}, 1)' for a in ('file', 'full', 'none', 'link') for b in (
            'file', 'empty', 'full', 'new', 'link', 'dangling', 'none/x')]
        def run(root, number):
            os.chdir(root)
            os.mkdir(f'case{number}')
            os.chdir(f'case{number}')
            global here
            here = os.open('.', os.O_RDONLY)
            prepare()
            results = []
            for case in cases[number * batch:(number + 1) * batch]:
                before = sorted(os.listdir('.'))
                try:
                    result = outcome(eval, case)
                except ValueError as error:
                    result = str(error)
                if isinstance(result, os.stat_result):
                    result = 'found'
                if isinstance(result, list):
                    result = sorted(result)
                results.append((case, result))
                # Prepared anew where it was changed.
                os.fchdir(here)
                changed = result is None or not isinstance(result, str)
                if changed and ('stat' not in case and 'list' not in case and 'readlink' not in case):
                    tidy()
            os.close(here)
            return results

        def tidy():
            state = []
            for top, directories, files in os.walk('.', topdown=False):
                for name in files + directories:
                    path = os.path.join(top, name)
                    if os.path.islink(path) or not os.path.isdir(path):
                        os.unlink(path)
                    else:
                        os.rmdir(path)
            prepare()

        batch = 200
        mounted = os.getcwd()
        for number in range((len(cases) + batch - 1) // batch):
            for (case, got), (_, want) in zip(run(mounted, number), run(sys.argv[1], number)):
                if got != want:
                    print(f'{case}: {got}, on a local file system {want}')
        print(len(cases), 'cases')
        """
}
