#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns interfaces/*.xml into what is made of them. See interfaces/README.md.

    generate.py header|source  FILE.xml            one interface's C
    generate.py actions-header|actions-source …    the polkit actions of all of them
    generate.py docs …                             the API reference
    generate.py clean FILE.xml                     plain introspection data, to be installed
    generate.py check …                            nothing but complaints
"""

import argparse
import pathlib
import sys

import contract
import emit_c
import emit_docs
import errors

HERE = pathlib.Path(__file__).resolve().parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["header", "source", "actions-header", "actions-source", "docs", "clean", "check"])
    parser.add_argument("files", nargs="+", help="interfaces in XML")
    parser.add_argument("--errors", default=HERE / "errors.tsv", help="the list of errors")
    parser.add_argument("--policy", help="the polkit policy that must have each action; not checked without")
    parser.add_argument("--output", help="where to write; standard output if not given")
    return parser.parse_args()


def generate(arguments):
    interfaces = contract.load(arguments.files, arguments.errors)
    if arguments.policy:
        contract.check_policy(interfaces, arguments.policy)
    used = contract.used_actions(interfaces)
    makers = {
        "header": lambda: emit_c.header(interfaces[0]),
        "source": lambda: emit_c.source(interfaces[0]),
        "actions-header": lambda: emit_c.actions_header(used),
        "actions-source": lambda: emit_c.actions_source(used, interfaces),
        "docs": lambda: emit_docs.reference(interfaces, list(errors.rows(arguments.errors))),
        "clean": lambda: emit_docs.introspection(interfaces[0]),
        "check": lambda: "",
    }
    return makers[arguments.what]()


def main():
    arguments = parse_arguments()
    try:
        text = generate(arguments)
    except contract.ContractError as error:
        sys.exit(f"error: {error}")
    if arguments.output:
        pathlib.Path(arguments.output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
