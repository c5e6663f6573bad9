# SPDX-License-Identifier: LGPL-2.1-or-later
"""All that can become of a guest, and the life cycle events that libvirt's clients are told of it: each row of docs/life-cycle.md, in turn.

No operating system is needed for it: the emulator's human monitor writes to the ports of the machine's chips, as a guest's kernel would."""

import re
import threading
import time
from pathlib import Path

import libvirt
import libvirt_qemu

from chips import CRASH_LOAD, HIBERNATE, PANIC, POWER_OFF, RESET, SLEEP, WATCHDOG

PAGE = Path(__file__).resolve().parents[2] / "docs" / "life-cycle.md"
SECONDS = 180
WORDS = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: ("defined", ["added", "updated", "renamed", "from-snapshot"]),
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: ("undefined", ["removed", "renamed"]),
    libvirt.VIR_DOMAIN_EVENT_STARTED: ("started", ["booted", "migrated", "restored", "from-snapshot", "wakeup"]),
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: ("suspended", ["paused", "migrated", "ioerror", "watchdog", "restored", "from-snapshot", "api-error"]),
    libvirt.VIR_DOMAIN_EVENT_RESUMED: ("resumed", ["unpaused", "migrated", "from-snapshot"]),
    libvirt.VIR_DOMAIN_EVENT_STOPPED: ("stopped", ["shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from-snapshot"]),
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: ("shutdown", ["finished", "guest", "host"]),
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: ("pmsuspended", ["memory", "disk"]),
    libvirt.VIR_DOMAIN_EVENT_CRASHED: ("crashed", ["panicked", "crashloaded"]),
}
UUID, OTHER_UUID = "7e57e500-0000-4000-8000-000000000001", "7e57e500-0000-4000-8000-000000000002"
PAUSED, RUNNING = libvirt.VIR_DOMAIN_SAVE_PAUSED, libvirt.VIR_DOMAIN_SAVE_RUNNING
GUEST = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>32</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <on_poweroff>{poweroff}</on_poweroff>
  <on_reboot>{reboot}</on_reboot>
  <on_crash>{crash}</on_crash>
  <pm><suspend-to-mem enabled='yes'/><suspend-to-disk enabled='yes'/></pm>
  <devices>
    <panic model='isa'/>
    <watchdog model='ib700' action='{watchdog}'/>
    <memballoon model='none'/>
  </devices>
</domain>"""


def rows():
    """{what happens: (states on the bus, classic events)} of the page's table."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] not in ("what happens", "---"):
            found[cells[0]] = tuple([words.strip() for words in cell.split(",")] if cell else [] for cell in cells[1:3])
    return found


def wait(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def squeezed(events, wanted):
    """Firmware that was reset may reset the machine again: how often is its business, and when, once it has."""
    kept = [event for number, event in enumerate(events) if event != "reboot" or ("reboot" in wanted and "reboot" not in events[:number])]
    return kept


class Story:
    """A guest, and what was told of it since the last row. tell(row, wanted, heard) is called after each, forget() when what was told
    meanwhile does not matter."""

    def __init__(self, connection, folder, tell, forget=lambda: None):
        self.connection, self.folder, self.tell, self.on_forget = connection, Path(folder), tell, forget
        self.rows, self.seen = rows(), []
        self.heard, self.markers, self.lock = [], 0, threading.Lock()
        self.domain = None
        self.callbacks = [connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self.hear, None),
                          connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self.hear_reboot, None)]

    def hear(self, _connection, domain, event, detail, _opaque):
        with self.lock:
            if domain.name() == "marker":
                self.markers += 1
            else:
                self.heard.append(" ".join([WORDS[event][0], WORDS[event][1][detail]]))

    def hear_reboot(self, _connection, _domain, _opaque):
        with self.lock:
            self.heard.append("reboot")

    def xml(self, name="web", uuid=UUID, **choices):
        choices = {"poweroff": "destroy", "reboot": "restart", "crash": "destroy", "watchdog": "pause", **choices}
        return GUEST.format(name=name, uuid=uuid, **choices)

    def flush(self):
        """What has happened has been told when what is done after it has been."""
        before = self.markers
        self.connection.defineXML(self.xml("marker", OTHER_UUID)).undefine()
        wait(lambda: self.markers >= before + 2, "the markers")

    def forget(self):
        self.flush()
        with self.lock:
            self.heard.clear()
        self.on_forget()

    def expect(self, row):
        """Nothing else, and in this order."""
        wanted = self.rows[row][1]
        try:
            wait(lambda: set(wanted) <= set(self.heard), row)
        except TimeoutError:
            pass
        self.flush()
        with self.lock:
            heard, self.heard = self.heard, []
        self.seen.append(row)
        self.tell(row, wanted, squeezed(heard, wanted))

    def define(self, **choices):
        self.domain = self.connection.defineXML(self.xml(**choices))

    def monitor(self, line):
        try:
            return libvirt_qemu.qemuMonitorCommand(self.domain, line, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
        except libvirt.libvirtError:
            return ""  # the emulator may end before it has answered

    def firmware(self):
        """Has switched power management on: before, its chip hears nothing."""
        wait(lambda: re.search("0x[0-9a-f]+\\s*$", said := self.monitor("i /h 0x604")) and "0xffff" not in said, "the firmware")

    def is_off(self):
        wait(lambda: not self.domain.isActive(), "the guest's end")

    def begin_anew(self, **choices):
        """A guest whose firmware is there; how it came to be is not looked at."""
        if self.domain and self.domain.isActive():
            self.domain.destroy()
        self.define(**choices)
        self.domain.create()
        self.firmware()
        self.forget()

    def tell_all(self):
        for chapter in (definitions, starts, power, saves, dumps, sleep, troubles, ends):
            chapter(self)
        for callback in self.callbacks:
            self.connection.domainEventDeregisterAny(callback)


def definitions(story):
    story.define()
    story.expect("define")
    story.define()
    story.expect("define again")
    story.domain.rename("shop")
    story.expect("rename")
    story.domain.rename("web")
    story.forget()


def starts(story):
    story.domain.create()
    story.expect("start")
    story.domain.suspend()
    story.expect("suspend")
    story.domain.suspend()
    story.expect("suspend again")
    story.domain.resume()
    story.expect("resume")
    story.domain.reset()
    story.expect("reset")
    story.domain.destroy()
    story.expect("destroy")
    story.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    story.expect("start --paused")
    story.domain.resume()
    story.expect("resume after start --paused")


def power(story):
    story.begin_anew()
    story.monitor(RESET)
    story.expect("the guest reboots")
    story.firmware()
    story.domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)
    story.monitor(POWER_OFF)
    story.expect("reboot --mode acpi, and the guest powers off")
    story.firmware()
    story.monitor(POWER_OFF)
    story.is_off()
    story.expect("the guest powers off")
    story.begin_anew(poweroff="restart")
    story.monitor(POWER_OFF)
    story.expect("… on_poweroff restart")
    story.begin_anew(reboot="destroy")
    story.monitor(RESET)
    story.is_off()
    story.expect("the guest reboots, on_reboot destroy")


