# SPDX-License-Identifier: LGPL-2.1-or-later
"""From an interface to its header and source: argument structs, typed handlers, replies, signals and marks of change, and the
tables (service/bus/interface.h) that the dispatcher reads."""

import re

from names import action_variable, base, pascal, snake, upper

C_TYPES = {
    "y": "uint8_t", "b": "bool", "n": "int16_t", "q": "uint16_t", "i": "int32_t", "u": "uint32_t", "x": "int64_t",
    "t": "uint64_t", "d": "double", "s": "const char *", "o": "const char *", "h": "int",
    "as": "VbStrings ", "ao": "VbStrings ", "au": "VbNumbers ", "a{sh}": "VbFiles ",
}
# What goes into sd_bus_message_append() for one value.
APPENDED = {"b": "(int) {0}", "y": "{0}", "d": "{0}"}
EMPTY_VALUES = {"s": '""', "o": '"/"', "b": "false"}


def declare(c_type, name):
    return f"{c_type}{name}" if c_type.endswith(("*", " ")) else f"{c_type} {name}"


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def comment(text, indent=""):
    """A comment of one paragraph, folded."""
    lines, line = [], f"{indent}/* "
    for word in text.replace("*/", "* /").split():
        if len(line) + len(word) > 112 and line.strip() not in ("/*", "*"):
            lines.append(line.rstrip())
            line = f"{indent} * "
        line += word + " "
    lines.append(line.rstrip() + " */")
    return "\n".join(lines)


class Names:
    """The C names that belong to one interface."""

    def __init__(self, interface):
        self.type = "Vb" + base(interface.name)
        self.function = "vb_" + snake(base(interface.name))
        self.constant = self.function.upper()

    def args(self, member):
        return f"{self.type}{self.handler_word(member)}Args"

    def handler_word(self, member):
        word = "".join(part.capitalize() for part in snake(member.name).split("_"))
        return f"Set{word}" if member.kind == "property" else word

    def handler(self, member):
        return f"set_{snake(member.name)}" if member.kind == "property" else snake(member.name)

    def enum(self, member, thing):
        return f"{self.type}{self.handler_word(member)}{pascal(thing.name)}"

    def enum_constant(self, member, thing, word):
        handler = self.handler(member).upper()
        return f"{self.constant}_{handler}_{upper(thing.name)}_{upper(word)}"


def called_members(interface):
    """What has a handler: the methods, and the setters of writable properties."""
    return interface.methods + [member for member in interface.properties if member.writable]


def worded(member):
    """The arguments and options of a member that are enumerations."""
    for argument in member.inputs:
        if argument.words:
            yield argument
        for option in argument.options:
            if option.words:
                yield option


# The header


def header(interface):
    names = Names(interface)
    parts = [
        f"/* Generated from {interface.name}.xml. */\n#pragma once\n",
        '#include "bus/call.h"\n#include "bus/object.h"\n',
        f'#define VB_INTERFACE_{snake(base(interface.name)).upper()} "{interface.name}"\n',
        f"extern const VbBusInterface {names.function}_interface;\n",
    ]
    parts += [struct for member in called_members(interface) for struct in argument_types(names, member)]
    parts.append(handlers_struct(names, interface))
    parts += [reply_declaration(names, member) for member in called_members(interface)]
    parts += property_marks(names, interface)
    parts += [signal_prototype(names, member) + ";\n" for member in interface.signals]
    return "\n".join(parts)


def argument_types(names, member):
    for thing in worded(member):
        bits = thing.type == "as"
        lines = [f"        {names.enum_constant(member, thing, word)} = " + (f"1 << {index}" if bits else f"{index}")
                 for index, word in enumerate(thing.words)]
        yield f"typedef enum {names.enum(member, thing)} {{\n" + ",\n".join(lines) + f",\n}} {names.enum(member, thing)};\n"

    fields = []
    for argument in member.inputs:
        if argument.type != "a{sv}":
            fields.append(f"        {field(names, member, argument)};")
        elif argument.options:
            fields.append("        struct {")
            for option in argument.options:
                fields.append(f"                {field(names, member, option)};")
                fields.append(f"                bool has_{snake(option.name)};")
            fields.append(f"        }} {argument.name};")
    body = "\n".join(fields)
    yield f"typedef struct {names.args(member)} {{\n{body}\n}} {names.args(member)};\n"


def field(names, member, thing):
    if thing.words:
        c_type = "unsigned" if thing.type == "as" else names.enum(member, thing)
    else:
        c_type = C_TYPES[thing.type]
    return declare(c_type, snake(thing.name))


