# SPDX-License-Identifier: LGPL-2.1-or-later
"""What guests have and get of their host, asked and set by a classic client."""

import subprocess
import unittest

import libvirt

from proxyd import ClassicCase
from qemud import xml

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
QEMU = libvirt.VIR_FROM_QEMU
KIB, MIB = 1 << 10, 1 << 20
CARD = "52:54:00:11:22:33"


class ClassicTuning(ClassicCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.image = cls.bus.directory / "vda.img"

    def setUp(self):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.image, "8M"], check=True)
        devices = (f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{self.image}'/>"
                   f"<target dev='vda' bus='virtio'/></disk><interface type='user'><mac address='{CARD}'/></interface>"
                   "<memballoon model='virtio'/>")
        text = xml("web", memory=64, devices=devices).replace("<vcpu>1</vcpu>", "<vcpu current='1'>2</vcpu>")
        self.web = self.connection.defineXML(text)

    def tearDown(self):
        if self.web.isActive():
            self.web.destroy()
        self.web.undefine()

    def start(self):
        self.web.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        return self.web


class Memory(ClassicTuning):
    def test_of_a_guest_that_is_off(self):
        self.web.setMemoryFlags(32 * KIB, CONFIG)
        self.assertEqual(self.web.info()[1:3], [64 * KIB, 32 * KIB])
        self.web.setMaxMemory(96 * KIB)
        self.assertEqual(self.web.maxMemory(), 96 * KIB)
        self.web.setMemoryFlags(128 * KIB, CONFIG | libvirt.VIR_DOMAIN_MEM_MAXIMUM)
        self.assertEqual(self.web.maxMemory(), 128 * KIB)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "cannot set memory higher than max memory", self.web.setMemoryFlags, 129 * KIB, CONFIG)
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, "", self.web.setMemoryFlags, 32 * KIB, LIVE)
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running", self.web.memoryStats)

    def test_of_a_guest_that_runs(self):
        web = self.start()
        web.setMemory(32 * KIB)
        web.setMemoryStatsPeriod(2, LIVE)
        stats = web.memoryStats()
        self.assertEqual(stats["actual"], 64 * KIB)
        self.assertGreater(stats["rss"], 0)

    def test_limits(self):
        unlimited = (1 << 53) - 1  # which the bindings have no name for
        self.assertEqual(self.web.memoryParameters(), {"hard_limit": unlimited, "soft_limit": unlimited, "swap_hard_limit": unlimited})
        self.web.setMemoryParameters({"hard_limit": 128 * KIB}, CONFIG)
        self.assertEqual(self.web.memoryParameters()["hard_limit"], 128 * KIB)
        self.web.setMemoryParameters({"hard_limit": unlimited}, CONFIG)
        self.assertEqual(self.web.memoryParameters()["hard_limit"], unlimited)


class VCPUs(ClassicTuning):
    def test_how_many(self):
        self.assertEqual((self.web.vcpusFlags(CONFIG), self.web.vcpusFlags(CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)), (1, 2))
        self.web.setVcpusFlags(2, CONFIG)
        self.web.setVcpusFlags(4, CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
        self.assertEqual((self.web.vcpusFlags(CONFIG), self.web.vcpusFlags(CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)), (2, 4))
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "requested vcpus is greater than max allowable vcpus", self.web.setVcpusFlags, 5, CONFIG)
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, "inactive", self.web.vcpus)
        self.assertEqual(self.start().maxVcpus(), 4)

    def test_where_they_are(self):
        web = self.start()
        info, maps = web.vcpus()
        self.assertEqual([(entry[0], entry[1]) for entry in info], [(0, libvirt.VIR_VCPU_RUNNING)])
        self.assertTrue(any(maps[0]))
        n = len(maps[0])
        only = (True,) + (False,) * (n - 1)
        web.pinVcpuFlags(0, only, LIVE | CONFIG)
        web.pinEmulator(only, LIVE)
        self.assertEqual(web.vcpus()[1][0], only)
        self.assertEqual([web.vcpuPinInfo(flags)[0] for flags in (LIVE, CONFIG)], [only, only])
        self.assertEqual(web.emulatorPinInfo(LIVE), only)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "", web.pinVcpuFlags, 7, only, CONFIG)
        self.assertEqual(web.ioThreadInfo(), [])


