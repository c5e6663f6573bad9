# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where things are, and what a host may be called."""

import fcntl
import hashlib
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
INSIDE = Path(__file__).resolve().parent / "inside"

# What the source tree and the guest are called within the host.
SOURCE_IN_HOST = "/usr/src/virtbus"
GUEST_IN_HOST = "/srv/guest"


class Failure(Exception):
    """Something that the one who called must be told, in a sentence."""


def build_folder():
    return Path(os.environ.get("VIRTBUS_BUILD") or SOURCE / "build").resolve()


def cache_folder():
    return Path(os.environ.get("VIRTBUS_CACHE") or SOURCE / "build" / "host-cache").resolve()


def host_name():
    name = os.environ.get("HOST") or "virtbus"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", name):
        raise Failure(f"HOST={name}: a host is called by lower-case letters, digits and hyphens, at most 40")
    return name


def state_folder(name):
    return SOURCE / "build" / "host" / name


def machine_name(name):
    """nspawn's name for it: one per clone of the sources, since nspawn's locks are the machine's."""
    return f"{name}-{hashlib.sha256(str(SOURCE).encode()).hexdigest()[:8]}"


@contextmanager
def locked(path):
    """Holds the lock file at path; whoever else wants it waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start_time(pid):
    """When a process began, in the kernel's ticks: tells it from a later one with the same number. None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def remove_cgroup(cgroup):
    for folder, _, _ in os.walk(cgroup, topdown=False):
        os.rmdir(folder)


def remove_leftovers(name):
    """Clears a host's folders, after its last process has ended."""
    # nspawn refuses to remove this one where /run is no tmpfs.
    propagate = Path("/run/systemd/nspawn/propagate") / machine_name(name)
    if propagate.exists():
        propagate.rmdir()
    folder = state_folder(name)
    if folder.exists():
        shutil.rmtree(folder)
