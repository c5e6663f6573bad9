# SPDX-License-Identifier: LGPL-2.1-or-later
"""What virtlogd does for hypervisor daemons, and for those who read."""

import os
import pathlib
import signal
import stat
import unittest

from harness import ACCESS_DENIED, ALICE, BOB, DEADLINE, ERROR, wait_until
from logd import LogCase, LogClient, named
from services import Polkit, owners_may

OTHER_UUID = "0d6f9b1c-5c1e-4b0a-9a55-6a3c9d3d0002"
FOUND = "[what was here has been removed before it could be given]"


def read_to_end(fd):
    with os.fdopen(fd, "rb") as file:
        return file.read()


def read_exactly(fd, size):
    data = b""
    while len(data) < size:
        piece = os.read(fd, size - len(data))
        if not piece:
            break
        data += piece
    return data


class Writing(LogCase):
    def test_what_is_written_is_in_the_file(self):
        self.begin()
        pipe, path = self.opened("web")
        self.assertEqual(path, self.logd.file("web.log"))
        pipe.write(b"one\n")
        wait_until(lambda: path.read_bytes() == b"one\n")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(self.root.open_logs(), 1)
        pipe.write(b"two\n")
        pipe.close()
        wait_until(lambda: self.root.open_logs() == 0)
        self.assertEqual(path.read_bytes(), b"one\ntwo\n")
        self.assertEqual(list(self.logd.records.iterdir()), [])
        # It goes on where it was; or begins anew, if that is asked for.
        pipe, _ = self.opened("web")
        pipe.write(b"three\n")
        pipe.close()
        pipe, _ = self.opened("web", "{'append': <false>}")
        self.assertEqual(path.read_bytes(), b"")
        self.assertEqual(self.logd.file("web.log.0").read_bytes(), b"one\ntwo\nthree\n")

    def test_files_are_bounded(self):
        self.begin(max_size=4096, max_backups=2)
        pipe, path = self.opened("web")
        lines = [f"line {n:5}\n".encode() for n in range(2000)]
        for line in lines:
            pipe.write(line)
        pipe.close()
        wait_until(lambda: self.root.open_logs() == 0)
        sizes = {file.name: file.stat().st_size for file in path.parent.iterdir()}
        self.assertEqual(sorted(sizes), ["web.log", "web.log.0", "web.log.1"])
        self.assertLessEqual(max(sizes.values()), 4096)
        text = self.logd.all_of("web.log")
        self.assertEqual(text, b"".join(lines)[-len(text):])
        self.assertTrue(text.startswith(b"line "))
        # Of a caller's choice.
        pipe, path = self.opened("db", "{'max-size': <uint64 8192>, 'max-backups': <uint32 0>}")
        pipe.write(b"x" * 8000 + b"\n" + b"y" * 8000)
        pipe.close()
        # Between two files there is none for a moment.
        wait_until(lambda: path.exists() and self.logd.all_of("db.log") == b"y" * 8000)
        self.assertEqual([file.name for file in path.parent.glob("db.log*")], ["db.log"])

    def test_a_flood_is_bounded(self):
        self.begin(max_rate=1, max_burst=8192)
        pipe, path = self.opened("web")
        sent = 0
        while sent < 4 << 20:
            try:
                sent += pipe.write(b"x" * 4096) or 0
            except BlockingIOError:
                pass
        self.assertEqual(self.root.log("AppendLog", "web", ("s", "from outside\n"))[1], path.stat().st_size)
        self.assertLess(path.stat().st_size, 64 << 10)
        pipe.close()
        wait_until(lambda: self.root.open_logs() == 0)
        text = path.read_bytes()
        self.assertIn(b"from outside\n", text)
        self.assertIn(b"bytes are missing here", text)
        # One that waits loses nothing.
        pipe, path = self.opened(named("web", "serial0"), "{'flood': <'wait'>}")
        pipe.write(b"y" * 16384)
        wait_until(lambda: path.stat().st_size == 8192)
        [row] = [row for row in self.root.list("{'open': <true>}")]
        self.assertEqual(row[4]["dropped"], 0)
        self.assertEqual(row[4]["flood"], "wait")

    def test_append_rotate_and_close(self):
        self.begin()
        file, offset = self.root.log("AppendLog", "web", ("s", "nobody has it open\n"))
        self.assertEqual(offset, len("nobody has it open\n"))
        pipe, path = self.opened("web")
        pipe.write(b"from the guest\n")
        self.assertEqual(self.root.log("AppendLog", "web", ("s", "and then this\n"))[0], file)
        self.assertEqual(path.read_bytes(), b"nobody has it open\nfrom the guest\nand then this\n")
        pipe.write(b"more\n")
        self.root.log("RotateLog", "web")
        self.assertTrue(self.logd.file("web.log.0").read_bytes().endswith(b"more\n"))
        self.assertEqual(path.read_bytes(), b"")
        self.root.log("RotateLog", "web")  # of nothing
        self.assertFalse(self.logd.file("web.log.1").exists())
        pipe.write(b"last\n")
        self.root.log("CloseLog", "web")
        self.assertEqual(path.read_bytes(), b"last\n")
        with self.assertRaises(BrokenPipeError):
            pipe.write(b"too late\n")
        self.assertEqual(self.root.log_fails("CloseLog", "web").name, f"{ERROR}NoLog")
        self.assertEqual(self.root.log_fails("RotateLog", "nobody").name, f"{ERROR}NoLog")

    def test_who_opens_what_is_open(self):
        self.begin(max_logs=2)
        first, path = self.opened("web")
        first.write(b"first\n")
        busy = self.root.open_fails("web", uuid=OTHER_UUID)
        self.assertEqual(busy.name, f"{ERROR}ResourceBusy")
        second, _ = self.opened("web")
        second.write(b"second\n")
        with self.assertRaises(BrokenPipeError):
            first.write(b"gone\n")
        wait_until(lambda: path.read_bytes() == b"first\nsecond\n")
        second.close()
        # Nobody writes any more: another domain of this name has it, whether that news has arrived or not.
        self.opened("web", uuid=OTHER_UUID)
        self.opened("db")
        self.assertEqual(self.root.open_fails("more").name, f"{ERROR}LimitExceeded")

    def test_settings(self):
        self.begin(max_size="64K", max_age_days=1)
        old, kept, young = (self.logd.file(name) for name in ("old.log", "kept.log", "young.log"))
        pipe, _ = self.opened("kept")
        for path in (old, young):
            path.write_text("text")
        for path in (old, kept):
            os.utime(path, (1000, 1000))
        self.logd.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not old.exists())
        self.assertTrue(kept.exists() and young.exists())
        pipe.close()


