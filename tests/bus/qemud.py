# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtqemud of a session on a private bus, with folders of its own, and what tests say to it."""

import os
import signal
import threading

from gi.repository import GLib

import harness
from harness import DOMAIN, ERROR, HYPERVISOR, PROPERTIES, Bus, Client, Failure, variant, wait_until  # noqa: F401

NAME = "org.virtbus.Qemu1"
ROOT = "/org/virtbus/Qemu1"
MANAGER = "org.freedesktop.DBus.ObjectManager"

# The least of a guest: nothing to boot from, so it costs little time and stands at the firmware's complaint.
MINIMAL = """<domain type='qemu'>
  <name>{name}</name>
  {uuid}
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  {more}
  <devices>
    <controller type='usb' model='none'/>
    {devices}
  </devices>
</domain>"""


def xml(name, uuid=None, memory=32, devices="", more=""):
    return MINIMAL.format(name=name, uuid=f"<uuid>{uuid}</uuid>" if uuid else "", memory=memory, devices=devices, more=more)


class QemuClient(Client):
    def send(self, path, interface, member, arguments=None, **how):
        how.setdefault("destination", NAME)
        return super().send(path, interface, member, arguments, **how)

    def hypervisor(self, member, arguments=None, **how):
        return self.call(ROOT, HYPERVISOR, member, arguments, **how)

    def domain(self, path, member, options="{}", **how):
        return self.call(path, DOMAIN, member, variant(f"(@a{{sv}} {options},)"), **how)

    def refused(self, path, member, options="{}"):
        return self.fails(path, DOMAIN, member, variant(f"(@a{{sv}} {options},)"))

    def define(self, text, options="{}", **how):
        return self.hypervisor("Define", GLib.Variant("(sa{sv})", (text, variant(f"@a{{sv}} {options}").unpack())), **how)[0]

    def define_fails(self, text, options="{}"):
        return self.fails(ROOT, HYPERVISOR, "Define", variant_of_define(text, options))

    def create(self, text, options="{}"):
        return self.hypervisor("Create", variant_of_create(text, options))[0]

    def find(self, name):
        return self.hypervisor("GetDomainByName", GLib.Variant("(s)", (name,)))[0]

    def xml(self, path, options="{}"):
        return self.domain(path, "GetXML", options)[0]

    def property(self, path, name):
        return self.get(path, DOMAIN, name)

    def state(self, path):
        return self.property(path, "State"), self.property(path, "StateReason")

    def domains(self, filters="{}"):
        return sorted(self.hypervisor("ListDomains", variant(f"(@a{{sv}} {filters},)"))[0])

    def managed(self):
        objects = self.call(ROOT, MANAGER, "GetManagedObjects")[0]
        return {path: interfaces[DOMAIN] for path, interfaces in objects.items() if DOMAIN in interfaces}


def variant_of_define(text, options="{}"):
    return GLib.Variant("(sa{sv})", (text, _boxed(options)))


def variant_of_create(text, options="{}"):
    return GLib.Variant("(sa{sh}a{sv})", (text, {}, _boxed(options)))


def _boxed(options):
    parsed = variant(f"@a{{sv}} {options}")
    return {parsed.get_child_value(i).get_child_value(0).get_string(): parsed.get_child_value(i).get_child_value(1).get_variant()
            for i in range(parsed.n_children())}


