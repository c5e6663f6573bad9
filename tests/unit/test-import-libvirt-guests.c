/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "import/libvirt-guests.h"

#include "base/error.h"
#include "base/file.h"
#include "base/settings.h"
#include "hypervisor/host-settings.h"
#include "test-util.h"

static int import(const char *text, GString *settings, GString *notes, sd_bus_error *error) {
        g_autoptr(VbShellFile) file = vb_shell_file_parse(text);

        return vb_libvirt_guests_import("guests", file, settings, notes, error);
}

static const struct {
        const char *text, *settings, *notes;
} good[] = {
        { "", "", "" },
        { "# ON_BOOT=start\n#URIS=default\n", "", "" },
        { "ON_BOOT=start\n", "auto_shutdown_restore = yes\n", "" },
        { "ON_BOOT='ignore'\n", "auto_shutdown_restore = no\n", "" },
        { "ON_SHUTDOWN=shutdown\nSHUTDOWN_TIMEOUT=300\n",
          "auto_shutdown_try_save = none\nauto_shutdown_try_shutdown = all\nauto_shutdown_wait = 300\n", "" },
        { "ON_SHUTDOWN=suspend\n", "auto_shutdown_try_save = persistent\n",
          "guests:1: ON_SHUTDOWN: a guest that cannot be saved is asked to power off; auto_shutdown_try_shutdown and auto_shutdown_poweroff "
          "say so\n" },
        { "START_DELAY=5\n", "auto_start_delay = 5000\n", "" },
        { "START_DELAY=\"0\"\n", "auto_start_delay = 0\n", "" },
        { "PARALLEL_SHUTDOWN=0\n", "auto_shutdown_parallel = 1\n", "guests:1: PARALLEL_SHUTDOWN: the limit is also one for saving\n" },
        { "PARALLEL_SHUTDOWN=7\n", "auto_shutdown_parallel = 7\n", "guests:1: PARALLEL_SHUTDOWN: the limit is also one for saving\n" },
        { "SHUTDOWN_TIMEOUT=0\n", "auto_shutdown_wait = 86400\n",
          "guests:1: SHUTDOWN_TIMEOUT: there is no wait without an end; it becomes one of 86400 seconds\n" },
        { "BYPASS_CACHE=1\nSYNC_TIME=0\n", "auto_save_bypass_cache = yes\nauto_start_bypass_cache = yes\nauto_start_sync_time = no\n", "" },
        { "URIS='default lxc:///system'\n", "",
          "guests:1: URIS: the guests of lxc:///system are not virtqemud's, and were not taken over\n" },
        { "URIS=\n", "", "" },
        { "\nON_BOOT=ignore\nCOLOUR=blue\necho hello\n", "auto_shutdown_restore = no\n",
          "guests:3: COLOUR: no setting of libvirt-guests; left out\nguests:4: not an assignment; left out\n" },
};

static void test_good(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autoptr(GString) settings = g_string_new(NULL), notes = g_string_new(NULL);

                g_assert_cmpint(import(good[i].text, settings, notes, NULL), ==, 0);
                g_assert_cmpstr(settings->str, ==, good[i].settings);
                g_assert_cmpstr(notes->str, ==, good[i].notes);
        }
}

static const struct {
        const char *text, *message;
} bad[] = {
        { "ON_BOOT=perhaps\n", "guests:1: ON_BOOT='perhaps': not one of start, ignore" },
        { "A=1\nON_SHUTDOWN=sleep\n", "guests:2: ON_SHUTDOWN='sleep': not one of suspend, shutdown" },
        { "SHUTDOWN_TIMEOUT=5m\n", "guests:1: SHUTDOWN_TIMEOUT='5m': not a number from 0 to 86400" },
        { "SHUTDOWN_TIMEOUT=-1\n", "guests:1: SHUTDOWN_TIMEOUT='-1': not a number from 0 to 86400" },
        { "START_DELAY=99999999999999999999\n", "guests:1: START_DELAY='99999999999999999999': not a number from 0 to 3600" },
        { "SYNC_TIME=yes\n", "guests:1: SYNC_TIME='yes': not a number from 0 to 4294967295" },
        { "ON_BOOT=$(reboot)\n", "guests:1: ON_BOOT: the shell would expand it ($ or `), which is not done here; write its value there" },
        { "URIS=xen:///system\n",
          "guests:1: URIS='xen:///system': not for the guests of this host's QEMU (default, qemu:///system): there is nothing to take over" },
};

static void test_bad(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GString) settings = g_string_new("before\n"), notes = g_string_new(NULL);
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                g_assert_cmpint(import(bad[i].text, settings, notes, &error), ==, -EINVAL);
                g_assert_cmpstr(error.message, ==, bad[i].message);
                g_assert_cmpstr(settings->str, ==, "before\n");
                g_assert_cmpstr(notes->str, ==, "");
        }
}

/* virtqemud understands every line that is ever written. */
static void test_settings_are_known(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *path = g_build_filename(folder, "qemu.conf", NULL);
        g_autoptr(GString) settings = g_string_new(NULL), notes = g_string_new(NULL);
        VbHostSettings host = { 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                g_assert_cmpint(import(good[i].text, settings, notes, NULL), ==, 0);
        g_assert_cmpint(vb_file_write(path, settings->str, settings->len, 0644), ==, 0);
        g_assert_cmpint(vb_settings_load(vb_host_settings_table(/* session= */ false), &host, folder, "qemu"), ==, 0);
        g_assert_false(host.restore);
        g_assert_true(host.save_bypass_cache);
        g_assert_cmpuint(host.parallel, ==, 7);
        vb_settings_done(vb_host_settings_table(/* session= */ false), &host);
}

int main(int argc, char **argv) {
        vb_error_init();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/libvirt-guests/good", test_good);
        g_test_add_func("/libvirt-guests/bad", test_bad);
        g_test_add_func("/libvirt-guests/settings", test_settings_are_known);
        return g_test_run();
}
