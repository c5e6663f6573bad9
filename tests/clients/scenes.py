# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scenarios here share: the guest that clients are tried on, clients as commands, and the tables of virsh/."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from support import BOOT_SECONDS, check, until  # noqa: E402, F401 for the scenarios

# Whether this host is the distribution's libvirtd's.
REFERENCE = bool(os.environ.get("REFERENCE"))
SERVER = "libvirt" if REFERENCE else "virtbus"
# As whom the guests of root run. libvirt gives them their files by itself.
OWNER = "root" if REFERENCE else "virtbus-qemu"
COMMAND_SECONDS = 120
BRIDGE = "tester"
UUID = "7e57e500-0000-4000-8000-000000000001"

CPU = "<cpu mode='custom' match='exact'><model>qemu64</model><vendor>AMD</vendor></cpu>\n"
OTHER_CPU = "<cpu mode='custom' match='exact'><model>qemu64</model><feature policy='require' name='amx-tile'/></cpu>\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJuckXQ4iWbKO7qwYFzpmSTzHEDHjcbHhOSqJwIXUUZ2 nobody@nowhere\n"


class Tester:
    """The guest of guest.xml: defined by virsh when asked, and gone with all its files at the end of `with`."""

    folder = Path("/var/lib/tester")
    console = folder / "console.log"

    def __init__(self, cmdline="quiet", owner=OWNER, **changes):
        """The owner's guest is to use the disk. The definition may be changed: {"what is there": "what shall be"}."""
        self.owner = owner
        self.xml = (HERE / "guest.xml").read_text(encoding="utf-8")
        for old, new in {"quiet": cmdline, **changes}.items():
            self.xml = self.xml.replace(old, new)
        self.files = {}

    def __enter__(self):
        self.clear()  # of one that was ended by force
        self.folder.mkdir()
        # What the guest writes is its owner's; the folder is root's, for what virsh saves there.
        shutil.copy("/srv/guest/disk.qcow2", self.folder)
        shutil.copy("/srv/guest/disk.qcow2", self.folder / "disk2.qcow2")
        for name in ("disk.qcow2", "disk2.qcow2", "console.log", "console2.log"):
            (self.folder / name).touch()
            shutil.chown(self.folder / name, self.owner)
        self.write_files()
        subprocess.run(["ip", "link", "add", BRIDGE, "up", "type", "bridge"], check=True)
        return self

    def __exit__(self, *_):
        for name in ("tester", "transient", "other"):
            virsh(f"destroy {name}")
            virsh(f"undefine {name} --managed-save")
        self.clear()

    def clear(self):
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_files(self):
        """Those that the tables name in braces. In a folder of their own, as they are virsh's and not the guest's."""
        transient = self.xml.replace(UUID, UUID[:-1] + "2").replace("<name>tester<", "<name>transient<").replace("5901", "5902")
        texts = {"guest": self.xml, "titled": self.xml.replace("A small guest", "Restored"), "broken": "<domain type='qemu'><name>",
                 "transient": transient.replace("disk.qcow2", "disk2.qcow2").replace("console.log", "console2.log"),
                 "cpu": CPU, "host-cpu": host_cpu(), "other-cpu": OTHER_CPU, "unknown-cpu": "<cpu><model>Babbage</model></cpu>\n", "key": KEY}
        folder = self.folder / "files"
        folder.mkdir()
        for name, text in texts.items():
            self.files[name] = folder / name
            self.files[name].write_text(text, encoding="utf-8")

    def define(self):
        must(f"define {self.files['guest']}")
        return self

    def boot(self, agent=False):
        """Defines and starts it; returns when it has booted, and its agent answers."""
        self.define()
        must("start tester")
        self.wait_printed("guest: ready")
        if agent:
            until(lambda: virsh("qemu-agent-command tester '{\"execute\":\"guest-ping\"}'").status == 0, BOOT_SECONDS, "the guest's agent")
        return self

    def printed(self):
        return self.console.read_text(encoding="utf-8", errors="replace") if self.console.exists() else ""

    def wait_printed(self, pattern):
        until(lambda: re.search(pattern, self.printed()), BOOT_SECONDS, f"{pattern!r} on the console")


@dataclass
class Result:
    status: int
    output: str  # standard output and errors


def client(words, user=None, seconds=COMMAND_SECONDS, **environment):
    """Runs a client as root or another user; what it prints is in plain English."""
    as_user = ["/usr/lib/throwaway/as-user", user] if user else []
    settings = [f"{name}={value}" for name, value in {"LC_ALL": "C.UTF-8", **environment}.items()]
    try:
        done = subprocess.run([*as_user, "env", *settings, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        return Result(-1, f"{(late.output or b'').decode(errors='replace')}\nnot done within {seconds} s")
    return Result(done.returncode, done.stdout.decode(errors="replace"))


def virsh(words, **wishes):
    """Runs one command of virsh, which is quoted as for a shell."""
    return client(["virsh", *(shlex.split(words) if isinstance(words, str) else words)], **wishes)


def must(words):
    """The same for what no scenario can go on without; returns what was printed."""
    result = virsh(words)
    if result.status != 0:
        raise RuntimeError(f"virsh {words}: exit status {result.status}\n{result.output}")
    return result.output.strip()


def host_cpu():
    """The host's own CPU, as the capabilities describe it."""
    match = re.search(r"<cpu>.*?</cpu>", virsh("capabilities").output, re.DOTALL)
    return match[0] + "\n" if match else CPU


@dataclass
class Row:
    """A row of virsh/*.tsv."""

    what: str
    status: int
    expected: str
    where: str

    def command(self):
        """The name of the command of virsh that it is about, if any."""
        words = self.what.split()
        if words[0] == "sh" or words == ["console"]:
            return None
        for prefix, length in {"until": 1, "as": 2, "--connect": 2}.items():
            if words[0] == prefix:
                words = words[length:]
        return words[0]

    def fits(self, result):
        text = re.sub(r"[ \t]+", " ", result.output)
        if result.status != self.status:
            return False
        return not text.strip() if self.expected == "-" else bool(re.search(self.expected, text, re.MULTILINE))


def rows(name):
    for line in (HERE / "virsh" / f"{name}.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            what, status, expected, *where = line.split("\t")
            yield Row(what, int(status), expected, where[0] if where else SERVER)


def play(name, tester):
    """Plays a table of virsh/ with a guest. Each row is one line of the scenario's result."""
    for row in rows(name):
        if row.where != SERVER:
            continue
        result = perform(row, tester)
        if not check(f"virsh {row.what}", row.fits(result)):
            print(f"    exit status {result.status}, should be {row.status}; should have printed {row.expected}\n    "
                  + result.output.strip().replace("\n", "\n    "), flush=True)


def perform(row, tester):
    words = re.sub(r"\{([a-z-]+)\}", lambda match: str(tester.files.get(match[1], match[0])), row.what)
    first, _, rest = words.partition(" ")
    if first == "console" and not rest:
        return repeat(row, lambda: Result(0, tester.printed()))
    if first == "until":
        return repeat(row, lambda: virsh(rest))
    if first == "sh":
        return client(["sh", "-c", rest])
    if first == "as":
        user, _, rest = rest.partition(" ")
        return virsh(rest, user=user)
    return virsh(words)


def repeat(row, perform_once):
    end = time.monotonic() + BOOT_SECONDS
    while not row.fits(result := perform_once()) and time.monotonic() < end:
        time.sleep(0.1)
    return result
