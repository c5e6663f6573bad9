# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest's kernel would write to the ports of its machine's chips, as commands of the emulator's human monitor: no operating system is needed."""

POWER_OFF = "o /h 0x604 0x2000"  # the power management chip's control register: sleep type 0 is S5
SLEEP = "o /h 0x604 0x2400"  # type 1 is S3
HIBERNATE = "o /h 0x604 0x2800"  # type 2 is S4
PANIC = "o /b 0x505 1"  # pvpanic
CRASH_LOAD = "o /b 0x505 2"  # … of a guest that dumps itself
RESET = "o /b 0xcf9 6"
WATCHDOG = "o /b 0x443 0xf"  # ib700: to bark at once