class Qemud(harness.Program):
    """The daemon; it can be killed and started again, over the same folders."""

    # Tests kill it, too.
    good_ends = (0, -signal.SIGKILL)

    def __init__(self, bus, **locks):
        super().__init__(bus)
        self.config = bus.directory / "config" / "virtbus" / "qemu"
        self.run = bus.directory / "virtbus" / "qemu"
        self.nvram = bus.directory / "state" / "virtbus" / "qemu" / "nvram"
        self.dumps = bus.directory / "state" / "virtbus" / "qemu" / "dump"
        self.logs = bus.directory / "state" / "virtbus" / "log" / "qemu"
        self.set_locks(**locks)
        self.start()

    def environment(self):
        return {
            **os.environ, **self.bus.environment(),
            "XDG_CONFIG_HOME": str(self.bus.directory / "config"),
            "XDG_STATE_HOME": str(self.bus.directory / "state"),
            # Emulators are asked once for all tests.
            "XDG_CACHE_HOME": os.environ.get("TEST_CACHE", str(self.bus.directory / "cache")),
            "VIRTBUS_KVM": "no",
        }

    def set_locks(self, **settings):
        """The settings about leases; a daemon that runs reads them at its next start or Reload. Tests of leases bring a lock manager."""
        folder = self.config.parent / "qemu.conf.d"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key} = {value}\n" for key, value in {"lock_manager": "none", **settings}.items()]
        (folder / "locks.conf").write_text("".join(lines), encoding="utf-8")

    def start(self):
        self.launch([os.environ["VIRTQEMUD"], "--session", "--verbose", "--timeout=0"], self.has_name, env=self.environment())

    def has_name(self):
        try:
            client = self.client
        except AttributeError:
            client = self.client = Client(self.bus)
        owner = client.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", GLib.Variant("(s)", (NAME,)),
                            destination="org.freedesktop.DBus")
        return owner[0]

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(harness.DEADLINE)
        wait_until(lambda: not self.has_name())
        if how == signal.SIGTERM and status != 0:
            raise AssertionError(f"the daemon ended with status {status}:\n{self.logged()}")

    def restart(self, how=signal.SIGTERM):
        self.end(how)
        self.start()

    def emulator(self, uuid):
        """The pid of a running guest's emulator, as the state file says."""
        import json
        return json.loads((self.run / uuid / "state").read_text())["pid"]

    def close(self):
        try:
            super().close()
        finally:
            self.client.close()


class Changes(QemuClient):
    """Hears what is announced of the domains, in order: ("State", "running"), ("added",), ("removed",), ("Rebooted",)."""

    def __init__(self, bus):
        self.heard = []
        self.lock = threading.Lock()
        super().__init__(bus)
        self.connection.add_filter(self._filter)
        self.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch",
                  GLib.Variant("(s)", (f"type='signal',sender='{NAME}'",)), destination="org.freedesktop.DBus")

    def _filter(self, _connection, message, incoming):
        if not incoming or message.get_path() is None or not message.get_path().startswith(ROOT):
            return message
        member = message.get_member()
        body = message.get_body().unpack() if message.get_body() is not None else ()
        with self.lock:
            if member == "PropertiesChanged":
                self.heard += [(message.get_path(), name, value) for name, value in body[1].items()]
            elif member in ("InterfacesAdded", "InterfacesRemoved"):
                self.heard.append((body[0], member))
            elif message.get_interface() == DOMAIN:
                self.heard.append((message.get_path(), member, *body))
        return message

    def of(self, path):
        # What another connection's reply followed has been sent to this one, too, before the bus answers it now.
        self.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", destination="org.freedesktop.DBus")
        with self.lock:
            return [event[1:] for event in self.heard if event[0] == path]

    def states(self, path):
        return [event[1] for event in self.of(path) if event[0] == "State"]

    def wait_for(self, path, *event):
        wait_until(lambda: event in self.of(path))

    def forget(self):
        with self.lock:
            self.heard.clear()


class QemuCase(harness.Case):
    start = False
    locks = {}  # settings about leases

    def setUp(self):
        super().setUp()
        self.qemud = self.enter(Qemud(self.bus, **self.locks))
        self.client = self.enter(QemuClient(self.bus))
        self.addCleanup(self.end_guests)

    def changes(self):
        return self.enter(Changes(self.bus))

    def end_guests(self):
        """No emulator outlives its test, whatever has become of the daemon."""
        import json
        for state in self.qemud.run.glob("*/state"):
            try:
                os.kill(json.loads(state.read_text())["pid"], signal.SIGKILL)
            except (ProcessLookupError, KeyError, OSError):
                pass
