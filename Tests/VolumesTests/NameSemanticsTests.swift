// SPDX-License-Identifier: Apache-2.0

import Content
import Objects
import Peers
import ProcessSupport
import TestSupport
import Testing
import Volumes

/// Sources/Volumes/SEMANTICS.md, "Names".
@Suite(.serialized, .timeLimit(.minutes(10)))
struct NameSemanticsTests {
    private func holds(
        _ program: String,
        _ after: @escaping @Sendable (MountFixture) async throws -> Void = { _ in }
    ) async throws {
        try await MountFixture.run { mount in
            let run = try await mount.python(program)
            #expect(run.output == "" && run.code == 0, "\(run.output)")
            try await after(mount)
        }
    }

    @Test("S17: rename replaces in one step and leaves what is open to who has it open")
    func renameReplaces() async throws {
        try await holds(
            """
            for size in (100, 200_000):
                a, b = os.urandom(size), os.urandom(size)
                put('a', a), put('b', b)
                readers = os.open('a', os.O_RDONLY), os.open('b', os.O_RDONLY)
                os.rename('a', 'b')
                check('from', absent('a'), True)
                check('to', get('b') == a, True)
                check('open a', os.pread(readers[0], size, 0) == a, True)
                check('open b', os.pread(readers[1], size, 0) == b, True)
                for file in readers:
                    os.close(file)
            os.rename('b', 'b')
            check('itself', get('b') == a, True)
            check('nothing', outcome(os.rename, 'none', 'c'), 'ENOENT')
            check('nowhere', outcome(os.rename, 'b', 'none/c'), 'ENOENT')
            """
        )
    }

    @Test("S18: what is renamed while it is written is published under its new name only")
    func renameOfAWriter() async throws {
        try await holds(
            """
            for replaces in (False, True):
                if replaces:
                    put('new', b'old'), put('old', b'older')
                writer = os.open('old', os.O_RDWR | os.O_CREAT)
                os.pwrite(writer, b'one', 0)
                os.rename('old', 'new')
                os.pwrite(writer, b'two', 3)
                check('gone', absent('old'), True)
                check('read back', os.pread(writer, 6, 0), b'onetwo')
                os.close(writer)
                check('published', get('new')[:6], b'onetwo')
                check('still gone', absent('old'), True)
            for at in range(50):
                put('.tmp', b'%d' % at * 3000)
                os.rename('.tmp', 'out')
                check('settling', get('out'), b'%d' % at * 3000)
            check('left', sorted(os.listdir('.')), ['new', 'out'])
            """
        )
    }

    @Test("S19: a directory is renamed with all that is below it, what is open and what is being written too")
    func renameOfADirectory() async throws {
        try await holds(
            """
            os.makedirs('a/deep/er'), os.mkdir('empty'), os.makedirs('full/x')
            put('a/small', b's'), put('a/deep/large', os.urandom(100_000))
            reader = os.open('a/small', os.O_RDONLY)
            writer = os.open('a/deep/er/new', os.O_WRONLY | os.O_CREAT)
            os.write(writer, b'begin')
            check('over full', outcome(os.rename, 'a', 'full'), 'ENOTEMPTY')
            check('below itself', outcome(os.rename, 'a', 'a/deep/b'), 'EINVAL')
            check('over a file', outcome(os.rename, 'a', 'a/small'), 'EINVAL')
            put('file', b'')
            check('over another file', outcome(os.rename, 'a', 'file'), 'ENOTDIR')
            check('a file over it', outcome(os.rename, 'file', 'a'), 'EISDIR')
            os.rename('a', 'empty')
            os.write(writer, b'end')
            os.close(writer)
            check('gone', absent('a'), True)
            check('written', get('empty/deep/er/new'), b'beginend')
            check('small', get('empty/small'), b's')
            check('large', os.stat('empty/deep/large').st_size, 100_000)
            check('open', os.read(reader, 10), b's')
            check('listed', sorted(os.listdir('empty')), ['deep', 'small'])
            """
        )
    }

