# SPDX-License-Identifier: LGPL-2.1-or-later
"""Definitions: come, change, are found, are renamed, go; and stay over a restart of the daemon, or as they were when the disk is full."""

import os
import re
import subprocess
import unittest

from gi.repository import GLib

from harness import DOMAIN, ERROR, HYPERVISOR, variant
from qemud import ROOT, QemuCase, xml

UUID = "11111111-2222-3333-4444-555555555555"
OTHER = "11111111-2222-3333-4444-666666666666"
PATH = ROOT + "/domain/_" + UUID.replace("-", "_")


def call_args(signature, *values):
    return GLib.Variant(signature, values)


class Define(QemuCase):
    def test_a_new_domain_shows_all_its_properties_and_is_announced_first(self):
        changes = self.changes()
        path = self.client.define(xml("web", UUID, memory=64))
        self.assertEqual(path, PATH)
        self.assertIn(("InterfacesAdded",), changes.of(path))
        self.assertEqual(self.client.managed()[path], {
            "Name": "web", "UUID": UUID, "Id": -1, "State": "shutoff", "StateReason": "unknown", "Persistent": True,
            "Autostart": False, "AutostartOnce": False, "Owner": os.geteuid(), "VCPUs": 1, "Memory": 64 << 20,
            "MaxMemory": 64 << 20, "HasManagedSave": False, "AgentConnected": False, "AgentTimeoutUSec": 60_000_000, "LeaseState": "none", "Job": "/"})

    def test_found_by_name_and_uuid_and_not_by_others(self):
        path = self.client.define(xml("web", UUID))
        self.assertEqual(self.client.find("web"), path)
        by_uuid = lambda text: self.client.hypervisor("GetDomainByUUID", call_args("(s)", text))[0]
        self.assertEqual(by_uuid(UUID), path)
        self.assertEqual(by_uuid(UUID.replace("-", "").upper()), path)

        failure = self.client.fails(ROOT, HYPERVISOR, "GetDomainByName", call_args("(s)", "mail"))
        self.assertEqual((failure.name, failure.message), (ERROR + "NoDomain", "there is no domain 'mail'"))
        failure = self.client.fails(ROOT, HYPERVISOR, "GetDomainByUUID", call_args("(s)", "web"))
        self.assertEqual((failure.name, failure.message), (ERROR + "InvalidArgument", "'web' is not a UUID"))
        failure = self.client.fails(ROOT, HYPERVISOR, "GetDomainByUUID", call_args("(s)", OTHER))
        self.assertEqual((failure.name, failure.message), (ERROR + "NoDomain", f"there is no domain with UUID {OTHER}"))
        failure = self.client.fails(ROOT, HYPERVISOR, "GetDomainById", call_args("(i)", 7))
        self.assertEqual((failure.name, failure.message), (ERROR + "NoDomain", "no running domain has the id 7"))

    def test_redefining_changes_the_object_in_place(self):
        path = self.client.define(xml("web", UUID, memory=64))
        changes = self.changes()
        self.assertEqual(self.client.define(xml("web", UUID, memory=128)), path)
        self.assertIn(("Memory", 128 << 20), changes.of(path))
        self.assertNotIn(("InterfacesAdded",), changes.of(path))
        self.assertEqual(self.client.domains(), [path])

    def test_a_limit_that_nothing_would_hold_is_refused(self):
        for limits, why in (
                ("<memtune><min_guarantee unit='MiB'>16</min_guarantee></memtune>",
                 "<memtune><min_guarantee>: not supported by virtbus yet"),
                ("<memtune><swap_hard_limit unit='MiB'>64</swap_hard_limit></memtune>",
                 "<memtune><swap_hard_limit>: only with a <hard_limit> beside it"),
                ("<blkiotune><device><path>/srv/x</path><weight>300</weight></device></blkiotune>",
                 "<blkiotune><device>: '/srv/x' is not a block device of the host's, below /dev")):
            with self.subTest(why):
                failure = self.client.fails(ROOT, HYPERVISOR, "Define", call_args("(sa{sv})", xml("web", UUID, more=limits), {}))
                self.assertEqual((failure.name, failure.message), (ERROR + "UnsupportedConfiguration", f"domain 'web': {why}"))
        self.assertEqual(self.client.domains(), [])

    def test_names_and_uuids_belong_to_one(self):
        self.client.define(xml("web", UUID))
        failure = self.client.define_fails(xml("web", OTHER))
        self.assertEqual((failure.name, failure.message),
                         (ERROR + "Exists", f"domain 'web': the name belongs to the domain with UUID {UUID}"))
        failure = self.client.define_fails(xml("mail", UUID))
        self.assertEqual((failure.name, failure.message), (
            ERROR + "Exists", f"domain 'mail': UUID {UUID} belongs to domain 'web'; use Rename to change its name"))
        self.assertEqual(len(self.client.domains()), 1)

    def test_what_is_wrong_is_named_and_the_old_definition_stays(self):
        path = self.client.define(xml("web", UUID, memory=64))
        for text, error in ((xml("web", UUID)[:-3], "InvalidXML"), ("<network/>", "InvalidXML"), ("", "InvalidXML"),
                            (xml("a/b"), "InvalidXML"),
                            (xml("web", UUID).replace("machine='pc'", "machine='abacus'"), "UnsupportedConfiguration"),
                            (xml("web", UUID).replace("type='qemu'", "type='kvm'"), "UnsupportedConfiguration")):
            failure = self.client.define_fails(text)
            self.assertEqual(failure.name, ERROR + error, failure.message)
        self.assertEqual(self.client.property(path, "Memory"), 64 << 20)

    def test_what_the_format_does_not_know_is_dropped_or_refused(self):
        text = xml("web", UUID, more="<frobnicate/>")
        failure = self.client.define_fails(text, "{'validate': <true>}")
        self.assertEqual(failure.name, ERROR + "InvalidXML")
        self.assertIn("frobnicate", failure.message)
        path = self.client.define(text)
        self.assertNotIn("frobnicate", self.client.xml(path))

    def test_many_at_once(self):
        calls = [self.client.send(ROOT, HYPERVISOR, "Define", GLib.Variant("(sa{sv})", (xml(f"web{i}"), {})))
                 for i in range(100)]
        paths = {call.result()[0] for call in calls}
        self.assertEqual(sorted(paths), self.client.domains())
        self.assertEqual(len(paths), 100)
        calls = [self.client.send(path, DOMAIN, "Undefine", variant("(@a{sv} {},)")) for path in paths]
        for call in calls:
            call.result()
        self.assertEqual(self.client.domains(), [])
        self.assertEqual(list(self.qemud.config.glob("*.xml")), [])


