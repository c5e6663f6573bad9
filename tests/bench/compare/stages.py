# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the rows are measured. Each stage sets something up in both hosts, measures its rows there, in turns (A B A B), and clears
up. A row that was not asked for is left out, and with the last of its rows a stage."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from .hosts import INSIDE, Failure

DEFINITION = f"--xml={INSIDE}/tests/bench/domain.xml"
GUEST = f"--xml={INSIDE}/tests/bench/guest.xml"
STAND_IN = "/usr/local/bin/fake-qemu"

# Further numbers, so that the guests of a stage are never taken for the definitions of another.
FIRST_GUEST = "--first=10000"


class Bench:
    """The systems, the table's rows, and which of them are wanted."""

    def __init__(self, systems, rows, wanted):
        self.systems, self.rows, self.wanted = systems, rows, wanted

    def any(self, *names):
        return bool(self.wanted.intersection(names))

    def turns(self, rounds, plan):
        """Runs a plan, {system: (client's row, options…)}, again and again in turns; gives each system with what its client printed."""
        for _ in range(rounds):
            for system, (row, *options) in plan.items():
                if system in self.systems:
                    yield system, self.systems[system].client(row, *options)

    def present(self, *names):
        """Those of the systems that take part."""
        return [self.systems[name] for name in names if name in self.systems]

    def measure(self, name, rounds, plan):
        """A row of the table for whatever one client prints."""
        if not self.any(name):
            return
        for system, lines in self.turns(rounds, plan):
            self.rows[name].add(system, lines[0]["us"])

    def everywhere(self, systems, row, *options):
        """The same on several systems, not measured."""
        for system in self.present(*systems):
            system.client(row, *options)

    def peers(self, objects):
        """Has the empty service serve as many objects from now on."""
        if "bare" not in self.systems:
            return
        host = self.systems["bare"].host
        host.write("/run/bench-peer.env", f"OBJECTS={objects}\n")
        host.run("systemctl", "restart", "bench-peer.service")


def tell(text):
    print(f"# {text}", file=sys.stderr, flush=True)


DAEMONS = ("virtbus", "libvirt")
SETTLED_AFTER = 15


def memory(bench, row, systems):
    if bench.any(row):
        for system in bench.present(*systems):
            bench.rows[row].add(system.name, [system.inspect("memory")["Pss"]])


def wakeups(bench, row, seconds=30):
    """Of both at the same time, since waiting costs nothing. Idle begins when what earlier work left behind is done: after
    some seconds of quiet, the heap is given back, once."""
    if not bench.any(row):
        return
    time.sleep(SETTLED_AFTER)
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda system: (system.name, system.inspect("wakeups", seconds)), bench.present(*DAEMONS))
    for name, answer in answers:
        bench.rows[row].add(name, [answer["wakeups"] * 60 / answer["seconds"]])


# What makes a unit's sandbox, which the service manager builds before the daemon's first instruction.
SANDBOX = ("Protect", "Private", "Restrict", "SystemCall", "Capability", "Device", "ReadWrite", "NoNew", "Lock", "Memory")


def lock_down(bench, on):
    """Starts the empty service in the same sandbox as virtbus, or as it is."""
    if "bare" not in bench.systems:
        return
    host = bench.systems["bare"].host
    lines = host.run("systemctl", "cat", "virtqemud.service").splitlines() if on else []
    host.write("/run/systemd/system/bench-peer.service.d/60-sandbox.conf",
               "[Service]\n" + "".join(f"{line}\n" for line in lines if line.startswith(SANDBOX)))
    host.run("systemctl", "daemon-reload")


# Stages


def empty(bench):
    """Nothing is defined."""
    if bench.any("activate"):
        bench.measure("activate", 5, {system: ("activate", "--samples=2", "--warmup=1") for system in ("virtbus", "bare", "libvirt")})
    if bench.any("activate-locked"):
        lock_down(bench, True)
        bench.measure("activate-locked", 5, {system: ("activate", "--samples=2", "--warmup=1") for system in ("virtbus", "bare")})
        lock_down(bench, False)
    if bench.any("capabilities"):
        bench.measure("capabilities", 3, {system: ("capabilities", "--samples=2") for system in ("virtbus", "bare", "libvirt")})
    if bench.any("memory", "wakeups"):
        bench.everywhere(("virtbus", "bare", "libvirt"), "activate")
        wakeups(bench, "wakeups")
        memory(bench, "memory", ("virtbus", "bare", "libvirt"))


def define(bench):
    """1000 definitions come and go."""
    for _ in range(3):
        for system in bench.present("virtbus", "bare", "libvirt"):
            for row in ("define", "undefine"):
                line = system.client(row, "--count=1000", DEFINITION)[0]
                if bench.any(row):
                    bench.rows[row].add(system.name, line["us"])


