/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Life cycle events, derived from what a domain was and is. The bus tells states and reasons, and these are all that the classic events
 * say, in other words. */

#include <string.h>

#include "proxy/constants.h"
#include "proxy/events.h"

/* The detail that a reason stands for; the rest have the first one. */
typedef struct Detail {
        int reason, detail;
} Detail;

static const Detail started[] = {
        { VIR_DOMAIN_RUNNING_BOOTED, VIR_DOMAIN_EVENT_STARTED_BOOTED },
        { VIR_DOMAIN_RUNNING_MIGRATED, VIR_DOMAIN_EVENT_STARTED_MIGRATED },
        { VIR_DOMAIN_RUNNING_RESTORED, VIR_DOMAIN_EVENT_STARTED_RESTORED },
        { VIR_DOMAIN_RUNNING_FROM_SNAPSHOT, VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT },
        { VIR_DOMAIN_RUNNING_WAKEUP, VIR_DOMAIN_EVENT_STARTED_WAKEUP },
};

static const Detail started_paused[] = {
        { VIR_DOMAIN_PAUSED_USER, VIR_DOMAIN_EVENT_STARTED_BOOTED },
        { VIR_DOMAIN_PAUSED_MIGRATION, VIR_DOMAIN_EVENT_STARTED_MIGRATED },
        { VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT },
};

static const Detail resumed[] = {
        { VIR_DOMAIN_RUNNING_UNPAUSED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED },
        { VIR_DOMAIN_RUNNING_MIGRATED, VIR_DOMAIN_EVENT_RESUMED_MIGRATED },
        { VIR_DOMAIN_RUNNING_FROM_SNAPSHOT, VIR_DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT },
        { VIR_DOMAIN_RUNNING_RESTORED, VIR_DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT },
        { VIR_DOMAIN_RUNNING_POSTCOPY, VIR_DOMAIN_EVENT_RESUMED_POSTCOPY },
        { VIR_DOMAIN_RUNNING_POSTCOPY_FAILED, VIR_DOMAIN_EVENT_RESUMED_POSTCOPY_FAILED },
};

static const Detail suspended[] = {
        { VIR_DOMAIN_PAUSED_USER, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED },
        { VIR_DOMAIN_PAUSED_MIGRATION, VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED },
        { VIR_DOMAIN_PAUSED_IOERROR, VIR_DOMAIN_EVENT_SUSPENDED_IOERROR },
        { VIR_DOMAIN_PAUSED_WATCHDOG, VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG },
        { VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, VIR_DOMAIN_EVENT_SUSPENDED_FROM_SNAPSHOT },
        { VIR_DOMAIN_PAUSED_SHUTTING_DOWN, VIR_DOMAIN_EVENT_SUSPENDED_GUEST_SHUTDOWN },
        { VIR_DOMAIN_PAUSED_POSTCOPY, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY },
        { VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED },
        { VIR_DOMAIN_PAUSED_API_ERROR, VIR_DOMAIN_EVENT_SUSPENDED_API_ERROR },
};

/* An end whose reason nobody knows is one that nobody wanted. An emulator that crashed has failed; a guest that crashed is another thing. */
static const Detail stopped[] = {
        { VIR_DOMAIN_SHUTOFF_FAILED, VIR_DOMAIN_EVENT_STOPPED_FAILED },
        { VIR_DOMAIN_SHUTOFF_SHUTDOWN, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN },
        { VIR_DOMAIN_SHUTOFF_DESTROYED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED },
        { VIR_DOMAIN_SHUTOFF_CRASHED, VIR_DOMAIN_EVENT_STOPPED_FAILED },
        { VIR_DOMAIN_SHUTOFF_MIGRATED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED },
        { VIR_DOMAIN_SHUTOFF_SAVED, VIR_DOMAIN_EVENT_STOPPED_SAVED },
        { VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT, VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT },
};

static int find_detail(const Detail *details, size_t n, int reason) {
        for (size_t i = 0; i < n; i++)
                if (details[i].reason == reason)
                        return details[i].detail;
        return details[0].detail;
}
#define DETAIL(table, reason) find_detail(table, G_N_ELEMENTS(table), reason)

typedef struct List {
        ProxyLifecycle *items;
        unsigned n;
} List;

static void add(List *list, const ProxyDomain *domain, int event, int detail) {
        g_assert(list->n < PROXY_LIFECYCLE_MAX);
        list->items[list->n++] = (ProxyLifecycle){ domain, event, detail };
}

bool proxy_lifecycle_is_active(const ProxyDomain *domain) {
        return domain && domain->state != VIR_DOMAIN_SHUTOFF &&
               !(domain->state == VIR_DOMAIN_PAUSED && domain->reason == VIR_DOMAIN_PAUSED_STARTING_UP);
}

