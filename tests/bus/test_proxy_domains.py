# SPDX-License-Identifier: LGPL-2.1-or-later
"""How domains live, told and done by a classic client, held against what the bus says of them."""

import itertools
import unittest

import libvirt

from harness import wait_until
from proxyd import ClassicCase
from qemud import xml

UUID = "11111111-2222-3333-4444-55555555555{}"
STATES = {"running": libvirt.VIR_DOMAIN_RUNNING, "paused": libvirt.VIR_DOMAIN_PAUSED, "shutoff": libvirt.VIR_DOMAIN_SHUTOFF}
QEMU, API = libvirt.VIR_FROM_QEMU, libvirt.VIR_FROM_DOMAIN
FILTERS = {
    "ACTIVE": lambda p: p["Id"] >= 0, "INACTIVE": lambda p: p["Id"] < 0,
    "PERSISTENT": lambda p: p["Persistent"], "TRANSIENT": lambda p: not p["Persistent"],
    "RUNNING": lambda p: p["State"] == "running", "PAUSED": lambda p: p["State"] == "paused",
    "SHUTOFF": lambda p: p["State"] == "shutoff", "OTHER": lambda p: p["State"] not in STATES,
    "MANAGEDSAVE": lambda p: p["HasManagedSave"], "NO_MANAGEDSAVE": lambda p: not p["HasManagedSave"],
    "AUTOSTART": lambda p: p["Autostart"], "NO_AUTOSTART": lambda p: not p["Autostart"],
    "HAS_SNAPSHOT": lambda p: False, "NO_SNAPSHOT": lambda p: True,
    "HAS_CHECKPOINT": lambda p: False, "NO_CHECKPOINT": lambda p: True,
}
GROUPS = [("ACTIVE", "INACTIVE"), ("PERSISTENT", "TRANSIENT"), ("RUNNING", "PAUSED", "SHUTOFF", "OTHER"), ("MANAGEDSAVE", "NO_MANAGEDSAVE"),
          ("AUTOSTART", "NO_AUTOSTART"), ("HAS_SNAPSHOT", "NO_SNAPSHOT"), ("HAS_CHECKPOINT", "NO_CHECKPOINT")]


def flag(name):
    # Those of checkpoints are newer than some bindings.
    return getattr(libvirt, f"VIR_CONNECT_LIST_DOMAINS_{name}")