    @Test("S20: RENAME_NOREPLACE respects what is there, and no other flag is known")
    func renameFlags() async throws {
        try await holds(
            """
            put('a', b'a'), put('b', b'b'), os.mkdir('d')
            writer = os.open('w', os.O_WRONLY | os.O_CREAT)
            for there in ('b', 'd', 'w'):
                check(there, outcome(renameat2, 'a', there, 1), 'EEXIST')
            check('w over b', outcome(renameat2, 'w', 'b', 1), 'EEXIST')
            check('free', outcome(renameat2, 'a', 'c', 1), None)
            check('moved', (get('c'), absent('a')), (b'a', True))
            check('exchange', outcome(renameat2, 'b', 'c', 2), 'EINVAL')
            check('whiteout', outcome(renameat2, 'b', 'x', 4), 'EINVAL')
            check('untouched', (get('b'), get('c')), (b'b', b'a'))
            """
        )
    }

    @Test("S21, S34: a file without a name lives until it is closed, and has no links")
    func unlinkOfOpen() async throws {
        try await holds(
            """
            put('k', b'published')
            reader = os.open('k', os.O_RDONLY)
            writer = os.open('k', os.O_RDWR)
            fresh = os.open('new', os.O_RDWR | os.O_CREAT)
            os.write(fresh, b'fresh')
            check('links', (os.fstat(reader).st_nlink, os.stat('.').st_nlink), (1, 2))
            os.unlink('k'), os.unlink('new')
            check('listed', os.listdir('.'), [])
            check('again', outcome(os.unlink, 'k'), 'ENOENT')
            os.pwrite(writer, b'PUB', 0)
            os.pwrite(fresh, b'FRESH', 5)
            check('reader', os.pread(reader, 20, 0), b'published')
            check('writer', os.pread(writer, 20, 0), b'PUBlished')
            check('fresh', os.pread(fresh, 20, 0), b'freshFRESH')
            check('no links', os.fstat(fresh).st_nlink, 0)
            for file in (reader, writer, fresh):
                os.close(file)
            check('gone', (absent('k'), absent('new')), (True, True))
            put('k', b'next')
            check('next', get('k'), b'next')
            """
        ) { mount in
            let absent = try await mount.entry("new")
            #expect(absent == nil)
        }
    }

    @Test("S22, S23: no links but symbolic ones, no devices; a link keeps any target")
    func links() async throws {
        try await holds(
            """
            put('k', b'x')
            check('hard', outcome(os.link, 'k', 'l'), 'EPERM')
            check('pipe', outcome(os.mkfifo, 'p'), 'EPERM')
            check('device', outcome(os.mknod, 'n', stat.S_IFCHR | 0o600, os.makedev(1, 3)), 'EPERM')
            with socket.socket(socket.AF_UNIX) as server:
                check('socket', outcome(server.bind, 's'), 'EPERM')
            for at, target in enumerate(('k', '../mnt/k', '/nowhere/at all', 'é\\u0301', '../../../etc/passwd', 't' * 4095)):
                os.symlink(target, f'l{at}')
                check('target', os.readlink(f'l{at}'), target)
                check('size', os.lstat(f'l{at}').st_size, len(target.encode()))
            check('too long', outcome(os.symlink, 't' * 4096, 'long'), 'ENAMETOOLONG')
            check('taken', outcome(os.symlink, 'k', 'l0'), 'EEXIST')
            check('followed', get('l0'), b'x')
            check('no link', outcome(os.readlink, 'k'), 'EINVAL')
            os.unlink('l0')
            check('the target stays', get('k'), b'x')
            """
        )
    }