def thousand(bench):
    """1000 domains are defined, and off."""
    bench.everywhere(DAEMONS, "define", "--count=1000", DEFINITION)
    bench.peers(1000)
    calls(bench)
    lists(bench, 1000, 5)
    bench.measure("stats-state-1000", 5, {system: ("stats-state", "--count=1000", "--samples=10", "--warmup=2")
                                          for system in ("virtbus", "libvirt", "libvirt-dbus")})
    bench.measure("restart", 5, {system: ("restart", "--count=1000", "--samples=2") for system in DAEMONS})
    memory(bench, "memory-1000", DAEMONS)
    if bench.any("list-4096", "read-4096"):
        bench.everywhere(DAEMONS, "define", "--first=1000", "--count=3096", DEFINITION)
        bench.peers(4096)
        lists(bench, 4096, 3)
        bench.everywhere(DAEMONS, "undefine", "--first=1000", "--count=3096")
    bench.everywhere(DAEMONS, "undefine", "--count=1000")
    bench.peers(1)


def lists(bench, count, rounds):
    if not bench.any(f"list-{count}", f"read-{count}"):
        return
    # libvirt-dbus takes seconds for one list of so many.
    systems = ("virtbus", "bare", "libvirt", "libvirt-dbus")[:4 if count <= 1000 else 3]
    plan = {system: ("list", f"--count={count}", "--samples=6", "--warmup=1") for system in systems}
    for system, (replied, read) in bench.turns(rounds, plan):
        bench.rows[f"list-{count}"].add(system, replied["us"])
        bench.rows[f"read-{count}"].add(system, read["us"])


def calls(bench):
    """Single calls. Client, bus and daemon take turns anyway; on one CPU they do not wait for another one to wake up, which on a
    virtual machine takes far longer than the call, and by chance."""
    if not bench.any("ping", "state", "state-p99", "property", "property-p99"):
        return
    pin(bench, "0")
    options = ("--samples=2000", "--warmup=200", "--count=100", "--cpu=0")
    for name, more in {"ping": (), "state": ("state-p99",), "property": ("property-p99",)}.items():
        if bench.any(name, *more):
            row = bench.rows[name]
            plan = {"virtbus": (name, *options), "bare": ("ping", *options), "libvirt-dbus": (name, *options)}
            if name != "property":
                plan["libvirt"] = (name, *options)
            for system, lines in bench.turns(7, plan):
                row.add(system, lines[0]["us"])
            for other in more:
                bench.rows[other].add_parallel(row)
    pin(bench, "all")


def pin(bench, cpu):
    for system in bench.present("virtbus", "bare", "libvirt", "libvirt-dbus"):
        for unit in {system.unit, "dbus.service"}:
            system.host.inspect(unit, "pin", cpu)


def guests(bench):
    """Guests without disks come and go."""
    for system, lines in bench.turns(6, {system: ("create", "--count=3", "--warmup=1", FIRST_GUEST, GUEST)
                                         for system in ("virtbus", "bare", "libvirt")}):
        for line in lines:
            if bench.any(line["row"]):
                bench.rows[line["row"]].add(system, line["us"])


def fifty(bench):
    """50 guests run. Paused, they leave the CPUs to what is measured; for their daemon that makes no difference."""
    bench.everywhere(DAEMONS, "create", "--keep", "--count=50", FIRST_GUEST, GUEST)
    bench.measure("stats-50", 5, {system: ("stats-all", "--count=50", "--samples=5", "--warmup=1") for system in DAEMONS})
    wakeups(bench, "wakeups-50")
    memory(bench, "memory-50", DAEMONS)
    bench.everywhere(DAEMONS, "destroy", "--count=50", FIRST_GUEST)


# The classic sockets. On virtbus's host another program and other daemons take part than in the rows above.

CLASSIC = {"classic": "virtbus", "libvirt": "libvirt"}  # who takes part: the system, and its column
CLIENTS_HELD = 100


def classic_units(system):
    return system.unit.split(",")


def compare_classic(bench, name, rounds, row, *options):
    """The same on both sides, in turns; gives the row of the table."""
    if bench.any(name):
        for system, lines in bench.turns(rounds, {system: (row, *options) for system in CLASSIC}):
            bench.rows[name].add(CLASSIC[system], lines[0]["us"])


def classic_calls(bench):
    """A client of libvirt, with nothing to do but one domain."""
    bench.everywhere(CLASSIC, "define", "--count=8", DEFINITION)
    if bench.any("classic-connect", "classic-state", "classic-state-p99"):
        for system in bench.present(*CLASSIC):
            for unit in classic_units(system):
                system.host.inspect(unit, "pin", "0")
        compare_classic(bench, "classic-connect", 7, "connect", "--samples=200", "--warmup=20", "--cpu=0")
        if bench.any("classic-state", "classic-state-p99"):
            plan = {system: ("state", "--samples=3000", "--warmup=300", "--cpu=0") for system in CLASSIC}
            for system, lines in bench.turns(7, plan):
                bench.rows["classic-state"].add(CLASSIC[system], lines[0]["us"])
            bench.rows["classic-state-p99"].add_parallel(bench.rows["classic-state"])
        for system in bench.present(*CLASSIC):
            for unit in classic_units(system):
                system.host.inspect(unit, "pin", "all")
    compare_classic(bench, "classic-parallel", 5, "parallel", "--clients=8", "--count=8", "--samples=3000")
    if bench.any("classic-memory"):
        for system in bench.present(*CLASSIC):
            program = f"{INSIDE}/build/tests/bench/{system.program}"
            answer = system.inspect("clients", CLIENTS_HELD, program)
            bench.rows["classic-memory"].add(CLASSIC[system.name], [answer["Private_Dirty"] / CLIENTS_HELD])
    if bench.any("classic-cold"):
        for _ in range(5):
            for system in bench.present(*CLASSIC):
                stop = [f"--stop={unit}" for unit in classic_units(system)]
                line = system.client("cold", "--samples=3", "--warmup=1", *stop, "--command=virsh list --all >/dev/null")[0]
                bench.rows["classic-cold"].add(CLASSIC[system.name], line["us"])
    bench.everywhere(CLASSIC, "undefine", "--count=8")


