# SPDX-License-Identifier: LGPL-2.1-or-later
"""How many logs there can be, and how many who follow them; one past a limit is told which it is, and everybody else is served."""

import os
import resource
import unittest

from harness import ERROR, Failure, wait_until
from logd import LogCase

LOGS, FOLLOWS = 300, 1024


class Limits(LogCase):
    def check_refused(self, failure, name, word):
        self.assertEqual(failure.name, f"{ERROR}{name}")
        self.assertIn(word, failure.message)

    def check_serves(self, pipe, log):
        """Who has a log can write, and others can read it."""
        pipe.write(b"news\n")
        self.assertTrue(self.root.read(log)[0].endswith(b"news\n"))

    def limit_descriptors(self, number):
        """Of virtlogd; we need no more ourselves."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < number:
            self.skipTest(f"only {hard} files can be open here, and {number} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
        resource.prlimit(self.logd.process.pid, resource.RLIMIT_NOFILE, (number, hard))

    def try_to_open(self, log, pipes):
        """The failure, or None: pipes is one longer."""
        try:
            pipes.append(self.opened(log)[0])
        except Failure as failure:
            return failure
        return None

    def test_of_open_logs(self):
        self.begin(max_logs=LOGS)
        pipes = [self.opened(f"guest{n}")[0] for n in range(LOGS)]
        self.check_refused(self.root.open_fails("late"), "LimitExceeded", f"{LOGS} logs are open, as many as max_logs in log.conf allows")
        self.assertEqual(self.root.open_logs(), LOGS)
        self.assertFalse(self.logd.file("late.log").exists())
        for n in (0, LOGS - 1):
            self.check_serves(pipes[n], f"guest{n}")
        # One that is open can be opened anew, and what needs none is done.
        pipes[7], _ = self.opened("guest7")
        self.check_serves(pipes[7], "guest7")
        self.root.log("AppendLog", "late", ("s", "a word\n"))
        self.assertEqual(self.root.read("late")[0], b"a word\n")
        # The next process may have them all, and not more.
        self.logd.restart()
        self.assertEqual(self.root.open_logs(), LOGS)
        self.check_refused(self.root.open_fails("later"), "LimitExceeded", "max_logs")
        self.check_serves(pipes[LOGS - 1], f"guest{LOGS - 1}")
        pipes[0].close()
        wait_until(lambda: self.root.open_logs() == LOGS - 1)
        self.check_serves(self.opened("late")[0], "late")

    def test_of_followers(self):
        self.begin()
        self.limit_descriptors(2 * FOLLOWS + 256)  # of each a pipe and a file
        pipe, _ = self.opened("web")
        before = self.logd.descriptors()
        follows = [self.root.follow("web") for _ in range(FOLLOWS)]
        self.check_refused(self.root.log_fails("FollowLog", "web", ("t", 0), ("t", 0)), "LimitExceeded", f"{FOLLOWS} logs are followed")
        self.check_serves(pipe, "web")
        for fd in follows:
            self.assertEqual(os.read(fd, 5), b"news\n")
            os.close(fd)
        wait_until(lambda: self.logd.descriptors() == before)
        os.close(self.root.follow("web"))

    def test_of_open_files(self):
        self.begin()
        pipe, _ = self.opened("web")
        self.limit_descriptors(64)
        pipes = []
        while not (failure := self.try_to_open(f"guest{len(pipes)}", pipes)):
            self.assertLess(len(pipes), 64)
        n, before = self.root.open_logs(), self.logd.descriptors()
        self.assertEqual(n, 1 + len(pipes))
        self.check_refused(self.root.open_fails("late"), "StorageFailed", "Too many open files")
        self.check_refused(failure, "StorageFailed", "Too many open files")
        self.assertEqual(self.root.open_logs(), n)
        self.assertEqual(self.logd.descriptors(), before)
        pipe.write(b"news\n")
        wait_until(lambda: self.logd.file("web.log").read_bytes() == b"news\n")
        for one in pipes:
            one.close()
        wait_until(lambda: self.root.open_logs() == 1)
        self.check_serves(self.opened("late")[0], "late")


if __name__ == "__main__":
    unittest.main()
