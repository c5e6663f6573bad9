# SPDX-License-Identifier: LGPL-2.1-or-later
"""How names of the contract are spelled in C."""

import re


def words(name):
    """GetXML -> get xml, GetDomainByUUID -> get domain by uuid, VCPUs -> vcpus, StartedUSec -> started usec."""
    name = name.replace("USec", "Usec").replace("VCPU", "Vcpu").replace("IOError", "IoError")
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[-_ ]+", "_", split).lower().split("_")


def snake(name):
    return "_".join(words(name))


def upper(name):
    return snake(name).upper()


def pascal(name):
    """For options and arguments: managed-save -> ManagedSave."""
    return "".join(word.capitalize() for word in re.split(r"[-_]", name))


def base(interface):
    """org.virtbus.Domain1 -> Domain1"""
    return interface.rsplit(".", 1)[1]


def action_variable(action):
    return "vb_action_" + re.sub(r"[.-]", "_", action.removeprefix("org.virtbus."))
