/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtproxyd: the classic libvirt sockets. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/daemon.h"
#include "bus/settings.h"
#include "proxy/listener-private.h"
#include "proxy/worker.h"

static int start(VbDaemon *daemon, sd_bus_error *reterr) {
        ProxyListener *listener;
        int r;

        r = vb_daemon_load_settings(daemon, /* parts= */ NULL, reterr);
        if (r < 0)
                return r;
        r = proxy_listener_new(&listener, daemon, reterr);
        if (r < 0)
                return r;
        vb_daemon_set_userdata(daemon, listener);
        return 0;
}

static int reload(VbDaemon *daemon, sd_bus_error *reterr) {
        return vb_daemon_load_settings(daemon, /* parts= */ NULL, reterr);
}

static void log_changed(VbDaemon *daemon) {
        if (vb_daemon_userdata(daemon)) /* else there are no workers yet */
                proxy_worker_processes_tell_log(vb_daemon_userdata(daemon));
}

static void leaving(VbDaemon *daemon) {
        proxy_listener_leave(vb_daemon_userdata(daemon));
}

static bool is_busy(VbDaemon *daemon) {
        return proxy_listener_is_busy(vb_daemon_userdata(daemon));
}

static void stop(VbDaemon *daemon) {
        (void) proxy_listener_free(vb_daemon_userdata(daemon));
        vb_daemon_set_userdata(daemon, NULL);
}

/* libvirt's clients start the daemon of a session, as the user, with --timeout alone: there is nothing else that a plain user could mean. */
static int run(const VbDaemonInfo *info, int argc, char **argv) {
        g_autoptr(GPtrArray) arguments = g_ptr_array_new();

        if (geteuid() == 0)
                return vb_daemon_run(info, argc, argv);
        for (int i = 0; i < argc; i++)
                g_ptr_array_add(arguments, argv[i]);
        g_ptr_array_add(arguments, (gpointer) "--session");
        argc = (int) arguments->len;
        g_ptr_array_add(arguments, NULL);
        return vb_daemon_run(info, argc, (char **) arguments->pdata);
}

int main(int argc, char **argv) {
        static const VbDaemonInfo info = {
                .program = "virtproxyd",
                .driver = "proxy",
                .bus_name = "org.virtbus.Proxy1",
                .description = "the classic libvirt sockets",
                .start = start,
                .reload = reload,
                .log_changed = log_changed,
                .leaving = leaving,
                .is_busy = is_busy,
                .stop = stop,
        };

        /* How the listener calls itself; not for people. */
        if (argc == 2 && strcmp(argv[1], "--worker") == 0)
                return proxy_worker_run();
        return run(&info, argc, argv);
}
