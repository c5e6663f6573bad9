# SPDX-License-Identifier: LGPL-2.1-or-later
"""check(), by which scenarios in Python tell their result, and why it is bad: what happened once in a thousand runs cannot be asked again."""

import ast
import itertools
import linecache
import sys

# Calls that change nothing: what they give now is told, which may be what was waited for, come late.
READERS = {"get", "printed", "shown", "state", "status"}
TOLD = 600  # characters of a value


def check(what, good):
    """One line of the scenario's result; of a bad one also the condition, and what stood in it."""
    print(f"{'ok' if good else 'not ok'} - {what}", flush=True)
    if not good:
        for line in explain(sys._getframe(1)):
            print(f"    {line}", flush=True)
    return bool(good)


def explain(frame):
    """The condition of the call of check() that a frame is in, and the values of its names as they are now."""
    condition = condition_of(frame)
    if condition is None:
        return
    yield f"should hold: {ast.unparse(condition)}"
    known, seen = {**frame.f_globals, **frame.f_locals}, set()
    for node in ast.walk(condition):
        text = ast.unparse(node)
        if text not in seen and is_told(node, known):
            seen.add(text)
            yield f"{text} is now {value_of(node, frame)}"


def condition_of(frame):
    line, end_line, column, end_column = next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    lines = [linecache.getline(frame.f_code.co_filename, number).encode() for number in range(line, end_line + 1)]
    if not all(lines):
        return None
    lines[-1] = lines[-1][:end_column]
    lines[0] = lines[0][column:]
    call = ast.parse(b"".join(lines).decode().strip(), mode="eval").body
    return call.args[1] if isinstance(call, ast.Call) and len(call.args) > 1 else None


def is_told(node, known):
    if isinstance(node, ast.Name):
        return node.id in known and not callable(known[node.id]) and not hasattr(known[node.id], "__dict__")
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return name in READERS
    return False


def value_of(node, frame):
    try:
        text = repr(eval(compile(ast.Expression(node), "<condition>", "eval"), frame.f_globals, frame.f_locals))
    except Exception as error:
        text = f"not to be had: {error!r}"
    return text if len(text) <= TOLD else f"{text[:TOLD]}… ({len(text)} characters)"
