# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured: the rows of the table, and what each shall reach."""

import statistics
from dataclasses import dataclass, field

MILLISECOND = 1000.0
MIB = 1 << 20


@dataclass
class Row:
    name: str
    title: str
    unit: str = "us"            # "us", "bytes" or "/min"
    target: tuple = ()          # "x limit" or "x libvirt" and a factor; "over limit" or "at most" and a number in the row's unit
    quantile: float = 0.5       # what of a round's samples is compared; None for their mean
    limit: str = ""             # what the limit is, in words
    rounds: dict = field(default_factory=dict)  # system → one list of samples for each round

    def add(self, system, samples):
        self.rounds.setdefault(system, []).append(samples)

    def add_parallel(self, other):
        """Takes the samples of another row: the same measurement, looked at in another way."""
        self.rounds = other.rounds

    def figure(self, samples):
        return statistics.fmean(samples) if self.quantile is None else quantile(samples, self.quantile)

    def values(self, system):
        """One figure for each round."""
        return [self.figure(samples) for samples in self.rounds.get(system, []) if samples]

    def value(self, system):
        """The median of the rounds' figures; None if the system was not measured."""
        values = self.values(system)
        return statistics.median(values) if values else None

    def spread(self, system):
        """From the 10th to the 90th of 100: of all samples, or of the rounds' means and rare quantiles."""
        samples = [sample for one in self.rounds.get(system, []) for sample in one] if self.quantile == 0.5 else self.values(system)
        return (quantile(samples, 0.1), quantile(samples, 0.9)) if samples else None

    def ratio(self, system):
        """virtbus to another system: the median of the rounds' ratios, since neighbours in time had the same disturbances."""
        pairs = [(ours, theirs) for ours, theirs in zip(self.values("virtbus"), self.values(system)) if theirs]
        return statistics.median(ours / theirs for ours, theirs in pairs) if pairs else None

    def met(self):
        """None where there is nothing to compare with."""
        virtbus = self.value("virtbus")
        if not self.target or virtbus is None:
            return None
        kind, number = self.target
        if kind in ("x limit", "x libvirt"):
            ratio = self.ratio("bare" if kind == "x limit" else "libvirt")
            return None if ratio is None else ratio <= number
        limit = self.value("bare") if kind == "over limit" else 0
        return None if limit is None else virtbus - limit <= number


def quantile(samples, which):
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * which))]


def all_rows():
    """Every row of the table, in its order, by name."""
    bus = "Peer.Ping between two programs of plain sd-bus"
    qemu = "bare QEMU, to its first QMP answer"
    files = "write, sync, rename, sync the folder"
    disk = "dd with fsync of as many files of the same size, side by side"
    vtables = "plain sd-bus vtables, 14 properties each"
    rows = [
        Row("ping", "a ping", limit=bus),
        Row("state", "state call, median", target=("x limit", 1.2), limit=bus),
        Row("state-p99", "state call, p99", quantile=0.99, limit=bus),
        Row("property", "property read, median", target=("x limit", 1.3), limit=bus),
        Row("property-p99", "property read, p99", quantile=0.99, limit=bus),
        # 10 ms where the limit takes 7.5 ms
        Row("list-1000", "1000 domains, all of each", target=("x limit", 10 / 7.5), limit=vtables),
        Row("read-1000", "… and read by the client", limit=vtables),
        Row("list-4096", "4096 domains, all of each", limit=vtables),
        Row("read-4096", "… and read by the client", limit=vtables),
        Row("stats-state-1000", "1000 domains, states in bulk", target=("x libvirt", 1.0)),
        Row("define", "define, each of 1000", quantile=None, target=("x libvirt", 1.0), limit=files),
        Row("undefine", "undefine, each of 1000", quantile=None, target=("x libvirt", 1.0), limit="remove, sync the folder"),
        Row("restart", "restart with 1000, to the list", target=("x libvirt", 0.5)),
        Row("create", "create a guest, paused", target=("over limit", 15 * MILLISECOND), limit=qemu),
        Row("destroy", "destroy it", target=("at most", 20 * MILLISECOND), limit="kill, wait"),
        Row("stats-50", "all figures of 50 guests", target=("x libvirt", 1 / 3)),
        Row("activate", "wake by a call, to the answer", target=("x limit", 1.5), limit="an empty sd-bus service"),
        Row("activate-locked", "… beside an empty one locked down", target=("x limit", 1.5), limit="an empty sd-bus service in virtqemud's sandbox"),
        Row("capabilities", "capabilities from nothing", target=("x libvirt", 0.5), limit=qemu),
        Row("memory", "memory (PSS), nothing defined", unit="bytes", target=("at most", 6 * MIB), limit="an empty sd-bus service"),
        Row("memory-1000", "memory (PSS), 1000 defined", unit="bytes"),
        Row("memory-50", "memory (PSS), 50 guests", unit="bytes", target=("at most", 8 * MIB)),
        Row("wakeups", "wake-ups a minute, idle", unit="/min", target=("at most", 0)),
        Row("wakeups-50", "wake-ups a minute, 50 guests", unit="/min", target=("at most", 0)),
        # The classic sockets: the same C program with libvirt's client library on both sides.
        Row("classic-connect", "classic: connect and leave", target=("x libvirt", 1.0)),
        Row("classic-state", "classic: state call, median", target=("x libvirt", 1.0)),
        Row("classic-state-p99", "classic: state call, p99", quantile=0.99, target=("x libvirt", 1.0)),
        Row("classic-parallel", "classic: 8 clients at once, each call", target=("x libvirt", 1.0)),
        Row("classic-list-1000", "classic: list of 1000", target=("x libvirt", 1.0)),
        Row("classic-stats-1000", "classic: states of 1000 in bulk", target=("x libvirt", 1.0)),
        Row("classic-cold", "classic: virsh list, every daemon cold", target=("x libvirt", 1.0)),
        Row("classic-event", "classic: suspend, to its event", target=("x libvirt", 1.0)),
        Row("classic-memory", "classic: memory of one more client", unit="bytes", target=("x libvirt", 1.0)),
        # The host goes down.
        Row("save-1", "shutdown: save 1 guest of 64 MiB", target=("x libvirt", 1.0), limit=disk),
        Row("save-8", "shutdown: save 8", target=("x limit", 3.0), limit=disk),
        Row("save-32", "shutdown: save 32", target=("x limit", 3.0), limit=disk),
        Row("many-create", "stand-in: start, each of 1000", quantile=None),
        Row("many-list", "stand-in: list of 1000 guests"),
        Row("many-stats", "stand-in: all figures of 1000"),
        Row("many-memory", "stand-in: memory (PSS), 1000", unit="bytes"),
        Row("many-restart", "stand-in: restart, to the list"),
        Row("many-destroy", "stand-in: destroy, each of 1000", quantile=None),
    ]
    return {row.name: row for row in rows}