def handlers_struct(names, interface):
    lines = ["/* What a driver does not offer it leaves NULL: a method is then not supported, a property empty. */",
             f"typedef struct {names.type}Handlers {{"]
    for member in interface.properties:
        lines.append(f"        {declare(C_TYPES[member.type], f'(*get_{snake(member.name)})(VbObject *object)')};")
    for member in called_members(interface):
        lines.append(comment(member.doc, "        "))
        lines.append(f"        int (*{names.handler(member)})(VbCall *call, VbObject *object, const {names.args(member)} *args,\n"
                     f"                {' ' * len(names.handler(member))}sd_bus_error *reterr);")
    lines.append(f"}} {names.type}Handlers;\n")
    return "\n".join(lines)


def is_simple_result(member):
    return all(argument.type in PLAIN_RESULTS for argument in member.outputs)


PLAIN_RESULTS = set("ybnqiuxtdsoh") | {"as", "ao"}


def result_type(dbus_type):
    return "const char *const *" if dbus_type in ("as", "ao") else C_TYPES[dbus_type]


def reply_prototype(names, member):
    parameters = ["VbCall *call"] + [declare(result_type(argument.type), argument.name) for argument in member.outputs]
    return f"int {names.function}_reply_{names.handler(member)}({', '.join(parameters)})"


def signature(arguments):
    return "".join(argument.type for argument in arguments)


def reply_declaration(names, member):
    if not is_simple_result(member):
        return (f"/* {member.name} replies {signature(member.outputs)}: built with vb_call_new_reply(), sent with"
                " vb_call_send_reply(). */\n")
    return f"{reply_prototype(names, member)};\n"


def property_marks(names, interface):
    if not interface.properties:
        return []
    lines = [f"#define {names.constant}_{upper(member.name)} (UINT64_C(1) << {index})"
             for index, member in enumerate(interface.properties)]
    lines.append("\n/* Marks properties as changed; they are announced together, before the next reply, signal or turn of the loop. */\n"
                 f"static inline void {names.function}_changed(VbObject *object, uint64_t properties) {{\n"
                 f"        vb_object_changed(object, &{names.function}_interface, properties);\n}}\n")
    return ["\n".join(lines)]


def signal_prototype(names, member):
    parameters = ["VbObject *object"] + [declare(C_TYPES[argument.type], argument.name) for argument in member.inputs]
    return f"void {names.function}_emit_{snake(member.name)}({', '.join(parameters)})"


# The source


def source(interface):
    names = Names(interface)
    parts = [
        f"/* Generated from {interface.name}.xml. */",
        f'#include "interfaces/{snake(base(interface.name)).replace("_", "-")}.h"\n',
        '#include "interfaces/actions.h"\n',
    ]
    for member in called_members(interface):
        parts += method_tables(names, member)
        parts.append(invoke(names, member))
        parts.append(method_row(names, interface, member))
        if is_simple_result(member):
            parts.append(reply_function(names, member))
    parts += [getter(names, member) for member in interface.properties]
    if any(member.writable for member in interface.properties):
        parts.append(refusing_setter())
    parts.append(append_all(names, interface))
    parts.append(vtable(names, interface))
    parts.append(interface_row(names, interface))
    parts += [emitter(names, interface, member) for member in interface.signals]
    return "\n".join(parts)


def method_tables(names, member):
    """The static tables that a method's row points to: words, options, arguments, defaults, actions."""
    prefix = f"{names.handler(member)}"
    for thing in worded(member):
        words = ", ".join(quote(word) for word in thing.words)
        yield (f"static const VbWords {prefix}_{snake(thing.name)}_words = {{\n"
               f"        .words = (const char *const[]){{ {words} }},\n        .n_words = {len(thing.words)},\n}};\n")
    for argument in member.inputs:
        if argument.options:
            rows = "\n".join(option_row(names, member, argument, option) for option in argument.options)
            yield f"static const VbOption {prefix}_{argument.name}_options[] = {{\n{rows}\n        {{}},\n}};\n"
    rows = "".join(f"        {argument_row(names, member, argument)},\n" for argument in member.inputs)
    yield f"static const VbArgument {prefix}_arguments[] = {{\n{rows}        {{}},\n}};\n"
    yield f"static const {names.args(member)} {prefix}_defaults = {{{defaults(names, member)}}};\n"
    if not member.is_public:
        actions = ", ".join(f"&{action_variable(action)}" for action in member.actions)
        yield f"static const VbAction *const {prefix}_actions[] = {{ {actions}, NULL }};\n"


