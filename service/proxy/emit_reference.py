# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes docs/classic-api.md: every procedure of the classic protocol, and what becomes of it here."""

import re

import facts

HEAD = """\
<!-- Generated from service/proxy by `ninja -C build classic-reference`; edit service/proxy/calls/*.tsv. -->
# The classic protocol

Every procedure that libvirt's clients can call, and every event that they can be sent, with what becomes of it here. virtproxyd turns each call into calls of the
bus interfaces ([dbus-api.md](dbus-api.md)); who may do what is decided there, so a classic client may do exactly what its user may do on the bus.

- **Here** is the member that is called; *by hand*: what it takes more than a call for, or none; *record*: it is answered from what the driver's signals have told already; *nothing*: it succeeds without doing anything. An empty field: the call
  is answered with `VIR_ERR_NO_SUPPORT`, naming the function. For events: whether they are sent.
- **Flags** are those that are allowed; all others are refused with `VIR_ERR_INVALID_ARG`.
- **Read-only**: whether a read-only connection may call it (`!FLAG`: not with this flag).
"""

TITLES = {
    "remote": "Program remote: everything that is common to all drivers",
    "qemu": "Program qemu",
    "lxc": "Program lxc",
    "admin": "Program admin: the daemon itself",
}


def prefix_of(names):
    """VIR_DOMAIN_START_PAUSED, VIR_DOMAIN_START_VALIDATE -> VIR_DOMAIN_START_"""
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))
    return first[:first.rfind("_", 0, length) + 1] if len(names) > 1 else ""


def flags(row):
    names = [name for flag in row.flags for name in flag.constant.split(" | ")]
    unique = sorted(set(names), key=names.index)
    prefix = prefix_of(unique) if unique else ""
    return " ".join(f"`{name.removeprefix(prefix)}`" for name in unique)


def here(row):
    if row is None:
        return "", ""
    if row.kind in ("nothing", "record"):
        return f"*{row.kind}*", row.note
    if row.kind == "function":
        called = re.findall(r"\b[A-Z]\w*\d\.[A-Z]\w*", row.note)
        if called:
            return "`" + "`, `".join(called) + "`", row.note
        return "*by hand*", row.note
    member = f"{row.interface.removeprefix('org.virtbus.')}.{row.member}"
    return {"method": f"`{member}`", "get": f"`{member}`", "set": f"`{member}`, set"}[row.kind], row.note


def read_only(procedure):
    if procedure.read_only == "REFUSED":
        return "no"
    if procedure.read_only == "UNLESS_FLAGS":
        return " ".join(f"!`{value}`" for value in procedure.read_only_value)
    if procedure.read_only == "UNLESS_EQUAL":
        return f"not `{procedure.read_only_field}={procedure.read_only_value[0]}`"
    return "yes"


def sent_events(all_facts, folder):
    """Which events any of the proxy's files sends: by its own function, or by its id, which the older forms go with."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.c")))
    ids = set(re.findall(r"\b(?:SEND|proxy_events_send)\([\w>-]+,\s*(VIR_DOMAIN_EVENT_ID_\w+)", text))
    numbers = {event[column] for event in all_facts.events if event["constant"] in ids for column in ("proc", "legacy_proc")}
    names = {f"remote_{procedure.name}" for procedure in all_facts.procedures
             if procedure.program == "remote" and str(procedure.number) in numbers}
    return names | set(re.findall(r"\bproxy_send_(\w+)", text))


def program(all_facts, rows, name):
    calls = [procedure for procedure in all_facts.procedures if procedure.program == name and not procedure.is_event]
    served = sum(procedure.key in rows for procedure in calls)
    out = [f"\n## {TITLES[name]}\n", f"{served} of {len(calls)} calls are served.\n",
           "| | procedure | function | here | flags | read-only | note |", "| ---: | --- | --- | --- | --- | --- | --- |"]
    for procedure in calls:
        row = rows.get(procedure.key)
        what, note = here(row)
        out.append(f"| {procedure.number} | {procedure.name} | `{procedure.function}` | {what} | {flags(row) if row else ''}"
                   f" | {read_only(procedure)} | {note} |")
    return out


def unsent_events(folder):
    """What each event that is not sent waits for."""
    lines = (folder / "unsent-events.tsv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))


def events(all_facts, sent, unsent):
    chosen = [procedure for procedure in all_facts.procedures if procedure.is_event and procedure.program != "keepalive"]
    names = {f"{procedure.program}_{procedure.name}" for procedure in chosen}
    if unsent.keys() != names - sent:
        raise facts.FactsError(f"unsent-events.tsv: not the events that are not sent: {sorted(unsent.keys() ^ (names - sent))}")
    out = ["\n## Events\n", f"{len(names & sent)} of {len(chosen)} are sent.\n", "| | program | event | sent | waits for |",
           "| ---: | --- | --- | --- | --- |"]
    for procedure in chosen:
        name = f"{procedure.program}_{procedure.name}"
        out.append(f"| {procedure.number} | {procedure.program} | {procedure.name} | {'yes' if name in sent else ''} | {unsent.get(name, '')} |")
    return out


def reference(all_facts, rows, folder):
    out = [HEAD]
    for name in facts.PROGRAMS:
        if name in TITLES:
            out += program(all_facts, rows, name)
    out += events(all_facts, sent_events(all_facts, folder), unsent_events(folder))
    return re.sub(r" +\|", " |", "\n".join(out)) + "\n"