    @Test("S24, S25: names are bytes, of up to 255, in keys of up to 1024")
    func names() async throws {
        try await holds(
            """
            composed, decomposed = '\\u00e9', 'e\\u0301'
            for name in (composed, decomposed, 'k', 'K', 'ß', 'SS', '\\u212b', '\\u00c5', ' ', 'a\\nb', '-', '...', '🚀' * 63):
                put(name, name.encode())
            for name in os.listdir('.'):
                check(repr(name), get(name), name.encode())
            check('count', len(os.listdir('.')), 13)
            os.unlink(composed)
            check('two names', (absent(composed), get(decomposed)), (True, decomposed.encode()))
            os.mkdir('d' + composed), os.mkdir('d' + decomposed)
            put(f'd{composed}/k', b'1'), put(f'd{decomposed}/k', b'2')
            os.rename(f'd{composed}', 'moved')
            check('two directories', (get('moved/k'), get(f'd{decomposed}/k')), (b'1', b'2'))
            check('not UTF-8', outcome(os.open, b'a\\xff', os.O_WRONLY | os.O_CREAT), 'EILSEQ')
            check('not UTF-8 looked up', outcome(os.stat, b'a\\xff'), 'EILSEQ')
            put('n' * 255, b'')
            check('256', outcome(os.open, 'n' * 256, os.O_WRONLY | os.O_CREAT), 'ENAMETOOLONG')
            # ci/ is the namespace's part of a key.
            deep = '/'.join(['x' * 200] * 5)
            os.makedirs(os.path.dirname(deep))
            put(deep + 'y' * (1021 - len(deep)), b'')
            check('1025', outcome(os.open, deep + 'y' * (1022 - len(deep)), os.O_WRONLY | os.O_CREAT), 'ENAMETOOLONG')
            """
        ) { mount in
            let entry = try await mount.entry("e\u{301}")
            #expect(entry?.size == 3)
            let absent = try await mount.entry("\u{e9}")
            #expect(absent == nil)
        }
    }

    @Test("S27: directories that were made stay, and those that keys imply go with the last of them")
    func directories() async throws {
        try await MountFixture.run { mount in
            try await mount.agent.put(try Key("ci/implied/deep/k"), [1])
            let run = try await mount.python(
                """
                os.mkdir('made')
                put('made/k', b'')
                check('not empty', outcome(os.rmdir, 'made'), 'ENOTEMPTY')
                check('implied', outcome(os.rmdir, 'implied'), 'ENOTEMPTY')
                check('a file', outcome(os.rmdir, 'made/k'), 'ENOTDIR')
                check('unlink', outcome(os.unlink, 'made'), 'EISDIR')
                writer = os.open('made/w', os.O_WRONLY | os.O_CREAT)
                os.unlink('made/k'), os.unlink('implied/deep/k')
                check('being written', outcome(os.rmdir, 'made'), 'ENOTEMPTY')
                os.close(writer)
                os.unlink('made/w')
                check('made', os.listdir('made'), [])
                check('listed', os.listdir('.'), ['made'])
                os.rmdir('made')
                check('removed', absent('made'), True)
                """
            )
            #expect(run.output == "" && run.code == 0, "\(run.output)")
        }
    }

    @Test("S26: 100,000 names are listed once each, while others come and go")
    func listing() async throws {
        try await MountFixture.run { mount in
            let count = 100_000
            try await mount.agent.putNames(count) { try Key("ci/many/\(MountFixture.name($0))") }
            let run = try await mount.python(
                """
                import threading
                stays = {'n%06d' % n for n in range(int(sys.argv[1]))}
                stop = threading.Event()
                def change():
                    at = 0
                    while not stop.is_set():
                        put(f'many/n{at * 997 % 100_000:06d}x', b'')
                        os.rename(f'many/n{at * 997 % 100_000:06d}x', f'many/m{at}')
                        if at % 2:
                            os.unlink(f'many/m{at - 1}')
                        at += 1
                changing = threading.Thread(target=change)
                changing.start()
                try:
                    for round in range(2):
                        names = os.listdir('many')
                        seen = [name for name in names if name in stays]
                        check('each', (len(seen), len(set(seen))), (len(stays), len(stays)))
                finally:
                    stop.set()
                    changing.join()
                """,
                ["\(count)"]
            )
            #expect(run.output == "" && run.code == 0, "\(run.output.prefix(2000))")
        }
    }
}

extension MountFixture {
    static func name(_ number: Int) -> String {
        let digits = String(number)
        return "n" + String(repeating: "0", count: 6 - digits.count) + digits
    }
}

extension AgentFixture {
    /// Publishes empty objects under many names at once, as a peer's bulk publication does.
    func putNames(_ count: Int, _ key: (Int) throws -> Key) async throws {
        let changes = try (0..<count).map { number in
            Publication.Change.entry(
                Entry(
                    key: try key(number),
                    version: peers.directory.nextVersion(),
                    body: .inline([]),
                    metadata: Metadata(modified: 1)
                )
            )
        }
        _ = try await peers.directory.publish(changes)
    }
}
