#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns the facts of the classic protocol, and what is done with each procedure, into C. See README.md.

    generate.py constants     libvirt's public constants                    proxy/constants.h
    generate.py rpc-header    structs of all bodies, procedures' numbers    proxy/rpc.h
    generate.py rpc-source    the tables of fields and procedures
    generate.py calls-header  prototypes of functions, replies, events     proxy/calls.h
    generate.py calls-source  what is done with each procedure
    generate.py docs          the reference                                docs/classic-api.md
    generate.py check         nothing but complaints
"""

import argparse
import pathlib
import sys

import emit_calls
import emit_reference
import emit_rpc
import facts
import routes

HERE = pathlib.Path(__file__).resolve().parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["constants", "rpc-header", "rpc-source", "calls-header", "calls-source", "docs", "check"])
    parser.add_argument("--calls", type=pathlib.Path, default=HERE / "calls", help="the folder of what is done with procedures")
    parser.add_argument("--output", help="where to write; standard output if not given")
    return parser.parse_args()


def generate(what, calls):
    all_facts = facts.load(HERE / "protocol")
    makers = {
        "constants": lambda: emit_rpc.constants(all_facts),
        "rpc-header": lambda: emit_rpc.header(all_facts),
        "rpc-source": lambda: emit_rpc.tables(all_facts),
        "calls-header": lambda: emit_calls.header(all_facts),
        "calls-source": lambda: emit_calls.source(all_facts, routes.load(all_facts, calls)),
        "docs": lambda: emit_reference.reference(all_facts, routes.load(all_facts, calls), HERE),
        "check": lambda: routes.load(all_facts, calls) and "",
    }
    return makers[what]()


def main():
    arguments = parse_arguments()
    try:
        text = generate(arguments.what, arguments.calls)
    except (facts.FactsError, routes.RouteError, routes.contract.ContractError) as error:
        sys.exit(f"error: {error}")
    if arguments.output:
        pathlib.Path(arguments.output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
