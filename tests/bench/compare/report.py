# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table for people, and the same as JSON and TSV."""

import json

from .rows import MIB

COLUMNS = ["row", "virtbus", "[p10 – p90]", "libvirt", "ratio", "libvirt-dbus", "limit", "ratio", "target", "met"]


def show(value, unit):
    if value is None:
        return "–"
    if unit == "bytes":
        return f"{value / MIB:.1f} MiB" if value >= MIB / 10 else f"{value / 1024:.1f} KiB"
    if unit == "/min":
        return f"{value:.0f}"
    return f"{value:.0f} us" if value < 1000 else f"{value / 1000:.{1 if value < 100000 else 0}f} ms"


def show_spread(spread, unit):
    return "" if not spread else f"[{show(spread[0], unit)} – {show(spread[1], unit)}]"


def show_ratio(ratio):
    return "" if ratio is None else f"{ratio:.2f}"


def show_target(row):
    if not row.target:
        return ""
    kind, number = row.target
    if kind.startswith("x "):
        return f"{number:.2g} {kind}"
    return f"limit + {show(number, row.unit)}" if kind == "over limit" else f"{show(number, row.unit)}"


def cells(row):
    met = row.met()
    return [row.title, show(row.value("virtbus"), row.unit), show_spread(row.spread("virtbus"), row.unit),
            show(row.value("libvirt"), row.unit), show_ratio(row.ratio("libvirt")), show(row.value("libvirt-dbus"), row.unit),
            show(row.value("bare"), row.unit), show_ratio(row.ratio("bare")), show_target(row),
            "" if met is None else "yes" if met else "no"]


def table(rows):
    lines = [COLUMNS, *(cells(row) for row in rows if row.rounds)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    text = []
    for line in lines:
        text.append("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))))
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def markdown(rows):
    lines = [COLUMNS, ["---"] + ["---:"] * (len(COLUMNS) - 1), *(cells(row) for row in rows if row.rounds)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_dictionary(row):
    systems = {system: {"median": row.value(system), "p10": row.spread(system)[0], "p90": row.spread(system)[1], "rounds": row.values(system)}
               for system in row.rounds}
    return {"row": row.name, "title": row.title, "unit": row.unit, "limit": row.limit, "systems": systems,
            "ratio to libvirt": row.ratio("libvirt"), "ratio to limit": row.ratio("bare"), "target": list(row.target), "met": row.met()}


def save(rows, folder):
    rows = [row for row in rows if row.rounds]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps([as_dictionary(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    lines = [["name", *COLUMNS], *([row.name, *cells(row)] for row in rows)]
    (folder / "result.tsv").write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "result.md").write_text(markdown(rows) + "\n", encoding="utf-8")