class Limits(ClassicTuning):
    def test_cpu_time(self):
        self.assertEqual(self.web.schedulerType(), ("posix", 9))
        self.assertEqual(set(self.web.schedulerParameters().values()), {0})
        self.web.setSchedulerParametersFlags({"cpu_shares": 200, "vcpu_quota": -1}, CONFIG)
        found = self.web.schedulerParametersFlags(CONFIG)
        self.assertEqual((found["cpu_shares"], found["vcpu_quota"]), (200, -1))
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "", self.web.setSchedulerParametersFlags, {"vcpu_period": 5}, CONFIG)
        self.refused(libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, "iothread_quota", self.web.setSchedulerParametersFlags, {"iothread_quota": 5000}, CONFIG)

    def test_block_devices(self):
        self.assertEqual(self.web.blkioParameters()["weight"], 0)
        self.web.setBlkioParameters({"weight": 300, "device_weight": "/dev/sdx,500,/dev/sdy,200", "device_read_bytes_sec": "/dev/sdx,1000"}, CONFIG)
        found = self.web.blkioParameters(CONFIG)
        self.assertEqual((found["weight"], found["device_weight"], found["device_read_bytes_sec"]),
                         (300, "/dev/sdx,500,/dev/sdy,200", "/dev/sdx,1000"))
        for text in ("/dev/sdx", "/dev/sdx,many", ",5", "/dev/sdx,-1"):
            self.refused(libvirt.VIR_ERR_INVALID_ARG, "unable to parse blkio device", self.web.setBlkioParameters, {"device_weight": text}, CONFIG)

    def test_nodes(self):
        self.assertEqual(self.web.numaParameters(), {"numa_mode": libvirt.VIR_DOMAIN_NUMATUNE_MEM_STRICT, "numa_nodeset": ""})
        self.web.setNumaParameters({"numa_nodeset": "0"}, CONFIG)
        self.assertEqual(self.web.numaParameters(CONFIG)["numa_nodeset"], "0")
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "unsupported numatune mode", self.web.setNumaParameters, {"numa_mode": 9}, CONFIG)

    def test_disks(self):
        web = self.start()
        web.setBlockIoTune("vda", {"total_iops_sec": 100}, LIVE)
        self.assertEqual(web.blockIoTune("vda", LIVE)["total_iops_sec"], 100)
        self.assertEqual(web.blockIoTune("vda", CONFIG)["total_iops_sec"], 0)
        self.assertEqual(len(web.blockIoTune("vda")), 20)
        self.refused(libvirt.VIR_ERR_DEVICE_MISSING, "vdz", web.blockIoTune, "vdz")

    def test_network_cards(self):
        self.assertEqual(set(self.web.interfaceParameters(CARD).values()), {0})
        self.web.setInterfaceParameters(CARD, {"inbound.average": 5, "inbound.peak": 7, "outbound.average": 9, "outbound.burst": 3}, CONFIG)
        self.web.setInterfaceParameters(CARD, {"inbound.average": 6}, CONFIG)
        self.assertEqual({key: value for key, value in self.web.interfaceParameters(CARD, CONFIG).items() if value},
                         {"inbound.average": 6, "outbound.average": 9, "outbound.burst": 3})
        self.refused(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, "floor", self.web.setInterfaceParameters, CARD,
                     {"inbound.average": 5, "inbound.floor": 5}, CONFIG)

    def test_io_threads(self):
        web = self.start()
        web.addIOThread(3, LIVE | CONFIG)
        web.setIOThreadParams(3, {"poll_max_ns": 4000, "poll_grow": 2, "thread_pool_max": 5}, LIVE)
        (_, stats), = self.connection.domainListGetStats([web], libvirt.VIR_DOMAIN_STATS_IOTHREAD)
        self.assertEqual((stats["iothread.count"], stats["iothread.3.poll-max-ns"], stats["iothread.3.poll-grow"]), (1, 4000, 2))
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "IOThread '4'", web.setIOThreadParams, 4, {"poll_grow": 2}, CONFIG)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "pool-max", web.setIOThreadParams, 3, {"thread_pool_max": -1}, CONFIG)
        self.refused(libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, "nonsense", web.setIOThreadParams, 3, {"nonsense": 2}, CONFIG)