class Undefine(QemuCase):
    def test_it_is_gone_and_announced_before_the_reply(self):
        path = self.client.define(xml("web"))
        changes = self.changes()
        self.client.domain(path, "Undefine")
        self.assertIn(("InterfacesRemoved",), changes.of(path))
        self.assertEqual(self.client.managed(), {})
        self.assertFalse((self.qemud.config / "web.xml").exists())

    def test_autostart_links_go_with_it(self):
        path = self.client.define(xml("web"))
        self.client.set(path, DOMAIN, "Autostart", variant("true"), destination="org.virtbus.Qemu1")
        self.client.domain(path, "Undefine")
        self.assertEqual(list((self.qemud.config / "autostart").iterdir()), [])


class Xml(QemuCase):
    SECRET = "<graphics type='vnc' passwd='hunter2'/>"

    def test_secrets_only_on_demand(self):
        path = self.client.define(xml("web", devices=self.SECRET))
        self.assertNotIn("hunter2", self.client.xml(path))
        self.assertIn("hunter2", self.client.xml(path, "{'secure': <true>}"))

    def test_secrets_survive_a_restart(self):
        path = self.client.define(xml("web", devices=self.SECRET))
        self.qemud.restart()
        self.assertIn("hunter2", self.client.xml(path, "{'secure': <true>}"))

    def test_defining_what_was_given_changes_nothing(self):
        path = self.client.define(xml("web", devices="<interface type='user'/><memballoon model='virtio'/>"))
        text = self.client.xml(path)
        self.client.define(text)
        self.assertEqual(self.client.xml(path), text)