def argument_row(names, member, argument, offset=None, options=True):
    prefix = names.handler(member)
    fields = [f".name = {quote(argument.name)}", f".type = {quote(argument.type)}"]
    if argument.type != "a{sv}":
        fields.append(f".offset = offsetof({names.args(member)}, {offset or snake(argument.name)})")
    if argument.words:
        fields.append(f".words = &{prefix}_{snake(argument.name)}_words")
    if argument.max:
        fields.append(f".max = {argument.max}")
    if options and argument.options:
        fields.append(f".options = {prefix}_{argument.name}_options")
    return "{ " + ", ".join(fields) + " }"


def option_row(names, member, argument, option):
    place = f"{argument.name}.{snake(option.name)}"
    row = argument_row(names, member, option, offset=place, options=False)
    action = ""
    if option.action:
        action = (f"          .action = &{action_variable(option.action)},\n"
                  f"          .action_for = VB_ACTION_FOR_{option.action_for.upper()},\n")
    return (f"        {{ .argument = {row},\n"
            f"          .has_offset = offsetof({names.args(member)}, {argument.name}.has_{snake(option.name)}),\n"
            f"{action}        }},")


def default_value(names, member, option):
    """The C value of a default that is one; text such as "the host's" is for people, and leaves the field zero."""
    if option.default is None:
        return None
    if option.type == "as" and option.words:
        return str((1 << len(option.words)) - 1) if option.default == "all" else None
    if option.words:
        return names.enum_constant(member, option, option.default) if option.default in option.words else None
    if option.type == "b":
        return option.default if option.default in ("true", "false") else None
    if option.type in "ynqiuxtd" and re.fullmatch(r"-?\d+(\.\d+)?", option.default):
        return option.default
    return None


def defaults(names, member):
    values = []
    for argument in member.inputs:
        for option in argument.options:
            value = default_value(names, member, option)
            if value not in (None, "false", "0"):
                values.append(f".{argument.name}.{snake(option.name)} = {value}")
    return f" {', '.join(values)} " if values else ""


def invoke(names, member):
    handler = names.handler(member)
    return (f"static const VbMethod {handler}_method;\n\n"
            f"static int invoke_{handler}(VbCall *call, VbObject *object, const void *handlers, const void *args,\n"
            f"        sd_bus_error *reterr) {{\n"
            f"        const {names.type}Handlers *h = handlers;\n\n"
            f"        if (!h->{handler})\n"
            f"                return vb_call_not_offered(call, object, &{handler}_method, reterr);\n"
            f"        return h->{handler}(call, object, args, reterr);\n}}\n")


def method_row(names, interface, member):
    handler = names.handler(member)
    rows = [
        f".name = {quote(member.name)}",
        f".interface = &{names.function}_interface",
        f".arguments = {handler}_arguments",
        f".args_size = sizeof({names.args(member)})",
        f".defaults = &{handler}_defaults",
    ]
    if not member.is_public:
        rows += [f".actions = {handler}_actions", f".action_for = VB_ACTION_FOR_{member.action_for.upper()}"]
    if member.turns and member.turns != ["handler"]:
        rows.append(f".turns = {' | '.join('VB_TURN_' + turn.upper() for turn in member.turns)}")
    rows += [f".signature = {quote(signature(member.inputs))}", f".result = {quote(signature(member.outputs))}",
             f".invoke = invoke_{handler}"]
    body = "".join(f"        {row},\n" for row in rows)
    return f"static const VbMethod {handler}_method = {{\n{body}}};\n"


def appended(argument):
    return APPENDED.get(argument.type, "{0}").format(argument.name)


def reply_function(names, member):
    head = f"{reply_prototype(names, member)} {{\n"
    if not member.outputs:
        return head + "        return vb_call_reply(call, NULL);\n}\n"
    if all(argument.type not in ("as", "ao") for argument in member.outputs):
        values = ", ".join(appended(argument) for argument in member.outputs)
        return head + f"        return vb_call_reply(call, {quote(signature(member.outputs))}, {values});\n}}\n"
    steps = "".join(append_result(argument) for argument in member.outputs)
    return (head + "        g_autoptr(sd_bus_message) reply = NULL;\n        int r;\n\n"
            "        r = vb_call_new_reply(call, &reply);\n" + steps +
            "        return r < 0 ? vb_call_fail(call, r, NULL) : vb_call_send_reply(call, reply);\n}\n")


