# SPDX-License-Identifier: LGPL-2.1-or-later
"""As many emulators as guests, without a daemon: what QEMU itself takes to write their memory into files that are synced, and to end."""

import json
import os
import resource
import socket
import subprocess
import threading
import time
from pathlib import Path

EMULATOR = "/usr/bin/qemu-system-x86_64"


class Emulator:
    def __init__(self, folder, number, filling):
        self.file = folder / f"bare-{number}.save"
        address = f"/run/bare-{number}.qmp"
        command = [EMULATOR, "-S", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc,accel=tcg", "-m", "64",
                   "-device", f"loader,file={filling},addr=0x100000,force-raw=on", "-qmp", f"unix:{address},server=on,wait=off"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while self.socket.connect_ex(address) != 0:
            time.sleep(0.01)
        os.unlink(address)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.ask("qmp_capabilities")
        self.ask("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        self.ask("migrate-set-parameters", **{"max-bandwidth": 2**63 - 1})

    def read(self, key):
        while True:
            message = json.loads(self.lines.readline())
            if key in message:
                return message

    def ask(self, command, fds=(), **arguments):
        line = json.dumps({"execute": command, "arguments": arguments}).encode()
        socket.send_fds(self.socket, [line], list(fds))
        self.read("return")

    def save(self):
        """Also what a daemon does to make it last: the file is synced. Its end is waited for."""
        with open(self.file, "wb") as file:
            self.ask("getfd", [file.fileno()], fdname="file")
            self.ask("migrate", uri="fd:file")
            while self.read("event").get("data", {}).get("status") != "completed":
                pass
            os.fsync(file.fileno())
        self.process.terminate()
        self.process.wait()

    def cpu_usec(self):
        words = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def save_all(emulators, at_once):
    """Each in a thread, which has nothing to do but wait."""
    turns = threading.BoundedSemaphore(at_once)

    def save(emulator):
        with turns:
            emulator.save()

    threads = [threading.Thread(target=save, args=[emulator]) for emulator in emulators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(folder, count, filling, at_once=16):
    """Microseconds that it takes, those of the CPUs that the emulators need for it, and the files' sizes. The files are gone then."""
    emulators = [Emulator(folder, number, filling) for number in range(count)]
    os.sync()
    before = sum(emulator.cpu_usec() for emulator in emulators)
    began = time.monotonic()
    save_all(emulators, at_once)
    usec = (time.monotonic() - began) * 1e6
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    sizes = [emulator.file.stat().st_size for emulator in emulators]
    for emulator in emulators:
        emulator.file.unlink()
    return usec, (used.ru_utime + used.ru_stime) * 1e6 - before, sizes
