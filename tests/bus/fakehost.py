# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host made of files, for a daemon that is started while it is there, and as much of logind as puts it to sleep."""

import os
import pathlib
import shutil
import tempfile

from services import Service

KSM = "sys/kernel/mm/ksm/"
ALARM = "sys/class/rtc/rtc0/wakealarm"
HUGE = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
NODE_HUGE = "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"

# What the kernel says of a processor that has all of the model Nehalem, and nothing beyond; "rep_good" and others are the kernel's own.
FLAGS = ("apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm mca mce mmx msr mtrr nx pae pat pge pni popcnt pse pse36 rep_good sep sse sse2"
         " sse4_1 sse4_2 ssse3 syscall tsc xtopology")

# Two nodes, of which the second has no CPU and no memory to spare.
FILES = {
    "proc/stat": "cpu  100 20 30 400 5 6 7 8 0 0\ncpu0 10 0 0 40 0 0 0 0 0 0\nintr 1\n",
    "proc/meminfo": "MemTotal: 4096 kB\nMemFree: 1024 kB\nBuffers: 16 kB\nCached: 32 kB\n",
    "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Quick one\nflags\t\t: " + FLAGS + "\ncpu MHz\t\t: 2793.437\n\n",
    "sys/devices/system/cpu/online": "0-1\n",
    "sys/devices/system/cpu/present": "0-2\n",
    "sys/devices/system/node/online": "0-1\n",
    "sys/devices/system/node/node0/meminfo": "Node 0 MemTotal: 4096 kB\nNode 0 MemFree: 1024 kB\n",
    "sys/devices/system/node/node0/cpulist": "0-1\n",
    "sys/devices/system/node/node1/meminfo": "Node 1 MemTotal: 2048 kB\nNode 1 MemFree: 0 kB\n",
    "sys/devices/system/node/node1/cpulist": "\n",
    HUGE: "1\n",
    NODE_HUGE: "1\n",
    NODE_HUGE.replace("nr_", "free_"): "1\n",
    KSM + "run": "0\n",
    KSM + "pages_to_scan": "100\n",
    KSM + "sleep_millisecs": "20\n",
    KSM + "merge_across_nodes": "1\n",
    KSM + "pages_sharing": "7\n",
    "sys/class/dmi/id/sys_vendor": "Maker\n",
    "sys/class/dmi/id/product_serial": "S3CR3T\n",
    ALARM: "",
}


class FakeHost:
    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="virtbus-host-"))
        for name, text in FILES.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        os.environ["VIRTBUS_HOST_ROOT"] = str(self.root)

    def written(self, name):
        return (self.root / name).read_text().strip()

    def close(self):
        del os.environ["VIRTBUS_HOST_ROOT"]
        shutil.rmtree(self.root)


class Login(Service):
    """As much of logind as is asked."""

    NAME, PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
    XML = ("<node><interface name='org.freedesktop.login1.Manager'>" + "".join(
        f"<method name='{name}'><arg type='b' direction='in'/></method>" for name in ("Suspend", "Hibernate", "HybridSleep"))
        + "</interface></node>")

    def __init__(self, bus):
        self.calls, self.refusal = [], None
        super().__init__(bus)

    def _called(self, _connection, _sender, _path, _interface, method, parameters, invocation):
        self.calls.append((method, parameters.unpack()[0]))
        if self.refusal:
            invocation.return_dbus_error(*self.refusal)
        else:
            invocation.return_value(None)
