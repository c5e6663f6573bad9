# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads protocol/*.tsv, the facts of the classic protocol, into plain objects. Their notation: protocol/README.md."""

import dataclasses
import re

# What is served here. The tables know lock and log, too, which classic daemons speak among themselves.
PROGRAMS = ("remote", "qemu", "lxc", "admin", "keepalive")

TYPED_PARAM = "typed_param_value"
# Structs that are other ones by another name.
ALIASES = {"admin_typed_param": "typed_param", "admin_typed_param_value": TYPED_PARAM}

# Enumerations that are types of fields; on the wire and in memory they are numbers.
ENUMS = ("auth_type", "message_type", "message_status")

# Who may be without them is not in the tables, as it is no matter of a single program.
BEFORE_AUTH = re.compile(r"remote\.auth_\w+|admin\.\w+")
BEFORE_OPEN = re.compile(r"remote\.(auth_\w+|connect_(open|close|supports_feature|set_identity))|admin\.connect_(open|close)")

# The error domain of an object goes by the part of the API in which its functions are.
DOMAINS = {
    "libvirt-domain": "VIR_FROM_DOMAIN",
    "libvirt-domain-checkpoint": "VIR_FROM_DOMAIN_CHECKPOINT",
    "libvirt-domain-snapshot": "VIR_FROM_DOMAIN_SNAPSHOT",
    "libvirt-interface": "VIR_FROM_INTERFACE",
    "libvirt-network": "VIR_FROM_NETWORK",
    "libvirt-nodedev": "VIR_FROM_NODEDEV",
    "libvirt-nwfilter": "VIR_FROM_NWFILTER",
    "libvirt-secret": "VIR_FROM_SECRET",
    "libvirt-storage": "VIR_FROM_STORAGE",
    "libvirt-admin": "VIR_FROM_ADMIN",
}


class FactsError(Exception):
    """What is wrong in the tables, in a sentence that names file and row."""


@dataclasses.dataclass(frozen=True)
class Type:
    """base: a scalar's letter, "uuid", or a struct's name; arity: one, fixed, counted, optional."""

    base: str
    arity: str = "one"
    limit: int = 0

    @property
    def is_struct(self):
        return len(self.base) > 1 and self.base != "opaque"


@dataclasses.dataclass
class Field:
    name: str
    type: Type


@dataclasses.dataclass
class Procedure:
    program: str
    number: int
    name: str
    is_event: bool
    args: list[Field]
    ret: list[Field]
    stream: str
    sparse: str | None
    high_priority: bool
    read_only: str
    read_only_value: list[str]
    read_only_field: str
    takes_fds: bool
    gives_fds: bool
    function: str
    since: str
    domain: str

    @property
    def key(self):
        return f"{self.program}.{self.name}"

    def arg(self, name):
        return next((field for field in self.args if field.name == name), None)


@dataclasses.dataclass
class Facts:
    programs: dict[str, int]
    structs: dict[str, list[Field]]
    enums: dict[str, dict[str, int]]
    macros: dict[str, str]
    procedures: list[Procedure]
    events: list[dict[str, str]]

    def constant(self, name):
        for members in self.enums.values():
            if name in members:
                return members[name]
        return None

    def enumerator(self, enumeration, word):
        """PAUSED of virDomainCreateFlags -> VIR_DOMAIN_START_PAUSED: the shortest that ends so; or the full name of any."""
        members = self.enums.get(enumeration, {})
        found = sorted((name for name in members if name == word or name.endswith("_" + word)), key=len)
        if found:
            return found[0]
        return word if self.constant(word) is not None else None


def table(path):
    with open(path, encoding="utf-8") as file:
        header = file.readline().rstrip("\n").split("\t")
        for number, line in enumerate(file, 2):
            if not line.strip() or line.startswith("#"):
                continue
            columns = line.rstrip("\n").split("\t")
            if len(columns) != len(header):
                raise FactsError(f"{path}:{number}: {len(columns)} columns, not {len(header)}")
            yield dict(zip(header, columns))


SCALARS = "iuhHdcCSs"


def parse_type(text):
    match = re.fullmatch(r"(\??)([A-Za-z_0-9]+?)(?:\[(\d+)\]|<(\d+)>)?", text)
    if not match:
        raise FactsError(f"type '{text}' cannot be read")
    optional, base, fixed, counted = match.groups()
    if base == "uuid":
        base, fixed = "opaque", "16"
    if base in ENUMS:
        base = "i"
    base = ALIASES.get(base, base)
    if optional:
        return Type(base, "optional")
    if base == "opaque":
        return Type(base, "counted" if counted else "one", int(counted or fixed))
    if counted:
        return Type(base, "counted", int(counted))
    if fixed:
        return Type(base, "fixed", int(fixed))
    return Type(base)


