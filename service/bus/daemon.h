/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every daemon is made of. Its main() is:
 *
 *     static const VbDaemonInfo info = {
 *             .program = "virtqemud", .driver = "qemu", .bus_name = "org.virtbus.Qemu1", …
 *     };
 *
 *     int main(int argc, char **argv) {
 *             return vb_daemon_run(&info, argc, argv);
 *     }
 *
 * The order is always: options, log, lock (one daemon per driver), connect, start() (load, reconcile, export
 * objects), own the name, tell the service manager, loop. The end (SIGTERM, Daemon1.Shutdown, idle): tell the
 * service manager, give the name back, answer what has still arrived, stop(), leave. Guests run on, unless the host goes
 * down, too: then preserve() comes first. */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "bus/descriptors.h"
#include "bus/object.h"
#include "bus/restart.h"

typedef struct VbDaemonInfo {
        const char *program; /* "virtqemud" */
        const char *driver; /* "qemu": names settings, folders, polkit's detail */
        const char *bus_name; /* "org.virtbus.Qemu1" */
        const char *description; /* "runs QEMU guests", for --help */

        /* The root object's interfaces beside Daemon1; ends with an empty one; may be NULL. */
        const VbObjectInterface *root_interfaces;

        /* Loads, reconciles, exports. The bus is connected, the name not yet owned. May wait for the bus and
         * disk: nobody is served yet. Sets the userdata. An error ends the daemon. */
        int (*start)(VbDaemon *daemon, sd_bus_error *reterr);
        /* SIGHUP and Daemon1.Reload; may be NULL. */
        int (*reload)(VbDaemon *daemon, sd_bus_error *reterr);
        /* What is to be logged has changed (base/log.h); for who has other processes that are to follow. May be NULL. */
        void (*log_changed)(VbDaemon *daemon);
        /* SIGUSR1: puts what the daemon knows and holds open into restart, for start() of the program that takes its place (bus/restart.h); it
         * goes on as before if that fails. No call is under way. NULL: SIGUSR1 is not heard, and descriptors of the service manager are left alone. */
        int (*save)(VbDaemon *daemon, VbRestart *restart, sd_bus_error *reterr);
        /* The host or the session goes down, or somebody wants what runs here to be safe (bus/preserve.h): brings it to safety. Ends by
         * vb_daemon_preserved(). Called once more when the service manager ends the daemon meanwhile, which is to be told of it anew. NULL:
         * nothing runs here that would be lost. */
        void (*preserve)(VbDaemon *daemon);
        /* The host stays up after all, whether or not preserve() is over. May be NULL. */
        void (*preserve_called_off)(VbDaemon *daemon);
        /* What logind shows as the reason: "guests are brought to safety". NULL: jobs. */
        const char *holds_shutdown_for;
        /* The daemon is about to leave, for whatever reason: nothing new is to be taken on that only this process would know
         * of. May be NULL. */
        void (*leaving)(VbDaemon *daemon);
        /* Whether something is under way, beside calls of the bus, that is to be waited for before the daemon leaves: without limit if it
         * leaves because it was idle, else as long as for calls. Asked again by vb_daemon_leave_if_done(). May be NULL. */
        bool (*is_busy)(VbDaemon *daemon);
        /* Before the loop's end, when all calls have been answered: frees what start() made, unexports. May
         * be NULL. */
        void (*stop)(VbDaemon *daemon);
} VbDaemonInfo;

/* Returns the exit status. */
int vb_daemon_run(const VbDaemonInfo *info, int argc, char **argv);

sd_event *vb_daemon_event(VbDaemon *daemon);
/* The connection on which the daemon serves and calls others: the system's bus, or the session's. */
sd_bus *vb_daemon_bus(VbDaemon *daemon);
/* The system's bus, also in a session: for logind. There, NULL if it cannot be reached. Belongs to the daemon. */
sd_bus *vb_daemon_system_bus(VbDaemon *daemon);
VbObjects *vb_daemon_objects(VbDaemon *daemon);
VbObject *vb_daemon_root(VbDaemon *daemon);
const char *vb_daemon_driver(VbDaemon *daemon);
bool vb_daemon_is_session(VbDaemon *daemon);

/* Folders, made when first needed by whoever needs them: "/etc/virtbus" or "$XDG_CONFIG_HOME/virtbus", and so
 * on; without the driver. */
const char *vb_daemon_config_dir(VbDaemon *daemon);
const char *vb_daemon_state_dir(VbDaemon *daemon);
const char *vb_daemon_cache_dir(VbDaemon *daemon);
const char *vb_daemon_run_dir(VbDaemon *daemon);
const char *vb_daemon_log_dir(VbDaemon *daemon);

/* For start() of a daemon that has save(): the state that the run before left, NULL if this is no restart or its state is refused (and
 * the log says why); and the descriptors that were received, NULL after start(). */
VbRestart *vb_daemon_restart(VbDaemon *daemon);
VbDescriptors *vb_daemon_descriptors(VbDaemon *daemon);
/* Where such a daemon keeps descriptors for the next process. */
VbStore *vb_daemon_store(VbDaemon *daemon);

void *vb_daemon_userdata(VbDaemon *daemon);
void vb_daemon_set_userdata(VbDaemon *daemon, void *userdata);

/* Ends the loop as SIGTERM does. */
void vb_daemon_quit(VbDaemon *daemon);

/* For whoever has is_busy(): what was under way may be done. */
void vb_daemon_leave_if_done(VbDaemon *daemon);

/* As --timeout; 0: stays for ever. */
void vb_daemon_set_timeout(VbDaemon *daemon, uint64_t timeout_usec);

/* What preserve() began is over. */
void vb_daemon_preserved(VbDaemon *daemon);

/* While there is something that would be lost if the host went down now, its shutdown is held off. One for each guest; jobs do so by
 * themselves. */
void vb_daemon_hold_shutdown(VbDaemon *daemon);
void vb_daemon_release_shutdown(VbDaemon *daemon);

/* Daemon1.Inhibited. */
void vb_daemon_set_inhibited(VbDaemon *daemon, bool inhibited);

/* While anyone holds one of these, --timeout does not end the daemon. Take one per guest that runs, with a
 * reason for the log. Jobs, calls under way, pending authorizations and clients that have called and are
 * still connected hold idle off by themselves. */
typedef struct VbIdleHold VbIdleHold;
VbIdleHold *vb_idle_hold(VbDaemon *daemon, const char *reason);
VbIdleHold *vb_idle_release(VbIdleHold *hold); /* takes NULL, returns NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbIdleHold, vb_idle_release)