class Figures(ClassicTuning):
    def test_of_one(self):
        web = self.start()
        self.assertEqual(len(web.blockStats("vda")), 5)
        self.assertEqual(web.blockStats("vda")[4], -1)
        self.assertIn("flush_operations", web.blockStatsFlags(str(self.image)))
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "invalid path: vdz", web.blockStats, "vdz")
        self.assertEqual(web.interfaceStats(CARD), (-1,) * 8)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "is not a known interface", web.interfaceStats, "vnet9")
        self.assertEqual(set(web.getCPUStats(True)[0]), {"cpu_time", "user_time", "system_time"})
        self.assertEqual(web.blockInfo("vda")[0], 8 * MIB)
        web.blockResize("vda", 16 * KIB)
        web.blockResize("vda", 32 * MIB, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        self.assertEqual(web.blockInfo("vda")[0], 32 * MIB)
        self.assertEqual(web.diskErrors(), {})
        self.assertEqual(web.blockPeek("vda", 0, 4), b"QFI\xfb")
        self.assertEqual(len(web.memoryPeek(0, 64, libvirt.VIR_MEMORY_PHYSICAL)), 64)
        self.refused(libvirt.VIR_ERR_INVALID_ARG, "ends before", web.blockPeek, "vda", 1 << 40, 4)

    def test_of_many(self):
        (domain, stats), = self.connection.getAllDomainStats()
        self.assertEqual((domain.UUIDString(), stats["state.state"], stats["vcpu.maximum"]), (self.web.UUIDString(), libvirt.VIR_DOMAIN_SHUTOFF, 2))
        self.assertEqual(stats["balloon.maximum"], 64 * KIB)
        web = self.start()
        (_, stats), = self.connection.domainListGetStats([web], libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BLOCK)
        self.assertEqual((stats["state.state"], stats["block.count"], stats["block.0.name"]), (libvirt.VIR_DOMAIN_PAUSED, 1, "vda"))
        self.assertFalse([key for key in stats if key.startswith(("cpu.", "net.", "updated"))])
        (_, stats), = self.connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_INTERFACE)
        self.assertEqual([key for key in stats if "mac" in key], [])
        self.assertEqual(self.connection.getAllDomainStats(0, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE), [])
        self.refused(libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, "not supported by this daemon", self.connection.getAllDomainStats,
                     libvirt.VIR_DOMAIN_STATS_PERF, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)


class Others(ClassicTuning):
    def test_jobs_and_control(self):
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running", self.web.jobInfo)
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running", self.web.controlInfo)
        web = self.start()
        self.assertEqual(web.controlInfo()[0], libvirt.VIR_DOMAIN_CONTROL_OK)
        self.assertEqual(web.jobInfo()[0], libvirt.VIR_DOMAIN_JOB_NONE)
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, "no job is active", web.abortJob)
        web.managedSave()
        stats = web.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
        self.assertEqual((stats["type"], stats["operation"]), (libvirt.VIR_DOMAIN_JOB_COMPLETED, libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE))
        self.web.managedSaveRemove()

    def test_buttons(self):
        web = self.start()
        web.injectNMI()
        web.setLifecycleAction(libvirt.VIR_DOMAIN_LIFECYCLE_REBOOT, libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY, LIVE | CONFIG)
        self.assertIn("<on_reboot>destroy</on_reboot>", web.XMLDesc())
        self.refused(libvirt.VIR_ERR_OPERATION_INVALID, "not in suspend state", web.pMWakeup)
        self.refused(libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, "Duration not supported", web.pMSuspendForDuration, 0, 5)
        self.assertEqual(web.messages(), [])
        self.assertEqual(web.launchSecurityInfo(), {})
        self.assertEqual(web.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP), {})

    def test_without_an_agent(self):
        web = self.start()
        for function, *arguments in ((web.hostname,), (web.getTime,), (web.fsInfo,), (web.fsFreeze,), (web.fsThaw,), (web.fSTrim, None, 0),
                                     (web.setUserPassword, "root", "x"), (web.guestInfo,),
                                     (web.vcpusFlags, libvirt.VIR_DOMAIN_VCPU_GUEST)):
            with self.subTest(function.__name__):
                self.refused(libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, "guest agent", function, *arguments)


del ClassicTuning


if __name__ == "__main__":
    unittest.main()
