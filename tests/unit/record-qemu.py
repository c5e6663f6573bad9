#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records what a QEMU binary answers to the questions of the capabilities probe, trimmed to a fixture that can be read.

    tests/unit/record-qemu.py /usr/bin/qemu-system-x86_64 > tests/unit/fixtures/qemu-7.2-x86_64.json

Always under TCG: nothing of the recording host gets in. What is cut off is said in trim() below.
"""

import json
import subprocess
import sys

QUESTIONS = [
    ("query-target", None),
    ("query-machines", None),
    ("qom-list-types", None),
    ("query-command-line-options", None),
    ("query-qmp-schema", None),
    ("query-tpm-types", None),
    ("query-tpm-models", None),
    ("query-cpu-definitions", None),
]

# Entry points into the schema that the code walks from, and a few names that it only counts.
SCHEMA_ROOTS = {
    "blockdev-add", "blockdev-mirror", "chardev-add", "device_add", "migrate-set-capabilities", "netdev_add",
    "query-display-options", "screendump", "set_password", "query-status", "SHUTDOWN", "STOP",
}
# Unions whose variants are needed: only these of them.
SCHEMA_CASES = {"file", "qcow2", "stream", "socket", "vnc", "dbus"}
MACHINES = {"none", "pc-i440fx-7.2", "pc-q35-7.2", "pc-q35-6.2", "pc-i440fx-1.7", "microvm", "isapc"}
OPTIONS = {"", "sandbox", "spice", "action"}
CPU_FAMILIES = {"486", "EPYC", "EPYC-IBPB", "Haswell", "Haswell-noTSX", "Nehalem", "Opteron_G2", "max", "host", "base", "qemu64"}
TYPE_PREFIXES = ("virtio-blk", "virtio-net-pci", "memory-backend", "chardev-s", "tpm-", "rng-", "qxl", "pc-q35-7.2", "Nehalem-v1",
                 "vmgenid", "vmcoreinfo", "ramfb", "bochs")


class Emulator:
    def __init__(self, path):
        self.process = subprocess.Popen(
            [path, "-S", "-no-user-config", "-nodefaults", "-display", "none", "-machine", "none,accel=tcg", "-qmp", "stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.greeting = json.loads(self.process.stdout.readline())["QMP"]
        self.ask("qmp_capabilities")

    def ask(self, command, arguments=None):
        message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            answer = json.loads(self.process.stdout.readline())
            if "event" not in answer:
                return answer.get("return")

    def end(self):
        self.process.kill()
        self.process.wait()


def family(name):
    head, _, tail = name.rpartition("-v")
    return head if head and tail.isdigit() else name


def trim_schema(schema):
    by_name = {entity["name"]: entity for entity in schema}
    kept = {}

    def keep(name):
        if name in kept or name not in by_name:
            return
        entity = kept[name] = dict(by_name[name])
        if "variants" in entity:
            entity["variants"] = [v for v in entity["variants"] if v["case"] in SCHEMA_CASES]
        for key in ("arg-type", "ret-type", "element-type"):
            if key in entity:
                keep(entity[key])
        for member in entity.get("members", []):
            if "type" in member:
                keep(member["type"])
        for variant in entity.get("variants", []):
            keep(variant["type"])

    for root in SCHEMA_ROOTS:
        keep(root)
    return [entity for entity in schema if entity["name"] in kept and entity["meta-type"] in ("command", "event")] + \
           [kept[name] for name in kept if kept[name]["meta-type"] not in ("command", "event")]


def trim_expansions(expansions):
    """Features that none of the recorded models has say nothing."""
    properties = [expansion["model"]["props"] for expansion in expansions.values()]
    useful = {key for each in properties for key, value in each.items() if value not in (False, 0)}
    for each in properties:
        for key in set(each) - useful:
            del each[key]


def trim(answers):
    answers["query-machines"] = [m for m in answers["query-machines"] if m["name"] in MACHINES]
    answers["qom-list-types"] = [t for t in answers["qom-list-types"] if t["name"].startswith(TYPE_PREFIXES)]
    answers["query-command-line-options"] = [
        {"option": o["option"], "parameters": [{"name": p["name"], "type": p["type"]} for p in o["parameters"]]}
        for o in answers["query-command-line-options"] if o["option"] in OPTIONS]
    answers["query-qmp-schema"] = trim_schema(answers["query-qmp-schema"])
    answers["query-cpu-definitions"] = [c for c in answers["query-cpu-definitions"] if family(c["name"]) in CPU_FAMILIES]
    return answers


def main():
    emulator = Emulator(sys.argv[1])
    answers = trim({command: emulator.ask(command, arguments) for command, arguments in QUESTIONS})
    models = ["max"] + [c["name"] for c in answers["query-cpu-definitions"] if "alias-of" not in c and c["migration-safe"]]
    answers["expansions"] = {
        name: emulator.ask("query-cpu-model-expansion", {"type": "static", "model": {"name": name}}) for name in models}
    trim_expansions(answers["expansions"])
    answers["properties"] = {"virtio-blk-pci": emulator.ask("device-list-properties", {"typename": "virtio-blk-pci"})[:20]}
    emulator.end()

    print("{")
    rows = [f'"greeting": {json.dumps(emulator.greeting)}']
    for key, value in answers.items():
        if key == "expansions":
            rows.append(f'"{key}": {{\n' + ",\n".join(
                f'"{name}": {json.dumps(item, sort_keys=True)}' for name, item in value.items()) + "\n}")
        elif isinstance(value, list):
            rows.append(f'"{key}": [\n' + ",\n".join(json.dumps(item, sort_keys=True) for item in value) + "\n]")
        else:
            rows.append(f'"{key}": {json.dumps(value, sort_keys=True)}')
    print(",\n".join(rows) + "\n}")


if __name__ == "__main__":
    main()
