// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Logging
import Objects
import ProcessSupport
import TestSupport
import Testing
import Volumes

/// Sources/Volumes/SEMANTICS.md, "The volume".
@Suite(.serialized, .timeLimit(.minutes(10)))
struct VolumeSemanticsTests {
    @Test("S36: a read-only volume shows everything and refuses every change with EROFS")
    func readOnly() async throws {
        try await MountFixture.run(access: .readOnly) { mount in
            try await mount.agent.put(try Key("ci/d/k"), Array("hello".utf8))
            let run = try await mount.python(
                """
                check('read', get('d/k'), b'hello')
                check('listed', os.listdir('.'), ['d'])
                check('digest', len(os.getxattr('d/k', 'user.larder.digest')), 64)
                for what, call in {
                    'create': lambda: os.open('new', os.O_WRONLY | os.O_CREAT),
                    'write': lambda: os.open('d/k', os.O_WRONLY),
                    'truncate': lambda: os.truncate('d/k', 0),
                    'chmod': lambda: os.chmod('d/k', 0o600),
                    'utime': lambda: os.utime('d/k'),
                    'unlink': lambda: os.unlink('d/k'),
                    'mkdir': lambda: os.mkdir('e'),
                    'rmdir': lambda: os.rmdir('d'),
                    'rename': lambda: os.rename('d', 'e'),
                    'symlink': lambda: os.symlink('k', 'l'),
                    'link': lambda: os.link('d/k', 'l'),
                    'mkfifo': lambda: os.mkfifo('p'),
                    'setxattr': lambda: os.setxattr('d/k', 'user.x', b'1'),
                }.items():
                    check(what, outcome(call), 'EROFS')
                """
            )
            #expect(run.output == "" && run.code == 0, "\(run.output)")
        }
    }

