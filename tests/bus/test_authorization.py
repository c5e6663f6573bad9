# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what: asked of polkit once, with the right details, remembered as long as nothing changes, and no longer."""

import os
import unittest

from gi.repository import GLib

from harness import (ACCESS_DENIED, ALICE, BOB, DAEMON, DOMAIN, ERROR, HYPERVISOR, INTERACTIVE_REQUIRED, ROOT, Case, Daemon, Failure,
                     options, variant, wait_until)
from services import Polkit, owners_may

READ = "org.virtbus.domain.read"
CONTROL = "org.virtbus.domain.control"


class Authorization(Case):
    needs_users = True

    def setUp(self):
        super().setUp()
        self.polkit = self.enter(Polkit(self.bus, owners_may))
        self.alice = self.client(ALICE)
        self.bob = self.client(BOB)
        self.domain = self.alice.define("web")
        self.polkit.asked.clear()

    def read(self, client, text="{}", **how):
        return client.call(self.domain, DOMAIN, "GetXML", options(text), **how)

    def refused(self, client, member, arguments=None, path=None, interface=DOMAIN, **how):
        failure = client.fails(path or self.domain, interface, member, arguments or options(), **how)
        self.assertIn(failure.name, (ACCESS_DENIED, INTERACTIVE_REQUIRED), failure)
        return failure

    def until_asked(self, number):
        wait_until(lambda: len(self.polkit.asked) >= number)


class Questions(Authorization):
    def test_root_is_not_asked_about(self):
        self.read(self.root, "{'secure': <true>}")
        self.root.call(self.domain, DOMAIN, "Start", options())
        self.assertEqual(self.polkit.asked, [])

    def test_the_owner_is_asked_about_as_owner_with_details(self):
        self.read(self.alice)
        uuid = self.root.get(self.domain, DOMAIN, "UUID")
        self.assertEqual(self.polkit.asked, [(READ + "-own", {"driver": "test", "name": "web", "uuid": uuid, "owner": str(ALICE)}, False)])

    def test_another_is_refused_by_name(self):
        failure = self.refused(self.bob, "Start")
        self.assertEqual(failure.name, ACCESS_DENIED)
        for part in ("domain 'web'", "Start", str(BOB), CONTROL):
            self.assertIn(part, failure.message)
        self.assertEqual(self.polkit.actions(), [CONTROL])
        self.assertEqual(self.root.get(self.domain, DOMAIN, "State"), "shutoff")

    def test_what_is_defined_belongs_to_the_caller(self):
        self.assertEqual(self.root.get(self.domain, DOMAIN, "Owner"), ALICE)
        self.bob.define("other")
        self.assertEqual(self.polkit.asked, [("org.virtbus.domain.define-own", {"driver": "test", "name": "", "uuid": "", "owner": str(BOB)}, False)])

    def test_a_handler_asks_about_what_it_meets(self):
        failure = self.refused(self.bob, "Define", variant("('web', @a{sv} {})"), path=ROOT, interface=HYPERVISOR)
        self.assertEqual(failure.name, ACCESS_DENIED)
        self.assertEqual(self.polkit.actions(), ["org.virtbus.domain.define-own", "org.virtbus.domain.define"])
        self.assertEqual(self.alice.define("web"), self.domain)

    def test_an_option_needs_its_own_right(self):
        self.polkit.rule = lambda action, details, interactive: action == READ + "-own"
        self.read(self.alice)
        self.read(self.alice, "{'secure': <false>}")
        failure = self.refused(self.alice, "GetXML", options("{'secure': <true>}"))
        self.assertIn("read-secure-own", failure.message)
        self.assertEqual(self.polkit.actions(), [READ + "-own", READ + "-secure-own"])

    def test_an_option_for_administrators_is_never_own(self):
        self.refused(self.alice, "Define", variant(f"('other', {{'owner': <uint32 {ALICE}>}})"), path=ROOT, interface=HYPERVISOR)
        self.assertEqual(self.polkit.actions()[-1], "org.virtbus.domain.define")

    def test_both_of_two_actions_are_needed(self):
        self.polkit.rule = lambda action, details, interactive: action == CONTROL + "-own"
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        failure = self.alice.fails(self.domain, DOMAIN, "Save", variant("(handle 0, @a{sv} {})"), fds=[writer])
        self.assertEqual(failure.name, ACCESS_DENIED)
        self.assertEqual(self.polkit.actions(), [CONTROL + "-own", READ + "-secure-own"])

    def test_several_objects_are_asked_about_each(self):
        other = self.bob.define("other")
        self.polkit.asked.clear()
        both = f"[objectpath '{self.domain}', objectpath '{other}']"
        failure = self.refused(self.alice, "GetStats", variant(f"({both}, @a{{sv}} {{}})"), path=ROOT, interface=HYPERVISOR)
        self.assertEqual(failure.name, ACCESS_DENIED)
        self.assertEqual(self.polkit.actions(), [READ + "-own", READ])
        self.alice.call(ROOT, HYPERVISOR, "GetStats", variant(f"({both}, {{'groups': <['state']>}})"))

    def test_properties_are_read_freely_and_written_by_right(self):
        self.assertFalse(self.bob.get(self.domain, DOMAIN, "Autostart"))
        self.assertEqual(self.polkit.asked, [])
        failure = None
        try:
            self.bob.set(self.domain, DOMAIN, "Autostart", GLib.Variant("b", True))
        except Failure as caught:
            failure = caught
        self.assertEqual(failure.name, ACCESS_DENIED)
        self.assertFalse(self.bob.get(self.domain, DOMAIN, "Autostart"))
        self.alice.set(self.domain, DOMAIN, "Autostart", GLib.Variant("b", True))
        self.assertTrue(self.bob.get(self.domain, DOMAIN, "Autostart"))
        self.assertEqual(self.polkit.actions(), ["org.virtbus.domain.modify", "org.virtbus.domain.modify-own"])

    def test_the_daemon_belongs_to_nobody(self):
        self.refused(self.alice, "Shutdown", path=ROOT, interface=DAEMON)
        self.assertEqual(self.polkit.asked, [("org.virtbus.daemon.manage", {"driver": "test", "name": "", "uuid": "", "owner": ""}, False)])

    def test_shape_comes_before_rights(self):
        failure = self.bob.fails(self.domain, DOMAIN, "Start", options("{'x': <1>}"))
        self.assertEqual(failure.name, ERROR + "InvalidArgument")
        self.assertEqual(self.polkit.asked, [])

    def test_an_unprivileged_look_up_needs_no_right(self):
        self.assertEqual(self.bob.call(ROOT, HYPERVISOR, "GetDomainByName", variant("('web',)")), (self.domain,))
        self.assertEqual(self.polkit.asked, [])


