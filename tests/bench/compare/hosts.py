# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two throwaway hosts, and what is asked of them."""

import json
import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
INSIDE = "/usr/src/virtbus"  # what the source tree is called within a host

CLIENT_PACKAGES = ["libvirt-clients"]
LIBVIRT_PACKAGES = ["no:virtbus", "libvirt-daemon-system", "libvirt-clients", "libvirt-dbus"]

# A unit that is started again and again shall not run into the service manager's limit.
NO_START_LIMIT = "[Unit]\nStartLimitIntervalSec=0\n"


class Failure(Exception):
    """Something that ends the run, said in a sentence."""


class Host:
    """One throwaway host, by the command tests/host."""

    def __init__(self, name, packages=(), units=()):
        self.name, self.packages, self.units = name, list(packages), units
        self.environment = {**os.environ, "HOST": name}

    def up(self):
        self.down()
        self.command("up", *(["--with", ",".join(self.packages)] if self.packages else []))
        for unit in self.units:
            self.write(f"/run/systemd/system/{unit}.d/50-bench.conf", NO_START_LIMIT)
        self.install_peer()
        self.run("systemctl", "daemon-reload")

    def down(self):
        self.command("down")

    def install_peer(self):
        """The empty service that the limits are measured on."""
        folder = SOURCE / "tests" / "bench" / "host"
        for name, target in {"bench-peer.service": "/etc/systemd/system",
                             "org.virtbus.bench.Peer.service": "/usr/share/dbus-1/system-services",
                             "org.virtbus.bench.conf": "/etc/dbus-1/system.d"}.items():
            self.write(f"{target}/{name}", (folder / name).read_text(encoding="utf-8"))
        self.run("systemctl", "reload", "dbus.service")

    def write(self, path, text):
        self.run("sh", "-c", f"mkdir -p {Path(path).parent} && cat > {path}", input=text)

    def inspect(self, unit, *words):
        return json.loads(self.run(f"{INSIDE}/tests/bench/host/processes", unit, *map(str, words)))

    def command(self, *words, input=None):
        result = subprocess.run([SOURCE / "tests" / "host", *words], env=self.environment, input=input, text=True, check=False,
                                stdin=subprocess.DEVNULL if input is None else None, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if result.returncode != 0:
            raise Failure(f"{self.name}: {' '.join(words)}\n{result.stderr.strip() or result.stdout.strip()}")
        return result.stdout

    def run(self, *words, input=None):
        return self.command("run", "--", *words, input=input)


class System:
    """One system under measurement: which program talks to it, on which host, and what that program calls it."""

    def __init__(self, name, host, program, unit, backend=None):
        self.name, self.host, self.unit = name, host, unit
        self.program, self.backend = program, backend or name

    def client(self, row, *options):
        """Runs one row; gives each printed line as a dictionary."""
        output = self.host.run(f"{INSIDE}/build/tests/bench/{self.program}", self.backend, row, *map(str, options))
        return [json.loads(line) for line in output.splitlines()]

    def inspect(self, *words):
        """Asks the script that looks at the daemon's processes."""
        return self.host.inspect(self.unit, *words)


def both():
    """The hosts, not yet up, and all systems by their names."""
    virtbus = Host("bench-virtbus", CLIENT_PACKAGES, units=["virtqemud.service", "virtproxyd.service"])
    libvirt = Host("bench-libvirt", LIBVIRT_PACKAGES, units=["libvirtd.service"])
    systems = [System("virtbus", virtbus, "bench-bus", "virtqemud.service"),
               System("bare", virtbus, "bench-bus", "bench-peer.service"),
               System("libvirt", libvirt, "bench-libvirt", "libvirtd.service"),
               System("classic", virtbus, "bench-libvirt", "virtproxyd.service,virtqemud.service", backend="libvirt"),
               System("libvirt-dbus", libvirt, "bench-bus", "dbus.service")]
    return [virtbus, libvirt], {system.name: system for system in systems}
