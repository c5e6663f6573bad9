# SPDX-License-Identifier: LGPL-2.1-or-later
"""Links: the same objects, rights and errors as on the bus, for whom they speak, what is written to them when, and when they end."""

import os
import re
import resource
import signal
import subprocess
import time
import unittest

from gi.repository import GLib

from harness import (ACCESS_DENIED, ALICE, BOB, DAEMON, DOMAIN, ERROR, HYPERVISOR, PROPERTIES, ROOT, Case, Daemon, Failure, Link, RawLink,
                     Recorder, options, variant, wait_until)
from services import Polkit, owners_may

MANAGER = "org.freedesktop.DBus.ObjectManager"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PEER = "org.freedesktop.DBus.Peer"
READ = "org.virtbus.domain.read"


def start_time(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return int(file.read().rsplit(")", 1)[1].split()[19])


class Links(Case):
    def link(self, client=None, choices="{}"):
        return self.enter(Link(client or self.root, choices))

    def raw(self, client=None, choices="{}", talk=True):
        return self.enter(RawLink(client or self.root, choices, talk))

    def process(self, uid):
        """A process of that user, which does nothing."""
        process = subprocess.Popen(["sleep", "1000"], user=uid)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def identity(self, pid, uid, began=None, more=""):
        return f"{{'pid': <uint32 {pid}>, 'start-time': <uint64 {began or start_time(pid)}>, 'uid': <uint32 {uid}>{more}}}"


def outcome(client, *call):
    try:
        return client.call(*call)
    except Failure as failure:
        return failure.name, failure.message


class LikeTheBus(Links):
    def setUp(self):
        super().setUp()
        self.maxDiff = None
        self.domain = self.root.define("web")

    def same(self, *call):
        on_bus, on_link = outcome(self.root, *call), outcome(self.link(), *call)
        self.assertEqual(on_bus, on_link)
        return on_bus

    def get(self, interface, name, path=None):
        return self.same(path or self.domain, PROPERTIES, "Get", GLib.Variant("(ss)", (interface, name)))

    def test_properties(self):
        names = self.same(self.domain, PROPERTIES, "GetAll", GLib.Variant("(s)", (DOMAIN,)))[0]
        self.assertIn("State", names)
        for name, value in names.items():
            self.assertEqual(self.get(DOMAIN, name)[0], value)
        self.assertEqual(self.get(DAEMON, "Driver", ROOT)[0], "test")

    def test_objects_and_methods(self):
        self.assertIn(self.domain, self.same(ROOT, MANAGER, "GetManagedObjects")[0])
        self.same(ROOT, HYPERVISOR, "ListDomains", options())
        self.same(ROOT, HYPERVISOR, "GetDomainByName", variant("('web',)"))
        self.same(ROOT, HYPERVISOR, "GetStats", GLib.Variant("(aoa{sv})", ([self.domain], {})))
        self.same(self.domain, DOMAIN, "GetXML", options("{'secure': <true>}"))
        self.same(self.domain, None, "GetXML", options())
        self.same(self.domain, PEER, "Ping")
        self.same(self.domain, PEER, "GetMachineId")

    def test_introspection(self):
        for path in (ROOT, f"{ROOT}/domain", self.domain, "/org/virtbus"):
            self.assertIn("<node>", self.same(path, INTROSPECTABLE, "Introspect")[0])

    def test_errors(self):
        for call in (
                (f"{ROOT}/domain/none", DOMAIN, "GetXML", options()),
                (self.domain, DOMAIN, "Nothing", options()),
                (self.domain, "no.such.Interface", "Start", options()),
                (self.domain, DOMAIN, "Start"),
                (self.domain, DOMAIN, "Start", options("{'pausd': <true>}")),
                (self.domain, DOMAIN, "Destroy", options()),
                (ROOT, HYPERVISOR, "GetDomainByName", variant("('none',)")),
                (self.domain, PROPERTIES, "Set", GLib.Variant("(ssv)", (DOMAIN, "Name", GLib.Variant("s", "x")))),
                (self.domain, PROPERTIES, "Set", GLib.Variant("(ssv)", (DOMAIN, "Autostart", GLib.Variant("s", "x")))),
                (self.domain, PROPERTIES, "GetAll", variant("('no.such.Interface',)")),
                (self.domain, PROPERTIES, "Get", variant("(1,)")),
                (ROOT, MANAGER, "GetManagedObjects", variant("(1,)"))):
            self.assertEqual(len(self.same(*call)), 2, call)
        for interface, name in ((DOMAIN, "Nothing"), ("no.such.Interface", "State")):
            self.assertTrue(self.get(interface, name)[0].startswith("org.freedesktop.DBus.Error."))

    def test_what_comes_later_is_there_too(self):
        link = self.link()
        link.call(ROOT, INTROSPECTABLE, "Introspect")
        later = self.root.define("later")
        self.assertEqual(link.get(later, DOMAIN, "Name"), "later")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        pending = self.root.send(later, DOMAIN, "Save", variant("(handle 0, @a{sv} {})"), fds=[writer])
        wait_until(lambda: link.get(later, DOMAIN, "Job") != "/")
        job = link.get(later, DOMAIN, "Job")
        self.assertIn("org.virtbus.Job1", link.call(job, INTROSPECTABLE, "Introspect")[0])
        link.call(job, "org.virtbus.Job1", "Cancel", options())
        with self.assertRaises(Failure):
            pending.result()

    def test_changes_and_files(self):
        link = self.link()
        link.set(self.domain, DOMAIN, "Autostart", GLib.Variant("b", True))
        self.assertTrue(self.root.get(self.domain, DOMAIN, "Autostart"))
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        link.call(ROOT, HYPERVISOR, "Create", variant("('fd-guest', {'a': handle 0}, @a{sv} {})"), fds=[writer])
        self.assertEqual(os.read(reader, 100), b"a\n")

    def test_what_is_bound_to_a_link_ends_with_it(self):
        link = self.link()
        link.call(ROOT, HYPERVISOR, "Create", variant("('bound', @a{sh} {}, {'bind': <true>})"))
        link.leave()
        wait_until(lambda: outcome(self.root, ROOT, HYPERVISOR, "GetDomainByName", variant("('bound',)"))[0] == ERROR + "NoDomain")

    def test_no_link_is_opened_on_a_link(self):
        self.assertEqual(self.link().fails(ROOT, DAEMON, "OpenLink", options()).name, ERROR + "NotSupported")


class Announcements(Links):
    def test_signals_as_on_the_bus(self):
        recorder, link, deaf = self.enter(Recorder(self.bus)), self.link(), self.link(choices="{'signals': <false>}")
        domain = link.define("web")
        link.call(domain, DOMAIN, "Start", options())
        link.call(domain, DOMAIN, "SetMetadata", variant("('title', '', '', '', @a{sv} {})"))
        link.call(domain, DOMAIN, "Destroy", options())
        link.call(domain, DOMAIN, "Undefine", options())
        recorder.wait_for("InterfacesRemoved")
        self.assertEqual([heard for heard in link.heard if heard[0] != "reply"], recorder.heard)
        self.assertEqual(link.names(), ["InterfacesAdded", "reply", "PropertiesChanged", "reply", "PropertiesChanged", "MetadataChanged", "reply",
                                        "PropertiesChanged", "reply", "InterfacesRemoved", "reply"])
        deaf.call(ROOT, PEER, "Ping")
        self.assertEqual(deaf.names(), ["reply"])

    def test_no_reply_overtakes_a_change_on_another_link(self):
        actor, witness = self.link(choices="{'signals': <false>}"), self.raw()
        domain = self.root.define("web")
        for number in range(200):
            client = (actor, self.root)[number % 2]
            client.call(domain, DOMAIN, "Start", options())
            self.assertIn(("PropertiesChanged", domain), witness.arrived())
            client.call(domain, DOMAIN, "Destroy", options())
            self.assertIn(("PropertiesChanged", domain), witness.arrived())

    def test_what_is_read_has_been_announced(self):
        witness, reader = self.raw(), self.raw()
        domain = self.root.define("web")
        for number in range(50):
            # Both are in the daemon's socket before it looks.
            os.kill(self.daemon.process.pid, signal.SIGSTOP)
            reader.send(domain, DOMAIN, ("Start", "Destroy")[number % 2], options())
            reader.send(domain, PROPERTIES, "Get", GLib.Variant("(ss)", (DOMAIN, "State")))
            os.kill(self.daemon.process.pid, signal.SIGCONT)
            replies = []
            wait_until(lambda seen=replies: seen.extend(reader.arrived()) or [name for name, _ in seen].count("reply") == 2)
            self.assertIn(("PropertiesChanged", domain), witness.arrived())


class Bounds(Links):
    def test_who_does_not_read_is_closed_and_holds_up_nobody(self):
        slow, other = self.raw(), self.link(choices="{'signals': <false>}")
        domain = self.root.define("web")
        deadline = time.monotonic() + 150
        while not slow_is_closed(slow):
            self.assertLess(time.monotonic(), deadline)
            pending = [other.send(domain, DOMAIN, "SetMetadata", variant("('title', '', '', '', @a{sv} {})")) for _ in range(500)]
            pending[-1].result()
        self.daemon.wait_logged("it does not read")
        other.call(domain, DOMAIN, "Start", options())

    def test_who_asks_and_does_not_read_is_not_read_from(self):
        greedy = self.raw(choices="{'signals': <false>}")
        for number in range(200):
            self.root.define(f"domain-{number}")
        greedy.socket.settimeout(1)
        asked = 0
        with self.assertRaises(TimeoutError):
            while True:
                greedy.send(ROOT, MANAGER, "GetManagedObjects")
                asked += 1
        greedy.socket.setblocking(True)
        answered = []
        wait_until(lambda: answered.extend(greedy.arrived()) or len(answered) >= asked)
        self.root.define("another")

    def test_what_is_begun_and_not_ended_closes_the_link(self):
        silent, half, talking = self.raw(talk=False), self.raw(), self.raw()
        half.socket.sendall(half.blob(ROOT, PEER, "Ping")[:-4])
        began = time.monotonic()
        wait_until(silent.is_closed)
        wait_until(half.is_closed)
        self.assertGreater(time.monotonic() - began, 20)
        self.assertFalse(talking.is_closed())
        for why in ("did not begin to talk", "did not end it"):
            self.daemon.wait_logged(re.escape(why))

    @unittest.skipIf(os.geteuid() != 0, "only root can be several users")
    def test_a_user_has_few(self):
        alice = self.client(ALICE)
        links = [self.raw(alice) for _ in range(8)]
        failure = alice.fails(ROOT, DAEMON, "OpenLink", options())
        self.assertEqual(failure.name, ERROR + "LimitExceeded")
        self.assertIn(str(ALICE), failure.message)
        # Another connection is the same user, and another user is not.
        self.assertEqual(self.client(ALICE).fails(ROOT, DAEMON, "OpenLink", options()).name, ERROR + "LimitExceeded")
        self.raw(self.client(BOB))
        links[3].close()
        wait_until(lambda: outcome(alice, ROOT, DAEMON, "OpenLink", options())[0] != ERROR + "LimitExceeded")


class ManyLinks(Links):
    start = False

    def test_there_are_8192_in_all(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 10000:
            self.skipTest("too few descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (10000, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.enter(Daemon(self.bus))
        self.root = self.client()
        fds = []
        self.addCleanup(lambda: [os.close(fd) for fd in fds])
        for _ in range(64):
            pending = [self.root.send(ROOT, DAEMON, "OpenLink", options("{'signals': <false>}")) for _ in range(128)]
            fds += [opened.descriptor() for opened in pending]
        self.assertEqual(self.root.fails(ROOT, DAEMON, "OpenLink", options()).name, ERROR + "LimitExceeded")
        self.root.define("web")
        os.close(fds.pop())
        wait_until(lambda: outcome(self.root, ROOT, DAEMON, "OpenLink", options())[0] != ERROR + "LimitExceeded")
        # All at once, as when the one who opened them ends. It took minutes when each turn of the loop looked at all of them.
        while fds:
            os.close(fds.pop())
        self.root.call(ROOT, PEER, "Ping")


def slow_is_closed(link):
    """Without reading."""
    import select
    poll = select.poll()
    poll.register(link.socket, select.POLLHUP)
    return bool(poll.poll(0))


class ReadOnly(Links):
    def test_reads_and_nothing_else(self):
        domain = self.root.define("web")
        link = self.link(choices="{'read-only': <true>}")
        self.assertEqual(link.get(domain, DOMAIN, "State"), "shutoff")
        link.call(domain, DOMAIN, "GetXML", options())
        link.call(ROOT, HYPERVISOR, "GetStats", GLib.Variant("(aoa{sv})", ([domain], {})))
        for path, interface, member, arguments in (
                (domain, DOMAIN, "Start", options()),
                (domain, DOMAIN, "GetXML", options("{'secure': <true>}")),
                (domain, DOMAIN, "Undefine", options()),
                (domain, PROPERTIES, "Set", GLib.Variant("(ssv)", (DOMAIN, "Autostart", GLib.Variant("b", True)))),
                (ROOT, HYPERVISOR, "Define", variant("('other', @a{sv} {})")),
                (ROOT, DAEMON, "Reload", options())):
            failure = link.fails(path, interface, member, arguments)
            self.assertEqual(failure.name, ACCESS_DENIED, member)
            self.assertIn("read-only", failure.message)
        self.assertEqual(self.root.call(ROOT, HYPERVISOR, "ListDomains", options()), ([domain],))


class ForTheCaller(Links):
    needs_users = True

    def setUp(self):
        super().setUp()
        self.polkit = self.enter(Polkit(self.bus, owners_may))
        self.alice = self.client(ALICE)

    def test_speaks_for_who_opened_it(self):
        link = self.link(self.alice)
        domain = link.define("web")
        self.assertEqual(self.root.get(domain, DOMAIN, "Owner"), ALICE)
        link.call(domain, DOMAIN, "Start", options())
        self.assertEqual({(kind, details["name"]) for kind, details in self.polkit.subjects}, {("system-bus-name", self.alice.unique_name)})
        failure = self.link(self.client(BOB)).fails(domain, DOMAIN, "Destroy", options())
        self.assertEqual(failure.name, ACCESS_DENIED)

    def test_what_polkit_said_is_remembered_until_it_changes(self):
        link = self.link(self.alice)
        domain = link.define("web")
        self.polkit.asked.clear()
        for _ in range(3):
            link.call(domain, DOMAIN, "GetXML", options())
        self.assertEqual(self.polkit.actions(), [READ + "-own"])
        self.polkit.rule = lambda action, details, interactive: False
        self.polkit.changed()
        wait_until(lambda: outcome(link, domain, DOMAIN, "GetXML", options())[0] == ACCESS_DENIED)

    def test_ends_with_who_opened_it(self):
        link = self.link(self.alice)
        link.define("web")
        self.alice.leave()
        wait_until(link.is_closed)

    def test_a_question_is_withdrawn_when_the_link_closes(self):
        self.polkit.rule = lambda action, details, interactive: "hang" if interactive else "challenge"
        link = self.link(self.alice)
        link.send(ROOT, HYPERVISOR, "Define", variant("('web', @a{sv} {})"), interactive=True)
        wait_until(lambda: self.polkit.hanging)
        link.leave()
        wait_until(lambda: self.polkit.withdrawn)

    def test_others_than_root_speak_for_nobody_else(self):
        for pid, uid in ((os.getpid(), 0), (self.process(ALICE).pid, ALICE)):
            failure = self.alice.fails(ROOT, DAEMON, "OpenLink", options(self.identity(pid, uid)))
            self.assertEqual(failure.name, ACCESS_DENIED)
            self.assertIn("root", failure.message)


class ForAProcess(Links):
    needs_users = True

    def setUp(self):
        super().setUp()
        self.polkit = self.enter(Polkit(self.bus, owners_may))
        self.sleeper = self.process(ALICE)
        self.pid = self.sleeper.pid
        self.began = start_time(self.pid)

    def speaking(self, more=""):
        return self.link(choices=self.identity(self.pid, ALICE, self.began, more))

    def test_has_the_rights_of_the_process(self):
        bobs = self.client(BOB).define("bobs")
        self.polkit.subjects.clear()
        link = self.speaking()
        domain = link.define("web")
        self.assertEqual(self.root.get(domain, DOMAIN, "Owner"), ALICE)
        self.assertEqual(link.fails(bobs, DOMAIN, "Start", options()).name, ACCESS_DENIED)
        self.assertEqual(len(self.polkit.subjects), 2)
        for subject in self.polkit.subjects:
            self.assertEqual(subject, ("unix-process", {"pid": self.pid, "start-time": self.began, "uid": ALICE}))

    def test_its_rights_end_with_it(self):
        link = self.speaking()
        domain = link.define("web")
        link.call(domain, DOMAIN, "GetXML", options())
        self.sleeper.kill()
        self.sleeper.wait()
        wait_until(lambda: outcome(link, domain, DOMAIN, "GetXML", options())[0] == ACCESS_DENIED)
        self.polkit.asked.clear()
        self.assertEqual(link.fails(domain, DOMAIN, "Start", options()).name, ACCESS_DENIED)
        self.assertEqual(self.polkit.asked, [])
        self.assertEqual(link.get(domain, DOMAIN, "State"), "shutoff")

    def test_an_answer_that_comes_too_late_grants_nothing(self):
        self.polkit.rule = lambda action, details, interactive: "hang"
        link = self.speaking()
        pending = link.send(ROOT, HYPERVISOR, "Define", variant("('web', @a{sv} {})"))
        wait_until(lambda: self.polkit.hanging)
        self.sleeper.kill()
        self.sleeper.wait()
        self.root.get(ROOT, DAEMON, "Version")
        self.polkit.release(True)
        with self.assertRaisesRegex(Failure, ACCESS_DENIED):
            pending.result()

    def test_a_dialog_is_taken_down_when_the_process_has_ended(self):
        self.polkit.rule = lambda action, details, interactive: "hang" if interactive else "challenge"
        link = self.speaking()
        pending = link.send(ROOT, HYPERVISOR, "Define", variant("('web', @a{sv} {})"), interactive=True)
        wait_until(lambda: self.polkit.hanging)
        self.sleeper.kill()
        self.sleeper.wait()
        with self.assertRaisesRegex(Failure, ACCESS_DENIED):
            pending.result()
        wait_until(lambda: self.polkit.withdrawn)

    def test_outlives_its_opener(self):
        opener = self.client()
        link = self.enter(Link(opener, self.identity(self.pid, ALICE)))
        opener.leave()
        self.root.get(ROOT, DAEMON, "Version")
        link.define("web")

    def test_read_only_goes_with_it(self):
        link = self.speaking(", 'read-only': <true>")
        self.assertIn("read-only", link.fails(ROOT, HYPERVISOR, "Define", variant("('web', @a{sv} {})")).message)

    def test_what_does_not_fit_is_refused(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        for text, *parts in (
                (f"{{'pid': <uint32 {self.pid}>}}", "'start-time'", "'uid'"),
                (f"{{'uid': <uint32 {ALICE}>}}", "'pid'"),
                (f"{{'pid': <uint32 {self.pid}>, 'uid': <uint32 {ALICE}>}}", "'start-time'"),
                (self.identity(self.pid, ALICE, self.began + 1), str(self.pid), "no such process"),
                (self.identity(gone.pid, 0, 1), str(gone.pid), "no such process"),
                (self.identity(self.pid, BOB, self.began), str(self.pid), f"user {ALICE}", str(BOB)),
                (self.identity(0, 0, 1), "pid 0"),
                (self.identity(0xffffffff, 0, 1), "4294967295")):
            failure = self.root.fails(ROOT, DAEMON, "OpenLink", options(text))
            self.assertEqual(failure.name, ERROR + "InvalidArgument", text)
            for part in parts:
                self.assertIn(part, failure.message)


class Ends(Links):
    start = False

    def begin(self, *arguments):
        self.daemon = self.enter(Daemon(self.bus, *arguments))
        self.root = self.client()

    def test_calls_under_way_are_answered_first(self):
        self.begin()
        link = self.link()
        domain = link.define("web")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        pending = link.send(domain, DOMAIN, "Save", variant("(handle 0, @a{sv} {})"), fds=[writer])
        wait_until(lambda: link.get(domain, DOMAIN, "Job") != "/")
        self.daemon.process.terminate()
        with self.assertRaisesRegex(Failure, "the daemon ends"):
            pending.result()
        wait_until(link.is_closed)

    def test_what_was_sent_is_served_and_the_rest_not_begun(self):
        self.begin()
        link = self.raw()
        domain = self.root.define("web")
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        self.daemon.process.terminate()
        link.send(domain, DOMAIN, "Start", options())
        link.send(domain, DOMAIN, "Destroy", options())
        os.kill(self.daemon.process.pid, signal.SIGCONT)
        self.assertEqual(self.daemon.process.wait(60), 0)
        self.assertEqual([name for name, _ in link.arrived()].count("reply"), 2)
        with self.assertRaises(BrokenPipeError):
            link.send(domain, DOMAIN, "Start", options())

    def test_a_link_that_only_asks_what_is_public_does_not_hold_the_daemon(self):
        self.begin("--timeout=0.2")
        silent, link = self.raw(), self.link(choices="{'signals': <false>}")
        link.get(ROOT, DAEMON, "Version")
        self.assertEqual(self.daemon.process.wait(60), 0)
        wait_until(link.is_closed)
        self.assertTrue(silent.is_closed())

    def test_a_link_that_asks_and_listens_does(self):
        self.begin("--timeout=0.2")
        link = self.link()
        link.get(ROOT, DAEMON, "Version")
        with self.assertRaises(subprocess.TimeoutExpired):
            self.daemon.process.wait(1)
        link.leave()
        self.assertEqual(self.daemon.process.wait(60), 0)

    def test_a_link_that_has_called_does(self):
        self.begin("--timeout=0.2")
        link = self.link(choices="{'signals': <false>}")
        link.define("web")
        with self.assertRaises(subprocess.TimeoutExpired):
            self.daemon.process.wait(1)
        link.leave()
        self.assertEqual(self.daemon.process.wait(60), 0)


if __name__ == "__main__":
    unittest.main()
