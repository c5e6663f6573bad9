# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is incomplete in interfaces/*.xml does not build, and the message names it. And what is generated is what is checked in."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

INTERFACES = pathlib.Path(os.environ["INTERFACES"])
POLICY = INTERFACES.parent / "polkit-1" / "org.virtbus.policy"

GOOD = """<node>
  <interface name="org.virtbus.Thing1" since="0.1">
    <doc>A thing.</doc>
    <options name="weather">
      <option name="wind" type="u" max="12">How much of it.</option>
      <option name="sky" type="s" words="clear grey" default="grey" action="org.virtbus.domain.read">What is above.</option>
    </options>
    <property name="Name" type="s" access="read"><doc>Its name.</doc></property>
    <property name="Colour" type="s" access="readwrite">
      <annotation name="org.virtbus.Action" value="org.virtbus.domain.modify"/>
      <doc>Its colour.</doc>
    </property>
    <method name="Paint">
      <annotation name="org.virtbus.Action" value="org.virtbus.domain.modify"/>
      <doc>Paints it.</doc>
      <arg name="options" type="a{sv}" direction="in">
        <option name="coats" type="u" default="1">How often.</option>
      </arg>
      <arg name="cost" type="t" direction="out">What it cost.</arg>
      <error name="InvalidState">It is wet.</error>
      <emits property="Colour"/>
    </method>
    <method name="Dry">
      <annotation name="org.virtbus.Action" value="org.virtbus.domain.modify"/>
      <doc>Dries it.</doc>
      <arg name="options" type="a{sv}" direction="in" use="weather"/>
    </method>
    <method name="Hang">
      <annotation name="org.virtbus.Action" value="org.virtbus.domain.modify"/>
      <doc>Hangs it out.</doc>
      <arg name="options" type="a{sv}" direction="in" use="weather">
        <option name="pegs" type="u" default="2">How many.</option>
      </arg>
    </method>
    <signal name="Dried"><doc>It is dry.</doc><arg name="hours" type="u">How long that took.</arg></signal>
  </interface>
</node>"""

# What is taken from or done to the good one, and what the complaint must say.
BROKEN = [
    ("no documentation of an interface", "<doc>A thing.</doc>", "", "Thing1", "not documented"),
    ("no documentation of a property", "<doc>Its name.</doc>", "", "Thing1.Name", "not documented"),
    ("no documentation of a method", "<doc>Paints it.</doc>", "", "Thing1.Paint", "not documented"),
    ("no documentation of a signal", "<doc>It is dry.</doc>", "", "Thing1.Dried", "not documented"),
    ("no documentation of a result", ">What it cost.<", "><", "Thing1.Paint", "'cost'", "not documented"),
    ("no documentation of a signal's argument", ">How long that took.<", "><", "Thing1.Dried", "'hours'", "not documented"),
    ("no documentation of an option", ">How often.<", "><", "Thing1.Paint", "'coats'", "not documented"),
    ("no documentation of an option in a set", ">How much of it.<", "><", "Thing1, options 'weather'", "'wind'", "not documented"),
    ("no documentation of an error", ">It is wet.<", "><", "Thing1.Paint", "'InvalidState'", "not documented"),
    ("no action of a method", """<method name="Paint">
      <annotation name="org.virtbus.Action" value="org.virtbus.domain.modify"/>""", '<method name="Paint">', "Thing1.Paint", "names no action"),
    ("no action of a writable property", """access="readwrite">
      <annotation name="org.virtbus.Action" value="org.virtbus.domain.modify"/>""", 'access="readwrite">', "Thing1.Colour", "names no action"),
    ("an action of a property that is only read", 'access="read">', 'access="read"><annotation name="org.virtbus.Action" value="org.virtbus.domain.read"/>',
     "Thing1.Name", "needs no action"),
    ("an action that the policy lacks", "org.virtbus.domain.modify", "org.virtbus.domain.paint", "Thing1.", "'org.virtbus.domain.paint'", "org.virtbus.policy"),
    ("an action without a twin for owners", "org.virtbus.domain.modify", "org.virtbus.daemon.manage", "'org.virtbus.daemon.manage-own'"),
    ("public and not", 'value="org.virtbus.domain.modify"/>\n      <doc>Paints', 'value="public org.virtbus.domain.modify"/>\n      <doc>Paints',
     "Thing1.Paint", "public"),
    ("an option's action that the policy lacks", '<option name="coats"', '<option action="org.virtbus.domain.paint" name="coats"', "'coats'", "paint"),
    ("an error that is not in the list", 'error name="InvalidState"', 'error name="Wet"', "Thing1.Paint", "'Wet'", "errors.tsv"),
    ("a change of what is not there", 'emits property="Colour"', 'emits property="Shade"', "Thing1.Paint", "'Shade'"),
    ("a type that cannot be read", 'name="coats" type="u"', 'name="coats" type="(uu)"', "'coats'", "'(uu)'"),
    ("a member that is there twice", 'signal name="Dried"', 'signal name="Name"', "Name is there twice"),
    ("an unknown annotation", 'name="org.virtbus.Action" value="org.virtbus.domain.modify"/>\n      <doc>Paints',
     'name="org.virtbus.Acton" value="org.virtbus.domain.modify"/>\n      <doc>Paints', "Thing1.Paint", "'org.virtbus.Acton'"),
    ("a turn that there is not", '<doc>Paints it.', '<annotation name="org.virtbus.Turn" value="guest brush"/><doc>Paints it.', "Thing1.Paint", "'brush'"),
    ("a turn of what everyone may call", 'value="org.virtbus.domain.modify"/>\n      <doc>Dries', 'value="public"/><annotation name="org.virtbus.Turn" value="guest"/>\n      <doc>Dries', "Thing1.Dry", "wait"),
    ("a reading name and another action", 'method name="Dry"', 'method name="GetDry"', "Thing1.GetDry", "its name says that it reads", "org.virtbus.Reads"),
    ("another name and a reading action", 'value="org.virtbus.domain.modify"/>\n      <doc>Dries', 'value="org.virtbus.domain.read"/>\n      <doc>Dries',
     "Thing1.Dry", "its action that it reads", "org.virtbus.Reads"),
    ("reading neither yes nor no", "<doc>Dries", '<annotation name="org.virtbus.Reads" value="perhaps"/><doc>Dries', "Thing1.Dry", "'perhaps'"),
    ("reading that needs not be said", "<doc>Dries", '<annotation name="org.virtbus.Reads" value="no"/><doc>Dries', "Thing1.Dry", "not needed"),
    ("an unknown attribute", '<option name="coats"', '<option nane="coats" name="coats"', "'nane'"),
    ("an argument without direction", ' direction="out"', "", "'cost'", "direction"),
    ("a set without a name", '<options name="weather">', "<options>", "Thing1", "<options> has no name"),
    ("a set that is not there", 'use="weather"/>', 'use="season"/>', "Thing1.Dry", "'options'", "'season'", "not there"),
    ("a set that is not named", 'use="weather"/>', 'use=""/>', "Thing1.Dry", "'options'", "''", "not there"),
    ("a set that nobody uses", "</options>", '</options><options name="season"><option name="month" type="u">When.</option></options>',
     "Thing1: ", "'season'", "no argument uses"),
    ("a set that is there twice", "</options>", '</options><options name="weather"><option name="month" type="u">When.</option></options>',
     "Thing1, options 'weather'", "others of this name"),
    ("an empty set", "</options>", '</options><options name="season"/>', "Thing1, options 'season'", "none in it"),
    ("an option that is in a set twice", 'name="sky"', 'name="wind"', "Thing1, options 'weather'", "'wind' twice"),
    ("an option that a set has, too", 'name="pegs"', 'name="sky"', "Thing1.Hang", "'options'", "'sky' twice"),
    ("a set for what has no options", 'type="a{sv}" direction="in" use="weather"/>', 'type="u" direction="in" use="weather"/>',
     "Thing1.Dry", "'options'", "only an a{sv} has options"),
    ("a set for a result", 'direction="out"', 'direction="out" use="weather"', "Thing1.Paint", "'use'"),
    ("an option of a set whose action the policy lacks", "org.virtbus.domain.read", "org.virtbus.domain.paint", "'sky'", "'org.virtbus.domain.paint'"),
    ("what is not well-formed", "</node>", "", "not well-formed"),
]