class Passwords(Authorization):
    def test_asking_must_have_been_allowed(self):
        self.polkit.rule = lambda action, details, interactive: "challenge"
        failure = self.refused(self.bob, "Start")
        self.assertEqual(failure.name, INTERACTIVE_REQUIRED)
        self.assertNotIn(True, [interactive for _, _, interactive in self.polkit.asked])

    def test_a_password_counts_once(self):
        self.polkit.rule = lambda action, details, interactive: True if interactive else "challenge"
        for number in (1, 2):
            self.read(self.bob, interactive=True)
            self.assertEqual([asked for _, _, asked in self.polkit.asked], [False] + [True] * number)
        self.assertEqual(self.refused(self.bob, "GetXML").name, INTERACTIVE_REQUIRED)

    def test_a_dismissed_dialog_is_a_denial(self):
        self.polkit.rule = lambda action, details, interactive: "challenge"
        self.assertEqual(self.refused(self.bob, "Start", interactive=True).name, ACCESS_DENIED)

    def test_who_needs_no_password_is_remembered_even_if_asking_was_allowed(self):
        for _ in range(3):
            self.read(self.alice, interactive=True)
        self.assertEqual(len(self.polkit.asked), 1)

    def test_what_was_granted_for_a_time_is_not_remembered(self):
        self.polkit.rule = lambda action, details, interactive: (True, {"polkit.temporary_authorization_id": "tmp1"})
        self.read(self.bob)
        self.polkit.rule = lambda action, details, interactive: False
        self.refused(self.bob, "GetXML")


