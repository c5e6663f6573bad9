# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a running daemon says of itself is what interfaces/*.xml say, no more and no less."""

import os
import pathlib
import unittest
import xml.etree.ElementTree as ElementTree

from harness import DAEMON, DOMAIN, HYPERVISOR, JOB, ROOT, Case, options, variant, wait_until

EMITS_CHANGED = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def describe(interface):
    """An interface as what can be compared: each member with its arguments and annotations."""
    members = {}
    for member in interface:
        if member.tag not in ("method", "property", "signal"):
            continue
        arguments = [(argument.get("name"), argument.get("type"), argument.get("direction", "out" if member.tag == "signal" else "in"))
                     for argument in member.findall("arg")]
        annotations = {annotation.get("name"): annotation.get("value") for annotation in member.findall("annotation")
                       if not annotation.get("name").startswith("org.virtbus.")}
        if member.tag == "property":
            annotations.setdefault(EMITS_CHANGED, "true")
        members[member.tag, member.get("name")] = (arguments, annotations, member.get("type"), member.get("access"))
    return members


class Introspection(Case):
    def setUp(self):
        super().setUp()
        self.maxDiff = None

    def introspect(self, path):
        text = self.root.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")[0]
        return ElementTree.fromstring(text)

    def compare(self, path, name):
        served = {interface.get("name"): interface for interface in self.introspect(path).findall("interface")}
        file = pathlib.Path(os.environ["INTERFACES"]) / f"{name}.xml"
        self.assertEqual(describe(served[name]), describe(ElementTree.parse(file).getroot().find("interface")))

    def test_root(self):
        self.compare(ROOT, DAEMON)
        self.compare(ROOT, HYPERVISOR)

    def test_domain(self):
        self.compare(self.root.define("web"), DOMAIN)

    def test_job(self):
        domain = self.root.define("web")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        pending = self.root.send(domain, DOMAIN, "Save", variant("(handle 0, @a{sv} {})"), fds=[writer])
        wait_until(lambda: self.root.get(domain, DOMAIN, "Job") != "/")
        job = self.root.get(domain, DOMAIN, "Job")
        self.compare(job, JOB)
        self.root.call(job, JOB, "Cancel", options())
        with self.assertRaises(Exception):
            pending.result()

    def test_tree(self):
        domain = self.root.define("web")
        self.assertEqual([node.get("name") for node in self.introspect(ROOT).findall("node")], ["domain"])
        self.assertEqual([node.get("name") for node in self.introspect(ROOT + "/domain").findall("node")], [domain.rsplit("/", 1)[1]])


if __name__ == "__main__":
    unittest.main()
