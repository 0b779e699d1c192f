// SPDX-License-Identifier: Apache-2.0

import ProcessSupport

extension MountFixture {
    /// Runs a Python program in the mount; it prints what is not as it should be, and nothing else.
    func python(_ program: String, _ arguments: [String] = []) async throws -> Outcome {
        let quoted = arguments.map { "'\($0)'" }.joined(separator: " ")
        return try await sh("python3 - \(quoted) <<'PROGRAM'\n\(MountFixture.prelude)\n\(program)\nPROGRAM")
    }

    /// What the programs share. `check` compares, `outcome` gives the name of an error or what a call returned.
    private static let prelude = """
        import ctypes, errno, fcntl, mmap, os, random, socket, stat, struct, sys, time

        libc = ctypes.CDLL(None, use_errno=True)

        def check(what, got, want):
            if got != want:
                print(f'{what}: {got!r}, not {want!r}')

        def outcome(call, *arguments, **options):
            try:
                return call(*arguments, **options)
            except OSError as error:
                return errno.errorcode[error.errno]

        def system(name, *arguments):
            if getattr(libc, name)(*arguments) != 0:
                raise OSError(ctypes.get_errno(), name)

        def fallocate(file, mode, offset, length):
            system('fallocate', file, mode, ctypes.c_long(offset), ctypes.c_long(length))

        def renameat2(old, new, flags):
            system('renameat2', -100, os.fsencode(old), -100, os.fsencode(new), flags)

        def put(path, data):
            with open(path, 'wb') as file:
                file.write(data)

        def get(path):
            with open(path, 'rb') as file:
                return file.read()

        def absent(path):
            return outcome(os.stat, path) == 'ENOENT'
        """
}
