# SPDX-License-Identifier: LGPL-2.1-or-later
"""What becomes of a guest, as docs/life-cycle.md tells it: its states on the bus, and the events of classic clients."""

import unittest

from proxied import ProxiedCase

import lifecycle


class Life(ProxiedCase):
    def test_is_told_as_the_page_says(self):
        self.changed = self.changes()
        self.story = lifecycle.Story(self.connection, self.bus.directory, self.tell, self.states)
        self.story.tell_all()
        self.assertEqual(self.story.seen, list(self.story.rows))

    def tell(self, row, wanted, heard):
        with self.subTest(row):
            self.assertEqual(self.states(), self.story.rows[row][0])
            self.assertEqual(heard, wanted)

    def states(self):
        """Those since they were last asked for, of the guest's domain."""
        path = "/org/virtbus/Qemu1/domain/_" + lifecycle.UUID.replace("-", "_")
        self.changed.domains()  # the daemon's answer comes after what it has announced before
        events = self.changed.of(path)
        self.changed.forget()
        states = [event[1] for event in events if event[0] == "State"]
        reasons = [event[1] for event in events if event[0] == "StateReason"]
        return [f"{state} ({reason})" for state, reason in zip(states, reasons, strict=True)]


if __name__ == "__main__":
    unittest.main()