/* A state other than running, into which the guest has come. */
static void add_standstill(List *list, const ProxyDomain *domain) {
        switch (domain->state) {
        case VIR_DOMAIN_PAUSED:
                add(list, domain, VIR_DOMAIN_EVENT_SUSPENDED,
                    domain->restored ? VIR_DOMAIN_EVENT_SUSPENDED_RESTORED : DETAIL(suspended, domain->reason));
                break;
        case VIR_DOMAIN_SHUTDOWN:
                add(list, domain, VIR_DOMAIN_EVENT_SHUTDOWN,
                    domain->reason == VIR_DOMAIN_SHUTDOWN_USER ? VIR_DOMAIN_EVENT_SHUTDOWN_GUEST : VIR_DOMAIN_EVENT_SHUTDOWN_HOST);
                break;
        case VIR_DOMAIN_CRASHED:
                add(list, domain, VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED);
                break;
        case VIR_DOMAIN_PMSUSPENDED:
                add(list, domain, VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY);
                break;
        }
}

static void add_resumed(List *list, const ProxyDomain *domain) {
        add(list, domain, VIR_DOMAIN_EVENT_RESUMED, DETAIL(resumed, domain->reason));
}

/* A guest is made paused and then resumed, which libvirt tells, too; of one that boots before anything else. */
static void add_start_running(List *list, const ProxyDomain *domain) {
        bool boots = DETAIL(started, domain->reason) == VIR_DOMAIN_EVENT_STARTED_BOOTED;

        if (boots)
                add_resumed(list, domain);
        add(list, domain, VIR_DOMAIN_EVENT_STARTED, DETAIL(started, domain->reason));
        if (!boots)
                add_resumed(list, domain);
}

/* before: what it was, unless that is another run or not known. */
static void add_start(List *list, const ProxyDomain *before, const ProxyDomain *domain) {
        bool restored = domain->restored || (before && before->id == domain->id && before->restored);

        if (domain->state == VIR_DOMAIN_RUNNING) {
                add_start_running(list, domain);
                return;
        }
        if (restored)
                add(list, domain, VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_RESTORED);
        else if (domain->state == VIR_DOMAIN_PAUSED)
                add(list, domain, VIR_DOMAIN_EVENT_STARTED, DETAIL(started_paused, domain->reason));
        else
                add(list, domain, VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_BOOTED);
        add_standstill(list, domain);
}

static void add_change(List *list, const ProxyDomain *before, const ProxyDomain *after) {
        if (before->state == after->state)
                return;
        if (after->state != VIR_DOMAIN_RUNNING)
                add_standstill(list, after);
        else if (before->state == VIR_DOMAIN_PMSUSPENDED)
                add(list, after, VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_WAKEUP);
        else
                add(list, after, VIR_DOMAIN_EVENT_RESUMED, DETAIL(resumed, after->reason));
}

/* A guest that has panicked, or was made to look so by a dump. */
static bool has_crashed(const ProxyDomain *before) {
        return before->state == VIR_DOMAIN_CRASHED ||
               (before->state == VIR_DOMAIN_PAUSED && before->reason == VIR_DOMAIN_PAUSED_DUMP);
}

static void add_stop(List *list, const ProxyDomain *before, const ProxyDomain *after) {
        const ProxyDomain *domain = after && after->id < 0 ? after : before;
        /* Of one that is gone, or runs anew, it is not known any more how it ended. */
        int reason = after && after->state == VIR_DOMAIN_SHUTOFF ? after->reason : VIR_DOMAIN_SHUTOFF_UNKNOWN;
        int detail = DETAIL(stopped, reason);

        /* The emulator's last word, when it is told to end; the bus does not repeat it. */
        if (reason == VIR_DOMAIN_SHUTOFF_DESTROYED && before->state != VIR_DOMAIN_SHUTDOWN)
                add(list, domain, VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_HOST);
        if (reason == VIR_DOMAIN_SHUTOFF_CRASHED && has_crashed(before))
                detail = VIR_DOMAIN_EVENT_STOPPED_CRASHED;
        add(list, domain, VIR_DOMAIN_EVENT_STOPPED, detail);
}

unsigned proxy_lifecycle_between(const ProxyDomain *before, const ProxyDomain *after,
                                 ProxyLifecycle ret[static PROXY_LIFECYCLE_MAX]) {
        List list = { .items = ret };
        bool was = proxy_lifecycle_is_active(before), is = proxy_lifecycle_is_active(after);
        bool same_run = was && is && before->id == after->id;

        if (after && after->persistent && !(before && before->persistent))
                add(&list, after, VIR_DOMAIN_EVENT_DEFINED, before ? VIR_DOMAIN_EVENT_DEFINED_UPDATED : VIR_DOMAIN_EVENT_DEFINED_ADDED);
        else if (before && after && strcmp(before->name, after->name) != 0) {
                add(&list, before, VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_RENAMED);
                add(&list, after, VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_RENAMED);
        }

        if (same_run)
                add_change(&list, before, after);
        else {
                if (was)
                        add_stop(&list, before, after);
                if (is)
                        add_start(&list, before, after);
        }

        if (before && before->persistent && !(after && after->persistent))
                add(&list, after ?: before, VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_REMOVED);
        return list.n;
}