    @Test("S37: status and hint are there, and nothing can be made, removed or renamed beside them")
    func ownFiles() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.python(
                """
                check('listed', os.listdir('.larder'), ['hint', 'status'])
                check('status', get('.larder/status'), b'serving\\n')
                put('.larder/hint', b'app/1.tar\\nci/app/2.tar\\n')
                put('k', b'')
                for what, call in {
                    'create': lambda: os.open('.larder/x', os.O_WRONLY | os.O_CREAT),
                    'mkdir': lambda: os.mkdir('.larder/x'),
                    'unlink': lambda: os.unlink('.larder/status'),
                    'rmdir': lambda: os.rmdir('.larder'),
                    'rename away': lambda: os.rename('.larder/status', 'x'),
                    'rename in': lambda: os.rename('k', '.larder/x'),
                    'rename it': lambda: os.rename('.larder', 'x'),
                }.items():
                    check(what, outcome(call), 'EPERM')
                check('written', outcome(os.open, '.larder/status', os.O_WRONLY), 'EACCES')
                """
            )
            #expect(run.output == "" && run.code == 0, "\(run.output)")
            #expect(mount.hints.all == ["app/1.tar", "ci/app/2.tar"])
        }
    }

    @Test("S38: the agent's program can be run from the mount and not be changed")
    func ownProgram() async throws {
        try await MountFixture.run(program: "/bin/echo") { mount in
            let run = try await mount.sh(
                """
                .larder/bin/larder it runs; ls .larder .larder/bin; cmp .larder/bin/larder /bin/echo && stat -c %a .larder/bin/larder
                echo > .larder/bin/larder; rm .larder/bin/larder; echo > .larder/bin/other
                """
            )
            #expect(
                run.output.hasPrefix("it runs\n.larder:\nbin\nhint\nstatus\n\n.larder/bin:\nlarder\n555\n"),
                "\(run.output)")
            #expect(run.output.components(separatedBy: "Permission denied").count == 2, "\(run.output)")
            #expect(run.output.components(separatedBy: "Operation not permitted").count == 3, "\(run.output)")
        }
    }

    @Test("S39: what is published, replaced and removed elsewhere is seen with the next look-up")
    func seesOthers() async throws {
        try await MountFixture.run { mount in
            let key = try Key("ci/dir/k")
            for round in 1...10 {
                let bytes = round % 2 == 0 ? noise(50_000, seed: UInt64(round)) : Array("version \(round)".utf8)
                let entry = try await mount.agent.put(key, bytes)
                let run = try await mount.sh("stat -c %s dir/k; wc -c < dir/k; ls dir")
                #expect(run.output == "\(entry.size)\n\(entry.size)\nk\n")
            }
            try await mount.agent.cache.remove(key)
            #expect(try await mount.sh("ls dir/k").code != 0)
        }
    }

    @Test("S40, P10: in a container with one volume no path leads to another namespace")
    func isolation() async throws {
        try await MountFixture.run { mount in
            try await mount.agent.put(try Key("other/secret"), Array("secret".utf8))
            let other = VolumeConfiguration(name: "other", namespace: "other", path: mount.agent.directory + "-other")
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let second = Volume(
                configuration: other,
                cache: mount.agent.cache,
                special: SpecialFiles(status: { [] }, hint: { _ in }),
                logger: logger
            )
            try second.start()
            let run: Outcome
            do {
                run = try await contained(mount, other: other.path)
            } catch {
                await second.stop()
                try Volume.uninstall(other)
                throw error
            }
            await second.stop()
            try Volume.uninstall(other)
            #expect(run.output == "mounted\n" && run.code == 0, "\(run.output)")
        }
    }

    /// Runs in a root and a process space of its own, with nothing but programs and the one volume, as a container does.
    private func contained(_ mount: MountFixture, other: String) async throws -> Outcome {
        let inside = """
            exec 2>&-
            cd /cache/mnt || exit 1
            [ -e .larder/status ] && echo mounted
            ln -s ../../../../../../..\(other)/mnt/secret l1
            ln -s \(other)/mnt/secret l2
            ln -s /proc/1/root\(other)/mnt/secret l3
            for path in l1 l2 l3 ../secret ../../other/secret ../../../..\(other)/mnt/secret other/secret secret \\
                \(other)/mnt/secret /cache/mnt/../other/secret /proc/1/root\(other)/mnt/secret .larder/../../secret; do
                cat "$path"
            done
            find /cache -name '*secret*' -o -name '*other*' | grep -v '^/cache/mnt/l[123]$'
            exit 0

            """
        let script = mount.agent.directory + "/inside"
        try inside.write(toFile: script, atomically: true, encoding: .utf8)
        return try await Child.sh(
            """
            root=$(mktemp -d); trap 'rmdir "$root"' EXIT
            unshare -m -p --fork --propagation private bash -c '
                set -e
                mount -t tmpfs none "$1"; cd "$1"
                for d in bin lib lib64 usr; do
                    if [ -L /$d ]; then cp -a /$d $d; elif [ -d /$d ]; then mkdir $d; mount --rbind /$d $d; fi
                done
                mkdir proc cache; mount -t proc none proc
                cp "$3" inside; mount --rbind "$2" cache
                exec chroot . bash /inside
            ' - "$root" '\(mount.volume.configuration.path)' '\(script)'
            """
        )
    }

    @Test("S41, P12: while nothing is mounted, root cannot write there either")
    func refusesUnmounted() async throws {
        try await MountFixture.run { mount in
            await mount.volume.stop()
            let run = try await mount.python(
                """
                for what, call in {
                    'create': lambda: os.open('new', os.O_WRONLY | os.O_CREAT),
                    'mkdir': lambda: os.mkdir('d'),
                    'beside': lambda: os.open('../new', os.O_WRONLY | os.O_CREAT),
                }.items():
                    check(what, outcome(call), 'EROFS')
                """
            )
            #expect(run.output == "" && run.code == 0, "\(run.output)")
        }
    }
}
