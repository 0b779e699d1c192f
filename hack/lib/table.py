#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""table.py KEY[=TITLE]…: a table for people of JSON objects, one a line, from standard input."""
import json
import sys


def shown(value):
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


columns = [argument.partition("=")[::2] for argument in sys.argv[1:]]
rows = [json.loads(line) for line in sys.stdin if line.strip()]
cells = [[title or key for key, title in columns]] + [[shown(row.get(key)) for key, _ in columns] for row in rows]
widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
numeric = [rows and all(isinstance(row.get(key), (int, float, type(None))) for row in rows) for key, _ in columns]
cells.insert(1, ["-" * width for width in widths])
for line in cells:
    print("  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(line, widths, numeric)).rstrip())
