# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the scenarios of a folder in the throwaway host: what tests/system/run and tests/clients/run are made of.

A scenario is an executable file named as a promise. It runs in the host, as root, from that folder below /usr/src/virtbus, and keeps its
promise if it exits with 0 and, where it prints lines that begin with "ok" or "not ok", none is "not ok"; each of these then counts.
77 means that it cannot be tested here. A line "# scenario: WORDS" near its top may ask for:

        reference           that a second implementation keeps the promise, too, where a suite has one
        own-host            a host that nobody has used, and nobody uses after it; else scenarios share one
        outside             to be run beside the host, with HOST set for tests/host: to reboot it, say
        with=PKG,PKG        Debian packages in the host; implies own-host
        two-hosts           to be run beside two hosts, HOST and OTHER_HOST, both with the folder SHARED (from outside) at /srv/shared;
                            implies outside and own-host
        deadline=SECONDS    300 unless told

A shared host is made anew after a scenario that failed or left a guest, a definition or a unit of its own behind. What else one leaves, the next
may stumble over: --shuffle SEED runs those that share a host in an order that is any, but the same for the same number.
"""

import argparse
import json
import os
import random
import re
import signal
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
SOURCE_IN_HOST = "/usr/src/virtbus"
HOST = SOURCE / "tests" / "host"
NOT_SCENARIOS = ("run", "leftovers", "compare-domain-xml", "virsh-table")
WISHES = ("outside", "own-host", "reference", "two-hosts")
DEADLINE = 300
CANNOT = 77
JOURNAL_LINES = 120
IDENTIFIERS = ("virtqemud", "virtproxyd", "virtlockd", "virtlogd", "systemd", "systemd-machined", "polkitd", "dbus-daemon")


@dataclass
class Suite:
    """A folder of scenarios, and the host that it wants."""

    folder: Path
    host: str                 # its name
    packages: str = ""        # in every host of this suite
    environment: tuple = ()   # NAME=VALUE for each scenario
    identifiers: tuple = ()   # whose journal is shown with a failure, besides that of ours and of those whom they call

    @property
    def other_host(self):
        return f"{self.host}-other"

    def call(self, *arguments, host=None, **options):
        """Runs tests/host for this suite's host, or another one."""
        return subprocess.run([HOST, *arguments], env={**os.environ, "HOST": host or self.host}, stdin=subprocess.DEVNULL, check=False,
                              text=True, errors="replace", **options)

    def ask(self, *arguments, **options):
        """The same, for what it prints."""
        return self.call(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    def in_host(self, name):
        return f"{SOURCE_IN_HOST}/{self.folder.relative_to(SOURCE)}/{name}"


class Scenario:
    def __init__(self, path):
        self.path, self.name = path, path.name
        head = path.read_text(encoding="utf-8").splitlines()[:15]
        words = [word for line in head for word in line.partition("# scenario:")[2].split()]
        self.wishes = {word for word in words if word in WISHES}
        self.two_hosts = "two-hosts" in words
        self.outside = "outside" in words or self.two_hosts
        options = dict(word.split("=", 1) for word in words if "=" in word)
        self.packages = options.pop("with", None)
        self.deadline = int(options.pop("deadline", DEADLINE))
        self.own_host = "own-host" in words or self.packages is not None or self.two_hosts
        unknown = [word for word in words if word not in WISHES and "=" not in word] + list(options)
        if unknown:
            raise SystemExit(f"{path}: no such wish: {unknown[0]}")


class SharedHost:
    """Boots when first needed, and again when what it has become is not to be relied on."""

    def __init__(self, suite):
        self.suite = suite
        self.is_up = False
        self.shared = None  # the folder of two hosts

    def need(self, scenario):
        if self.is_up and not scenario.own_host:
            return ""
        self.drop()
        packages = ",".join(words for words in (self.suite.packages, scenario.packages) if words)
        wishes = ["--with", packages] if packages else []
        if scenario.two_hosts:
            self.shared = tempfile.mkdtemp(prefix="virtbus-shared-")
            os.chmod(self.shared, 0o755)
            wishes += ["--bind", f"{self.shared}:/srv/shared"]
        self.is_up = True  # as far as it comes
        problem = self.boot(self.suite.host, wishes)
        return problem or (self.boot(self.suite.other_host, wishes) if scenario.two_hosts else "")

    def boot(self, host, wishes):
        result = self.suite.ask("up", *wishes, host=host)
        return "" if result.returncode == 0 else result.stdout or "the host did not come up"

    def drop(self):
        if self.is_up:
            self.suite.call("down")
        if self.shared:
            self.suite.call("down", host=self.suite.other_host)
            shutil.rmtree(self.shared)
        self.is_up, self.shared = False, None

    def journal(self):
        command = ["journalctl", "--boot", "--no-pager", f"--lines={JOURNAL_LINES}", "--output=short-precise",
                   *[f"--identifier={identifier}" for identifier in self.suite.identifiers + IDENTIFIERS]]
        self.suite.ask("run", "journalctl", "--sync")
        return self.suite.ask("run", *command).stdout

    def leftovers(self):
        """What a scenario should have taken with it."""
        return self.suite.ask("run", f"{SOURCE_IN_HOST}/tests/system/leftovers").stdout


def execute(suite, scenario, shared):
    """Runs it up to its deadline; returns its exit status, None if it was ended, and what it printed."""
    environment = {**os.environ, "HOST": suite.host}
    if shared.shared:
        environment |= {"OTHER_HOST": suite.other_host, "SHARED": shared.shared}
    if scenario.outside:
        command = [scenario.path]
    else:
        command = [HOST, "run", "env", *suite.environment, suite.in_host(scenario.name)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=scenario.deadline)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            status = None
    return status, output.decode(errors="replace")


def results_of(scenario, status, output):
    """One result for each line of its own, with what was printed before it (what a condition had to say) and after it; else one for all; plus one
    for an end that no line foretold."""
    first, *parts = re.split(r"^(?=(?:ok|not ok)\b)", output, flags=re.MULTILINE)
    results, before = [], first
    for part in parts:
        line, _, after = part.partition("\n")
        word, what = re.match(r"(ok|not ok)\b[ \d-]*(.*)", line).groups()
        results.append({"name": f"{scenario.name}: {what}", "good": word == "ok", "log": before + after})
        before = after
    if status == CANNOT:
        return [], True
    if status is None:
        output += f"\nended by force: not done within {scenario.deadline} s"
    if status != 0 and all(result["good"] for result in results) or not results:
        results.append({"name": scenario.name, "good": status == 0, "log": f"{output}\nexit status {status}"})
    return results, all(result["good"] for result in results)


def run(scenario, shared):
    begun = time.monotonic()
    problem = shared.need(scenario)
    if problem:
        shared.drop()
        print(f"not ok {scenario.name}: {problem}", flush=True)
        return [{"name": scenario.name, "good": False, "log": problem}]
    status, output = execute(shared.suite, scenario, shared)
    results, good = results_of(scenario, status, output)
    if good and not scenario.own_host:
        left = shared.leftovers()
        if left:
            good = False
            results.append({"name": f"{scenario.name}: leaves nothing behind", "good": False, "log": left})
    if not good:
        journal = shared.journal()
        for result in results:
            result["log"] += f"\n-- journal\n{journal}"
    if not good or scenario.own_host:
        shared.drop()
    word = "ok" if good else "not ok"
    print(f"{word:6} {scenario.name} ({time.monotonic() - begun:.1f} s{', cannot be tested here' if status == CANNOT else ''})", flush=True)
    # At once: who ends a long run has seen it.
    for result in results:
        if not result["good"]:
            print(f"\nnot ok: {result['name']}\n{result['log']}", flush=True)
    return results


def scenarios(folder, names):
    found = [Scenario(path) for path in sorted(folder.iterdir())
             if path.is_file() and os.access(path, os.X_OK) and path.suffix == "" and path.name not in NOT_SCENARIOS]
    unknown = set(names) - {scenario.name for scenario in found}
    if unknown:
        raise SystemExit(f"{folder.name}: no scenario {', '.join(sorted(unknown))}")
    # Those that share a host first, so that it is booted once.
    return sorted((one for one in found if not names or one.name in names), key=lambda one: one.own_host)


def run_all(suite, wanted):
    """Runs these scenarios one after the other; returns what has come of each."""
    shared, results = SharedHost(suite), []
    suite.call("down")
    try:
        for scenario in wanted:
            results += [{"scenario": scenario.name, **result} for result in run(scenario, shared)]
    finally:
        shared.drop()
        suite.call("down")
    return results


def wishes_of(arguments):
    parser = argparse.ArgumentParser(prog="run", description="Runs scenarios in the throwaway host.")
    parser.add_argument("--results", type=Path, metavar="FILE", help="writes what has come of each to this file, as JSON")
    parser.add_argument("--shuffle", type=int, metavar="SEED", help="in another order; the same number gives the same one")
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="only these")
    return parser.parse_args(arguments)


def shuffled(wanted, seed):
    """Those that share a host stay together, so that it is booted once."""
    drawn = random.Random(seed).sample(wanted, len(wanted))
    return sorted(drawn, key=lambda one: one.own_host)


def main(suite, wish, arguments):
    """The command; of all scenarios only those with this wish, if any. Returns its exit status."""
    options = wishes_of(arguments)
    subprocess.run([SOURCE / "tests" / "guest" / "make"], check=True)
    wanted = [one for one in scenarios(suite.folder, options.names) if not wish or wish in one.wishes]
    if options.shuffle is not None:
        wanted = shuffled(wanted, options.shuffle)
    results = run_all(suite, wanted)
    if options.results:
        options.results.write_text(json.dumps(results), encoding="utf-8")
    bad = [result for result in results if not result["good"]]
    for result in bad:
        print(f"not ok: {result['name']}")
    print(f"{len(results) - len(bad)} of {len(results)} kept their promise")
    return 1 if bad else 0


def command(suite, wish=None):
    """main() with the arguments and the exit of a program."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        sys.exit(main(suite, wish, sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