def parse_fields(text):
    if text == "-":
        return []
    fields = []
    for item in text.split(" "):
        name, _, kind = item.partition(":")
        fields.append(Field(name, parse_type(kind)))
    return fields


def parse_read_only(text):
    """y, n, y !FLAG…, y !arg==VALUE -> rule, values, field"""
    words = text.replace("?", "").split()
    if words[0] == "n":
        return "REFUSED", [], ""
    values = [word.removeprefix("!") for word in words[1:]]
    if not values:
        return "ALLOWED", [], ""
    if "==" in values[0]:
        field, value = values[0].split("==")
        return "UNLESS_EQUAL", [value], field
    return "UNLESS_FLAGS", values, "flags"


def read_procedures(folder):
    modules = {row["function"]: row["module"] for row in table(folder / "api-functions.tsv")}
    for row in table(folder / "procedures.tsv"):
        if row["program"] not in PROGRAMS:
            continue
        key = f"{row['program']}.{row['name']}"
        function = row["api"]
        if function in ("-", "?"):
            function = "vir" + "".join(word.capitalize() for word in row["name"].split("_"))
        module = modules.get(function) or ("libvirt-domain" if "Domain" in function else "libvirt-host")
        if module in ("libvirt-qemu", "libvirt-lxc"):
            module = "libvirt-domain"
        stream, _, sparse = row["stream"].partition(" sparse=")
        rule, values, field = parse_read_only(row["readonly_ok"])
        if row["program"] in ("admin", "keepalive"):
            rule, values, field = "ALLOWED", [], ""
        yield Procedure(
            program=row["program"], number=int(row["number"]), name=row["name"], is_event=row["kind"] == "event",
            args=parse_fields(row["args"]), ret=parse_fields(row["ret"]), stream=stream.split("@")[0], sparse=sparse or None,
            high_priority=row["priority"] == "high", read_only=rule, read_only_value=values, read_only_field=field,
            takes_fds="call:" in row["fds"], gives_fds="reply:" in row["fds"], function=function, since=row["api_since"],
            domain=DOMAINS.get(module, "VIR_FROM_NONE"))
        if not re.fullmatch(r"\w+\.\w+", key):
            raise FactsError(f"procedures.tsv: '{key}' is no name")


def read_types(folder):
    programs, structs = {}, {}
    for row in table(folder / "types.tsv"):
        if row["kind"] == "program" and row["name"] in PROGRAMS:
            programs[row["name"]] = int(row["definition"], 0)
        elif row["kind"] == "struct" and row["program"] not in ("lock", "log") and row["name"] not in ALIASES:
            structs[row["name"]] = parse_fields(row["definition"])
    return programs, structs


def read_enums(folder):
    enums, macros = {}, {}
    for row in table(folder / "enums.tsv"):
        if row["enum"] == "(macro)":
            macros[row["constant"]] = row["value"]
        else:
            enums.setdefault(row["enum"], {})[row["constant"]] = int(row["value"])
    for row in table(folder / "errors.tsv"):
        enums.setdefault(row["enum"], {})[row["name"]] = int(row["number"])
    return enums, macros


def load(folder):
    programs, structs = read_types(folder)
    enums, macros = read_enums(folder)
    procedures = sorted(read_procedures(folder), key=lambda p: (PROGRAMS.index(p.program), p.number))
    facts = Facts(programs, structs, enums, macros, procedures, list(table(folder / "events.tsv")))
    check(facts)
    return facts


def check(facts):
    known = set(facts.structs) | set(SCALARS) | {"opaque", TYPED_PARAM}
    bodies = [(name, fields) for name, fields in facts.structs.items()]
    bodies += [(p.key, p.args + p.ret) for p in facts.procedures]
    for name, fields in bodies:
        for field in fields:
            if field.type.base not in known:
                raise FactsError(f"{name}.{field.name}: type '{field.type.base}' is not known")
    for procedure in facts.procedures:
        for value in procedure.read_only_value + [procedure.sparse] * bool(procedure.sparse):
            if facts.constant(value) is None:
                raise FactsError(f"{procedure.key}: '{value}' is no constant")
        if procedure.read_only_field and not procedure.arg(procedure.read_only_field):
            raise FactsError(f"{procedure.key}: it has no argument '{procedure.read_only_field}'")