class ClassicDomains(ClassicCase):
    def tearDown(self):
        for domain in self.connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
        for domain in self.connection.listAllDomains():
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)

    def path(self, domain):
        return self.client.find(domain.name())

    def on_the_bus(self, domain):
        return self.client.managed()[self.path(domain)]

    def refused_in(self, code, where, message, function, *arguments):
        error = self.refused(code, message, function, *arguments)
        self.assertEqual((error.get_error_domain(), error.get_error_level()), (where, libvirt.VIR_ERR_ERROR))

    def assert_same(self, domain):
        bus = self.on_the_bus(domain)
        self.assertEqual(domain.UUIDString(), bus["UUID"])
        self.assertEqual(domain.state()[0], STATES[bus["State"]])
        self.assertEqual(bool(domain.isActive()), bus["Id"] >= 0)
        self.assertEqual(bool(domain.isPersistent()), bus["Persistent"])
        self.assertEqual(bool(domain.autostart()), bus["Autostart"])
        self.assertEqual(bool(domain.hasManagedSaveImage()), bus["HasManagedSave"])
        state, maximum, memory, vcpus, _ = domain.info()
        self.assertEqual((state, maximum * 1024, memory * 1024, vcpus),
                         (STATES[bus["State"]], bus["MaxMemory"], bus["Memory"], bus["VCPUs"]))
        self.assertEqual(domain.maxMemory() * 1024, bus["MaxMemory"])
        self.assertEqual(domain.isUpdated(), 0)
        self.assertEqual(domain.OSType(), "hvm")
        self.assertEqual(self.connection.lookupByName(bus["Name"]).UUIDString(), bus["UUID"])
        self.assertEqual(self.connection.lookupByUUIDString(bus["UUID"]).ID(), bus["Id"])
        if bus["Id"] >= 0:
            self.assertEqual(self.connection.lookupByID(bus["Id"]).UUIDString(), bus["UUID"])

    def test_a_life(self):
        domain = self.connection.defineXMLFlags(xml("one", UUID.format(1)), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        self.assertEqual(domain.ID(), -1)
        self.assert_same(domain)
        steps = [
            (domain.createWithFlags, (libvirt.VIR_DOMAIN_START_PAUSED,), "paused"), (domain.resume, (), "running"), (domain.suspend, (), "paused"),
            (domain.resume, (), "running"), (domain.reset, (0,), "running"), (domain.destroyFlags, (libvirt.VIR_DOMAIN_DESTROY_GRACEFUL,), "shutoff"),
            (domain.create, (), "running"), (domain.managedSave, (libvirt.VIR_DOMAIN_SAVE_PAUSED,), "shutoff"), (domain.create, (), "paused"),
            (domain.managedSave, (), "shutoff"), (domain.managedSaveRemove, (), "shutoff"), (domain.setAutostart, (1,), "shutoff"),
            (domain.create, (), "running"), (domain.destroy, (), "shutoff"), (domain.setAutostart, (0,), "shutoff"),
        ]
        for call, arguments, state in steps:
            with self.subTest(call.__name__):
                call(*arguments)
                self.assertEqual(self.on_the_bus(domain)["State"], state)
                self.assert_same(domain)
        domain.rename("another")
        self.assertEqual(self.client.managed()[self.client.find("another")]["UUID"], UUID.format(1))
        self.connection.lookupByName("another").undefine()
        self.assertEqual(self.client.domains(), [])

    def test_who_runs_is_not_resumed(self):
        domain = self.connection.defineXML(xml("running"))
        domain.create()
        self.refused_in(libvirt.VIR_ERR_OPERATION_INVALID, QEMU, "Requested operation is not valid: domain is already running", domain.resume)

    def test_a_start_gives_the_new_number(self):
        domain = self.connection.defineXML(xml("numbered"))
        domain.createWithFlags(0)
        self.assertEqual(domain.ID(), self.on_the_bus(domain)["Id"])

    def test_transient_domains(self):
        domain = self.connection.createXML(xml("passing"), libvirt.VIR_DOMAIN_START_PAUSED)
        self.assert_same(domain)
        self.assertFalse(domain.isPersistent())
        self.assertEqual(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), self.client.xml(self.path(domain)))
        domain.destroy()
        self.assertEqual(self.client.domains(), [])
        self.refused_in(libvirt.VIR_ERR_NO_DOMAIN, QEMU, f"no domain with matching uuid '{domain.UUIDString()}' (passing)", domain.state)

    def test_what_ends_with_its_client(self):
        connection = self.proxyd.connect()
        connection.createXML(xml("bound"), libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY)
        self.assertEqual(len(self.client.domains()), 1)
        self.proxyd.connections.remove(connection)
        connection.close()
        wait_until(lambda: not self.client.domains())

    def test_definitions(self):
        domain = self.connection.defineXML(xml("written", more="<title>A title</title>"))
        path = self.path(domain)
        for flags, options in ((0, "{}"), (libvirt.VIR_DOMAIN_XML_INACTIVE, "{'inactive': <true>}"), (libvirt.VIR_DOMAIN_XML_SECURE, "{'secure': <true>}"),
                               (libvirt.VIR_DOMAIN_XML_MIGRATABLE, "{'migratable': <true>}")):
            self.assertEqual(domain.XMLDesc(flags), self.client.xml(path, options))
        title, description, element = (getattr(libvirt, f"VIR_DOMAIN_METADATA_{kind}") for kind in ("TITLE", "DESCRIPTION", "ELEMENT"))
        self.assertEqual(domain.metadata(title, None), "A title")
        domain.setMetadata(title, "Another", None, None)
        self.assertEqual(domain.metadata(title, None), "Another")
        domain.setMetadata(element, "<a>text</a>", "x", "http://example.org/x", libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        self.assertIn("text", domain.metadata(element, "http://example.org/x"))
        domain.setMetadata(element, None, None, "http://example.org/x")
        for kind, uri in ((description, None), (element, "http://example.org/x")):
            self.refused_in(libvirt.VIR_ERR_NO_DOMAIN_METADATA, QEMU, "metadata not found: ", domain.metadata, kind, uri)
        self.refused_in(libvirt.VIR_ERR_OPERATION_INVALID, QEMU, "", domain.setMetadata, title, "t", None, None, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def test_lists_and_filters(self):
        self.connection.defineXML(xml("off", UUID.format(1)))
        self.connection.defineXML(xml("starts", UUID.format(2))).setAutostart(True)
        saved = self.connection.defineXML(xml("saved", UUID.format(3)))
        saved.create()
        saved.managedSave()
        self.connection.defineXML(xml("runs", UUID.format(4))).create()
        self.connection.createXML(xml("stands", UUID.format(5)), libvirt.VIR_DOMAIN_START_PAUSED)
        known = list(self.client.managed().values())

        combinations = [(name,) for name in FILTERS] + list(itertools.combinations(FILTERS, 2)) + [("ACTIVE", "PERSISTENT", "NO_AUTOSTART")]
        for names in combinations:
            if not all(hasattr(libvirt, f"VIR_CONNECT_LIST_DOMAINS_{name}") for name in names):
                continue
            fitting = [domain["Name"] for domain in known
                       if all(any(FILTERS[name](domain) for name in names if name in group) for group in GROUPS if set(group) & set(names))]
            listed = [domain.name() for domain in self.connection.listAllDomains(sum(map(flag, names)))]
            self.assertEqual(sorted(listed), sorted(fitting), names)

        self.assertEqual(sorted(self.connection.listDomainsID()), sorted(domain["Id"] for domain in known if domain["Id"] >= 0))
        self.assertEqual(self.connection.numOfDomains(), 2)
        self.assertEqual(sorted(self.connection.listDefinedDomains()), ["off", "saved", "starts"])
        self.assertEqual(self.connection.numOfDefinedDomains(), 3)

    def test_files(self):
        folder = self.bus.directory
        domain = self.connection.defineXML(xml("kept"))
        domain.create()
        save, core = folder / "save", folder / "core"
        save.write_bytes(b"old" * 1000000)
        domain.save(str(save))
        self.assertEqual(self.on_the_bus(domain)["State"], "shutoff")
        self.assertIn("<name>kept</name>", self.connection.saveImageGetXMLDesc(str(save)))
        self.connection.restoreFlags(str(save), None, libvirt.VIR_DOMAIN_SAVE_PAUSED)
        self.assertEqual(self.client.state(self.path(domain))[0], "paused")
        domain.coreDump(str(core), libvirt.VIR_DUMP_MEMORY_ONLY)
        self.assertEqual(core.read_bytes()[:4], b"\x7fELF")
        self.assertEqual(core.stat().st_mode & 0o777, 0o600)

        system = libvirt.VIR_ERR_SYSTEM_ERROR
        self.refused_in(system, API, "cannot open file '/nowhere/save': No such file", domain.save, "/nowhere/save")
        self.refused_in(system, API, "Is a directory", domain.save, str(folder))
        self.refused_in(libvirt.VIR_ERR_OPERATION_FAILED, API, "'/dev/null' is not a regular file", domain.coreDump, "/dev/null")
        self.refused_in(system, libvirt.VIR_FROM_DOMAIN, "No such file", self.connection.restore, str(folder / "none"))
        self.refused_in(libvirt.VIR_ERR_INVALID_ARG, QEMU, "", self.connection.restore, str(core))

        # What comes to nothing leaves nothing behind.
        self.refused_in(libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_FROM_XML, "", domain.saveFlags, str(folder / "unsaved"), "<domain", 0)
        wait_until(lambda: not (folder / "unsaved").exists())
        domain.destroy()
        self.refused_in(libvirt.VIR_ERR_OPERATION_INVALID, QEMU, "domain is not running", domain.save, str(core))
        self.assertEqual(core.read_bytes()[:4], b"\x7fELF")

    def test_definitions_of_saved_guests(self):
        domain = self.connection.defineXML(xml("kept", more="<title>Before</title>"))
        self.refused_in(libvirt.VIR_ERR_OPERATION_INVALID, QEMU, "has no managed save", domain.managedSaveGetXMLDesc)
        domain.create()
        domain.managedSave()
        before = domain.managedSaveGetXMLDesc()
        self.assertIn("<title>Before</title>", before)
        domain.managedSaveDefineXML(before.replace("Before", "After"), libvirt.VIR_DOMAIN_SAVE_PAUSED)
        self.assertIn("<title>After</title>", domain.managedSaveGetXMLDesc())
        self.refused_in(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, QEMU, "", domain.managedSaveDefineXML, before.replace(">32768<", ">65536<"))
        domain.create()
        self.assertEqual(self.client.state(self.path(domain))[0], "paused")
        self.assertIn("<title>After</title>", domain.XMLDesc())
        self.assertEqual(self.on_the_bus(domain)["Owner"], 0)

        save = self.bus.directory / "image"
        domain.save(str(save))
        image = self.connection.saveImageGetXMLDesc(str(save))
        self.connection.saveImageDefineXML(str(save), image.replace("After", "At last"), libvirt.VIR_DOMAIN_SAVE_RUNNING)
        self.connection.restore(str(save))
        self.assertEqual(self.client.state(self.path(domain))[0], "running")
        self.assertIn("<title>At last</title>", domain.XMLDesc())

    def test_what_is_refused(self):
        domain = self.connection.defineXML(xml("refusing", UUID.format(7)))
        cases = [
            (libvirt.VIR_ERR_NO_DOMAIN, QEMU, "Domain not found: no domain with matching name 'none'", self.connection.lookupByName, "none"),
            (libvirt.VIR_ERR_NO_DOMAIN, QEMU, "Domain not found: no domain with matching id 99", self.connection.lookupByID, 99),
            (libvirt.VIR_ERR_NO_DOMAIN, QEMU, "no domain with matching uuid", self.connection.lookupByUUIDString, UUID.format(9)),
            (libvirt.VIR_ERR_OPERATION_INVALID, QEMU, "Requested operation is not valid: domain 'refusing'", domain.destroy),
            (libvirt.VIR_ERR_OPERATION_INVALID, QEMU, "Requested operation is not valid: ", domain.suspend),
            (libvirt.VIR_ERR_INVALID_ARG, QEMU, "unsupported flags (0x40000000) in function virDomainCreateWithFlags", domain.createWithFlags, 1 << 30),
            (libvirt.VIR_ERR_INVALID_ARG, QEMU, "unsupported flags (0x40000000) in function virConnectListAllDomains",
             self.connection.listAllDomains, 1 << 30),
            (libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_FROM_XML, "XML error: line 1", self.connection.defineXML, "<domain"),
            (libvirt.VIR_ERR_DOM_EXIST, QEMU, "refusing", self.connection.defineXML, xml("refusing", UUID.format(8))),
            (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_FROM_NETWORK,
             "this function is not supported by the connection driver: virConnectListAllNetworks", self.connection.listAllNetworks),
        ]
        for code, where, message, function, *arguments in cases:
            with self.subTest(message):
                self.refused_in(code, where, message, function, *arguments)

    def test_who_may_only_read(self):
        self.connection.defineXML(xml("looked-at"))
        domain = self.proxyd.connect(read_only=True).lookupByName("looked-at")
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_SHUTOFF)
        for name, *arguments in (("create",), ("undefine",), ("setAutostart", 1), ("save", "/tmp/save"), ("rename", "x"),
                                 ("XMLDesc", libvirt.VIR_DOMAIN_XML_SECURE)):
            # The client's library refuses most by itself.
            self.refused_in(libvirt.VIR_ERR_OPERATION_DENIED, API, "operation forbidden: ", getattr(domain, name), *arguments)


if __name__ == "__main__":
    unittest.main()
