# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads interfaces/*.xml into plain objects, and refuses what is incomplete: a member without documentation or action, an
argument that nobody explains, an error that is not in errors.tsv, an action that the policy does not have."""

import dataclasses
import re
import textwrap
import xml.etree.ElementTree as ElementTree

import errors

ACTION = "org.virtbus.Action"
ACTION_FOR = "org.virtbus.Action.For"
TURN = "org.virtbus.Turn"
READS = "org.virtbus.Reads"
EMITS_CHANGED = "org.freedesktop.DBus.Property.EmitsChangedSignal"

PUBLIC = "public"
# What methods that only read are called, and the actions that they need.
READING_VERBS = ("Get", "List", "Compare", "Baseline")
READING_ACTIONS = (".read", ".read-secure")
# What a call may have to wait for: see service/bus/turn.h.
TURNS = ("guest", "definition", "handler")
ACTION_SUBJECTS = ("object", "caller", "administrator", "handler")
# What the unmarshaller in service/bus/arguments.c knows.
ARGUMENT_TYPES = {"y", "b", "n", "q", "i", "u", "x", "t", "d", "s", "o", "h", "as", "ao", "au", "a{sh}", "a{sv}"}
OPTION_TYPES = ARGUMENT_TYPES - {"a{sv}", "a{sh}"}
PROPERTY_TYPES = {"y", "b", "n", "q", "i", "u", "x", "t", "d", "s", "o"}
STANDARD_SIGNALS = {"InterfacesAdded", "InterfacesRemoved"}


class ContractError(Exception):
    """What is wrong in the files, in a sentence that names file and member."""


@dataclasses.dataclass
class Option:
    name: str
    type: str
    doc: str
    default: str | None
    words: list[str]
    max: int
    action: str | None
    action_for: str


@dataclasses.dataclass
class Argument:
    name: str
    type: str
    doc: str
    words: list[str] = dataclasses.field(default_factory=list)
    max: int = 0
    action: str | None = None
    options: list[Option] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Member:
    """A method, a property or a signal."""

    kind: str
    name: str
    doc: str
    since: str
    actions: list[str] = dataclasses.field(default_factory=list)
    action_for: str = "object"
    turns: list[str] = dataclasses.field(default_factory=list)
    reads: bool | None = None  # of a method: it changes nothing, and so may be called again
    errors: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    emits: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    # methods and signals
    inputs: list[Argument] = dataclasses.field(default_factory=list)
    outputs: list[Argument] = dataclasses.field(default_factory=list)
    # properties
    type: str = ""
    words: list[str] = dataclasses.field(default_factory=list)
    writable: bool = False
    emits_changed: str = "true"

    @property
    def needs_action(self):
        return self.kind == "method" or self.writable

    @property
    def is_public(self):
        return self.actions == [PUBLIC]


@dataclasses.dataclass
class Interface:
    name: str
    doc: str
    since: str
    path: str
    members: list[Member]

    def of_kind(self, kind):
        return [member for member in self.members if member.kind == kind]

    @property
    def methods(self):
        return self.of_kind("method")

    @property
    def properties(self):
        return self.of_kind("property")

    @property
    def signals(self):
        return self.of_kind("signal")


class Reader:
    """Reads one file. Every complaint names the file and the member, and reading stops at the first."""

    def __init__(self, path, error_names):
        self.path = path
        self.error_names = error_names
        self.option_sets = {}
        self.used_sets = set()
        self.where = ""

    def fail(self, message):
        raise ContractError(f"{self.path}: {self.where}: {message}" if self.where else f"{self.path}: {message}")

    def read(self):
        try:
            root = ElementTree.parse(self.path).getroot()
        except ElementTree.ParseError as error:
            self.fail(f"not well-formed: {error}")
        elements = list(root)
        if root.tag != "node" or len(elements) != 1 or elements[0].tag != "interface":
            self.fail("must be one <node> with one <interface>")
        return self.interface(elements[0])

    def interface(self, element):
        name = self.attribute(element, "name")
        self.where = name
        self.only(element, {"name", "since", "root"}, {"doc", "options", "method", "property", "signal"})
        since = self.attribute(element, "since")
        doc = self.documentation(element)
        for child in element.findall("options"):
            self.option_set(name, child)
        members = [self.member(name, child, since) for child in element if child.tag not in ("doc", "options")]
        self.where = name
        for unused in sorted(self.option_sets.keys() - self.used_sets):
            self.fail(f"no argument uses the options '{unused}'")
        seen = set()
        for member in members:
            if member.name in seen:
                self.fail(f"{member.name} is there twice")
            seen.add(member.name)
        self.check_references(name, members, element.get("root") == "yes")
        return Interface(name, doc, since, str(self.path), members)

    def option_set(self, interface, element):
        """Options that several arguments have in common, under a name."""
        self.where = interface
        name = self.attribute(element, "name")
        self.where = f"{interface}, options '{name}'"
        self.only(element, {"name"}, {"option"})
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            self.fail("names are lower-case words with hyphens")
        if name in self.option_sets:
            self.fail("there are others of this name")
        options = [self.option(name, child) for child in element.findall("option")]
        if not options:
            self.fail("there are none in it")
        self.check_option_names(options, name)
        self.option_sets[name] = options

    def member(self, interface, element, since):
        name = self.attribute(element, "name")
        self.where = f"{interface}.{name}"
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
            self.fail("a member's name is PascalCase")
        member = Member(element.tag, name, self.documentation(element), element.get("since", since))
        {"method": self.method, "property": self.property, "signal": self.signal}[element.tag](element, member)
        member.errors = [self.error(child) for child in element.findall("error")]
        member.emits = [self.emission(child) for child in element.findall("emits")]
        return member

    def method(self, element, member):
        self.only(element, {"name", "since"}, {"annotation", "doc", "arg", "error", "emits"})
        self.annotations(element, member, {ACTION, ACTION_FOR, TURN, READS})
        for child in element.findall("arg"):
            direction = child.get("direction")
            if direction == "in":
                member.inputs.append(self.input(child))
            elif direction == "out":
                member.outputs.append(self.output(child))
            else:
                self.fail(f"argument '{child.get('name')}' has no direction, which is 'in' or 'out'")
        self.needs_action(member)
        self.needs_class(member)

    def property(self, element, member):
        self.only(element, {"name", "since", "type", "access", "words"}, {"annotation", "doc", "error", "emits"})
        self.annotations(element, member, {ACTION, ACTION_FOR, TURN, EMITS_CHANGED})
        member.type = self.attribute(element, "type")
        member.words = (element.get("words") or "").split()
        if member.type not in PROPERTY_TYPES:
            self.fail(f"type '{member.type}' is not one of {' '.join(sorted(PROPERTY_TYPES))}")
        access = self.attribute(element, "access")
        if access not in ("read", "readwrite"):
            self.fail(f"access '{access}' is neither 'read' nor 'readwrite'")
        member.writable = access == "readwrite"
        if member.writable:
            self.needs_action(member)
            member.inputs = [Argument("value", member.type, "The new value.", member.words)]
        elif member.actions:
            self.fail("a property that is only read needs no action: what is broadcast is public")

    def signal(self, element, member):
        self.only(element, {"name", "since"}, {"doc", "arg"})
        member.inputs = [self.output(child) for child in element.findall("arg")]
        for argument in member.inputs:
            if argument.type not in PROPERTY_TYPES:
                self.fail(f"argument '{argument.name}': a signal's arguments are simple values")

    def input(self, element):
        self.only(element, {"name", "type", "direction", "words", "max", "action", "use"}, {"option"})
        argument = self.argument(element)
        if argument.type not in ARGUMENT_TYPES:
            self.fail(f"argument '{argument.name}': type '{argument.type}' is not one of"
                      f" {' '.join(sorted(ARGUMENT_TYPES))}")
        argument.words = (element.get("words") or "").split()
        argument.max = int(element.get("max", "0"))
        argument.action = element.get("action")
        argument.options = [self.option(argument.name, child) for child in element.findall("option")]
        if element.get("use") is not None:
            argument.options += self.used_options(argument, element.get("use"))
        self.check_option_names(argument.options, argument.name)
        if argument.options and argument.type != "a{sv}":
            self.fail(f"argument '{argument.name}': only an a{{sv}} has options")
        return argument

    def output(self, element):
        """A result, or what a signal tells: nothing that a caller chooses."""
        self.only(element, {"name", "type", "direction"}, set())
        return self.argument(element)

    def argument(self, element):
        name = self.attribute(element, "name")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            self.fail(f"argument '{name}': names are lower-case words with underscores")
        doc = clean_text(element.text)
        if not doc and element.find("option") is None and element.get("use") is None:
            self.fail(f"argument '{name}' is not documented")
        return Argument(name, self.attribute(element, "type"), doc)

    def used_options(self, argument, name):
        if name not in self.option_sets:
            self.fail(f"argument '{argument.name}' uses the options '{name}', which are not there")
        self.used_sets.add(name)
        return self.option_sets[name]

    def check_option_names(self, options, owner):
        seen = set()
        for option in options:
            if option.name in seen:
                self.fail(f"'{owner}' has the option '{option.name}' twice")
            seen.add(option.name)

    def option(self, owner, element):
        name = self.attribute(element, "name")
        context = f"option '{name}' of '{owner}'"
        self.only(element, {"name", "type", "default", "words", "max", "action", "action-for"}, set())
        option = Option(name, self.attribute(element, "type"), clean_text(element.text), element.get("default"),
                        (element.get("words") or "").split(), int(element.get("max", "0")), element.get("action"),
                        element.get("action-for", "object"))
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            self.fail(f"{context}: names are lower-case words with hyphens")
        if not option.doc:
            self.fail(f"{context} is not documented")
        if option.type not in OPTION_TYPES:
            self.fail(f"{context}: type '{option.type}' is not one of {' '.join(sorted(OPTION_TYPES))}")
        if option.action_for not in ACTION_SUBJECTS:
            self.fail(f"{context}: action-for is one of {' '.join(ACTION_SUBJECTS)}")
        return option

    def annotations(self, element, member, allowed):
        for child in element.findall("annotation"):
            name, value = self.attribute(child, "name"), self.attribute(child, "value")
            if name not in allowed:
                self.fail(f"unknown annotation '{name}'")
            if name == ACTION:
                member.actions = value.split()
            elif name == ACTION_FOR:
                if value not in ACTION_SUBJECTS:
                    self.fail(f"{ACTION_FOR} is '{value}', not one of {' '.join(ACTION_SUBJECTS)}")
                member.action_for = value
            elif name == TURN:
                member.turns = value.split()
                for turn in member.turns:
                    if turn not in TURNS:
                        self.fail(f"{TURN} is '{turn}', not one of {' '.join(TURNS)}")
            elif name == READS:
                if value not in ("yes", "no"):
                    self.fail(f"{READS} is '{value}', neither 'yes' nor 'no'")
                member.reads = value == "yes"
            else:
                if value not in ("true", "const", "false"):
                    self.fail(f"{EMITS_CHANGED} is '{value}', not 'true', 'const' or 'false'")
                member.emits_changed = value

    def needs_class(self, member):
        """Whether a method only reads: its name and its actions say so both, or an annotation does."""
        by_name = re.match(rf"({'|'.join(READING_VERBS)})(?![a-z])", member.name) is not None
        by_actions = all(action == PUBLIC or action.endswith(READING_ACTIONS) for action in member.actions)
        if member.reads is None and by_name != by_actions:
            self.fail(f"its name says that it {'reads' if by_name else 'does something'}, and its action that it "
                      f"{'reads' if by_actions else 'does something'}: add the annotation {READS}, \"yes\" if calling it again changes nothing")
        elif member.reads == by_name == by_actions:
            self.fail(f"{READS} is not needed: name and action say the same")
        member.reads = by_name if member.reads is None else member.reads

    def needs_action(self, member):
        if not member.actions:
            self.fail(f"names no action: add the annotation {ACTION} (\"{PUBLIC}\" if everyone may)")
        if PUBLIC in member.actions and len(member.actions) > 1:
            self.fail(f"is \"{PUBLIC}\" and names an action, too")
        if member.is_public and member.turns:
            self.fail("everyone may call it, so nobody can be made to wait for it")

    def error(self, element):
        self.only(element, {"name"}, set())
        name, meaning = self.attribute(element, "name"), clean_text(element.text)
        if name not in self.error_names:
            self.fail(f"error '{name}' is not in errors.tsv")
        if not meaning:
            self.fail(f"error '{name}' is not documented")
        return name, meaning

    def emission(self, element):
        self.only(element, {"property", "signal"}, set())
        for kind in ("property", "signal"):
            if element.get(kind):
                return kind, element.get(kind), clean_text(element.text)
        return self.fail("<emits> names neither a property nor a signal")

    def check_references(self, interface, members, is_root):
        """What <emits> names must be there. A root's methods change other objects, of which it cannot know."""
        names = {(member.kind, member.name) for member in members}
        for member in members:
            self.where = f"{interface}.{member.name}"
            for kind, name, _ in member.emits:
                if not is_root and (kind, name) not in names and name not in STANDARD_SIGNALS:
                    self.fail(f"emits the {kind} '{name}', which is not there")

    def documentation(self, element):
        doc = element.find("doc")
        text = clean_text(doc.text) if doc is not None else ""
        if not text:
            self.fail("is not documented: add <doc>")
        return text

    def attribute(self, element, name):
        value = element.get(name)
        if not value:
            self.fail(f"<{element.tag}> has no {name}")
        return value

    def only(self, element, attributes, children):
        for name in element.keys():
            if name not in attributes:
                self.fail(f"<{element.tag}> has an unknown attribute '{name}'")
        for child in element:
            if child.tag not in children:
                self.fail(f"<{child.tag}> has no place in <{element.tag}>")