def append_result(argument):
    if argument.type not in ("as", "ao"):
        return (f"        if (r >= 0)\n                r = sd_bus_message_append(reply, {quote(argument.type)},"
                f" {appended(argument)});\n")
    item = argument.type[1]
    return (f"        if (r >= 0)\n                r = sd_bus_message_open_container(reply, 'a', \"{item}\");\n"
            f"        for (const char *const *value = {argument.name}; r >= 0 && value && *value; value++)\n"
            f"                r = sd_bus_message_append_basic(reply, '{item}', *value);\n"
            f"        if (r >= 0)\n                r = sd_bus_message_close_container(reply);\n")


def getter(names, member):
    word = snake(member.name)
    call = f"h && h->get_{word} ? h->get_{word}(userdata) : "
    head = (f"static int get_{word}(sd_bus *bus, const char *path, const char *interface, const char *property,\n"
            f"        sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {{\n"
            f"        const {names.type}Handlers *h = vb_object_handlers(userdata, &{names.function}_interface);\n")
    if member.type in ("s", "o"):
        empty = EMPTY_VALUES[member.type]
        return (head + f"        const char *value = {call}NULL;\n\n"
                f"        return sd_bus_message_append_basic(reply, '{member.type}', value ? value : {empty});\n}}\n")
    c_type = "int" if member.type == "b" else C_TYPES[member.type]
    return (head + f"        {c_type} value = {call}0;\n\n"
            f"        return sd_bus_message_append_basic(reply, '{member.type}', &value);\n}}\n")


def append_all(names, interface):
    """All properties in one call: what a list of a thousand objects is made of."""
    head = ("/* For lists of objects: one call, as each call of sd-bus costs. */\n"
            "static int append_all(sd_bus_message *message, VbObject *object) {\n")
    if not interface.properties:
        return head + f"        return sd_bus_message_append(message, \"{{sa{{sv}}}}\", {quote(interface.name)}, 0);\n}}\n"
    lines = [f"        const {names.type}Handlers *h = vb_object_handlers(object, &{names.function}_interface);"]
    values = []
    for member in interface.properties:
        word = snake(member.name)
        c_type = "int" if member.type == "b" else C_TYPES[member.type]
        variable = f"{word}_value"
        lines.append(f"        {declare(c_type, variable)} = h->get_{word} ? h->get_{word}(object) : 0;")
        value = f"{variable} ? {variable} : {EMPTY_VALUES[member.type]}" if member.type in ("s", "o") else variable
        values.append(f"                {quote(member.name)}, {quote(member.type)}, {value}")
    return (head + "\n".join(lines) + f"\n\n        return sd_bus_message_append(message, \"{{sa{{sv}}}}\", {quote(interface.name)},"
            f" {len(interface.properties)},\n" + ",\n".join(values) + ");\n}\n")


def refusing_setter():
    """sd-bus wants a setter; but the dispatcher takes each Set before sd-bus sees it, as those of sd-bus cannot wait."""
    return ("/* Never called: vb_call takes each Set before sd-bus does, whose setters cannot wait for an answer. */\n"
            "static int set_refused(sd_bus *bus, const char *path, const char *interface, const char *property,\n"
            "        sd_bus_message *value, void *userdata, sd_bus_error *reterr) {\n"
            "        return sd_bus_error_set_errno(reterr, -EPERM);\n}\n")


def vtable_arguments(arguments):
    if not arguments:
        return None
    return "SD_BUS_ARGS(" + ", ".join(f"{quote(argument.type)}, {argument.name}" for argument in arguments) + ")"


def vtable(names, interface):
    rows = ["SD_BUS_VTABLE_START(0)"]
    for member in interface.properties:
        word = snake(member.name)
        flags = {"true": "SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE", "const": "SD_BUS_VTABLE_PROPERTY_CONST", "false": "0"}
        flag = flags[member.emits_changed]
        if member.writable:
            rows.append(f'SD_BUS_WRITABLE_PROPERTY({quote(member.name)}, {quote(member.type)}, get_{word}, set_refused, 0,\n'
                        f"                {flag} | SD_BUS_VTABLE_UNPRIVILEGED)")
        else:
            rows.append(f"SD_BUS_PROPERTY({quote(member.name)}, {quote(member.type)}, get_{word}, 0, {flag})")
    for member in interface.methods:
        inputs = vtable_arguments(member.inputs) or "SD_BUS_NO_ARGS"
        outputs = vtable_arguments(member.outputs)
        outputs = outputs.replace("SD_BUS_ARGS", "SD_BUS_RESULT") if outputs else "SD_BUS_NO_RESULT"
        rows.append(f"SD_BUS_METHOD_WITH_ARGS({quote(member.name)}, {inputs}, {outputs},\n"
                    "                vb_dispatch_unreached, SD_BUS_VTABLE_UNPRIVILEGED)")
    for member in interface.signals:
        inputs = vtable_arguments(member.inputs) or "SD_BUS_NO_ARGS"
        rows.append(f"SD_BUS_SIGNAL_WITH_ARGS({quote(member.name)}, {inputs}, 0)")
    rows.append("SD_BUS_VTABLE_END")
    body = "".join(f"        {row},\n" for row in rows)
    return f"static const sd_bus_vtable vtable[] = {{\n{body}}};\n"


