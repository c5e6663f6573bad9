# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what, computed from the contract and the policy: the rows and columns of the table in docs/authorization.md.

Run as a program, it writes the table into that page. The scenario that tries every cell also compares the page."""

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

SOURCE = Path(__file__).resolve().parents[2]
PAGE = SOURCE / "docs" / "authorization.md"
POLICY = SOURCE / "polkit-1" / "org.virtbus.policy"
BEGIN, END = "<!-- the table: tests/system/authorization.py -->\n", "<!-- the end of the table -->\n"

sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "interfaces"))
import contract  # noqa: E402

YES, PASSWORD, NO = "yes", "password", "no"
DOMAIN = "org.virtbus.domain."


@dataclass
class Row:
    """One thing that can be asked of the daemon: a member, or a member with something in its arguments that needs more."""

    interface: str
    member: contract.Member
    choice: str = ""
    needs: list[tuple[str, str]] = field(default_factory=list)  # actions, and whose rights count

    @property
    def key(self):
        return ".".join([self.interface.rsplit(".", 1)[1], self.member.name]) + (f" {self.choice}" if self.choice else "")


@dataclass
class Role:
    name: str
    user: str | None  # None: root
    session: bool = True
    rule: str = ""  # the example that is in force
    guest: str = "web"  # of alice's; the one that is called

    @property
    def title(self):
        return self.name


ROLES = [
    Role("root", None),
    Role("owner", "alice"),
    Role("owner, no session", "alice", session=False),
    Role("owner, from afar", "dave", guest="far"),
    Role("another", "bob"),
    Role("rule: all", "carol", rule="10-group-may-all.rules"),
    Role("rule: some names", "carol", rule="20-group-may-some-names.rules", guest="lab-web"),
    Role("rule: some names, another name", "carol", rule="20-group-may-some-names.rules"),
    Role("rule: read", "carol", rule="30-group-may-read.rules"),
]

# What daemons have for one another: the bus itself lets root's processes alone through.
OF_DAEMONS = {"org.virtbus.LockManager1": "org.virtbus.Lock1"}
# Whose root object has an interface; all else is virtqemud's.
SERVED_BY = {**OF_DAEMONS, "org.virtbus.LogManager1": "org.virtbus.Log1"}

# Whose guest it is; all else that roles call is nobody's.
OWNER = {"web": "alice", "lab-web": "alice", "far": "dave"}


def interfaces():
    paths = sorted(str(path) for path in (SOURCE / "interfaces").glob("org.virtbus.*.xml"))
    return contract.load(paths, str(SOURCE / "interfaces" / "errors.tsv"))


def rows():
    for interface in interfaces():
        for member in interface.members:
            if member.needs_action:
                yield from rows_of(interface.name, member)


def rows_of(interface, member):
    needs = [] if member.is_public else [(action, member.action_for) for action in member.actions]
    yield Row(interface, member, needs=needs)
    if member.name in ("Define", "Create"):
        yield Row(interface, member, "of what exists", needs + [(action, "object") for action in member.actions])
    for argument in member.inputs:
        if argument.action:
            whose = "object" if interface.endswith(".Domain1") else "caller"
            yield Row(interface, member, f"that uses the host ({argument.name})", needs + [(argument.action, whose)])
        for option in argument.options:
            if option.action:
                yield Row(interface, member, f"with {option.name}", needs + [(option.action, option.action_for)])


def policy():
    """What the policy says by itself: {action: {allow_any, allow_active}}."""
    found = {}
    for action in ElementTree.parse(POLICY).getroot().iter("action"):
        defaults = action.find("defaults")
        found[action.get("id")] = {element.tag: element.text for element in defaults}
    return found


def rule_says(rule, action, name):
    """The example rules once more, in Python: a second pair of eyes on them."""
    if rule.startswith("10-"):
        return action.startswith(DOMAIN)
    if rule.startswith("20-"):
        return action.startswith(DOMAIN) and ".assign-device" not in action and name.startswith("lab-")
    return rule.startswith("30-") and action == f"{DOMAIN}read"


def expected(row, role, known):
    if role.user is None:
        return YES
    if row.interface in OF_DAEMONS:
        return NO
    answers = [answer(action, whose, role, row, known) for action, whose in row.needs]
    return next((word for word in (NO, PASSWORD) if word in answers), YES)


def answer(action, whose, role, row, known):
    is_new = whose == "caller"
    of_nobody = whose == "administrator"
    is_job = row.interface.endswith("Job1")
    owner = role.user if is_new else "alice" if is_job else OWNER[role.guest]
    if not of_nobody and owner == role.user:
        action += "-own"
    # The name of what is to be is known, and told to rules, only for what the definition asks beyond the right to define.
    name = "new" if "uses the host" in row.choice and not row.interface.endswith(".Domain1") else "" if is_new or of_nobody or is_job else role.guest
    if role.rule and rule_says(role.rule, action, name):
        return YES
    local = role.session and role.user != "dave"
    word = known[action]["allow_active" if local else "allow_any"]
    return YES if word == "yes" else NO if word == "no" else PASSWORD


def table():
    known = policy()
    lines = ["| | " + " | ".join(role.title for role in ROLES) + " |", "| --- |" + " --- |" * len(ROLES)]
    for row in rows():
        cells = [expected(row, role, known) for role in ROLES]
        lines.append(f"| `{row.key.split(' ')[0]}`{row.key[len(row.key.split(' ')[0]):]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def page_with_table(text):
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: BEGIN + "\n" + table() + "\n" + END, text, flags=re.S)


if __name__ == "__main__":
    written = page_with_table(PAGE.read_text(encoding="utf-8"))
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if written == PAGE.read_text(encoding="utf-8") else f"{PAGE}: the table is not that of the contract: run {os.path.relpath(__file__)}")
    PAGE.write_text(written, encoding="utf-8")
