/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "proxy/constants.h"
#include "proxy/events.h"

/* What a domain is said to be; NULL: it does not exist. */
typedef struct Was {
        const char *name;
        bool persistent;
        int id, state, reason;
        bool restored;
} Was;

#define OFF(name, reason) { name, true, -1, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_##reason }
#define RUNNING(id, reason) { "web", true, id, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_##reason }
#define PAUSED(id, reason) { "web", true, id, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_##reason }
#define RESTORED(id, reason) { "web", true, id, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_##reason, true }
#define IN(id, state) { "web", true, id, VIR_DOMAIN_##state, 0 }
#define TRANSIENT(id) { "web", false, id, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED }

typedef struct Said {
        int event, detail;
} Said;

#define SAID(EVENT, DETAIL) { VIR_DOMAIN_EVENT_##EVENT, VIR_DOMAIN_EVENT_##EVENT##_##DETAIL }

static const struct {
        const char *what;
        Was before, after;
        Said said[PROXY_LIFECYCLE_MAX + 1];
        unsigned n;
} cases[] = {
        { "defined", {}, OFF("web", UNKNOWN), { SAID(DEFINED, ADDED) }, 1 },
        { "undefined", OFF("web", UNKNOWN), {}, { SAID(UNDEFINED, REMOVED) }, 1 },
        { "renamed", OFF("web", UNKNOWN), OFF("shop", UNKNOWN), { SAID(UNDEFINED, RENAMED), SAID(DEFINED, RENAMED) }, 2 },
        { "being started", OFF("web", UNKNOWN), PAUSED(1, STARTING_UP), {}, 0 },
        { "not started after all", PAUSED(1, STARTING_UP), OFF("web", FAILED), {}, 0 },
        { "started", PAUSED(1, STARTING_UP), RUNNING(1, BOOTED), { SAID(RESUMED, UNPAUSED), SAID(STARTED, BOOTED) }, 2 },
        { "being restored", OFF("web", SAVED), RESTORED(1, STARTING_UP), {}, 0 },
        { "restored", RESTORED(1, STARTING_UP), RUNNING(1, RESTORED), { SAID(STARTED, RESTORED), SAID(RESUMED, FROM_SNAPSHOT) }, 2 },
        { "restored as it stood still", RESTORED(1, STARTING_UP), RESTORED(1, USER), { SAID(STARTED, RESTORED), SAID(SUSPENDED, RESTORED) }, 2 },
        { "restored, and to stand still", RESTORED(1, STARTING_UP), PAUSED(1, USER), { SAID(STARTED, RESTORED), SAID(SUSPENDED, PAUSED) }, 2 },
        { "restored unseen", OFF("web", SAVED), RESTORED(1, USER), { SAID(STARTED, RESTORED), SAID(SUSPENDED, RESTORED) }, 2 },
        { "resumed after that", RESTORED(1, USER), RUNNING(1, UNPAUSED), { SAID(RESUMED, UNPAUSED) }, 1 },
        { "started paused", PAUSED(1, STARTING_UP), PAUSED(1, USER), { SAID(STARTED, BOOTED), SAID(SUSPENDED, PAUSED) }, 2 },
        { "created", {}, TRANSIENT(1), { SAID(RESUMED, UNPAUSED), SAID(STARTED, BOOTED) }, 2 },
        { "suspended", RUNNING(1, BOOTED), PAUSED(1, USER), { SAID(SUSPENDED, PAUSED) }, 1 },
        { "out of space", RUNNING(1, BOOTED), PAUSED(1, IOERROR), { SAID(SUSPENDED, IOERROR) }, 1 },
        { "watchdog", RUNNING(1, BOOTED), PAUSED(1, WATCHDOG), { SAID(SUSPENDED, WATCHDOG) }, 1 },
        { "being saved", RUNNING(1, BOOTED), PAUSED(1, SAVE), { SAID(SUSPENDED, PAUSED) }, 1 },
        { "resumed", PAUSED(1, USER), RUNNING(1, UNPAUSED), { SAID(RESUMED, UNPAUSED) }, 1 },
        { "not saved after all", PAUSED(1, SAVE), RUNNING(1, SAVE_CANCELED), { SAID(RESUMED, UNPAUSED) }, 1 },
        { "runs for another reason", RUNNING(1, BOOTED), RUNNING(1, CRASHED), {}, 0 },
        { "asleep", RUNNING(1, BOOTED), { "web", true, 1, VIR_DOMAIN_PMSUSPENDED, 0 }, { SAID(PMSUSPENDED, MEMORY) }, 1 },
        { "awake", { "web", true, 1, VIR_DOMAIN_PMSUSPENDED, 0 }, RUNNING(1, WAKEUP), { SAID(STARTED, WAKEUP) }, 1 },
        { "powered off", RUNNING(1, BOOTED), { "web", true, 1, VIR_DOMAIN_SHUTDOWN, VIR_DOMAIN_SHUTDOWN_USER }, { SAID(SHUTDOWN, GUEST) }, 1 },
        { "ended by the host", RUNNING(1, BOOTED), { "web", true, 1, VIR_DOMAIN_SHUTDOWN, VIR_DOMAIN_SHUTDOWN_UNKNOWN }, { SAID(SHUTDOWN, HOST) }, 1 },
        { "panicked", RUNNING(1, BOOTED), { "web", true, 1, VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED }, { SAID(CRASHED, PANICKED) }, 1 },
        { "stopped", RUNNING(1, BOOTED), OFF("web", DESTROYED), { SAID(SHUTDOWN, HOST), SAID(STOPPED, DESTROYED) }, 2 },
        { "stopped, and has said so", IN(1, SHUTDOWN), OFF("web", DESTROYED), { SAID(STOPPED, DESTROYED) }, 1 },
        { "saved", PAUSED(1, SAVE), OFF("web", SAVED), { SAID(STOPPED, SAVED) }, 1 },
        { "its emulator has crashed", RUNNING(1, BOOTED), OFF("web", CRASHED), { SAID(STOPPED, FAILED) }, 1 },
        { "has crashed", IN(1, CRASHED), OFF("web", CRASHED), { SAID(STOPPED, CRASHED) }, 1 },
        { "is made to crash", PAUSED(1, DUMP), OFF("web", CRASHED), { SAID(STOPPED, CRASHED) }, 1 },
        { "stopped, nobody knows why", RUNNING(1, BOOTED), OFF("web", UNKNOWN), { SAID(STOPPED, FAILED) }, 1 },
        { "undefined while it runs", RUNNING(1, BOOTED), TRANSIENT(1), { SAID(UNDEFINED, REMOVED) }, 1 },
        { "defined while it runs", TRANSIENT(1), RUNNING(1, BOOTED), { SAID(DEFINED, UPDATED) }, 1 },
        { "a transient one has ended", { "web", false, -1, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN }, {}, {}, 0 },
        { "has ended and runs anew, unseen", RUNNING(1, BOOTED), RUNNING(2, BOOTED),
          { SAID(STOPPED, FAILED), SAID(RESUMED, UNPAUSED), SAID(STARTED, BOOTED) }, 3 },
        { "has gone unseen", RUNNING(1, BOOTED), {}, { SAID(STOPPED, FAILED), SAID(UNDEFINED, REMOVED) }, 2 },
        { "all that can be missed", RUNNING(1, BOOTED), { "shop", true, 2, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER },
          { SAID(UNDEFINED, RENAMED), SAID(DEFINED, RENAMED), SAID(STOPPED, FAILED), SAID(STARTED, BOOTED), SAID(SUSPENDED, PAUSED) }, 5 },
};