def clean_text(text):
    return textwrap.dedent(" ".join((text or "").split()))


def used_actions(interfaces):
    """Each action with whether it needs its "-own" twin, and one member that names it."""
    used = {}

    def note(action, subject, where):
        own = subject != "administrator"
        before = used.get(action, (False, where))
        used[action] = (before[0] or own, before[1])

    for interface in interfaces:
        for member in interface.members:
            where = f"{interface.path}: {interface.name}.{member.name}"
            for action in member.actions:
                if action != PUBLIC:
                    note(action, member.action_for, where)
            for argument in member.inputs:
                if argument.action:
                    note(argument.action, "object", f"{where}: argument '{argument.name}'")
                for option in argument.options:
                    if option.action:
                        note(option.action, option.action_for, f"{where}: option '{option.name}'")
    return used


def policy_actions(path):
    try:
        return {element.get("id") for element in ElementTree.parse(path).getroot().iter("action")}
    except (OSError, ElementTree.ParseError) as error:
        raise ContractError(f"{path}: {error}") from error


def check_policy(interfaces, path):
    known = policy_actions(path)
    for action, (own, where) in sorted(used_actions(interfaces).items()):
        for name in [action] + ([f"{action}-own"] if own else []):
            if name not in known:
                raise ContractError(f"{where}: action '{name}' is not in {path}")


def load(paths, errors_path):
    names = {row[0] for row in errors.rows(errors_path)}
    return [Reader(path, names).read() for path in paths]
