#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the rows of C's table of keys from keys.tsv."""

import sys
from pathlib import Path

COLUMNS = ["linux", "atset1", "atset2", "atset3", "osx", "usb", "win32"]


def number(place, word):
    if word == "-":
        return "NONE"
    value = int(word, 0)
    if not 0 <= value < 0xffff:
        sys.exit(f"{place}: {word} does not fit 16 bits")
    return f"{value:#x}"


def main(source, output):
    header, last, lines = None, 0, []
    for i, line in enumerate(Path(source).read_text(encoding="utf-8").splitlines(), 1):
        place, words = f"{source}: line {i}", line.split("\t")
        if line.startswith("#"):
            continue
        if not header:
            header = words
            continue
        row = dict(zip(header, words, strict=True))
        if int(row["linux"]) <= last:
            sys.exit(f"{place}: {row['name']} is not in the order of Linux's numbers")
        last = int(row["linux"])
        lines.append("{ " + ", ".join(number(place, row[name]) for name in COLUMNS) + f" }}, /* {row['name']} */")
    Path(output).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