static ProxyDomain *record(ProxyDomain *domain, const Was *was) {
        if (!was->name)
                return NULL;
        *domain = (ProxyDomain){
                .name = (char *) was->name,
                .persistent = was->persistent,
                .id = was->id,
                .state = was->state,
                .reason = was->reason,
                .restored = was->restored,
        };
        return domain;
}

static void test_lifecycle(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                ProxyLifecycle happened[PROXY_LIFECYCLE_MAX];
                ProxyDomain before, after;
                unsigned n;

                g_test_message("%s", cases[i].what);
                n = proxy_lifecycle_between(record(&before, &cases[i].before), record(&after, &cases[i].after), happened);
                g_assert_cmpuint(n, ==, cases[i].n);
                for (unsigned j = 0; j < n; j++) {
                        g_assert_cmpint(happened[j].event, ==, cases[i].said[j].event);
                        g_assert_cmpint(happened[j].detail, ==, cases[i].said[j].detail);
                        g_assert_nonnull(happened[j].domain);
                }
        }
}

/* The old name goes with the old name. */
static void test_whose(void) {
        const ProxyDomain before = { .name = (char *) "web", .persistent = true, .id = -1, .state = VIR_DOMAIN_SHUTOFF };
        const ProxyDomain after = { .name = (char *) "shop", .persistent = true, .id = -1, .state = VIR_DOMAIN_SHUTOFF };
        ProxyLifecycle happened[PROXY_LIFECYCLE_MAX];

        g_assert_cmpuint(proxy_lifecycle_between(&before, &after, happened), ==, 2);
        g_assert_true(happened[0].domain == &before);
        g_assert_true(happened[1].domain == &after);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/proxy/lifecycle/changes", test_lifecycle);
        g_test_add_func("/proxy/lifecycle/whose", test_whose);
        return g_test_run();
}