class Outliving(LogCase):
    def test_restarts_by_exec(self):
        self.begin(max_size=65536, max_backups=99, max_rate=0)
        pipe, path = self.opened("web")
        follower = self.root.follow("web")
        written = b""
        for n in range(50):
            for i in range(20):
                line = f"{n} {i}\n".encode()
                pipe.write(line)
                written += line
            self.logd.restart()
        self.assertEqual(self.root.read("web", options="{'size': <uint32 1000000>}")[0], written)
        pipe.close()
        self.assertEqual(read_to_end(follower), written)
        wait_until(lambda: self.root.open_logs() == 0)
        self.assertEqual(self.logd.all_of("web.log"), written)

    def test_bad_records_cost_only_themselves(self):
        self.begin()
        self.logd.process.terminate()
        self.logd.process.wait(DEADLINE)
        for name, text in {"1": "no JSON", "2": "{}", "3": '{"format":1,"driver":"qemu","owner":0,"domain":"web","uuid":"%s","log":"qemu","wait":false,'
                           '"max-size":4096,"max-backups":3,"device":1,"inode":2}' % OTHER_UUID}.items():
            (self.logd.records / name).write_text(text)
        (self.logd.records / "4").symlink_to("/etc/passwd")
        self.logd.start()
        self.assertEqual(self.root.open_logs(), 0)
        self.assertEqual(list(self.logd.records.iterdir()), [])
        self.assertEqual(self.logd.logged().count("cannot be taken up"), 4)
        self.opened("web")

    def test_it_leaves_when_nothing_is_open(self):
        self.begin()
        self.logd.process.terminate()
        self.logd.process.wait(DEADLINE)
        self.logd.start("--timeout=1")
        pipe, path = self.opened("web")
        self.root.leave()
        wait_until(lambda: "stays up for logs are open" in self.logd.logged())
        pipe.write(b"last\n")
        pipe.close()
        self.assertEqual(self.logd.process.wait(DEADLINE), 0)
        self.assertEqual(path.read_bytes(), b"last\n")