def saves(story):
    image = str(story.folder / "saved")
    story.begin_anew()
    story.domain.save(image)
    story.expect("save")
    story.connection.restoreFlags(image, None, 0)
    story.expect("restore")
    story.domain.save(image)
    story.forget()
    story.connection.restoreFlags(image, None, PAUSED)
    story.expect("restore --paused")
    story.domain.save(image)
    story.expect("save of a paused guest")
    story.connection.restoreFlags(image, None, 0)
    story.expect("restore of a paused guest")
    story.domain.saveFlags(image, None, RUNNING)
    story.forget()
    story.connection.restoreFlags(image, None, 0)
    story.expect("restore of a guest saved with --running")
    story.domain.saveFlags(image, None, PAUSED)
    story.expect("save --paused")
    story.connection.restoreFlags(image, None, RUNNING)
    story.expect("restore --running of it")
    story.domain.managedSave()
    story.expect("managedsave")
    story.domain.create()
    story.expect("start from a managed save")
    story.domain.managedSave()
    story.forget()
    story.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    story.expect("start --paused from a managed save")
    story.domain.managedSave()
    story.forget()
    story.domain.create()
    story.expect("start from a managed save of a paused guest")
    story.domain.resume()
    story.expect("resume after it")


def dumps(story):
    def dump(flags=0):
        story.domain.coreDump(str(story.folder / "core"), flags)
    dump()
    story.expect("dump")
    dump(libvirt.VIR_DUMP_LIVE)
    story.expect("dump --live")
    dump(libvirt.VIR_DUMP_MEMORY_ONLY)
    story.expect("dump --memory-only")
    dump(libvirt.VIR_DUMP_RESET)
    story.expect("dump --reset")
    dump(libvirt.VIR_DUMP_CRASH)
    story.expect("dump --crash")


def sleep(story):
    story.begin_anew()
    story.monitor(SLEEP)
    story.expect("the guest sleeps")
    story.domain.pMWakeup()
    story.expect("dompmwakeup")
    story.begin_anew()
    story.monitor(HIBERNATE)
    story.is_off()
    story.expect("the guest hibernates")


def troubles(story):
    story.begin_anew()
    story.monitor(WATCHDOG)
    story.expect("the watchdog pauses")
    story.domain.resume()
    story.expect("resume after the watchdog")
    story.monitor(CRASH_LOAD)
    story.expect("the guest panics, and dumps itself")
    story.monitor(PANIC)
    story.is_off()
    story.expect("the guest panics")
    story.begin_anew(crash="restart")
    story.monitor(PANIC)
    story.expect("… on_crash restart")
    story.begin_anew(crash="preserve")
    story.monitor(PANIC)
    story.expect("… on_crash preserve")
    story.domain.destroy()
    story.expect("destroy of a crashed guest")
    story.begin_anew(watchdog="reset")
    story.monitor(WATCHDOG)
    story.expect("the watchdog resets")


def ends(story):
    story.begin_anew()
    story.domain.undefine()
    story.expect("undefine while it runs")
    story.define()
    story.expect("define while it runs")
    story.domain.destroy()
    story.forget()
    story.domain.undefine()
    story.expect("undefine")
    story.domain = story.connection.createXML(story.xml(), 0)
    story.expect("create")
    story.domain.destroy()
    story.expect("destroy of a transient guest")