class Memory(Authorization):
    def test_nothing_is_asked_twice_until_polkit_says_that_something_changed(self):
        for _ in range(3):
            self.read(self.alice)
        self.assertEqual(len(self.polkit.asked), 1)
        self.polkit.rule = lambda action, details, interactive: False
        self.read(self.alice)
        self.polkit.changed()
        self.refused(self.alice, "GetXML")
        self.refused(self.alice, "GetXML")
        self.assertEqual(len(self.polkit.asked), 2)
        self.polkit.rule = owners_may
        self.polkit.changed()
        self.read(self.alice)

    def test_each_client_action_and_object_is_asked_about_by_itself(self):
        self.read(self.alice)
        self.read(self.client(ALICE))
        self.alice.call(self.domain, DOMAIN, "Start", options())
        other = self.alice.define("other")
        self.alice.call(other, DOMAIN, "GetXML", options())
        self.assertEqual(self.polkit.actions(), [READ + "-own", READ + "-own", CONTROL + "-own", READ + "-own"])

    def test_a_new_name_is_a_new_question(self):
        self.read(self.alice)
        self.root.call(self.domain, DOMAIN, "Rename", variant("('db', @a{sv} {})"))
        self.read(self.alice)
        self.assertEqual([details["name"] for _, details, _ in self.polkit.asked], ["web", "db"])

    def test_an_answer_from_before_a_change_is_not_remembered(self):
        self.polkit.rule = lambda action, details, interactive: "hang"
        pending = self.alice.send(self.domain, DOMAIN, "GetXML", options())
        self.until_asked(1)
        self.polkit.changed()
        self.polkit.release(True)
        pending.result()
        self.polkit.rule = lambda action, details, interactive: False
        self.refused(self.alice, "GetXML")

    def test_equal_questions_under_way_are_asked_once(self):
        self.polkit.rule = lambda action, details, interactive: "hang"
        pending = [self.alice.send(self.domain, DOMAIN, "GetXML", options()) for _ in range(5)]
        self.until_asked(1)
        # What is asked after it has been asked before it by the time this is answered.
        self.alice.get(self.domain, DOMAIN, "Name")
        self.polkit.release(True)
        for one in pending:
            one.result()
        self.assertEqual(len(self.polkit.asked), 1)

    def test_polkit_restarting_is_a_change(self):
        self.read(self.alice)
        self.polkit.close()
        self.polkit = self.enter(Polkit(self.bus))
        self.refused(self.alice, "GetXML")


