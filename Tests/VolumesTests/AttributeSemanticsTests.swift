// SPDX-License-Identifier: Apache-2.0

import Content
import Objects
import ProcessSupport
import TestSupport
import Testing
import Volumes

/// Sources/Volumes/SEMANTICS.md, "Attributes".
@Suite(.serialized, .timeLimit(.minutes(10)))
struct AttributeSemanticsTests {
    private func holds(_ program: String) async throws {
        try await MountFixture.run { mount in
            let run = try await mount.python(program)
            #expect(run.output == "" && run.code == 0, "\(run.output)")
        }
    }

    @Test("S28, S29: modes are kept, any user may read and change, owners are one")
    func modesAndOwners() async throws {
        try await holds(
            """
            import subprocess
            os.umask(0)
            for mode in (0o644, 0o755, 0o400, 0o000, 0o1777, 0o6755):
                put('k', b'data')
                os.chmod('k', mode)
                check('mode', stat.S_IMODE(os.stat('k').st_mode), mode)
                os.mkdir('d', 0o700)
                os.chmod('d', mode)
                check('directory', stat.S_IMODE(os.stat('d').st_mode), mode)
                child = os.fork()
                if child == 0:
                    os.setgroups([]), os.setgid(1234), os.setuid(4321)
                    try:
                        check('read', get('k'), b'data')
                        put('k', b'changed')
                        put('d/new', b'by another')
                        check('own', os.stat('d/new').st_uid, 0)
                    except OSError as error:
                        print('another user', oct(mode), error)
                    finally:
                        sys.stdout.flush()
                        os._exit(0)
                os.waitpid(child, 0)
                check('changed', get('k'), b'changed')
                os.unlink('d/new'), os.rmdir('d'), os.unlink('k')
            file = os.open('new', os.O_WRONLY | os.O_CREAT, 0o751)
            check('created', stat.S_IMODE(os.fstat(file).st_mode), 0o751)
            os.fchmod(file, 0o640)
            os.close(file)
            check('published', stat.S_IMODE(os.stat('new').st_mode), 0o640)
            check('chown', outcome(os.chown, 'new', 77, 88), None)
            check('owner', (os.stat('new').st_uid, os.stat('new').st_gid), (0, 0))
            put('run', b'#!/bin/sh\\necho ran\\n')
            check('access', os.access('run', os.X_OK), False)
            check('no right to execute', outcome(subprocess.run, ['./run']), 'EACCES')
            os.chmod('run', 0o755)
            check('access', os.access('run', os.X_OK | os.W_OK), True)
            check('executed', subprocess.run(['./run'], capture_output=True).stdout, b'ran\\n')
            """
        )
    }

    @Test("S30: times are kept to the nanosecond and clamped beyond 1677 and 2262")
    func times() async throws {
        try await holds(
            """
            billion = 1_000_000_000
            kept = [0, 1, -1, 1_700_000_000_123_456_789, -5 * 10**18, 9 * 10**18, 2**63 - 1 - 2**33]
            for when in kept:
                put('k', b'x'), os.makedirs('d', exist_ok=True)
                for path in ('k', 'd'):
                    os.utime(path, ns=(0, when))
                    check(f'{path} {when}', os.stat(path).st_mtime_ns, when)
                check('all the same', os.stat('k').st_ctime_ns, when)
                file = os.open('w', os.O_WRONLY | os.O_CREAT)
                os.write(file, b'x')
                os.utime(file, ns=(0, when))
                os.close(file)
                check('of a writer', os.stat('w').st_mtime_ns, when)
            for seconds, want in ((-(2**40), -(2**63)), (2**40, 2**63 - 1), (-(2**62), -(2**63)), (2**62, 2**63 - 1)):
                if outcome(os.utime, 'k', (0, seconds)) is None:
                    check(f'{seconds} s', os.stat('k').st_mtime_ns, want)
            before = time.time_ns()
            os.utime('k')
            check('now', before - billion <= os.stat('k').st_mtime_ns <= time.time_ns() + billion, True)
            """
        )
    }