class Rename(QemuCase):
    def rename(self, path, name):
        return self.client.call(path, DOMAIN, "Rename", GLib.Variant("(sa{sv})", (name, {})))

    def rename_fails(self, path, name):
        failure = self.client.fails(path, DOMAIN, "Rename", GLib.Variant("(sa{sv})", (name, {})))
        return failure.name.removeprefix(ERROR), failure.message

    def test_object_stays_files_move_autostart_follows(self):
        path = self.client.define(xml("web"))
        self.client.set(path, DOMAIN, "Autostart", variant("true"), destination="org.virtbus.Qemu1")
        changes = self.changes()
        self.rename(path, "mail")
        self.assertIn(("Name", "mail"), changes.of(path))
        self.assertEqual(self.client.find("mail"), path)
        self.assertEqual(sorted(p.name for p in self.qemud.config.glob("*.xml")), ["mail.xml"])
        self.assertEqual(os.readlink(self.qemud.config / "autostart" / "mail.xml"), "../mail.xml")
        self.qemud.restart()
        self.assertEqual(self.client.find("mail"), path)
        self.assertTrue(self.client.property(path, "Autostart"))

    def test_refused(self):
        path = self.client.define(xml("web", UUID))
        self.client.define(xml("mail", OTHER))
        self.assertEqual(self.rename_fails(path, "mail"),
                         ("Exists", f"domain 'mail': the name belongs to the domain with UUID {OTHER}"))
        self.assertEqual(self.rename_fails(path, "web"), ("InvalidArgument", "domain 'web' has this name already"))
        for name in ("", "a/b", ".hidden", "a\nb"):
            self.assertEqual(self.rename_fails(path, name)[0], "InvalidArgument", name)
        self.assertEqual(self.client.property(path, "Name"), "web")

    def test_the_old_name_is_free_again(self):
        path = self.client.define(xml("web"))
        self.rename(path, "mail")
        self.assertNotEqual(self.client.define(xml("web")), path)

    def test_a_crash_between_the_files_leaves_the_newer_one(self):
        path = self.client.define(xml("web"))
        old = (self.qemud.config / "web.xml").read_text()
        self.rename(path, "mail")
        self.qemud.end()
        (self.qemud.config / "web.xml").write_text(old)
        os.utime(self.qemud.config / "web.xml", (1, 1))
        self.qemud.start()
        self.assertEqual(self.client.domains(), [path])
        self.assertEqual(self.client.property(path, "Name"), "mail")


