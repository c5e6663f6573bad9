/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtqemud: runs QEMU guests. */

#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/daemon.h"
#include "bus/names.h"
#include "hypervisor/autostart.h"
#include "hypervisor/domain-file.h"
#include "hypervisor/host-sleep.h"
#include "hypervisor/managed-save.h"
#include "qemu/driver.h"
#include "qemu/nvram.h"
#include "qemu/open.h"
#include "qemu/reconnect.h"

static QemuDriver *driver_of(VbDaemon *daemon) {
        VbHypervisor *hypervisor = vb_daemon_userdata(daemon);

        return hypervisor ? qemu_driver_of(hypervisor) : NULL;
}

static int start(VbDaemon *daemon, sd_bus_error *reterr) {
        g_autoptr(QemuDriver) driver = NULL;
        int r;

        r = qemu_driver_new(&driver, daemon, reterr);
        if (r < 0)
                return r;
        r = vb_domain_files_load(driver->hypervisor);
        if (r < 0)
                return r;
        vb_log_info("%d definitions loaded", r);
        qemu_nvram_adopt_all(driver);
        vb_managed_saves_load(driver->hypervisor);
        r = qemu_reconnect_all(driver);
        if (r < 0)
                return r;
        r = vb_hypervisor_export(driver->hypervisor);
        if (r < 0)
                return r;
        vb_host_sleep_begin(driver->hypervisor->sleep);
        r = vb_autostart_begin(driver->hypervisor->autostart);
        if (r < 0)
                return r;

        vb_daemon_set_userdata(daemon, driver->hypervisor);
        (void) g_steal_pointer(&driver);
        return 0;
}

static int reload(VbDaemon *daemon, sd_bus_error *reterr) {
        return qemu_driver_reload(driver_of(daemon), reterr);
}

static void preserve(VbDaemon *daemon) {
        vb_host_shutdown_begin(driver_of(daemon)->hypervisor->host_shutdown);
}

static void preserve_called_off(VbDaemon *daemon) {
        vb_host_shutdown_call_off(driver_of(daemon)->hypervisor->host_shutdown);
        vb_autostart_go_on(driver_of(daemon)->hypervisor->autostart);
}

static void stop(VbDaemon *daemon) {
        (void) qemu_driver_free(driver_of(daemon));
        vb_daemon_set_userdata(daemon, NULL);
}

/* libvirt's clients that find no socket of their session run `virtqemud --timeout=120`, as the user, and wait for one. The session's bus
 * starts what they need, the same way as for everyone else; we need not stay. */
static bool is_started_by_client(int argc, char **argv) {
        return geteuid() != 0 && argc == 2 && g_str_has_prefix(argv[1], "--timeout=");
}

static int start_session(void) {
        static const char *const names[] = { "org.virtbus.Qemu1", "org.virtbus.Proxy1" };
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus) bus = NULL;
        int r;

        r = sd_bus_open_user(&bus);
        if (r < 0)
                return vb_log_error_errno(r, "cannot connect to the session bus: %m");
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                r = sd_bus_call_method(bus, VB_DBUS_NAME, VB_DBUS_PATH, VB_DBUS_INTERFACE, "StartServiceByName", &error,
                                       /* ret_reply= */ NULL, "su", names[i], /* flags= */ 0);
                if (r < 0)
                        return vb_log_error_errno(r, "cannot start %s: %s", names[i], error.message);
        }
        return 0;
}

int main(int argc, char **argv) {
        static VbHypervisor1Handlers handlers;
        static const VbObjectInterface interfaces[] = { { &vb_hypervisor1_interface, &handlers }, { 0 } };
        static const VbDaemonInfo info = {
                .program = "virtqemud",
                .driver = "qemu",
                .bus_name = "org.virtbus.Qemu1",
                .description = "runs QEMU guests",
                .root_interfaces = interfaces,
                .start = start,
                .reload = reload,
                .preserve = preserve,
                .preserve_called_off = preserve_called_off,
                .holds_shutdown_for = "guests are brought to safety",
                .stop = stop,
        };

        /* For tests, which run from the build folder. */
        if (secure_getenv("VIRTBUS_OPENER"))
                vb_open_set_program(secure_getenv("VIRTBUS_OPENER"));

        if (is_started_by_client(argc, argv))
                return start_session() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        vb_error_init();
        handlers = vb_hypervisor_handlers(qemu_driver_operations.hypervisor_handlers);
        return vb_daemon_run(&info, argc, argv);
}
