# SPDX-License-Identifier: LGPL-2.1-or-later
"""The throwaway host behind tests/host.

places.py   where things are, and what a host may be called
root.py     the root file systems: Debian, and layers over it; made once, cached
build.py    virtbus, built and installed into a root
keeper.py   the process that stays with one running host: it boots it, knows its PID 1, and clears up behind it
command.py  up, run, shell, reboot, down
inside/     what is laid into the root: users' seats, and the way into a user's session
"""
