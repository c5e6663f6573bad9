# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads calls/*.tsv, what is done with each procedure, and holds it against the facts and the contract: a row that names what is not there,
or gives a method too much or too little, does not build. The notation: README.md."""

import dataclasses
import pathlib
import re
import sys

import emit_rpc
import facts

INTERFACES = pathlib.Path(__file__).resolve().parents[2] / "interfaces"
sys.path.insert(0, str(INTERFACES))
import contract  # noqa: E402  (interfaces/ is no package)
import errors  # noqa: E402

COLUMNS = ["procedure", "call", "object", "in", "options", "flags", "out", "note"]
INTEGERS = {"i": "INT", "u": "UINT", "h": "HYPER", "H": "UHYPER", "c": "CHAR", "C": "UCHAR", "S": "USHORT"}
# What an argument of the bus can be made of.
FROM = {
    "s": {"s", "word", "literal"}, "o": {"s", "literal"}, "d": {"d"}, "as": {"s[]"}, "au": {"u[]", "i[]"}, "a{sh}": {"none"},
} | {letter: {"integer", "literal"} for letter in "ynqiuxtb"}
# What is known of a domain without asking its driver: ProxyRecordValue, in its order, with the types of the bus.
RECORD = [("state", "i"), ("reason", "i"), ("active", "b"), ("persistent", "b"), ("autostart", "b"), ("autostart_once", "b"),
          ("managed_save", "b"), ("max_memory", "t")]
NUMBERS = re.compile(r"-?\d+")


class RouteError(Exception):
    """What is wrong with a row, in a sentence that names it."""


@dataclasses.dataclass
class Source:
    """Where a value comes from: a field of the arguments (or an output of the method, by its name), or a literal."""

    field: facts.Field | None = None
    name: str = ""
    factor: int = 1  # negative: divide
    words: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    literal: str | None = None


@dataclasses.dataclass
class Input:
    key: str | None  # of an option
    signature: str
    source: Source


@dataclasses.dataclass
class Flag:
    constant: str
    option: str | None
    signature: str = "b"
    value: str = "true"


@dataclasses.dataclass
class Output:
    index: int  # of the method's results; -1: a literal, -2: the domain that was called
    signature: str
    source: Source
    field: facts.Field


@dataclasses.dataclass
class Row:
    where: str
    procedure: facts.Procedure
    kind: str  # function, nothing, record, method, get, set
    interface: str = ""
    member: str = ""
    object: facts.Field | None = None
    inputs: list[Input] = dataclasses.field(default_factory=list)
    options: list[Input] = dataclasses.field(default_factory=list)
    has_options: bool = False
    flags: list[Flag] = dataclasses.field(default_factory=list)
    outputs: list[Output] = dataclasses.field(default_factory=list)
    out_signature: list[str] = dataclasses.field(default_factory=list)
    note: str = ""


class Reader:
    """Reads one row. Every complaint names it, and reading stops at the first."""

    def __init__(self, all_facts, interfaces):
        self.facts = all_facts
        self.interfaces = interfaces
        self.procedures = {procedure.key: procedure for procedure in all_facts.procedures}
        self.where = ""

    def fail(self, message):
        raise RouteError(f"{self.where}: {message}")

    def read(self, where, columns):
        self.where = f"{where}: {columns['procedure']}"
        procedure = self.procedures.get(columns["procedure"])
        if not procedure:
            self.fail("there is no such procedure")
        if procedure.is_event:
            self.fail("is an event, which nobody calls")
        call = columns["call"]
        row = Row(self.where, procedure, "method", note="" if columns["note"] == "-" else columns["note"])
        if call in ("function", "nothing"):
            row.kind = call
            self.only(columns, {"flags", "out"} if call == "nothing" else set())
            if call == "nothing":
                row.flags = self.flags(procedure, None, columns["flags"])
                row.outputs = self.outputs(procedure, columns["out"], [])
            return row
        if call == "record":
            row.kind = call
            self.only(columns, {"object", "flags", "out"})
            row.object = self.object(procedure, columns["object"]) or self.fail("says of no domain what is known")
            row.flags = self.flags(procedure, None, columns["flags"])
            row.outputs = self.outputs(procedure, columns["out"], RECORD)
            return row
        member = self.member(row, call)
        row.object = self.object(procedure, columns["object"])
        {"method": self.method, "get": self.get, "set": self.set}[row.kind](row, member, columns)
        return row

    def only(self, columns, allowed):
        for name in ("object", "in", "options", "flags", "out"):
            if columns[name] != "-" and name not in allowed:
                self.fail(f"has something in the column '{name}', which means nothing here")

    def member(self, row, call):
        match = re.fullmatch(r"([A-Za-z]+\d+)\.([A-Za-z]+)(=?)", call)
        if not match:
            self.fail(f"'{call}' is neither 'function' nor 'nothing' nor 'record' nor a member as in 'Domain1.Start'")
        interface, name, setter = match.groups()
        row.interface, row.member = f"org.virtbus.{interface}", name
        if row.interface not in self.interfaces:
            self.fail(f"there is no interface {row.interface}")
        members = {(m.kind, m.name): m for m in self.interfaces[row.interface].members}
        for kind, way in (("method", "method"), ("property", "set" if setter else "get")):
            if (kind, name) in members:
                if setter and (kind == "method" or not members[kind, name].writable):
                    self.fail(f"{interface}.{name} is no property that can be set")
                row.kind = way
                return members[kind, name]
        return self.fail(f"{row.interface} has no member {name}")

    def object(self, procedure, name):
        if name == "-":
            return None
        field = procedure.arg(name)
        if not field or field.type != facts.Type("domain"):
            self.fail(f"'{name}' is no argument that is a domain")
        return field

    def method(self, row, member, columns):
        arguments = list(member.inputs)
        options = arguments.pop() if arguments and arguments[-1].type == "a{sv}" else None
        sources = self.items(columns["in"])
        if len(sources) != len(arguments):
            self.fail(f"gives {len(sources)} arguments, but {row.member} takes {len(arguments)} beside its options")
        for text, argument in zip(sources, arguments):
            row.inputs.append(self.input(row.procedure, None, argument.type, argument.words, text))
        row.has_options = options is not None
        known = {option.name: option for option in options.options} if options else {}
        for item in self.items(columns["options"]):
            key, _, text = item.partition("=")
            option = self.option(known, key)
            row.options.append(self.input(row.procedure, key, option.type, option.words, text))
        row.flags = self.flags(row.procedure, known, columns["flags"])
        row.out_signature = [output.type for output in member.outputs]
        row.outputs = self.outputs(row.procedure, columns["out"], [(output.name, output.type) for output in member.outputs],
                                   row.object)

    def get(self, row, member, columns):
        self.only(columns, {"object", "flags", "out"})
        row.flags = self.flags(row.procedure, None, columns["flags"])
        row.out_signature = ["v"]
        row.outputs = self.outputs(row.procedure, columns["out"], [("value", member.type)])

    def set(self, row, member, columns):
        self.only(columns, {"object", "in", "flags"})
        sources = self.items(columns["in"])
        if len(sources) != 1:
            self.fail(f"a property has one value, not {len(sources)}")
        row.inputs = [self.input(row.procedure, None, member.type, member.words, sources[0])]
        row.flags = self.flags(row.procedure, None, columns["flags"])
        row.outputs = self.outputs(row.procedure, columns["out"], [])

    def option(self, known, key):
        if key not in known:
            self.fail(f"there is no option '{key}' ({', '.join(known) or 'there are none'})")
        return known[key]

    @staticmethod
    def items(text):
        return [] if text == "-" else re.findall(r'(?:"[^"]*"|[^\s"])+', text)

    def source(self, text, fields):
        """name, name*1024, name/1024, name{enumeration:WORD=word,…}, "text", 5, true, none"""
        if text == "none":
            return Source(literal="")
        if text.startswith('"'):
            return Source(literal=text[1:-1])
        if NUMBERS.fullmatch(text) or text in ("true", "false"):
            return Source(literal=text)
        match = re.fullmatch(r"(\w+)(?:([*/])(\d+)|\{(\w+):([^}]*)\})?", text)
        if not match:
            self.fail(f"'{text}' cannot be read")
        name, sign, factor, enumeration, words = match.groups()
        if name not in fields:
            self.fail(f"'{name}' is not among {', '.join(fields) or 'nothing'}")
        source = Source(field=fields[name], name=name)
        if factor:
            source.factor = int(factor) * (1 if sign == "*" else -1)
        for item in words.split(",") if words else []:
            constant, _, word = item.partition("=")
            source.words.append((self.constant(enumeration, constant), word))
        return source

    def constant(self, enumeration, word):
        name = self.facts.enumerator(enumeration, word)
        if not name:
            self.fail(f"'{word}' is no constant of {enumeration}")
        return name

    def input(self, procedure, key, signature, words, text):
        source = self.source(text, {field.name: field for field in procedure.args})
        for word in [word for _, word in source.words] + [source.literal] * (source.literal is not None):
            if words and word not in words:
                self.fail(f"'{word}' is not one of {' '.join(words)}")
        if self.shape(source) not in FROM.get(signature, set()):
            self.fail(f"'{text}' ({self.shape(source)}) cannot become the argument of type '{signature}'")
        return Input(key, signature, source)

    @staticmethod
    def shape(source):
        if source.literal == "":
            return "none"
        if source.literal is not None:
            return "literal"
        kind = source.field.type
        if source.words:
            return "word"
        if kind.arity == "counted":
            return kind.base + "[]"
        return "integer" if kind.base in INTEGERS else kind.base

    def flags(self, procedure, known, text):
        items = self.items(text)
        if not items:
            return []
        if not procedure.arg("flags"):
            self.fail("has no argument 'flags'")
        enumeration = items.pop(0).removesuffix(":")
        if enumeration not in self.facts.enums:
            self.fail(f"there is no enumeration '{enumeration}'; it comes first, with a colon")
        return [self.flag(enumeration, item, known) for item in items]

    def flag(self, enumeration, item, known):
        words, _, target = item.partition("=")
        constant = " | ".join(self.constant(enumeration, word) for word in words.split("|"))
        if target in ("-", ""):
            return Flag(constant, None)
        key, _, value = target.partition(":")
        option = self.option(known or {}, key)
        value = value or "true"
        if option.words and value not in option.words:
            self.fail(f"'{value}' is not one of {' '.join(option.words)}")
        if option.type not in ("b", "s"):
            self.fail(f"a flag cannot set the option '{key}', which is of type '{option.type}'")
        return Flag(constant, key, option.type, value)

    def outputs(self, procedure, text, results, called=None):
        items = self.items(text)
        if len(items) != len(procedure.ret):
            self.fail(f"fills {len(items)} fields of the reply, which has {len(procedure.ret)}")
        names = [name for name, _ in results]
        out = []
        for item, field in zip(items, procedure.ret):
            if called and item == called.name and field.type == called.type:
                out.append(Output(-2, "o", Source(), field))
                continue
            source = self.source(item, dict.fromkeys(names))
            index = names.index(source.name) if source.literal is None else -1
            signature = results[index][1] if index >= 0 else "literal"
            self.check_output(item, source, signature, field)
            out.append(Output(index, signature, source, field))
        return sorted(out, key=lambda output: output.index)

    def check_output(self, item, source, signature, field):
        kind = field.type
        if kind.base == "domain" and kind.arity == "one":
            fits = signature == "o"
        elif kind.base == "s":
            fits = signature in ("as",) if kind.arity == "counted" else signature in ("s", "o")
        else:
            fits = kind.arity == "one" and kind.base in INTEGERS and (
                signature in "ynqiuxtb" or (signature == "s" and source.words)
                or (signature == "literal" and NUMBERS.fullmatch(source.literal)))
        if not fits:
            self.fail(f"'{item}' ({signature}) cannot become the field '{field.name}'")


def read_table(path):
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                continue
            columns = line.rstrip("\n").split("\t")
            if columns == COLUMNS:
                continue
            if len(columns) != len(COLUMNS):
                raise RouteError(f"{path.name}:{number}: {len(columns)} columns, not {len(COLUMNS)}")
            yield f"{path.name}:{number}", dict(zip(COLUMNS, columns))


def load(all_facts, folder):
    loaded = contract.load(sorted(INTERFACES.glob("org.virtbus.*.xml")), INTERFACES / "errors.tsv")
    reader = Reader(all_facts, {interface.name: interface for interface in loaded})
    rows = {}
    for path in sorted(folder.glob("*.tsv")):
        for where, columns in read_table(path):
            row = reader.read(where, columns)
            if row.procedure.key in rows:
                raise RouteError(f"{row.where}: has a row already ({rows[row.procedure.key].where})")
            rows[row.procedure.key] = row
    return rows
