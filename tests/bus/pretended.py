# SPDX-License-Identifier: LGPL-2.1-or-later
"""An emulator that says what a test wants said: for what needs hardware that fails, other guests than there are here, or viewers that nobody has.

Asked what it can do, it is the real one. As a guest, it answers each command with nothing, and says as an event what the command "say" brings."""

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
LISTS = ("query-cpus-fast", "query-chardev", "query-block", "query-iothreads")

def say(what):
    peer.sendall(json.dumps(what).encode() + b"\r\n")

while True:
    peer, _ = listener.accept()
    say({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}})
    for line in peer.makefile():
        command = json.loads(line)
        name = command["execute"]
        if name in ("stop", "cont"):
            running = name == "cont"
            say({"event": "RESUME" if running else "STOP", "timestamp": {"seconds": 1, "microseconds": 0}})
        status = {"status": "running" if running else "paused", "running": running, "singlestep": False}
        answer = [] if name in LISTS else status if name == "query-status" else {}
        say({"return": answer, "id": command["id"]})
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

    def say(self, path, event, **data):
        request = {"execute": "say", "arguments": {"event": event, "data": data}}
        self.client.call(path, DOMAIN, "MonitorCommand", GLib.Variant("(sa{sv})", (json.dumps(request), {})))