class Generator(unittest.TestCase):
    def generate(self, text, what="check"):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(text)
            file.flush()
            return subprocess.run([sys.executable, "-B", INTERFACES / "generate.py", what, file.name, "--policy", POLICY],
                                  capture_output=True, text=True, check=False)

    def test_the_good_one_is_good(self):
        for what in ("check", "header", "source", "docs", "clean"):
            result = self.generate(GOOD, what)
            self.assertEqual((result.returncode, result.stderr), (0, ""), what)

    def test_broken_ones_are_named(self):
        for name, old, new, *parts in BROKEN:
            with self.subTest(name):
                self.assertIn(old, GOOD)
                result = self.generate(GOOD.replace(old, new))
                self.assertEqual(result.returncode, 1)
                self.assertNotIn("Traceback", result.stderr)
                for part in parts:
                    self.assertIn(part, result.stderr)

    def test_a_set_is_the_options_in_it(self):
        start, end = GOOD.index('    <options name="weather">'), GOOD.index("    <property")
        shared = ElementTree.fromstring(GOOD[start:end])
        spelled = "".join(ElementTree.tostring(option, encoding="unicode") for option in shared)
        text = GOOD[:start] + GOOD[end:]
        text = text.replace(' use="weather"/>', f">{spelled}</arg>").replace(' use="weather"', "")
        text = text.replace("How many.</option>", f"How many.</option>{spelled}")
        for what in ("header", "source", "actions-source", "docs", "clean"):
            with self.subTest(what):
                result = self.generate(text, what)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertEqual(self.generate(GOOD, what).stdout, result.stdout)

    def test_public_is_an_action(self):
        self.assertEqual(self.generate(GOOD.replace("org.virtbus.domain.modify", "public").replace('method name="', 'method name="Get')).returncode, 0)

    def test_reference_is_up_to_date(self):
        files = sorted(INTERFACES.glob("org.virtbus.*.xml"))
        result = subprocess.run([sys.executable, "-B", INTERFACES / "generate.py", "docs", *files], capture_output=True, text=True, check=True)
        checked_in = (INTERFACES.parent / "docs" / "dbus-api.md").read_text(encoding="utf-8")
        self.assertEqual(checked_in, result.stdout, "run: ninja -C build api-reference")

    def test_plain_introspection_data_has_nothing_of_ours(self):
        text = self.generate(GOOD, "clean").stdout
        for word in ("org.virtbus.Action", "<doc", "<option", "<error", "since"):
            self.assertNotIn(word, text)
        self.assertIn('<arg name="options" type="a{sv}" direction="in"/>', text)


if __name__ == "__main__":
    unittest.main()