    @Test("S31: the mount's own attributes tell digest, state and source, and are nobody's to change")
    func ownAttributes() async throws {
        try await MountFixture.run { mount in
            let small = try await mount.agent.put(try Key("ci/small"), Array("abc".utf8))
            let large = try await mount.agent.put(try Key("ci/large"), noise(300_000, seed: 1))
            let digests = [small, large].map { mount.agent.cache.digest(of: $0)?.hex ?? "none" }
            let run = try await mount.python(
                """
                for name, digest in zip(('small', 'large'), sys.argv[1:]):
                    check('digest', os.getxattr(name, 'user.larder.digest').decode(), digest)
                    check('state', os.getxattr(name, 'user.larder.state'), b'local')
                    check('source', os.getxattr(name, 'user.larder.source'), b'local')
                    check('listed', os.listxattr(name), [])
                    for call in (lambda: os.setxattr(name, 'user.larder.state', b'x'),
                                 lambda: os.removexattr(name, 'user.larder.digest')):
                        check('changed', outcome(call), 'EPERM')
                writer = os.open('new', os.O_WRONLY | os.O_CREAT)
                check('writing', os.getxattr('new', 'user.larder.state'), b'writing')
                check('no digest', outcome(os.getxattr, 'new', 'user.larder.digest'), 'ENODATA')
                os.write(writer, b'abc')
                os.close(writer)
                check('equal bytes', os.getxattr('new', 'user.larder.digest').decode(), sys.argv[1])
                check('directory', outcome(os.getxattr, '.', 'user.larder.digest'), 'ENODATA')
                """,
                digests
            )
            #expect(run.output == "" && run.code == 0, "\(run.output)")
        }
    }

    @Test("S32: no other attribute is kept, and tools do not mind")
    func otherAttributes() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.python(
                """
                put('k', b'x')
                for name in ('user.other', 'security.other', 'trusted.x'):
                    check('get', outcome(os.getxattr, 'k', name), 'ENODATA')
                    check('remove', outcome(os.removexattr, 'k', name), 'ENODATA')
                    check('set', outcome(os.setxattr, 'k', name, b'1'), 'ENOTSUP')
                check('list', os.listxattr('k'), [])
                check('acl', outcome(os.getxattr, 'k', 'system.posix_acl_access'), 'ENOTSUP')
                """
            )
            #expect(run.output == "" && run.code == 0, "\(run.output)")
            let tools = try await mount.sh(
                """
                set -e
                src=$(mktemp -d); trap 'rm -rf $src' EXIT
                mkdir $src/d; echo data > $src/d/k; ln -s k $src/d/l
                python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.some", b"1")' $src/d/k 2>/dev/null || true
                cp -a $src/d copy; cp -a copy again; ls -la --color=always again > /dev/null
                tar --xattrs --acls -cf $src/t.tar copy; mkdir un; tar --xattrs -xf $src/t.tar -C un
                diff -r $src/d un/copy
                """
            )
            #expect(tools.code == 0 && !tools.output.contains("attr"), "\(tools.output)")
        }
    }

    @Test("S33: statfs tells the quota, what is free of it, and the longest name")
    func statistics() async throws {
        try await MountFixture.run(quota: 64 << 20) { mount in
            let run = try await mount.python(
                """
                before = os.statvfs('.')
                check('size', before.f_blocks * before.f_frsize, 64 << 20)
                check('name', before.f_namemax, 255)
                put('k', os.urandom(8 << 20)), get('k')
                after = os.statvfs('.')
                check('used', (before.f_bfree - after.f_bfree) * after.f_frsize >= 8 << 20, True)
                """
            )
            #expect(run.output == "" && run.code == 0, "\(run.output)")
        }
    }

    @Test("S35: an inode number is one version's, through writing, publication, chmod and renaming")
    func inodes() async throws {
        try await holds(
            """
            def number(path):
                return os.stat(path).st_ino
            seen = set()
            for size in (10, 100_000, 20):
                new = f'new{size}'
                writer = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                os.write(writer, os.urandom(size))
                # Else the kernel might forget the number meanwhile.
                kept = os.open(new, os.O_PATH)
                while_written = os.fstat(writer).st_ino
                os.close(writer)
                check('published', number(new), while_written)
                os.rename(new, 'k')
                check('renamed', number('k'), while_written)
                os.chmod('k', 0o600)
                check('another mode', number('k'), while_written)
                put('k', b'another version')
                check('another version', number('k') == while_written, False)
                check('the first one', os.fstat(kept).st_ino, while_written)
                os.close(kept)
                check('never again', while_written in seen, False)
                seen.add(while_written)
            """
        )
    }
}
