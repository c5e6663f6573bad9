# SPDX-License-Identifier: LGPL-2.1-or-later
"""An emulator that says what a test wants said: for what needs hardware that fails, other guests than there are here, or viewers that nobody has.

Asked what it can do, it is the real one. As a guest, it answers each command with nothing, and says as an event what the command "say" brings. It has
places for vCPUs, takes in what is plugged there, and lets go of one when it says so itself (DEVICE_DELETED). The command "script" tells what it does
about a later command instead of answering: events, and answers to the oldest command that has none; {"vanish": vCPU} to let go of one without a
word; {"die": true}."""

import json

from gi.repository import GLib

from harness import DOMAIN
from qemud import xml

EMULATOR = r'''#!/usr/bin/python3
import json, os, re, socket, sys
words = " ".join(sys.argv[1:])
if "-machine none" in words:
    os.execv("/usr/bin/qemu-system-x86_64", ["qemu-system-x86_64", *sys.argv[1:]])
listener = socket.socket(fileno=int(re.search(r"charmonitor,fd=(\d+)|fd=(\d+)[^ ]*,id=charmonitor", words).group(1)))
running = False
LISTS = ("query-chardev", "query-block", "query-iothreads")
scripts = {}
unanswered = []
places = range(int((re.search(r"maxcpus=(\d+)", words) or [0, 1])[1]))
vcpus = {0: "/machine/unattached/device[0]"}

def say(what):
    if what.get("event") == "DEVICE_DELETED" and what["data"].get("device", "").startswith("vcpu"):
        vcpus.pop(int(what["data"]["device"][4:]), None)
    try:
        peer.sendall(json.dumps(what).encode() + b"\r\n")
    except ConnectionError:
        pass  # whoever asked has gone

def commands():
    try:
        yield from map(json.loads, peer.makefile())
    except ConnectionError:
        pass

def answer(what):
    say({**what, "id": unanswered.pop(0)})

def play(lines):
    for line in lines:
        if "die" in line:
            os._exit(1)
        if "vanish" in line:
            del vcpus[line["vanish"]]
        elif "event" in line:
            say({"timestamp": {"seconds": 1, "microseconds": 0}, **line})
        else:
            answer(line)

def tell_vcpus(name):
    if name == "query-cpus-fast":
        return [{"cpu-index": vcpu, "qom-path": path, "thread-id": os.getpid()} for vcpu, path in vcpus.items()]
    return [{"type": "qemu64-x86_64-cpu", "vcpus-count": 1, "props": {"socket-id": place, "core-id": 0, "thread-id": 0},
             **({"qom-path": vcpus[place]} if place in vcpus else {})} for place in places]

while True:
    peer, _ = listener.accept()
    say({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}})
    unanswered.clear()
    for command in commands():
        name = command["execute"]
        unanswered.append(command["id"])
        if name in ("stop", "cont"):
            running = name == "cont"
            say({"event": "RESUME" if running else "STOP", "timestamp": {"seconds": 1, "microseconds": 0}})
        arguments = command.get("arguments", {})
        script = scripts.pop(" ".join(filter(None, (name, arguments.get("id")))), None)
        if script is not None:
            play(script)
            continue
        if name == "script":
            scripts[arguments["command"]] = arguments["lines"]
        if name == "device_add" and arguments["id"].startswith("vcpu"):
            vcpus[arguments["socket-id"]] = "/machine/peripheral/" + arguments["id"]
        status = {"status": "running" if running else "paused", "running": running, "singlestep": False}
        known = [] if name in LISTS else status if name == "query-status" else {}
        if name in ("query-cpus-fast", "query-hotpluggable-cpus"):
            known = tell_vcpus(name)
        answer({"return": known})
        if name == "say":
            say({"timestamp": {"seconds": 1, "microseconds": 0}, **command["arguments"]})
        if name == "quit":
            sys.exit(0)
'''


class Pretended:
    """What a QemuCase with such an emulator can do; to be set up after the daemon."""

    def set_up_pretended(self):
        self.pretended = self.bus.directory / "qemu-system-x86_64"
        self.pretended.write_text(EMULATOR, encoding="utf-8")
        self.pretended.chmod(0o755)
        folder = self.bus.directory / "config" / "virtbus"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "qemu.conf").write_text(f"emulators = {self.pretended}\n", encoding="utf-8")
        self.qemud.restart()

    def pretended_xml(self, name, devices="", more=""):
        return xml(name, devices=f"<emulator>{self.pretended}</emulator>" + devices, more=more)

    def say(self, path, event, /, **data):
        self.tell(path, "say", event=event, data=data)

    def script(self, path, command, *lines):
        """What the next of these commands brings: 'device_del vcpu3' is one about that device."""
        self.tell(path, "script", command=command, lines=lines)

    def tell(self, path, command, /, **arguments):
        request = {"execute": command, "arguments": arguments}
        self.client.call(path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (json.dumps(request), {})))