def classic_thousand(bench):
    """A client of libvirt, and 1000 domains that are off."""
    bench.everywhere(CLASSIC, "define", "--count=1000", DEFINITION)
    compare_classic(bench, "classic-list-1000", 5, "names", "--count=1000", "--samples=20", "--warmup=3")
    compare_classic(bench, "classic-stats-1000", 5, "stats-state", "--count=1000", "--samples=20", "--warmup=3")
    bench.everywhere(CLASSIC, "undefine", "--count=1000")


def classic_event(bench):
    """A client of libvirt hears what happens to a guest."""
    bench.everywhere(CLASSIC, "create", "--keep", "--running", FIRST_GUEST, GUEST)
    compare_classic(bench, "classic-event", 5, "event", FIRST_GUEST, "--samples=20", "--warmup=2")
    bench.everywhere(CLASSIC, "destroy", FIRST_GUEST)


SAVED_AT_ONCE = (1, 8, 32)


def saves(bench):
    """Guests are saved as when the host goes down: by virtqemud itself, and by libvirt-guests.sh."""
    for count in SAVED_AT_ONCE:
        row = bench.rows[f"save-{count}"]
        if not bench.any(row.name):
            continue
        for _ in range(3):
            for system in bench.present(*DAEMONS):
                answer = json.loads(system.host.run(f"{INSIDE}/tests/bench/host/save-guests", system.name, str(count)))
                row.add(system.name, [answer["us"]])
                if system.name == "virtbus":
                    row.add("bare", [answer["limit-us"]])


def many(bench):
    """1000 guests of a stand-in emulator that only speaks QMP; virtbus alone."""
    if not bench.present("virtbus"):
        return
    virtbus = bench.systems["virtbus"]
    virtbus.host.run("install", f"{INSIDE}/build/tests/bench/fake-qemu", STAND_IN)
    virtbus.host.write("/etc/virtbus/qemu.conf.d/50-bench.conf", f"emulators = {STAND_IN}\n")
    virtbus.host.run("systemctl", "restart", virtbus.unit)
    created = virtbus.client("create", "--keep", "--running", "--count=1000", FIRST_GUEST, f"--emulator={STAND_IN}", GUEST)
    bench.rows["many-create"].add("virtbus", created[0]["us"])
    bench.measure("many-list", 3, {"virtbus": ("list", "--count=1000", "--samples=5", "--warmup=1")})
    bench.measure("many-stats", 3, {"virtbus": ("stats-all", "--count=1000", "--samples=3", "--warmup=1")})
    memory(bench, "many-memory", ("virtbus",))
    bench.measure("many-restart", 3, {"virtbus": ("restart", "--count=1000", "--samples=1")})
    destroyed = virtbus.client("destroy", "--count=1000", FIRST_GUEST)
    bench.rows["many-destroy"].add("virtbus", destroyed[0]["us"])


STAGES = {
    empty: ("activate", "activate-locked", "capabilities", "memory", "wakeups"),
    define: ("define", "undefine"),
    thousand: ("ping", "state", "state-p99", "property", "property-p99", "list-1000", "read-1000", "list-4096", "read-4096", "stats-state-1000", "restart", "memory-1000"),
    guests: ("create", "destroy"),
    fifty: ("stats-50", "memory-50", "wakeups-50"),
    classic_calls: ("classic-connect", "classic-state", "classic-state-p99", "classic-parallel", "classic-memory", "classic-cold"),
    classic_thousand: ("classic-list-1000", "classic-stats-1000"),
    classic_event: ("classic-event",),
    saves: tuple(f"save-{count}" for count in SAVED_AT_ONCE),
    many: ("many-create", "many-list", "many-stats", "many-memory", "many-restart", "many-destroy"),
}


def run(bench, renew, keep):
    """Runs the stages that are wanted; after one that failed, renew() must make the hosts new. What has been measured so far goes to
    keep() after each. Gives the failures."""
    failures = []
    for stage, names in STAGES.items():
        if not bench.any(*names):
            continue
        tell(stage.__doc__.splitlines()[0])
        try:
            stage(bench)
        except Failure as failure:
            failures.append(failure)
            tell(f"failed: {failure}")
            renew()
        keep()
    return failures