class Metadata(QemuCase):
    def set(self, path, kind, value, uri="", key="", options="{}"):
        return self.client.call(path, DOMAIN, "SetMetadata", self.arguments(kind, value, uri, key))

    def arguments(self, kind, value, uri="", key=""):
        return GLib.Variant("(ssssa{sv})", (kind, uri, key, value, {}))

    def get(self, path, kind, uri=""):
        return self.client.call(path, DOMAIN, "GetMetadata", GLib.Variant("(ssa{sv})", (kind, uri, {})))[0]

    def get_fails(self, path, kind, uri=""):
        failure = self.client.fails(path, DOMAIN, "GetMetadata", GLib.Variant("(ssa{sv})", (kind, uri, {})))
        return failure.name.removeprefix(ERROR), failure.message

    def test_title_description_and_elements_stay_over_a_restart(self):
        path = self.client.define(xml("web"))
        changes = self.changes()
        self.set(path, "title", "The Web & all")
        self.set(path, "description", "two\nlines")
        self.set(path, "element", "<a><b x='1'/></a>", "http://example.org/app", "app")
        self.assertEqual([event for event in changes.of(path) if event[0] == "MetadataChanged"],
                         [("MetadataChanged", "title", 0), ("MetadataChanged", "description", 0), ("MetadataChanged", "element", 1)])
        self.qemud.restart()
        self.assertEqual(self.get(path, "title"), "The Web & all")
        self.assertEqual(self.get(path, "description"), "two\nlines")
        element = self.get(path, "element", "http://example.org/app")
        self.assertEqual("".join(element.split()), '<a><bx="1"/></a>')
        self.assertIn('xmlns:app="http://example.org/app"', self.client.xml(path).replace("'", '"'))

    def test_replaced_and_removed(self):
        path = self.client.define(xml("web"))
        for value in ("<a/>", "<b/>"):
            self.set(path, "element", value, "urn:one", "one")
        self.set(path, "element", "<c/>", "urn:two", "two")
        self.assertEqual(self.get(path, "element", "urn:one"), "<b/>")
        self.set(path, "element", "", "urn:one", "one")
        self.assertEqual(self.get_fails(path, "element", "urn:one"),
                         ("NoMetadata", "domain 'web' has no metadata element of namespace 'urn:one'"))
        self.assertEqual(self.get(path, "element", "urn:two"), "<c/>")
        self.set(path, "title", "x")
        self.set(path, "title", "")
        self.assertEqual(self.get_fails(path, "title"), ("NoMetadata", "domain 'web' has no title"))

    def test_refused(self):
        path = self.client.define(xml("web"))
        for kind, value, uri, key, error in (("element", "<a>", "urn:one", "one", "InvalidXML"),
                                             ("element", "<a/>", "", "one", "InvalidArgument"),
                                             ("element", "<a/>", "urn:one", "", "InvalidArgument"),
                                             ("element", "<a/>", "urn:one", "xml", "InvalidArgument"),
                                             ("element", "<a xmlns:one='urn:x'/>", "urn:one", "one", "InvalidArgument"),
                                             ("title", "two\nlines", "", "", "InvalidArgument")):
            failure = self.client.fails(path, DOMAIN, "SetMetadata", self.arguments(kind, value, uri, key))
            self.assertEqual(failure.name, ERROR + error, failure.message)
        failure = self.client.fails(path, DOMAIN, "SetMetadata",
                                    GLib.Variant("(ssssa{sv})", ("title", "", "", "x", {"live": GLib.Variant("b", True)})))
        self.assertEqual((failure.name, failure.message), (ERROR + "InvalidState", "domain 'web': the guest is off"))


class Lists(QemuCase):
    def test_filters(self):
        web = self.client.define(xml("web"))
        mail = self.client.define(xml("mail"))
        self.client.set(mail, DOMAIN, "Autostart", variant("true"), destination="org.virtbus.Qemu1")
        self.assertEqual(self.client.domains("{'autostart': <true>}"), [mail])
        self.assertEqual(self.client.domains("{'autostart': <false>}"), [web])
        self.client.set(web, DOMAIN, "AutostartOnce", variant("true"), destination="org.virtbus.Qemu1")
        self.assertEqual(self.client.domains("{'autostart-once': <true>}"), [web])
        self.assertEqual(self.client.domains("{'autostart-once': <false>}"), [mail])
        self.assertEqual(self.client.domains("{'autostart': <true>, 'autostart-once': <true>}"), [])
        self.assertEqual(self.client.domains("{'active': <true>}"), [])
        self.assertEqual(self.client.domains("{'state': <'shutoff'>}"), sorted([web, mail]))
        self.assertEqual(self.client.domains("{'state': <'running'>}"), [])
        self.assertEqual(self.client.domains("{'persistent': <false>}"), [])
        self.assertEqual(self.client.domains(f"{{'owner': <uint32 {os.geteuid() + 1}>}}"), [])

    def test_state_figures_of_those_that_are_off(self):
        web = self.client.define(xml("web", memory=64))
        stats = self.client.hypervisor("GetStats", variant("(@ao [], @a{sv} {})"))[0]
        self.assertEqual([path for path, _ in stats], [web])
        self.assertEqual(stats[0][1]["state.state"], "shutoff")
        self.assertEqual(stats[0][1]["balloon.maximum"], 64 << 20)
        self.assertEqual(stats[0][1]["vcpu.maximum"], 1)
        failure = self.client.fails(ROOT, HYPERVISOR, "GetStats", variant(f"([objectpath '{ROOT}/domain/_1'], @a{{sv}} {{}})"))
        self.assertEqual((failure.name, failure.message), (ERROR + "NoDomain", f"there is no domain at '{ROOT}/domain/_1'"))


