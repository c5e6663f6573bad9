#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns errors.tsv into the C constants and the map that sd-bus needs to know their errnos."""

import re
import sys

PREFIX = "org.virtbus.Error."


def rows(path):
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                continue
            fields = line.rstrip("\n").split("\t")
            if len(fields) != 4:
                sys.exit(f"{path}:{number}: expected 4 tab-separated fields, found {len(fields)}")
            yield fields


def constant(name):
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return "VB_ERROR_" + words.upper()


def header(path):
    print("/* Generated from interfaces/errors.tsv. */\n#pragma once\n")
    for name, errno, _, meaning in rows(path):
        print(f"/* {meaning} Seen by code as -{errno}. */\n#define {constant(name)} \"{PREFIX}{name}\"")


def error_map(path):
    print("/* Generated from interfaces/errors.tsv. */\n#include <errno.h>\n#include <systemd/sd-bus.h>\n")
    print('#include "base/error.h"\n\nconst sd_bus_error_map vb_error_map[] = {')
    for name, errno, _, _ in rows(path):
        print(f"        SD_BUS_ERROR_MAP({constant(name)}, {errno}),")
    print("        SD_BUS_ERROR_MAP_END,\n};")


if __name__ == "__main__":
    {"--header": header, "--map": error_map}[sys.argv[1]](sys.argv[2])
