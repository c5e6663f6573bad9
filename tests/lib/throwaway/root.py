# SPDX-License-Identifier: LGPL-2.1-or-later
"""The root file systems: Debian; over it a layer that makes it ours; over that one for each set of extra packages.

Each is made once, cached under a name that is the hash of what it is made of, and never written to again."""

import hashlib
import os
import re
import shutil
import subprocess
import time

from . import places

SUITE = "bookworm"
OPTIONS = ["--mode=root", "--variant=minbase", "--quiet", '--aptopt=APT::Install-Recommends "false"']

# Among the packages of a host: virtbus is not installed in it.
NO_VIRTBUS = "no:virtbus"


def base_packages():
    lines = (places.INSIDE / "packages").read_text(encoding="utf-8").splitlines()
    return sorted({word for line in lines for word in line.partition("#")[0].split()})


def key_of(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def trees(packages):
    """The folders that an overlay makes a root of, the uppermost first; made now as far as they are not there yet."""
    below = [base()]
    below.insert(0, made("furnished-" + key_of(below[0].name, *inside()), lambda new, log: furnish(new, below, log)))
    packages = sorted(set(packages) - {NO_VIRTBUS})
    if packages:
        key = key_of(below[0].name, *packages)
        below.insert(0, made("with-" + key, lambda new, log: install(new, below, packages, log)))
    return below


def base():
    """Debian, with the packages of the list."""
    return made("base-" + key_of(SUITE, *OPTIONS, *base_packages()), bootstrap)


def inside():
    files = sorted(path for path in places.INSIDE.rglob("*") if path.is_file() and path.name != "packages")
    return [word for path in files for word in (str(path.relative_to(places.INSIDE)), path.read_text(encoding="utf-8"))]


def made(name, make):
    cache = places.cache_folder()
    tree = cache / name
    if is_there(tree):
        return tree
    with places.locked(cache / "lock"):
        if is_there(tree):
            return tree
        forget_old(cache)
        new, log = cache / "new", cache / f"{name}.log"
        remove(new)
        try:
            with open(log, "wb") as output:
                make(new, output)
        except subprocess.CalledProcessError as error:
            tail = log.read_text(encoding="utf-8", errors="replace")[-4000:]
            raise places.Failure(f"{tail}\nmaking the host's root failed: {error}") from error
        finally:
            if (new / "tree").is_dir() and (new / "done").exists():
                (new / "tree").rename(tree)
            remove(new)
        return tree


def is_there(tree):
    try:
        os.utime(tree)
        return True
    except FileNotFoundError:
        return False


def forget_old(cache):
    """What nobody has used for a week was made of lists and files that have changed since."""
    for tree in cache.iterdir():
        if tree.is_dir() and tree.stat().st_mtime < time.time() - 7 * 86400:
            remove(tree)


def bootstrap(new, log):
    new.mkdir(parents=True)
    options = [*OPTIONS, *[f"--aptopt={line}" for line in apt_proxies()], "--include=" + ",".join(base_packages())]
    mirror = os.environ.get("VIRTBUS_MIRROR")
    command = ["mmdebstrap", *options, SUITE, new / "tree", *([mirror] if mirror else [])]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
    (new / "done").touch()


def apt_proxies():
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return [line for line in dump.splitlines() if re.match(r"Acquire::https?::Proxy ", line)]


def furnish(new, below, log):
    """The files of inside/root, and what its script makes: users, mostly."""
    make_layer(new, below, log, "furnish", places.INSIDE / "root")


def install(new, below, packages, log):
    for package in packages:
        if not re.fullmatch(r"(no:)?[a-z0-9][a-z0-9.+-]+", package):
            raise places.Failure(f"--with {package}: not the name of a Debian package")
    make_layer(new, below, log, "install", *packages)


def make_layer(new, below, log, *what):
    """Changes a root that is an overlay over the trees below; what was written is the layer."""
    for folder in ("tree", "work", "root"):
        (new / folder).mkdir(parents=True)
    script = places.INSIDE / "make-layer"
    command = ["unshare", "--mount", "--propagation=private", script, ":".join(str(tree) for tree in below), new, *what]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
    (new / "done").touch()


def remove(tree):
    if tree.exists():
        shutil.rmtree(tree)