class Reading(LogCase):
    def setUp(self):
        super().setUp()
        self.begin(max_size=4096, max_backups=2, max_rate=0)

    def test_reads_by_position(self):
        pipe, _ = self.opened("web")
        pipe.write(b"one\n")
        data, position = self.root.read("web")
        self.assertEqual(data, b"one\n")
        self.assertEqual(self.root.read("web", position), (b"", position))
        self.root.log("RotateLog", "web")
        pipe.write(b"two\n" * 500)
        data, after = self.root.read("web", position, "{'size': <uint32 6>}")
        self.assertEqual(data, b"two\ntw")
        self.assertEqual(self.root.read("web", position, "{'skip': <uint64 1990>}")[0], b"o\ntwo\ntwo\n")
        self.assertEqual(self.root.read("web", (0, 0), "{'tail': <uint64 5>}")[0], b"\ntwo\n")
        self.assertEqual(self.root.read("web", after)[0], b"o\n" + b"two\n" * 498)
        self.assertEqual(self.root.read("web", (12345, 1 << 60))[0][:8], b"one\ntwo\n")
        self.assertEqual(self.root.log_fails("ReadLog", "nobody", ("t", 0), ("t", 0)).name, f"{ERROR}NoLog")

    def test_follows(self):
        pipe, _ = self.opened("web")
        pipe.write(b"one\n")
        everything, news = self.root.follow("web"), self.root.follow("web", options="{'tail': <uint64 0>}")
        pipe.write(b"two\n")
        self.assertEqual(read_exactly(everything, 8), b"one\ntwo\n")
        self.assertEqual(read_exactly(news, 4), b"two\n")
        for n in range(1000):
            pipe.write(b"%04d\n" % n)
            self.assertEqual(read_exactly(everything, 5), b"%04d\n" % n)
        pipe.close()
        self.assertEqual(read_to_end(everything), b"")
        self.assertEqual(len(read_to_end(news)), 5000)
        # Of one that is not open, to its end.
        self.assertTrue(read_to_end(self.root.follow("web")).endswith(b"0999\n"))

    def test_a_follower_that_never_reads_costs_nobody(self):
        pipe, _ = self.opened("web", "{'flood': <'wait'>}")
        slow = self.root.follow("web")
        os.set_blocking(pipe.fileno(), True)
        for n in range(2000):
            pipe.write(b"%01023d\n" % n)
        self.assertEqual(self.root.read("web", (0, 0), "{'tail': <uint64 5>}")[0], b"1999\n")
        pipe.close()
        text = read_to_end(slow).decode()
        self.assertIn(FOUND, text)
        self.assertTrue(text.endswith("1999\n"))

    def test_followers_are_limited_and_leave_nothing(self):
        pipe, _ = self.opened(named("hers", owner=ALICE))
        alice = self.enter(LogClient(self.bus, ALICE))
        self.enter(Polkit(self.bus, owners_may))
        before = self.logd.descriptors()
        follows = [alice.follow(named("hers", owner=ALICE)) for _ in range(32)]
        refused = alice.log_fails("FollowLog", named("hers", owner=ALICE), ("t", 0), ("t", 0))
        self.assertEqual(refused.name, f"{ERROR}LimitExceeded")
        pipe.write(b"news\n")
        for fd in follows:
            self.assertEqual(read_exactly(fd, 5), b"news\n")
            os.close(fd)
        wait_until(lambda: self.logd.descriptors() == before)
        os.close(alice.follow(named("hers", owner=ALICE)))

    def test_lists(self):
        self.opened("web")
        self.opened(named("web", "serial0"))
        self.root.log("AppendLog", "old", ("s", "text\n"))
        self.root.log("RotateLog", "old")
        self.root.log("AppendLog", named("hers", owner=ALICE), ("s", "text\n"))
        rows = {row[:4]: row[4] for row in self.root.list()}
        self.assertEqual(set(rows), {named("web"), named("web", "serial0"), named("old"), named("hers", owner=ALICE)})
        self.assertEqual(rows[named("old")], {"path": str(self.logd.file("old.log")), "open": False, "size": 0, "backups": 1})
        self.assertTrue(rows[named("web", "serial0")]["open"])
        self.assertEqual(pathlib.Path(rows[named("hers", owner=ALICE)]["path"]), self.logd.file(str(ALICE), "hers.log"))
        for filters, wanted in {"{'domain': <'web'>}": 2, "{'open': <false>}": 2, f"{{'owner': <uint32 {ALICE}>}}": 1, "{'driver': <'lxc'>}": 0,
                                "{'driver': <'../..'>}": 0}.items():
            self.assertEqual(len(self.root.list(filters)), wanted, filters)


