# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios share that run beside the host, to reboot it: guests are made and looked at by this same file, run inside."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from checks import check  # noqa: E402, F401 for the scenarios

HOST = Path(__file__).resolve().parents[1] / "host"
INSIDE = "/usr/src/virtbus/tests/system/outside.py"
XML = "<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><os><type machine='q35'>hvm</type></os></domain>"
AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
LINUX, DEAF, MUTE = "", "guest.deaf", "guest.mute"
NAMESPACE = "https://virtbus.org/schemas/shutdown/1.0"


def host(*words, **how):
    """Runs tests/host; what it printed."""
    return subprocess.run([HOST, *words], check=True, stdout=subprocess.PIPE, text=True, **how).stdout


def inside(command, what):
    """Runs one of the functions below in the host."""
    return json.loads(host("run", "python3", "-B", INSIDE, command, json.dumps(what)) or "null")


def wait(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


class Going:
    """The host goes down, and comes up again, while something else is done."""

    def __init__(self, *how):
        self.process = subprocess.Popen([HOST, *(how or ("reboot",))])

    def wait(self):
        if self.process.wait() != 0:
            raise SystemExit("the host did not come up again")


# In the host. A guest is [name, "persistent" or "transient", order, wait, how it hears that it is to shut down]: None has no Linux; LINUX has no
# agent, DEAF has one and does not hear its power button, MUTE has what passes for one, and answers nothing.


def start(guests):
    import support

    root, linux = support.Person(), []
    for name, kind, order, wait_seconds, hears in guests:
        metadata = f"<metadata><v:shutdown xmlns:v='{NAMESPACE}' order='{order}' wait='{wait_seconds}'/></metadata>"
        if hears is not None:
            guest = support.Guest(name, cmdline=f"guest.tick {hears}", memory=160, devices=AGENT if hears else "")
            support.atexit.unregister(support.shutil.rmtree)  # it is looked at after the next boot
            linux.append(guest)
            xml = guest.xml
        else:
            xml = XML.format(name=name)
        xml = xml.replace("<memory ", f"{metadata}<memory ", 1)
        if kind == "persistent":
            root.domain(root.define(xml), "Start")
        else:
            root.create(xml)
    for guest in linux:
        guest.wait_printed(r"tick [3-9]")
        wait_for_agent(root, guest.path)


def find(root, name):
    import support

    try:
        return root.call(support.ROOT, support.HYPERVISOR, "GetDomainByName", "(s)", name)[0]
    except support.Refused:
        return None


def wait_for_agent(root, path):
    """If it has one: who is asked before is asked by the button."""
    import support

    if "guest_agent" in root.domain(path, "GetXML")[0]:
        support.until(lambda: root.get(path, "AgentConnected"), support.BOOT_SECONDS, f"the agent of {path}")


def send(what):
    """A signal to a guest's emulator."""
    import support

    number, name = what
    root = support.Person()
    uuid = root.get(find(root, name), "UUID")
    pids = [pid for pid, words in support.emulators().items() if any(uuid in word for word in words)]
    os.kill(pids[0], number)


def states(names):
    """{name: [state, reason]}; of those that do not exist, None. When those that run have been started."""
    import support

    root, found = support.Person(), {}
    for name in names:
        path = find(root, name)
        if path:
            support.until(lambda path=path: root.get(path, "State") == "running", support.BOOT_SECONDS, f"{name} runs")
        found[name] = [root.get(path, "State"), root.get(path, "StateReason")] if path else None
    return found


def counters(guest):
    """How many ticks the guest has counted, and how often its disk was booted (0: not in this run of it). Waits until it is that often, if
    one is said: until the guest has been started, its console shows the run before."""
    import re

    import support

    name, booted = guest
    console = Path(f"/var/lib/guest-{name}/console.log")

    def look():
        text = console.read_text(encoding="utf-8", errors="replace")
        ticks, boots = re.findall(r"tick (\d+)\n", text), re.findall(r"boot (\d+) of this disk", text)
        return int(ticks[-1]) if ticks else None, int(boots[-1]) if boots else 0

    support.until(lambda: look()[0] is not None and booted in (None, look()[1]), support.BOOT_SECONDS, f"{name} counts: {look()}")
    root = support.Person()
    wait_for_agent(root, find(root, name))
    return look()


def start_hers(name):
    """A guest without Linux, of alice's own daemon in her session."""
    import support

    alice = support.Person("alice", session_bus=True)
    alice.domain(alice.define(XML.format(name=name)), "Start")


def go_on_hers(name):
    """What has become of it, and what of its start; then it is gone."""
    import support

    alice = support.Person("alice", session_bus=True)
    path = find(alice, name)
    found = [alice.get(path, "State"), alice.get(path, "HasManagedSave")]
    alice.domain(path, "Start")
    found.append(alice.get(path, "StateReason"))
    alice.domain(path, "Destroy")
    alice.domain(path, "Undefine")
    return found


def forget(names):
    """Their promise is kept, and the next reboot is others'."""
    import support

    root = support.Person()
    for name in names:
        path = find(root, name)
        if path:
            root.domain(path, "Destroy")
            support.until(lambda path=path: not find(root, name) or root.get(path, "State") == "shutoff", 60, f"{name} is off")
        if path and find(root, name):
            root.domain(path, "Undefine", managed_save=True)


def is_file_system_in_order(name):
    """What the guest's disk looks like when its plug is pulled: the journal is all that it needs."""
    import support

    forget([name])
    raw = f"/root/{name}.raw"
    support.run("qemu-img", "convert", "-O", "raw", f"/var/lib/guest-{name}/disk.qcow2", raw)
    preened = subprocess.run(["e2fsck", "-p", raw], stdout=subprocess.DEVNULL, check=False).returncode
    return preened in (0, 1) and subprocess.run(["e2fsck", "-fn", raw], stdout=subprocess.DEVNULL, check=False).returncode == 0


FUNCTIONS = {function.__name__: function for function in (start, send, states, counters, start_hers, go_on_hers, forget, is_file_system_in_order)}

if __name__ == "__main__":
    result = FUNCTIONS[sys.argv[1]](json.loads(sys.argv[2]))
    print(json.dumps(result), flush=True)
    os._exit(0)
