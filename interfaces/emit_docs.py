# SPDX-License-Identifier: LGPL-2.1-or-later
"""From interfaces to what people read: the API reference in Markdown, and plain introspection data for other tools."""

from xml.sax.saxutils import escape, quoteattr

from contract import EMITS_CHANGED

INTRODUCTION = """\
<!-- Generated from interfaces/*.xml by `ninja -C build api-reference`; edit those. -->
# D-Bus API

Every member of every interface, with what it needs, gives, refuses and announces. Which daemon serves which objects is told in
[architecture.md](architecture.md); how rights are decided, in [administration.md](administration.md).

- **Options** are entries of an `a{sv}`. An unknown key, a key given twice, or a value of the wrong type is `InvalidArgument`, and the message names the key and what is allowed.
- **Order**: a reply comes last, after the `PropertiesChanged`, signals and `InterfacesAdded`/`InterfacesRemoved` of all that the call changed, and after its job was removed.
- **Action** is what polkit is asked. "own" means that `ACTION-own` is asked instead when the object belongs to the caller. Nobody is asked about `public` members, nor about reading properties.
  A refusal is `org.freedesktop.DBus.Error.AccessDenied`, or `…InteractiveAuthorizationRequired` where a password would help and the caller did not allow asking for it.
- **Turn**: of calls that change the same, each waits for those before it, up to the time that setting `turn_timeout` allows (30 seconds): then it is `Timeout`, and the message names what is still under way.
  When its turn has come, everything is looked up anew, rights included. Reading waits for nobody, nor does `Destroy`, which ends what is under way.
- **Errors** are below `org.virtbus.Error.`; their list is at the end. Every method can also give `InvalidArgument`, `NotSupported` (the driver does not offer it) and `LimitExceeded` (too many calls wait at once).
"""

SUBJECTS = {
    "object": "own if the object belongs to the caller",
    "caller": "own, as what is made belongs to the caller",
    "administrator": "",
    "handler": "for each object named; own if it belongs to the caller",
}


def reference(interfaces, error_rows):
    parts = [INTRODUCTION]
    parts += [f"- [{interface.name}](#{anchor(interface.name)})" for interface in interfaces]
    parts.append("")
    for interface in interfaces:
        parts += describe_interface(interface)
    parts += ["## Errors", "", "| name below `org.virtbus.Error.` | meaning |", "| --- | --- |"]
    parts += [f"| `{name}` | {meaning} |" for name, _, _, meaning in error_rows]
    return "\n".join(parts) + "\n"


def anchor(name):
    return name.lower().replace(".", "")


def describe_interface(interface):
    parts = [f"## {interface.name}", "", interface.doc, f"Since {interface.since}.", ""]
    if interface.properties:
        parts += ["### Properties", ""]
        for member in interface.properties:
            parts += describe_property(member)
    if interface.methods:
        parts += ["### Methods", ""]
        for member in interface.methods:
            parts += describe_method(member)
    if interface.signals:
        parts += ["### Signals", ""]
        for member in interface.signals:
            parts += describe_signal(member)
    return parts


def describe_property(member):
    access = "read, write" if member.writable else "read"
    announced = {"true": "", "const": ", never changes", "false": ", changes are not announced"}[member.emits_changed]
    parts = [f"#### `{member.name}` {member.type} ({access}{announced})", "", member.doc, ""]
    if member.writable:
        parts += [f"To write: {action_line(member)}", "", *turn_lines(member)]
    return parts + describe_consequences(member)


def describe_method(member):
    inputs = ", ".join(f"{argument.type} {argument.name}" for argument in member.inputs)
    outputs = ", ".join(f"{argument.type} {argument.name}" for argument in member.outputs)
    arrow = f" → ({outputs})" if outputs else ""
    parts = [f"#### `{member.name}({inputs}){arrow}`", "", member.doc, "", f"Action: {action_line(member)}", "", *turn_lines(member)]
    for argument in member.inputs:
        parts += describe_argument(argument)
    parts += [f"- → `{argument.name}` {argument.type}: {argument.doc}" for argument in member.outputs]
    return parts + ([""] if member.inputs or member.outputs else []) + describe_consequences(member)


