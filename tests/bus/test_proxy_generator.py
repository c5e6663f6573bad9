# SPDX-License-Identifier: LGPL-2.1-or-later
"""A row of service/proxy/calls that fits no method, or no procedure, does not build, and the message names it. And the reference is what is checked in."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["INTERFACES"]).parent
GENERATE = SOURCE / "service" / "proxy" / "generate.py"

HEAD = "procedure\tcall\tobject\tin\toptions\tflags\tout\tnote\n"
METADATA = ("remote.domain_set_metadata Domain1.SetMetadata dom type{virDomainMetadataType:TITLE=title,ELEMENT=element}·uri·key·metadata"
            " - virDomainModificationImpact:·LIVE=live·CONFIG=config - -")
GOOD = [
    "remote.domain_create_with_flags Domain1.Start dom - - virDomainCreateFlags:·PAUSED=paused·VALIDATE=- dom -",
    "remote.domain_get_xml_desc Domain1.GetXML dom - - virDomainXMLFlags:·SECURE=secure xml -",
    "remote.domain_shutdown_flags Domain1.Shutdown dom - timeout-usec=5·then=\"none\""
    " virDomainShutdownFlagValues:·ACPI_POWER_BTN|GUEST_AGENT=mode:default·GUEST_AGENT=mode:agent - -",
    "remote.domain_set_autostart Domain1.Autostart= dom autostart - - - -",
    "remote.domain_get_max_memory Domain1.MaxMemory dom - - - value/1024 -",
    "remote.domain_create_xml Hypervisor1.Create - xml_desc·none - - domain -",
    "remote.domain_send_key Domain1.SendKeys dom keycodes hold-usec=holdtime*1000 - - -",
    "remote.domain_is_active nothing - - - - 1 -",
    "remote.domain_is_persistent record dom - - - persistent -",
    "remote.domain_has_managed_save_image record dom - - virDomainModificationImpact:·LIVE=- managed_save -",
    "remote.domain_get_state function - - - - - -",
    METADATA,
]

# A row, and what the complaint must say.
BROKEN = [
    ("no such procedure", "remote.domain_paint function - - - - - -", "domain_paint", "no such procedure"),
    ("an event", "remote.domain_event_lifecycle function - - - - - -", "is an event"),
    ("no such interface", "remote.domain_create Thing1.Start dom - - - - -", "org.virtbus.Thing1"),
    ("no such member", "remote.domain_create Domain1.Begin dom - - - - -", "Begin"),
    ("neither this nor that", "remote.domain_create start dom - - - - -", "'start'"),
    ("a property that is only read", "remote.domain_rename Domain1.Name= dom new_name - - 0 -", "can be set"),
    ("an object that is none", "remote.domain_lookup_by_name Domain1.Start name - - - - -", "no argument that is a domain"),
    ("too few arguments", "remote.domain_rename Domain1.Rename dom - - - 0 -", "gives 0 arguments", "takes 1"),
    ("too many", "remote.domain_suspend Domain1.Suspend dom dom - - - -", "gives 1 arguments"),
    ("an argument that is not there", "remote.domain_rename Domain1.Rename dom name - - 0 -", "'name'", "new_name"),
    ("a text for a number", "remote.domain_rename Domain1.SendKeys dom new_name - - 0 -", "cannot become"),
    ("a word that there is not", METADATA.replace("TITLE=title", "TITLE=titel"), "'titel'", "title description element"),
    ("a constant that there is not", METADATA.replace("ELEMENT=", "ELEMENTS="), "'ELEMENTS'", "virDomainMetadataType"),
    ("an option that there is not", "remote.domain_shutdown Domain1.Shutdown dom - mood=\"acpi\" - - -", "'mood'", "mode"),
    ("an option's word that there is not", "remote.domain_shutdown Domain1.Shutdown dom - mode=\"acip\" - - -", "'acip'"),
    ("a flag that there is not", METADATA.replace("LIVE=live", "ALIVE=live"), "'ALIVE'"),
    ("a flag's option that there is not", METADATA.replace("LIVE=live", "LIVE=lively"), "'lively'"),
    ("flags of nothing", METADATA.replace("virDomainModificationImpact:", "virThings:"), "virThings"),
    ("flags where there are none", "remote.domain_create Domain1.Start dom - - virDomainCreateFlags:·PAUSED=paused - -", "no argument 'flags'"),
    ("too few results", "remote.domain_get_xml_desc Domain1.GetXML dom - - - - -", "fills 0 fields", "has 1"),
    ("a result that is not there", "remote.domain_get_xml_desc Domain1.GetXML dom - - - text -", "'text'", "xml"),
    ("a result of another kind", "remote.domain_get_autostart Domain1.Name dom - - - value -", "cannot become"),
    ("a record of nothing", "remote.domain_is_persistent record - - - - persistent -", "of no domain"),
    ("what no record has", "remote.domain_is_persistent record dom - - - colour -", "'colour'", "persistent"),
    ("a record that is asked something", "remote.domain_is_persistent record dom dom - - persistent -", "'in'"),
    ("a column too few", "remote.domain_suspend Domain1.Suspend dom - - - -", "7 columns"),
    ("what means nothing", "remote.domain_get_state function dom - - - - -", "'object'"),
    ("a row too many", "remote.domain_get_state function - - - - - -\nremote.domain_get_state function - - - - - -", "has a row already"),
]


def generate(*arguments):
    return subprocess.run([sys.executable, "-B", GENERATE, *arguments], capture_output=True, text=True, check=False)


class ProxyGenerator(unittest.TestCase):
    def check(self, rows, what="check"):
        """Blanks stand between columns here, and a dot for a blank in one."""
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "rows.tsv").write_text(HEAD + rows.replace(" ", "\t").replace("·", " ") + "\n", encoding="utf-8")
            return generate(what, "--calls", folder)

    def test_good_ones_are_good(self):
        for what in ("check", "calls-source", "docs"):
            result = self.check("\n".join(GOOD), what)
            self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_broken_ones_are_named(self):
        for name, row, *parts in BROKEN:
            with self.subTest(name):
                result = self.check(row)
                self.assertEqual(result.returncode, 1)
                self.assertNotIn("Traceback", result.stderr)
                self.assertIn("rows.tsv:", result.stderr)
                for part in parts:
                    self.assertIn(part, result.stderr)

    def test_reference_is_up_to_date(self):
        checked_in = (SOURCE / "docs" / "classic-api.md").read_text(encoding="utf-8")
        self.assertEqual(checked_in, generate("docs").stdout, "run: ninja -C build classic-reference")


if __name__ == "__main__":
    unittest.main()
