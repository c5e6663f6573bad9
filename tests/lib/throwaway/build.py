# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtbus, built and installed into a root."""

import os
import subprocess

from . import places


def build():
    """Brings the build folder up to date; what it prints is only told when it fails."""
    folder = places.build_folder()
    if not (folder / "build.ninja").exists():
        quietly(["meson", "setup", folder, places.SOURCE], "configuring virtbus failed")
    quietly(["ninja", "-C", folder], "building virtbus failed")


def install(root):
    """Installs what was built into the root, and enables what the presets enable."""
    environment = {**os.environ, "DESTDIR": str(root)}
    quietly(["meson", "install", "--no-rebuild", "-C", places.build_folder()], "installing virtbus failed", environment)
    for manager, option in (("system", []), ("user", ["--global"])):
        for unit in preset_units(root, manager):
            quietly(["systemctl", "--quiet", *option, f"--root={root}", "preset", unit], f"enabling {unit} failed")


def preset_units(root, manager):
    """The units our preset names, as far as they are installed."""
    preset = root / f"usr/lib/systemd/{manager}-preset/90-virtbus.preset"
    words = [line.split() for line in preset.read_text(encoding="utf-8").splitlines()] if preset.exists() else []
    named = [line[1] for line in words if len(line) == 2 and line[0] in ("enable", "disable")]
    return [unit for unit in named if (root / "usr/lib/systemd" / manager / unit).exists()]


def quietly(command, what, environment=None):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                            text=True, errors="replace", check=False)
    if result.returncode != 0:
        raise places.Failure(f"{result.stdout[-8000:]}\n{what}")
