# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run in a host: image_guest.py system|session MEMBER NAME [IMAGE], calls a method of a guest that has nothing but this image, as whoever runs it.
Prints what came of it as JSON: {}, {"error": …, "message": …}, or for the member "GetLeases" {"values": …}. The guest is defined when it is not there
yet; it finds nothing to boot, which is all that is needed of it."""

import json
import sys

from support import ROOT, HYPERVISOR, Person, Refused

XML = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{image}'/><target dev='vda' bus='virtio'/></disk>
  </devices>
</domain>"""


def find(person, name, image):
    try:
        return person.call(ROOT, HYPERVISOR, "GetDomainByName", "(s)", name)[0]
    except Refused:
        return person.define(XML.format(name=name, image=image))


def main(bus, member, name, image=""):
    person = Person(session_bus=bus == "session")
    try:
        path = find(person, name, image)
        values = person.domain(path, member)
        state = person.get(path, "State")
    except Refused as refused:
        return {"error": refused.name, "message": refused.message}
    return {"values": values, "state": state}


print(json.dumps(main(*sys.argv[1:])))
