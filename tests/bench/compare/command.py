# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/bench/run [--keep] [ROW…]"""

import argparse
import signal
import subprocess
import sys
import time

from . import hosts, report, stages
from .rows import all_rows

BUILD = hosts.SOURCE / "build"


def main(arguments):
    rows = all_rows()
    both, systems = hosts.both()
    options = parse(arguments, rows, systems)
    # Whoever ends this early shall find no hosts left, and what has been measured.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    bench = stages.Bench({name: systems[name] for name in options.systems}, rows, set(options.rows or rows))
    try:
        build()
        come_up(both)
        failures = stages.run(bench, lambda: come_up(both), lambda: report.save(rows.values(), BUILD / "bench"))
    except hosts.Failure as failure:
        failures = [failure]
        print(f"bench: {failure}", file=sys.stderr)
    finally:
        if not options.keep:
            for host in both:
                host.down()
        conclude(rows, time.monotonic() - began)
    return 1 if failures else 0


def come_up(both):
    stages.tell("two hosts come up")
    for host in both:
        host.up()


def parse(arguments, rows, systems):
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="Measures virtbus beside libvirt and beside the limits.",
                                     epilog="Rows: " + " ".join(rows))
    parser.add_argument("--keep", action="store_true", help="leave the two hosts up, to look around in")
    parser.add_argument("--systems", type=lambda text: text.split(","), default=list(systems), metavar="NAME,NAME",
                        help=f"measure only these of {', '.join(systems)}")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="measure only these")
    options = parser.parse_args(arguments)
    for what, given, known in (("row", options.rows, rows), ("system", options.systems, systems)):
        unknown = set(given) - set(known)
        if unknown:
            parser.error(f"{', '.join(unknown)}: no such {what}; there are {' '.join(known)}")
    return options


def build():
    """The programs of the benchmark are no part of the usual build, and need libvirt's client library."""
    install_packages()
    if not (BUILD / "build.ninja").exists():
        quietly("meson", "setup", "--prefix=/usr", BUILD, hosts.SOURCE)
    if not knows_libvirt():
        quietly("meson", "setup", "--reconfigure", BUILD, hosts.SOURCE)
    quietly("ninja", "-C", BUILD, "all", "bench-programs")


def install_packages():
    lines = (hosts.SOURCE / "tests" / "bench" / "packages").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    status = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}\n", *packages], capture_output=True, text=True, check=False).stdout
    if status.split() != ["installed"] * len(packages):
        quietly("apt-get", "-qq", "update")
        quietly("apt-get", "-qqy", "install", "--no-install-recommends", *packages)


def knows_libvirt():
    return "bench-libvirt" in (BUILD / "build.ninja").read_text(encoding="utf-8")


def quietly(*command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        raise hosts.Failure(f"{' '.join(map(str, command))}\n{result.stdout[-4000:]}")


def conclude(rows, seconds):
    rows = [row for row in rows.values() if row.rounds]
    if not rows:
        return
    print(report.table(rows))
    report.save(rows, BUILD / "bench")
    print(f"\n{seconds:.0f} s. All samples' figures: build/bench/result.json, .tsv, .md")
