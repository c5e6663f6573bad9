/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtlogd: writes what guests and their emulators say. */

#include "bus/daemon.h"
#include "log/keep.h"

static int start(VbDaemon *daemon, sd_bus_error *reterr) {
        LogManager *manager;
        int r;

        r = log_manager_new(&manager, daemon, reterr);
        if (r < 0)
                return r;
        vb_daemon_set_userdata(daemon, manager);
        return 0;
}

static int reload(VbDaemon *daemon, sd_bus_error *reterr) {
        return log_manager_reload(vb_daemon_userdata(daemon), reterr);
}

static void stop(VbDaemon *daemon) {
        (void) log_manager_free(vb_daemon_userdata(daemon));
        vb_daemon_set_userdata(daemon, NULL);
}

int main(int argc, char **argv) {
        static const VbDaemonInfo info = {
                .program = "virtlogd",
                .driver = "log",
                .bus_name = "org.virtbus.Log1",
                .description = "writes the logs of guests",
                .root_interfaces = log_manager_interfaces,
                .start = start,
                .reload = reload,
                .save = log_keep_save,
                .stop = stop,
        };

        return vb_daemon_run(&info, argc, argv);
}
