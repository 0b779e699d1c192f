// SPDX-License-Identifier: Apache-2.0

import ProcessSupport
import TestSupport
import Testing
import Volumes

/// Operations on a name that meet the close of a file that was written there.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct MeetingTests {
    private func holds(_ program: String) async throws {
        try await MountFixture.run { mount in
            let run = try await mount.python(
                """
                import threading

                def meanwhile(call, *arguments):
                    thread = threading.Thread(target=call, args=arguments)
                    thread.start()
                    return thread

                \(program)
                """)
            #expect(run.output == "" && run.code == 0, "\(run.output)")
        }
    }

    @Test("S17: what is closed while it is replaced does not come back")
    func replacedWhileClosed() async throws {
        try await holds(
            """
            for at in range(150):
                if at % 3 == 0:
                    put(f'to{at}', b'old')
                target = os.open(f'to{at}', os.O_WRONLY | os.O_CREAT)
                os.write(target, b'target' * 3000)
                source = os.open(f'from{at}', os.O_WRONLY | os.O_CREAT)
                os.write(source, b'%d' % at * 2000)
                if at % 2:
                    os.close(source)
                closing = meanwhile(os.close, target)
                os.rename(f'from{at}', f'to{at}')
                closing.join()
                if not at % 2:
                    os.close(source)
            for at in range(150):
                check(f'to{at}', get(f'to{at}') == b'%d' % at * 2000, True)
                check(f'from{at}', absent(f'from{at}'), True)
            """
        )
    }

    @Test("S18, S19: what is closed while its directory is renamed is there under the new name only")
    func closedWhileMoved() async throws {
        try await holds(
            """
            for at in range(60):
                os.mkdir(f'd{at}')
                put(f'd{at}/published', b'p')
                files = [os.open(f'd{at}/f{n}', os.O_WRONLY | os.O_CREAT) for n in range(8)]
                files.append(os.open(f'd{at}/published', os.O_WRONLY | os.O_TRUNC))
                for file in files:
                    os.write(file, b'%d' % at * 1000)
                def close():
                    for file in files:
                        os.close(file)
                closing = meanwhile(close)
                os.rename(f'd{at}', f'e{at}')
                closing.join()
            for at in range(60):
                check('gone', absent(f'd{at}'), True)
                names = [f'f{n}' for n in range(8)] + ['published']
                check('listed', sorted(os.listdir(f'e{at}')), names)
                for name in names:
                    check(f'e{at}/{name}', get(f'e{at}/{name}') == b'%d' % at * 1000, True)
            """
        )
    }

    @Test("S18: a file that was renamed over a key is renamed on, and nothing of either name is left behind")
    func renamedOn() async throws {
        try await holds(
            """
            for at in range(20):
                put('first', b'old'), put('second', b'older')
                file = os.open('new', os.O_WRONLY | os.O_CREAT)
                os.write(file, b'one')
                os.rename('new', 'first')
                os.write(file, b'two')
                os.rename('first', 'second')
                check('gone', absent('first'), True)
                os.write(file, b'%d' % at)
                os.close(file)
                check('second', get('second'), b'onetwo%d' % at)
                check('left', os.listdir('.'), ['second'])
            """
        )
    }

    @Test("S28: a mode that a key is given while its next version is written stays")
    func modeWhileWritten() async throws {
        try await holds(
            """
            put('k', b'old')
            file = os.open('k', os.O_WRONLY)
            os.pwrite(file, b'new', 0)
            os.chmod('k', 0o750)
            check('now', stat.S_IMODE(os.stat('k').st_mode), 0o750)
            os.close(file)
            check('then', (get('k'), stat.S_IMODE(os.stat('k').st_mode)), (b'new', 0o750))
            """
        )
    }

    @Test("S28, S30: mode, time and size that are set while a file is closed are those of what is published")
    func setWhileClosed() async throws {
        try await holds(
            """
            for at in range(120):
                name = f'k{at}'
                file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
                os.write(file, b'x' * 300_000)
                # No look-up comes between, which would wait for the publication.
                path = f'/proc/self/fd/{os.open(name, os.O_PATH)}'
                closing = meanwhile(os.close, file)
                if at % 3 == 0:
                    os.chmod(path, 0o750)
                elif at % 3 == 1:
                    os.utime(path, ns=(0, 10**18))
                else:
                    os.truncate(path, 7)
                closing.join()
            for at in range(120):
                status = os.stat(f'k{at}')
                if at % 3 == 0:
                    check('mode', stat.S_IMODE(status.st_mode), 0o750)
                elif at % 3 == 1:
                    check('time', status.st_mtime_ns, 10**18)
                else:
                    check('size', (status.st_size, get(f'k{at}')), (7, b'x' * 7))
            """
        )
    }
}
