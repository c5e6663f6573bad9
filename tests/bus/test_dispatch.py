# SPDX-License-Identifier: LGPL-2.1-or-later
"""From message to handler to reply: arguments, options, errors, the order of what is announced."""

import os
import subprocess
import unittest

from gi.repository import GLib

from harness import (DAEMON, DOMAIN, ERROR, HYPERVISOR, PROPERTIES, ROOT, Case, Daemon, Recorder, options, variant)


class Arguments(Case):
    def setUp(self):
        super().setUp()
        self.domain = self.root.define("web")

    def refused(self, member, arguments, *parts, path=None, interface=DOMAIN):
        failure = self.root.fails(path or self.domain, interface, member, arguments)
        self.assertEqual(failure.name, ERROR + "InvalidArgument", failure)
        for part in parts:
            self.assertIn(part, failure.message)

    def test_unknown_option_is_named_with_what_there_is(self):
        self.refused("Start", options("{'pausd': <true>}"), "Start", "'pausd'", "'paused'", "'reset-nvram'")

    def test_unknown_option_where_there_are_none(self):
        self.refused("Reset", options("{'hard': <true>}"), "Reset", "'hard'", "there are none")

    def test_wrong_type_names_both(self):
        self.refused("Start", options("{'paused': <'yes'>}"), "'paused'", "'s'", "'b'")

    def test_option_given_twice(self):
        builder = GLib.VariantBuilder.new(GLib.VariantType.new("a{sv}"))
        for _ in range(2):
            builder.add_value(GLib.Variant.new_dict_entry(GLib.Variant("s", "paused"), GLib.Variant("v", GLib.Variant("b", True))))
        self.refused("Start", GLib.Variant.new_tuple(builder.end()), "'paused'", "given twice")

    def test_word_that_is_none(self):
        self.refused("SetMetadata", variant("('tytle', '', '', '', @a{sv} {})"), "'kind'", "'tytle'", "'title', 'description', 'element'")
        self.refused("SendKeys", variant("(@au [1], {'codeset': <'x'>})"), "'codeset'", "'linux', 'qnum'")
        self.refused("GetStats", variant("(@ao [], {'groups': <['state', 'stat']>})"), "'groups'", "'stat'", path=ROOT, interface=HYPERVISOR)

    def test_number_that_is_too_large(self):
        self.refused("SendKeys", variant("(@au [1], {'hold-usec': <uint64 10000001>})"), "'hold-usec'", "10000001", "10000000")

    def test_array_that_is_too_long(self):
        self.refused("SendKeys", variant(f"(@au {list(range(17))}, @a{{sv}} {{}})"), "'codes'", "16")

    def test_string_that_is_too_long(self):
        self.refused("Rename", variant(f"('{'x' * 256}', @a{{sv}} {{}})"), "'name'", "255")
        self.refused("GetDomainByName", variant(f"('{'x' * 65537}',)"), "'name'", "65536", path=ROOT, interface=HYPERVISOR)

    def test_files(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.root.call(ROOT, HYPERVISOR, "Create", variant("('fd-guest', {'a': handle 0, 'b': handle 0}, @a{sv} {})"), fds=[writer])
        self.assertEqual(sorted(os.read(reader, 100).split()), [b"a", b"b"])

    def test_values_and_defaults_arrive(self):
        failure = self.root.fails(self.domain, DOMAIN, "SendKeys", variant("(@au [30, 48], {'codeset': <'qnum'>, 'hold-usec': <uint64 7>})"))
        self.assertEqual(failure.message, "qnum 7 30 48")
        failure = self.root.fails(self.domain, DOMAIN, "SendKeys", variant("(@au [], @a{sv} {})"))
        self.assertEqual(failure.message, "linux 0")
        self.assertEqual(self.root.call(self.domain, DOMAIN, "GetXML", options("{'inactive': <true>}")), ("<domain secure='0' inactive='1'/>",))

    def test_sets(self):
        stats = self.root.call(ROOT, HYPERVISOR, "GetStats", variant(f"([objectpath '{self.domain}'], {{'groups': <['cpu', 'block']>}})"))
        self.assertEqual(stats, ([(self.domain, {"groups": 0b10010})],))
        stats = self.root.call(ROOT, HYPERVISOR, "GetStats", variant(f"([objectpath '{self.domain}'], @a{{sv}} {{}})"))
        self.assertEqual(stats, ([(self.domain, {"groups": 0b1111111})],))

    def test_nothing_has_changed_after_a_refusal(self):
        self.refused("Start", options("{'paused': <true>, 'x': <1>}"), "'x'")
        self.assertEqual(self.root.get(self.domain, DOMAIN, "State"), "shutoff")


class Replies(Case):
    def setUp(self):
        super().setUp()
        self.domain = self.root.define("web")

    def agent(self, command):
        return variant(f"('{command}', @a{{sv}} {{}})")

    def test_no_such_object(self):
        failure = self.root.fails(ROOT + "/domain/_00000000_0000_0000_0000_000000000000", DOMAIN, "Start", options())
        self.assertEqual(failure.name, "org.freedesktop.DBus.Error.UnknownObject")

    def test_a_member_that_the_driver_does_not_offer_is_named(self):
        failure = self.root.fails(self.domain, DOMAIN, "Suspend", options())
        self.assertEqual(failure.name, ERROR + "NotSupported")
        self.assertIn("org.virtbus.Domain1.Suspend", failure.message)
        failure = self.root.fails(ROOT, HYPERVISOR, "GetCapabilities")
        self.assertEqual(failure.name, ERROR + "NotSupported")

    def test_a_dropped_call_is_answered(self):
        failure = self.root.fails(self.domain, DOMAIN, "GuestAgentCommand", self.agent("drop"))
        self.assertEqual(failure.name, ERROR + "OperationFailed")
        self.daemon.wait_logged("GuestAgentCommand: dropped without a reply")

    def test_a_second_reply_is_not_sent(self):
        self.assertEqual(self.root.call(self.domain, DOMAIN, "GuestAgentCommand", self.agent("twice")), ("first",))
        self.daemon.wait_logged("GuestAgentCommand: replied twice")

    def test_a_bare_errno_becomes_a_sentence(self):
        failure = self.root.fails(self.domain, DOMAIN, "GuestAgentCommand", self.agent("errno"))
        self.assertEqual(failure.name, ERROR + "OperationFailed")
        self.assertIn("No space left on device", failure.message)

    def test_forgotten_rights_are_an_error_not_an_answer(self):
        failure = self.root.fails(ROOT, HYPERVISOR, "GetStats", variant(f"([objectpath '{self.domain}'], {{'groups': <['vcpu']>}})"))
        self.assertEqual(failure.name, ERROR + "OperationFailed")
        self.daemon.wait_logged("without having asked")

    def test_daemon_properties(self):
        values = self.root.call(ROOT, PROPERTIES, "GetAll", variant(f"('{DAEMON}',)"))[0]
        self.assertEqual(values["Driver"], "test")
        self.assertEqual(values["LogLevel"], "debug")
        self.assertFalse(values["Inhibited"])
        self.root.set(ROOT, DAEMON, "LogLevel", GLib.Variant("s", "warning"))
        self.assertEqual(self.root.get(ROOT, DAEMON, "LogLevel"), "warning")
        with self.assertRaisesRegex(Exception, "'loud' is not one of 'error', 'warning'"):
            self.root.set(ROOT, DAEMON, "LogLevel", GLib.Variant("s", "loud"))
        with self.assertRaisesRegex(Exception, "has type 'i' and not 's'"):
            self.root.set(ROOT, DAEMON, "LogLevel", GLib.Variant("i", 1))
        self.assertEqual((values["LogFilters"], values["LogThreshold"]), ("", "debug"))
        self.root.set(ROOT, DAEMON, "LogFilters", GLib.Variant("s", " 1:bus/link  3:qemu"))
        self.assertEqual(self.root.get(ROOT, DAEMON, "LogFilters"), "1:bus/link 3:qemu")
        for wrong, words in (("1:bus 8:qemu", "log filter 2, '8:qemu': must be a level"), ("1:" + 9000 * "a", "longer than")):
            failure = self.root.fails(ROOT, PROPERTIES, "Set", GLib.Variant("(ssv)", (DAEMON, "LogFilters", GLib.Variant("s", wrong))))
            self.assertEqual(failure.name, ERROR + "InvalidArgument")
            self.assertIn(words, failure.message)
        self.root.set(ROOT, DAEMON, "LogThreshold", GLib.Variant("s", "error"))
        self.assertEqual(self.root.get(ROOT, DAEMON, "LogThreshold"), "error")
        self.assertEqual(self.root.get(ROOT, DAEMON, "LogFilters"), "1:bus/link 3:qemu")

    def test_reload_tells_its_failure(self):
        self.assertIn("nothing to reload", self.root.fails(ROOT, DAEMON, "Reload", options()).message)

    def test_setting_what_is_read_only_or_not_there(self):
        for name in ("Name", "Colour"):
            with self.assertRaisesRegex(Exception, "PropertyReadOnly|UnknownProperty"):
                self.root.set(self.domain, DOMAIN, name, GLib.Variant("s", "x"))

    def test_a_call_without_reply_is_done(self):
        from gi.repository import Gio
        message = Gio.DBusMessage.new_method_call("org.virtbus.Test1", self.domain, DOMAIN, "Start")
        message.set_body(options())
        message.set_flags(Gio.DBusMessageFlags.NO_REPLY_EXPECTED)
        self.root.connection.send_message(message, 0)
        self.root.connection.flush_sync(None)
        self.assertEqual(self.root.get(self.domain, DOMAIN, "State"), "running")


class Order(Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.enter(Recorder(self.bus))

    def test_changes_come_once_and_before_the_reply(self):
        domain = self.root.define("web")
        self.recorder.wait_for("InterfacesAdded")
        self.recorder.forget()
        self.recorder.call(domain, DOMAIN, "Start", options())
        self.assertEqual(self.recorder.names(), ["PropertiesChanged", "reply"])
        path, (interface, changed, invalidated) = self.recorder.all("PropertiesChanged")[0]
        self.assertEqual((path, interface, invalidated), (domain, DOMAIN, []))
        self.assertEqual(changed, {"Id": 1, "State": "running"})

    def test_setting_a_property_is_announced_before_the_reply(self):
        domain = self.root.define("web")
        self.recorder.wait_for("InterfacesAdded")
        self.recorder.forget()
        self.recorder.set(domain, DOMAIN, "Autostart", GLib.Variant("b", True))
        self.assertEqual(self.recorder.names(), ["PropertiesChanged", "reply"])
        self.assertEqual(self.recorder.all("PropertiesChanged")[0][1][1], {"Autostart": True})

    def test_changes_come_before_the_signal_after_them(self):
        domain = self.root.define("web")
        self.recorder.wait_for("InterfacesAdded")
        self.recorder.forget()
        self.recorder.call(domain, DOMAIN, "SetMetadata", variant("('title', '', '', 'x', @a{sv} {})"))
        self.assertEqual(self.recorder.names(), ["PropertiesChanged", "MetadataChanged", "reply"])
        self.assertEqual(self.recorder.all("MetadataChanged"), [(domain, ("title", 0))])

    def test_coming_and_going(self):
        domain = self.recorder.define("web")
        path, (added, interfaces) = self.recorder.all("InterfacesAdded")[0]
        self.assertEqual((path, added, list(interfaces)), (ROOT, domain, [DOMAIN]))
        self.assertEqual(interfaces[DOMAIN]["Name"], "web")
        self.assertEqual(self.recorder.names(), ["InterfacesAdded", "reply"])
        self.recorder.forget()
        self.recorder.call(domain, DOMAIN, "Undefine", options())
        self.assertEqual(self.recorder.names(), ["InterfacesRemoved", "reply"])
        self.assertEqual(self.recorder.all("InterfacesRemoved"), [(ROOT, (domain, [DOMAIN]))])

    def test_new_objects_are_announced_whole_and_once(self):
        self.recorder.call(ROOT, HYPERVISOR, "Create", variant("('web', @a{sh} {}, @a{sv} {})"))
        self.assertEqual(self.recorder.names(), ["InterfacesAdded", "reply"])
        self.assertEqual(self.recorder.all("InterfacesAdded")[0][1][1][DOMAIN]["State"], "running")

    def test_generation_grows_with_each_change_and_not_otherwise(self):
        before = self.root.get(ROOT, DAEMON, "Generation")
        self.assertEqual(self.root.get(ROOT, DAEMON, "Generation"), before)
        domain = self.root.define("web")
        added = self.root.get(ROOT, DAEMON, "Generation")
        self.assertGreater(added, before)
        self.root.call(domain, DOMAIN, "Start", options())
        self.assertGreater(self.root.get(ROOT, DAEMON, "Generation"), added)


class Many(Case):
    start = False

    def test_a_thousand_domains_are_listed_and_not_announced_at_start(self):
        daemon = self.enter(Daemon(self.bus, TEST_DOMAINS="1000"))
        client = self.client()
        objects = client.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]
        domains = {path: interfaces[DOMAIN] for path, interfaces in objects.items() if DOMAIN in interfaces}
        self.assertEqual(len(domains), 1000)
        self.assertEqual({domain["Name"] for domain in domains.values()}, {f"domain-{number}" for number in range(1000)})
        self.assertEqual(len(client.call(ROOT, HYPERVISOR, "ListDomains", options())[0]), 1000)
        self.assertEqual(client.call(ROOT, HYPERVISOR, "ListDomains", options("{'active': <true>}"))[0], [])
        self.assertIsNone(daemon.process.poll())

    def test_generation_grows_over_a_restart(self):
        daemon = Daemon(self.bus)
        client = self.client()
        before = client.get(ROOT, DAEMON, "Generation")
        client.call(ROOT, DAEMON, "Shutdown", options())
        daemon.close()
        self.enter(Daemon(self.bus))
        self.assertGreater(client.get(ROOT, DAEMON, "Generation"), before)

    def test_a_second_daemon_does_not_start(self):
        self.enter(Daemon(self.bus))
        # In another place, so that it does not wait for the first one's lock.
        second = subprocess.run([os.environ["TEST_DAEMON"]], capture_output=True, text=True, check=False,
                                env={**os.environ, **self.bus.environment(), "VIRTBUS_ROOT": str(self.bus.directory / "other")})
        self.assertEqual(second.returncode, 1)
        self.assertIn("another daemon owns the name org.virtbus.Test1", second.stderr)

    def test_command_line(self):
        def run(*arguments):
            return subprocess.run([os.environ["TEST_DAEMON"], *arguments], capture_output=True, text=True, check=False)

        self.assertIn("--timeout=SECONDS", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^test-daemon \d+\.\d+")
        for wrong in ("--timeout=x", "--timeout=-1", "--timeout=nan", "--log-level=loud", "surplus"):
            result = run(wrong)
            self.assertEqual(result.returncode, 1, wrong)
            self.assertIn(wrong.split("=")[-1], result.stderr)


if __name__ == "__main__":
    unittest.main()
