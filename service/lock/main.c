/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtlockd: holds leases on disk images for the daemons that run guests. */

#include "base/log.h"
#include "bus/daemon.h"
#include "lock/bus.h"
#include "lock/manager.h"
#include "lock/record.h"
#include "lock/restart.h"

/* The state of a restart is all; if it cannot be used, or after a crash, the records and what was kept open. */
static int take_up(LockManager *manager, sd_bus_error *reterr) {
        VbRestart *restart = vb_daemon_restart(manager->daemon);
        int r;

        if (restart) {
                r = lock_restart_load(manager, restart, reterr);
                if (r >= 0)
                        return 0;
                vb_log_error("the state of the restart is refused: %s; leases are taken up by their records",
                             reterr->message ? reterr->message : g_strerror(-r));
                sd_bus_error_free(reterr);
        }
        return lock_records_load(manager, vb_daemon_descriptors(manager->daemon));
}

static int start(VbDaemon *daemon, sd_bus_error *reterr) {
        g_autoptr(LockManager) manager = NULL;
        int r;

        r = lock_manager_new(&manager, daemon);
        if (r >= 0)
                r = lock_manager_load_settings(manager, reterr);
        if (r >= 0)
                r = take_up(manager, reterr);
        if (r < 0)
                return r;
        vb_log_info("%u leases of %u processes are held", lock_manager_count_leases(manager), g_hash_table_size(manager->owners));
        vb_daemon_set_userdata(daemon, g_steal_pointer(&manager));
        return 0;
}

static int reload(VbDaemon *daemon, sd_bus_error *reterr) {
        return lock_manager_load_settings(vb_daemon_userdata(daemon), reterr);
}

static int save(VbDaemon *daemon, VbRestart *restart, sd_bus_error *reterr) {
        return lock_restart_save(vb_daemon_userdata(daemon), restart, reterr);
}

static void leaving(VbDaemon *daemon) {
        LockManager *manager = vb_daemon_userdata(daemon);
        unsigned n = lock_manager_count_leases(manager);

        if (n > 0)
                vb_log_notice("ends with %u leases of %u running processes; they last if it is started again at once, and are taken again "
                              "later if nobody else did meanwhile",
                              n, g_hash_table_size(manager->owners));
}

static void stop(VbDaemon *daemon) {
        lock_manager_free(vb_daemon_userdata(daemon));
        vb_daemon_set_userdata(daemon, NULL);
}

int main(int argc, char **argv) {
        const VbObjectInterface interfaces[] = { lock_manager_root_interface, {} };
        const VbDaemonInfo info = {
                .program = "virtlockd",
                .driver = "lock",
                .bus_name = "org.virtbus.Lock1",
                .description = "Holds leases on disk images for the daemons that run guests",
                .root_interfaces = interfaces,
                .start = start,
                .reload = reload,
                .save = save,
                .leaving = leaving,
                .stop = stop,
        };

        return vb_daemon_run(&info, argc, argv);
}