class Files(QemuCase):
    def test_everything_is_there_after_a_restart(self):
        path = self.client.define(xml("web", UUID, devices="<interface type='user'/>"))
        self.client.set(path, DOMAIN, "Autostart", variant("true"), destination="org.virtbus.Qemu1")
        self.client.set(path, DOMAIN, "AutostartOnce", variant("true"), destination="org.virtbus.Qemu1")
        text, properties = self.client.xml(path), self.client.managed()[path]
        self.qemud.restart()
        self.assertEqual(self.client.xml(path), text)
        self.assertEqual(self.client.managed()[path], properties)

    def test_only_the_daemon_reads_them(self):
        self.client.define(xml("web"))
        self.assertEqual(self.qemud.config.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.qemud.config / "web.xml").stat().st_mode & 0o777, 0o600)
        self.assertIn("private to virtqemud", (self.qemud.config / "web.xml").read_text())

    def test_a_broken_file_costs_one_domain_and_is_told(self):
        web = self.client.define(xml("web"))
        self.qemud.end()
        good = (self.qemud.config / "web.xml").read_text()
        (self.qemud.config / "broken.xml").write_text("<domain")
        (self.qemud.config / "other.xml").write_text(good)
        (self.qemud.config / "future.xml").write_text(good.replace('format="1"', 'format="99"'))
        os.symlink("/etc/passwd", self.qemud.config / "link.xml")
        self.qemud.start()
        self.assertEqual(self.client.domains(), [web])
        log = self.qemud.logged()
        for name, why in (("broken", ""), ("other", "it defines domain 'web', which belongs in 'web.xml'"),
                          ("future", "it has format 99, and this version of virtbus knows formats up to 1"), ("link", "")):
            self.assertRegex(log, f"{name}.xml' is left alone: .*{why}")
        self.assertEqual((self.qemud.config / "broken.xml").read_text(), "<domain")

    def test_autostart_of_nobody_is_told(self):
        self.qemud.end()
        os.symlink("../ghost.xml", self.qemud.config / "autostart" / "ghost.xml")
        self.qemud.start()
        self.qemud.wait_logged(re.escape("autostart/ghost.xml': there is no such domain"))


@unittest.skipUnless(os.geteuid() == 0, "only root can fill a disk")
class FullDisk(QemuCase):
    """The folder of definitions on a file system of its own, which is full."""

    def setUp(self):
        super().setUp()
        self.qemud.end()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "none", self.qemud.config], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.qemud.config])
        self.qemud.start()

    def fill(self):
        with open(self.qemud.config / "filler", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def test_nothing_is_lost(self):
        path = self.client.define(xml("web", UUID, memory=64))
        text = self.client.xml(path)
        self.fill()
        for failure in (self.client.define_fails(xml("web", UUID, memory=128)), self.client.define_fails(xml("mail", OTHER)),
                        self.client.fails(path, DOMAIN, "Rename", GLib.Variant("(sa{sv})", ("mail", {}))),
                        self.client.fails(path, DOMAIN, "SetMetadata", GLib.Variant("(ssssa{sv})", ("title", "", "", "x", {})))):
            self.assertEqual(failure.name, ERROR + "StorageFailed", failure.message)
            self.assertIn("No space left on device", failure.message)
        self.assertEqual(self.client.domains(), [path])
        self.assertEqual(self.client.xml(path), text)
        self.qemud.restart()
        self.assertEqual(self.client.xml(path), text)

        (self.qemud.config / "filler").unlink()
        self.client.define(xml("web", UUID, memory=128))
        self.client.define(xml("mail", OTHER))


if __name__ == "__main__":
    unittest.main()
