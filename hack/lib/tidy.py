#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py ROOT: the rules that neither the compiler nor the formatter knows. Prints what breaks them; exit code 1.

Who may import whom is data here: DESIGN's arrows, and the libraries that belong to one place.
"""
import os
import re
import subprocess
import sys

# DESIGN's arrows: a module and those of ours that it may import. Package.swift may give it fewer, never more. Any other
# import of ours is an error, and so is a module that is not named here.
ROAD = ["Content", "Chunking", "Storage", "Peers", "Objects"]
ARROWS = {
    "Content": [],
    "Chunking": ["Content", "CZstd", "CZlib", "CLz4"],
    "Storage": ["Content", "Chunking", "CXXHash"],
    "Peers": ["Content", "Chunking", "Storage"],
    "Objects": ["Content", "Chunking", "Storage", "Peers"],
    "FUSE": ["CFuse"],
    "Holder": ["CHandover"],
    "Volumes": [*ROAD, "FUSE"],
    "Control": ROAD,
    "Agent": [*ROAD, "FUSE", "Holder", "Volumes", "Control"],
    "larder": [*ROAD, "FUSE", "Holder", "Volumes", "Control", "Agent"],
}
C_MODULES = ["CFuse", "CHandover", "CZstd", "CZlib", "CLz4", "CXXHash"]
# A library and the modules that it belongs to.
LIBRARIES = {
    "ArgumentParser": ["larder"],
    "AsyncHTTPClient": ["Peers", "Control"],
    "GRDB": ["Storage"],
    "Hummingbird": ["Peers", "Control", "Agent"],
    "HummingbirdCore": ["Peers", "Control", "Agent"],
    "NIOSSL": ["Peers"],
    "SwiftASN1": ["Peers"],
    "X509": ["Peers"],
    "Yams": ["Agent"],
}
# More than one idea in a file begins about here; from there it is certain.
LINES_WARN, LINES_MAX = 300, 400

IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?"
    r"import\s+(?:(?:struct|class|enum|protocol|func|typealias|let|var)\s+)?(\w+)"
)
SPDX = "SPDX-License-Identifier: Apache-2.0"
VAGUE = re.compile(r"(Manager|Helper|Helpers|Util|Utils|Utilities|Common|Impl)(\+\w+)?\.swift$")
SEMANTICS = "Sources/Volumes/SEMANTICS.md"
SENTENCE = re.compile(r"^- \*\*(S\d+)\*\*", re.MULTILINE)
PROVEN = re.compile(r'@Test\(\s*"((?:[SP]\d+, )*[SP]\d+):')
LEFT_OVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
COMMENTED = (".swift", ".sh", ".py", ".yaml", ".yml", ".toml", ".h")


def files(root):
    """What git would keep: tracked files and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in sorted(filter(None, listed.split("\0"))):
        path = os.path.join(root, name)
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as content:
                head = content.read(8192)
            if b"\0" not in head:
                with open(path, encoding="utf-8") as text:
                    yield name, text.read().split("\n")


def imports(name, lines):
    module = name.split("/")[1]
    if module in C_MODULES:
        return
    if module not in ARROWS:
        yield f"{name}: module {module} has no arrows in hack/lib/tidy.py"
        return
    for number, line in enumerate(lines, 1):
        found = IMPORT.match(line)
        if not found:
            continue
        other = found.group(1)
        if (other in ARROWS or other in C_MODULES) and other not in ARROWS[module]:
            yield f"{name}:{number}: {module} may not import {other}; its arrows: {', '.join(ARROWS[module]) or 'none'}"
        if other in LIBRARIES and module not in LIBRARIES[other]:
            yield f"{name}:{number}: {other} belongs to {', '.join(LIBRARIES[other])}, not to {module}"


def swift(name, lines):
    if len(lines) - 1 > LINES_MAX:
        yield f"{name}: {len(lines) - 1} lines, at most {LINES_MAX}: a file is one idea"
    elif len(lines) - 1 > LINES_WARN:
        print(f"note: {name} has {len(lines) - 1} lines, over {LINES_WARN}")
    if VAGUE.search(name):
        yield f"{name}: a name that says nothing"
    for number, line in enumerate(lines, 1):
        if "@testable" in line:
            yield f"{name}:{number}: tests go through the public API"
        if re.search(r"@unchecked\s+Sendable|nonisolated\(unsafe\)", line.split("//")[0]):
            if not any("Safety:" in near for near in lines[max(0, number - 8) : number + 1]):
                yield f"{name}:{number}: unchecked, without a line that says why it is safe (// Safety: …)"


def sentences(said, proven):
    """Every sentence of SEMANTICS.md has a test that bears its number, and every number that a test bears a sentence."""
    for number in sorted(said - proven, key=lambda number: int(number[1:])):
        yield f"{SEMANTICS}: no test is named for {number}"
    for number in sorted(proven - said, key=lambda number: int(number[1:])):
        yield f"{SEMANTICS}: a test is named for {number}, which is not there"


def check(root):
    said, proven = set(), set()
    for name, lines in files(root):
        text = "\n".join(lines)
        if name == SEMANTICS:
            said.update(SENTENCE.findall(text))
        if name.startswith("Tests/") and name.endswith(".swift"):
            proven.update(n for found in PROVEN.findall(text) for n in found.split(", ") if n.startswith("S"))
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        script = lines[0].startswith("#!")
        # A manifest's tools line has to be its first.
        if name == "Package.swift":
            first = SPDX
        if (name.endswith(COMMENTED) or script) and SPDX not in first and SPDX not in lines[min(1, len(lines) - 1)]:
            yield f"{name}: the first line says '{SPDX}'"
        if name.startswith("Sources/") and name.endswith(".swift"):
            yield from imports(name, lines)
        if name.endswith(".swift"):
            yield from swift(name, lines)
        if name != "hack/lib/tidy.py" and name != "LICENSE":
            for number, line in enumerate(lines, 1):
                if LEFT_OVER.search(line):
                    yield f"{name}:{number}: {LEFT_OVER.search(line).group()}: do it or leave it"
    yield from sentences(said, proven)


if __name__ == "__main__":
    broken = list(check(sys.argv[1]))
    for line in broken:
        print(line)
    sys.exit(1 if broken else 0)