def action_line(member):
    if member.is_public:
        return "public"
    names = " and ".join(f"`{action}`" for action in member.actions)
    subject = SUBJECTS[member.action_for]
    return f"{names} ({subject})" if subject else names


def turn_lines(member):
    if not member.turns:
        return []
    turns = "guest or definition, whichever is changed" if member.turns == ["handler"] else " and ".join(member.turns)
    return [f"Turn: {turns}", ""]


def describe_argument(argument):
    limits = describe_limits(argument)
    action = f" May need `{argument.action}`, too." if argument.action else ""
    parts = [f"- `{argument.name}` {argument.type}: {argument.doc or 'Choices:'}{limits}{action}"]
    for option in argument.options:
        default = f" Default: {option.default}." if option.default else ""
        action = f" Needs `{option.action}`, too." if option.action else ""
        parts.append(f"  - `{option.name}` {option.type}: {option.doc}{describe_limits(option)}{default}{action}")
    return parts


def describe_limits(thing):
    text = ""
    if thing.words:
        text += " One of " + ", ".join(f"`{word}`" for word in thing.words) + "." if thing.type != "as" else ""
    if thing.max:
        units = {"s": "bytes", "o": "bytes"}.get(thing.type, "entries" if thing.type.startswith("a") else "")
        text += f" At most {thing.max}{' ' + units if units else ''}."
    return text


def describe_consequences(member):
    parts = [f"- {kind} `{name}`{': ' + doc if doc else ' changes' if kind == 'property' else ''}".replace("- property", "- changes property")
             .replace("- signal", "- emits") for kind, name, doc in member.emits]
    parts = [part.removesuffix(" changes") for part in parts]
    parts += [f"- error `{name}`: {doc}" for name, doc in member.errors]
    return parts + [""] if parts else []


def describe_signal(member):
    arguments = ", ".join(f"{argument.type} {argument.name}" for argument in member.inputs)
    parts = [f"#### `{member.name}({arguments})`", "", member.doc, ""]
    parts += [f"- `{argument.name}` {argument.type}: {argument.doc}" for argument in member.inputs]
    return parts + ([""] if member.inputs else [])


def introspection(interface):
    """What a running daemon says of the interface, for $(datadir)/dbus-1/interfaces."""
    lines = [
        '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"',
        ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">',
        "<!-- The reference with all that is to know about each member is virtbus's docs/dbus-api.md. -->",
        "<node>",
        f"  <interface name={quoteattr(interface.name)}>",
    ]
    for member in interface.properties:
        lines += plain_property(member)
    for member in interface.methods:
        lines += plain_member(member, [("in", argument) for argument in member.inputs] +
                              [("out", argument) for argument in member.outputs])
    for member in interface.signals:
        lines += plain_member(member, [(None, argument) for argument in member.inputs])
    return "\n".join(lines + ["  </interface>", "</node>"]) + "\n"


def plain_property(member):
    access = "readwrite" if member.writable else "read"
    head = f'    <property name={quoteattr(member.name)} type={quoteattr(escape(member.type))} access="{access}"'
    if member.emits_changed == "true":
        return [head + "/>"]
    return [head + ">", f'      <annotation name="{EMITS_CHANGED}" value="{member.emits_changed}"/>', "    </property>"]


def plain_member(member, arguments):
    head = f"    <{member.kind} name={quoteattr(member.name)}"
    if not arguments:
        return [head + "/>"]
    lines = [head + ">"]
    for direction, argument in arguments:
        end = f' direction="{direction}"/>' if direction else "/>"
        lines.append(f"      <arg name={quoteattr(argument.name)} type={quoteattr(argument.type)}{end}")
    return lines + [f"    </{member.kind}>"]