class Races(Authorization):
    def ask_and_hang(self, client, member, arguments, **how):
        self.polkit.rule = lambda action, details, interactive: "hang"
        pending = client.send(self.domain, DOMAIN, member, arguments, **how)
        self.until_asked(1)
        return pending

    def test_others_are_served_meanwhile(self):
        pending = self.ask_and_hang(self.alice, "Start", options())
        self.root.call(self.domain, DOMAIN, "Start", options())
        self.root.call(self.domain, DOMAIN, "Destroy", options())
        self.polkit.release(True)
        pending.result()
        self.assertEqual(self.root.get(self.domain, DOMAIN, "State"), "running")

    def test_the_object_is_looked_up_anew(self):
        pending = self.ask_and_hang(self.alice, "Start", options())
        self.root.call(self.domain, DOMAIN, "Undefine", options())
        self.polkit.release(True)
        with self.assertRaisesRegex(Failure, "UnknownObject.*any more"):
            pending.result()

    def test_an_answer_about_another_name_is_void(self):
        pending = self.ask_and_hang(self.alice, "Start", options())
        self.root.call(self.domain, DOMAIN, "Rename", variant("('db', @a{sv} {})"))
        self.polkit.rule = lambda action, details, interactive: details["name"] == "web"
        self.polkit.release(True)
        with self.assertRaises(Failure) as caught:
            pending.result()
        self.assertEqual(caught.exception.name, ACCESS_DENIED)
        self.assertEqual([details["name"] for _, details, _ in self.polkit.asked], ["web", "db"])

    def test_a_caller_that_is_gone_is_denied(self):
        self.ask_and_hang(self.bob, "Start", options())
        bob_is_gone = self.bob.unique_name
        self.bob.leave()
        wait_until(lambda: bob_is_gone not in self.root.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames",
                                                             destination="org.freedesktop.DBus")[0])
        self.polkit.release(True)
        self.polkit.client.call(ROOT, "org.freedesktop.DBus.Peer", "Ping")
        self.assertEqual(self.root.get(self.domain, DOMAIN, "State"), "shutoff")

    def test_the_dialog_of_a_caller_that_is_gone_is_taken_down(self):
        self.polkit.rule = lambda action, details, interactive: "hang" if interactive else "challenge"
        self.bob.send(self.domain, DOMAIN, "Start", options(), interactive=True)
        self.until_asked(2)
        self.bob.leave()
        wait_until(lambda: self.polkit.withdrawn)
        self.assertEqual(len(self.polkit.withdrawn), 1)

    def test_too_many_waiting_calls_of_one_user_are_refused_and_others_served(self):
        self.polkit.rule = lambda action, details, interactive: "hang" if action == CONTROL else owners_may(action, details, interactive)
        # From two connections, as the bus itself lets none have more than 128 calls under way.
        pending = [client.send(self.domain, DOMAIN, "Start", options()) for client in (self.bob, self.client(BOB)) for _ in range(70)]
        wait_until(lambda: sum(one.is_done() for one in pending) >= 12)
        for one in pending:
            if one.is_done():
                with self.assertRaisesRegex(Failure, ERROR + f"LimitExceeded: user {BOB} has too many calls"):
                    one.result()
        self.assertEqual(sum(one.is_done() for one in pending), 12)
        self.read(self.alice)

    def test_bound_guests_end_with_their_caller(self):
        self.alice.call(ROOT, HYPERVISOR, "Create", variant("('bound', @a{sh} {}, {'bind': <true>})"))
        self.root.call(ROOT, HYPERVISOR, "GetDomainByName", variant("('bound',)"))
        self.alice.leave()

        def is_gone():
            try:
                self.root.call(ROOT, HYPERVISOR, "GetDomainByName", variant("('bound',)"))
            except Failure:
                return True
            return False

        wait_until(is_gone)
        # The one that was defined stays.
        self.root.call(ROOT, HYPERVISOR, "GetDomainByName", variant("('web',)"))

    def test_many_clients_come_and_go(self):
        for number in range(300):
            client = self.client(ALICE)
            self.read(client)
            if number % 2:
                client.leave()
        self.read(self.alice)


class Absent(Case):
    needs_users = True

    def test_without_polkit_only_root_may(self):
        domain = self.root.define("web")
        failure = self.client(ALICE).fails(domain, DOMAIN, "Start", options())
        self.assertEqual(failure.name, ACCESS_DENIED)
        self.assertIn("polkit does not answer", failure.message)
        self.root.call(domain, DOMAIN, "Start", options())

    def test_a_hanging_polkit_is_a_refusal_in_time(self):
        polkit = self.enter(Polkit(self.bus))
        polkit.rule = lambda action, details, interactive: "hang"
        failure = self.client(ALICE).fails(self.root.define("web"), DOMAIN, "Start", options())
        self.assertEqual(failure.name, ACCESS_DENIED)
        self.assertIn("polkit does not answer", failure.message)


class Session(Case):
    start = False
    needs_users = True

    def test_in_a_session_the_user_may_everything_and_polkit_is_not_asked(self):
        polkit = self.enter(Polkit(self.bus))
        polkit.rule = lambda action, details, interactive: True
        os.chown(self.bus.directory, ALICE, -1)
        self.enter(Daemon(self.bus, "--session", uid=ALICE))
        alice = self.client(ALICE)
        domain = alice.define("web")
        alice.call(domain, DOMAIN, "GetXML", options("{'secure': <true>}"))
        self.client().call(domain, DOMAIN, "Start", options())
        self.assertEqual(self.client(BOB).fails(domain, DOMAIN, "Destroy", options()).name, ACCESS_DENIED)
        self.assertEqual(polkit.asked, [])


if __name__ == "__main__":
    unittest.main()