class Rights(LogCase):
    def setUp(self):
        super().setUp()
        self.begin()
        self.enter(Polkit(self.bus, owners_may))
        self.alice, self.bob = (self.enter(LogClient(self.bus, uid)) for uid in (ALICE, BOB))
        self.hers = named("hers", owner=ALICE)
        self.pipe, _ = self.opened(self.hers)
        self.pipe.write(b"what she said\n")

    def test_only_daemons_write(self):
        for member, more in {"AppendLog": [("s", "x")], "RotateLog": [], "CloseLog": []}.items():
            self.assertEqual(self.alice.log_fails(member, self.hers, *more).name, ACCESS_DENIED, member)
        self.assertEqual(self.alice.open_fails(self.hers).name, ACCESS_DENIED)

    def test_owners_read_their_own(self):
        self.assertEqual(self.alice.read(self.hers)[0], b"what she said\n")
        os.close(self.alice.follow(self.hers))
        self.assertEqual([row[2] for row in self.alice.list()], ["hers"])
        for member in ("ReadLog", "FollowLog"):
            self.assertEqual(self.bob.log_fails(member, self.hers, ("t", 0), ("t", 0)).name, ACCESS_DENIED)
            # Whether there is one or not is told to nobody, either.
            self.assertEqual(self.bob.log_fails(member, named("none", owner=ALICE), ("t", 0), ("t", 0)).name,
                             ACCESS_DENIED)
        self.assertEqual(self.bob.list(), [])

    def test_a_name_that_was_anothers_shows_nothing_of_it(self):
        self.pipe.close()
        pipe, path = self.opened(named("hers", owner=BOB), uuid=OTHER_UUID)
        pipe.write(b"what he says\n")
        self.assertEqual(self.bob.read(named("hers", owner=BOB))[0], b"what he says\n")
        self.assertNotEqual(path, self.logd.file(str(ALICE), "hers.log"))


class Hostile(LogCase):
    def setUp(self):
        super().setUp()
        self.begin()

    def test_names(self):
        for log in (named("../web"), named(".."), named(""), named("a/b"), named("a\nb"), named("web", "../other"), named("web", "a/b"),
                    named("web", ""), named("web", ".hidden"), ("..", 0, "web", "qemu"), ("q/e", 0, "web", "qemu"), ("", 0, "web", "qemu"),
                    ("qemu", 0xffffffff, "web", "qemu")):
            for failure in (self.root.open_fails(log), self.root.log_fails("ReadLog", log, ("t", 0), ("t", 0)),
                            self.root.log_fails("AppendLog", log, ("s", "x")), self.root.log_fails("RotateLog", log)):
                self.assertEqual(failure.name, f"{ERROR}InvalidArgument", log)
        self.assertEqual(self.root.open_fails("web", uuid="no UUID").name, f"{ERROR}InvalidArgument")
        self.assertEqual(self.root.open_fails("web", "{'max-size': <uint64 1>}").name, f"{ERROR}InvalidArgument")
        self.assertEqual(self.root.open_fails("web", "{'max-backups': <uint32 100>}").name, f"{ERROR}InvalidArgument")
        self.assertEqual(self.root.log_fails("AppendLog", "web", ("s", "x" * 65537)).name, f"{ERROR}InvalidArgument")
        self.assertEqual([path for path in self.logd.logs.rglob("*") if path.is_file()], [])

    def test_what_somebody_planted(self):
        victim = self.bus.directory / "victim"
        victim.write_text("mine\n")
        folder = self.logd.file("console", "web")
        folder.mkdir(parents=True)
        (folder / "serial0.log").symlink_to(victim)
        os.link(victim, folder / "serial1.log")
        os.mkfifo(folder / "serial2.log")
        (folder / "serial3.log").mkdir()
        self.logd.file("console", "db").symlink_to(self.bus.directory)
        for log in (*(named("web", f"serial{n}") for n in range(4)), named("db", "serial0")):
            self.assertEqual(self.root.open_fails(log).name, f"{ERROR}StorageFailed", log)
            self.assertEqual(self.root.log_fails("AppendLog", log, ("s", "x")).name, f"{ERROR}StorageFailed", log)
        self.assertEqual(self.root.log_fails("ReadLog", named("web", "serial0"), ("t", 0), ("t", 0)).name, f"{ERROR}NoLog")
        self.assertEqual(victim.read_text(), "mine\n")
        self.assertEqual(self.root.open_logs(), 0)
        self.assertEqual(list(self.logd.records.iterdir()), [])

    def test_many_logs_cost_little(self):
        pipes = [self.opened(f"guest{n}")[0] for n in range(500)]
        for n, pipe in enumerate(pipes):
            pipe.write(b"%d\n" % n)
        self.logd.restart()
        for n in (0, 250, 499):
            self.assertEqual(self.root.read(f"guest{n}")[0], b"%d\n" % n)
        for pipe in pipes:
            pipe.close()
        wait_until(lambda: self.root.open_logs() == 0)


if __name__ == "__main__":
    unittest.main()