def interface_row(names, interface):
    by_name = sorted(interface.methods, key=lambda member: member.name)
    methods = "".join(f"        &{names.handler(member)}_method,\n" for member in by_name)
    rows = []
    for member in interface.properties:
        setter = f", .setter = &{names.handler(member)}_method" if member.writable else ""
        announced = ", .announced = true" if member.emits_changed == "true" else ""
        rows.append(f"        {{ .name = {quote(member.name)}, .type = {quote(member.type)},"
                    f" .get = get_{snake(member.name)}{setter}{announced} }},\n")
    return (f"static const VbMethod *const methods[] = {{\n{methods}        NULL,\n}};\n\n"
            f"static const VbProperty properties[] = {{\n{''.join(rows)}        {{}},\n}};\n\n"
            f"const VbBusInterface {names.function}_interface = {{\n"
            f"        .name = {quote(interface.name)},\n        .vtable = vtable,\n"
            f"        .methods = methods,\n        .n_methods = {len(interface.methods)},\n"
            "        .properties = properties,\n        .append_all = append_all,\n};\n")


def emitter(names, interface, member):
    append = ""
    if member.inputs:
        values = ", ".join(appended(argument) for argument in member.inputs)
        append = (f"        if (r >= 0 && message)\n                r = sd_bus_message_append(message,"
                  f" {quote(signature(member.inputs))}, {values});\n")
    return (f"{signal_prototype(names, member)} {{\n"
            "        g_autoptr(sd_bus_message) message = NULL;\n        int r;\n\n"
            f"        r = vb_object_new_signal(object, &{names.function}_interface, {quote(member.name)}, &message);\n"
            f"{append}        vb_object_send_signal(object, message, r);\n}}\n")


# The actions of all interfaces together


def actions_header(used):
    lines = ["/* Generated from the XML files in interfaces/: the polkit actions that members name. */\n#pragma once\n",
             '#include "bus/interface.h"\n']
    lines += [f"extern const VbAction {action_variable(action)};" for action in sorted(used)]
    return "\n".join(lines) + """

/* All of them, for tests; ends with NULL. */
extern const VbAction *const vb_actions[];

/* The methods that only read, so that who does not know whether a call was heard may call again. */
bool vb_method_reads(const char *interface, const char *member);
"""


READS = """
bool vb_method_reads(const char *interface, const char *member) {
        for (size_t i = 0; i < sizeof reading / sizeof reading[0]; i++)
                if (strcmp(reading[i].interface, interface) == 0 && strcmp(reading[i].member, member) == 0)
                        return true;
        return false;
}
"""


def reading_methods(interfaces):
    rows = "".join(f"        {{ {quote(interface.name)}, {quote(method.name)} }},\n"
                   for interface in interfaces for method in interface.methods if method.reads)
    return f"\nstatic const struct {{\n        const char *interface, *member;\n}} reading[] = {{\n{rows}}};\n" + READS


def actions_source(used, interfaces):
    lines = ['/* Generated from the XML files in interfaces/. */\n#include "interfaces/actions.h"\n\n#include <string.h>\n']
    for action, (own, _) in sorted(used.items()):
        twin = quote(action + "-own") if own else "NULL"
        reads = ", .reads = true" if action.endswith(".read") else ""
        lines.append(f"const VbAction {action_variable(action)} = {{ .id = {quote(action)}, .own = {twin}{reads} }};")
    names = "".join(f"        &{action_variable(action)},\n" for action in sorted(used))
    lines.append(f"\nconst VbAction *const vb_actions[] = {{\n{names}        NULL,\n}};\n" + reading_methods(interfaces))
    return "\n".join(lines)


