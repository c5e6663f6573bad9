#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An emulator that only answers what was recorded (tests/unit/record-qemu.py), for tests of how emulators are asked.

A test copies it to FOLDER/qemu-system-x86_64 and puts beside it: FOLDER/answers.json, the recording; FOLDER/mode, one
of the words below; FOLDER/runs/, where each start leaves an empty file, as the probe allows it to write nothing more.
"""

import json
import os
import socket
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(sys.argv[0]))
ARGUMENTS = " ".join(sys.argv[1:])


def refused(text="refused"):
    return {"error": {"class": "GenericError", "desc": text}}


def answer(recording, command, arguments):
    if command == "query-cpu-model-expansion":
        found = recording["expansions"].get(arguments["model"]["name"])
        return {"return": found} if found else refused("no such model")
    if command == "device-list-properties":
        found = recording["properties"].get(arguments["typename"])
        return {"return": found} if found else refused("no such device")
    if command == "qmp_capabilities":
        return {"return": {}}
    if command in recording:
        return {"return": recording[command]}
    return {"error": {"class": "CommandNotFound", "desc": f"The command {command} has not been found"}}


def serve(mode, recording, channel):
    requests, replies = channel.makefile("r", encoding="utf-8"), channel.makefile("w", encoding="utf-8")
    greeting = recording["greeting"]
    if mode == "old":
        greeting["version"]["qemu"] = {"major": 6, "minor": 2, "micro": 0}
    print(json.dumps({"QMP": greeting}), file=replies, flush=True)
    for line in requests:
        request = json.loads(line)
        reply = answer(recording, request["execute"], request.get("arguments"))
        if mode == "wrong" and request["execute"] == "query-machines":
            reply = {"return": {"machines": 3}}
        if mode == "no-tcg" and request["execute"] == "query-cpu-definitions":
            reply = refused("TCG is not here")
        if mode == "dies" and request["execute"] == "query-machines":
            print("fake: out of luck", file=sys.stderr)
            sys.exit(3)
        if "id" in request:
            reply["id"] = request["id"]
        print(json.dumps(reply), file=replies, flush=True)


def main():
    mode = open(os.path.join(FOLDER, "mode"), encoding="utf-8").read().strip()
    os.close(os.open(os.path.join(FOLDER, "runs", str(os.getpid())), os.O_CREAT | os.O_WRONLY, 0o600))
    if mode == "exits":
        print("fake: cannot find my own head", file=sys.stderr)
        sys.exit(1)
    if mode == "hangs":
        time.sleep(60)
    if "accel=kvm" in ARGUMENTS:
        sys.exit("fake: nobody may ask for KVM here")
    recording = json.load(open(os.path.join(FOLDER, "answers.json"), encoding="utf-8"))
    descriptor = int(ARGUMENTS.split("fd=")[1].split()[0].split(",")[0])
    serve(mode, recording, socket.socket(fileno=descriptor))


main()
