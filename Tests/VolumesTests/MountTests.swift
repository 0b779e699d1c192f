// SPDX-License-Identifier: Apache-2.0

import Content
import Foundation
import Objects
import ProcessSupport
import TestSupport
import Testing
import Volumes

@Suite(.serialized, .timeLimit(.minutes(5)))
struct MountTests {
    @Test("What a shell writes is read back, and is an object once the last descriptor is closed")
    func writesAndReads() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh(
                """
                head -c 20000000 /dev/urandom > ../mnt/a.bin 2>/dev/null || exit 1
                sha256sum < a.bin; sha256sum < a.bin; stat -c '%s %F %u %a' a.bin
                """
            )
            #expect(run.code == 0, "\(run.output)")
            let lines = run.output.split(separator: "\n")
            #expect(lines.count == 3 && lines[0] == lines[1])
            #expect(lines.last == "20000000 regular file 0 644")
            #expect(try await mount.entry("a.bin")?.size == 20_000_000)
        }
    }

    @Test("P1: several processes that share one descriptor write one object")
    func sharedDescriptor() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh("(printf aaaa; /bin/printf bbbb; /bin/printf cccc) > k; cat k")
            #expect(run.output == "aaaabbbbcccc")
            #expect(try await mount.entry("k")?.size == 12)
        }
    }

    @Test("P3: a reader keeps its version while the path is overwritten, truncated and removed")
    func readerKeepsVersion() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh(
                """
                head -c 8388608 /dev/zero | tr '\\0' a > k
                want=$(sha256sum < k)
                exec 3< k
                head -c 1048576 <&3 > /dev/null
                head -c 3145728 /dev/zero | tr '\\0' b > k
                cat k | sha256sum > /dev/null
                (head -c 1048576 /dev/zero | tr '\\0' a; cat <&3) | sha256sum | cmp - <(echo "$want") && echo same
                stat -c %s k
                exec 4< k; rm k; cat <&4 | wc -c; ls k 2>/dev/null | wc -l
                """
            )
            #expect(run.output == "same\n3145728\n3145728\n0\n", "\(run.output)")
        }
    }

    @Test("Appending, patching and truncating a published key change what was there and nothing else")
    func changesPublished() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh(
                """
                printf 0123456789 > k
                printf abc >> k; cat k; echo
                printf XY | dd of=k bs=1 seek=3 conv=notrunc status=none; cat k; echo
                truncate -s 5 k; cat k; echo; stat -c %s k
                truncate -s 7 k; stat -c %s k
                head -c 300000 /dev/urandom > big; cp big big2
                printf Z | dd of=big bs=1 seek=150000 conv=notrunc status=none
                cmp big big2 | wc -l; stat -c %s big
                """
            )
            #expect(run.output == "0123456789abc\n012XY56789abc\n012XY\n5\n7\n1\n300000\n", "\(run.output)")
        }
    }

    @Test("cp -a, tar, zip, dd and mv of a tree give the same tree back")
    func tools() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh(
                """
                set -e
                src=$(mktemp -d); trap 'rm -rf $src' EXIT
                for d in a b/c "d e"; do mkdir -p "$src/$d"; for i in 1 2 3; do
                  head -c $((i * 30000)) /dev/urandom > "$src/$d/f$i"; echo $i > "$src/$d/small$i"; done; done
                chmod 755 $src/a/f1; ln -s ../a/f1 $src/b/link; mkdir $src/empty
                cp -a $src tree
                diff -r $src tree
                test -x tree/a/f1; test ! -x tree/a/f2; readlink tree/b/link
                test "$(stat -c %Y tree/a/f2)" = "$(stat -c %Y $src/a/f2)"
                test "$(stat -c %Y tree/a)" = "$(stat -c %Y $src/a)"
                tar -cf t.tar -C $src . ; mkdir un; tar -xf t.tar -C un; diff -r $src un
                (cd $src && zip -qr - .) > piped.zip; (cd $src && zip -qr "$OLDPWD/direct.zip" .)
                unzip -tq direct.zip > /dev/null 2>&1 || python3 -m zipfile -t direct.zip
                mv tree moved; diff -r $src moved; test ! -e tree
                mv moved/a/f1 moved/b/f1; cmp moved/b/f1 $src/a/f1
                mv moved/b/f1 moved/b/c/f1; cmp moved/b/c/f1 $src/a/f1
                rm -r moved un; ls
                """
            )
            #expect(run.code == 0, "\(run.output)")
            #expect(run.output.hasSuffix("direct.zip\npiped.zip\nt.tar\n"), "\(run.output)")
        }
    }

    @Test("A file that is renamed right after it was closed is published under its new name only")
    func renamedWhileSettling() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh(
                """
                for i in $(seq 20); do head -c 5000000 /dev/urandom > .tmp$i; mv .tmp$i out$i; done
                ls -A | wc -l; stat -c %s out* | sort -u
                head -c 1000 /dev/urandom > x; head -c 2000 /dev/urandom > y; mv x y; stat -c %s y; cat y | wc -c
                exec 5> open; printf 123 >&5; mv open renamed; printf 456 >&5; exec 5>&-; cat renamed
                """
            )
            #expect(run.output == "20\n5000000\n1000\n1000\n123456", "\(run.output)")
        }
    }

    @Test(
        "What POSIX refuses is refused with its errno",
        arguments: [
            ("ln k l", "Operation not permitted"), ("mkfifo p", "Operation not permitted"),
            ("mkdir k", "File exists"), ("rmdir d", "Directory not empty"), ("cat none", "No such file"),
            ("mkdir none/x", "No such file"), ("echo > d", "Is a directory"), ("echo > k/x", "Not a directory"),
            ("touch $(printf 'n%.0s' $(seq 256))", "File name too long"),
            ("python3 -c 'import os; os.rename(\"d\", \"k\")'", "Not a directory"),
            ("python3 -c 'import os; os.rename(\"k\", \"d\")'", "Is a directory"),
            ("set -C; echo > k", "cannot overwrite"), ("echo > .larder/x", "Operation not permitted"),
            ("mkdir -p $(printf 'directory-%03d/' $(seq 90))", "File name too long"),
        ]
    )
    func refuses(command: String, message: String) async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh("echo k > k; mkdir d; echo x > d/x\n" + command)
            #expect(run.code != 0)
            #expect(run.output.contains(message), "\(command): \(run.output)")
        }
    }

    @Test("P12: beside and below the mount, root cannot write, mounted or not")
    func refusesBeside() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh("echo > ../x")
            #expect(run.output.contains("Read-only file system"), "\(run.output)")
            await mount.volume.stop()
            let after = try await mount.sh("echo > x; echo > ../x")
            #expect(after.output.components(separatedBy: "Read-only file system").count == 3, "\(after.output)")
        }
    }

    @Test("A read-only volume shows and refuses")
    func readOnly() async throws {
        try await MountFixture.run(access: .readOnly) { mount in
            try await mount.agent.put(try Key("ci/a"), Array("hello".utf8))
            let run = try await mount.sh("cat a; echo > b; rm a; mkdir d; mv a c")
            #expect(run.output.hasPrefix("hello"))
            #expect(run.output.components(separatedBy: "Read-only file system").count == 5, "\(run.output)")
        }
    }

    @Test("P8: a writer that outgrows the quota gets ENOSPC, and what was there stays")
    func noSpace() async throws {
        try await MountFixture.run(quota: 32 << 20) { mount in
            let run = try await mount.sh(
                """
                head -c 1000000 /dev/urandom > keep; sync keep
                fallocate -l 100M big 2>&1; dd if=/dev/urandom of=big2 bs=1M count=64 status=none
                ls -l big2 2>/dev/null | wc -l
                df --output=size -B1M . | tail -1
                """
            )
            #expect(run.output.components(separatedBy: "No space left on device").count >= 3, "\(run.output)")
            #expect(run.output.hasSuffix("32\n"), "\(run.output)")
        }
    }

    @Test("Entries published elsewhere, overwritten and removed are seen at once")
    func seesOthers() async throws {
        try await MountFixture.run { mount in
            let key = try Key("ci/dir/k")
            for round in 1...20 {
                try await mount.agent.put(key, Array("version \(round)\n".utf8))
                #expect(try await mount.sh("cat dir/k; ls dir").output == "version \(round)\nk\n")
            }
            try await mount.agent.cache.remove(key)
            #expect(try await mount.sh("ls dir/k").code != 0)
        }
    }

    @Test("A directory of 5,000 names is listed whole, and a hint is one line each")
    func listsAndHints() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh(
                """
                mkdir many; cd many; for i in $(seq 5000); do : > n$i; done
                ls | wc -l; ls | sort -u | wc -l; find . -type f | wc -l; rm -r ../many && echo gone
                cd ..; printf 'app/1.tar\\nci/app/2.tar\\n' > .larder/hint; cat .larder/status; ls .larder
                """
            )
            #expect(run.output == "5000\n5000\n5000\ngone\nserving\nhint\nstatus\n", "\(run.output)")
            #expect(mount.hints.all == ["app/1.tar", "ci/app/2.tar"])
        }
    }

    @Test("Two spellings of one letter are two names, as on any file system of Linux")
    func spellings() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh(
                """
                a=$'caf\\u00e9'; b=$'cafe\\u0301'
                mkdir $a $b; echo one > $a/x; echo two > $b/x; echo three > $a.txt; echo four > $b.txt
                cat $a/x $b/x $a.txt $b.txt; ls | wc -l; mv $a moved; cat moved/x $b/x; rm $b.txt; cat $a.txt; ls $b.txt
                """
            )
            #expect(run.output.hasPrefix("one\ntwo\nthree\nfour\n4\none\ntwo\nthree\n"), "\(run.output)")
            #expect(run.code != 0)
        }
    }

    @Test("A file's time may be as old or as far as a file system keeps")
    func extremeTimes() async throws {
        try await MountFixture.run { mount in
            let run = try await mount.sh(
                """
                for time in 1066-10-14 1677-01-01 1969-12-31 2400-01-01 9999-12-31; do
                    echo > $time && touch -d "$time 12:00 UTC" $time && stat -c %n $time || echo failed
                done
                touch -d "1969-12-31 12:00 UTC" old; stat -c %Y old
                """
            )
            #expect(
                run.output == "1066-10-14\n1677-01-01\n1969-12-31\n2400-01-01\n9999-12-31\n-43200\n", "\(run.output)")
        }
    }
}
