/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/autostart.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "hypervisor/define.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/restore.h"

/* Guests that boot all at once make each other slow, and a host that has just booted has other work, too. */
#define STARTS_AT_ONCE 4u

/* One guest that is being started. */
typedef struct Start {
        VbAutostart *autostart; /* NULL: the daemon ends */
        VbUuid uuid;
} Start;

struct VbAutostart {
        VbHypervisor *hypervisor;
        char *stamp;
        sd_event_source *next; /* in the loop's next turn */
        GQueue *waiting;       /* of VbUuid */
        GPtrArray *under_way;  /* of Start */
        VbIdleHold *hold;
};

int vb_autostart_new(VbAutostart **ret, VbHypervisor *hypervisor) {
        VbAutostart *autostart = g_new(VbAutostart, 1);

        *autostart = (VbAutostart){
                .hypervisor = hypervisor,
                .stamp = g_build_filename(hypervisor->run_dir, "autostarted", NULL),
                .waiting = g_queue_new(),
                .under_way = g_ptr_array_new(),
        };
        *ret = autostart;
        return 0;
}

VbAutostart *vb_autostart_free(VbAutostart *autostart) {
        if (!autostart)
                return NULL;

        for (unsigned i = 0; i < autostart->under_way->len; i++)
                ((Start *) g_ptr_array_index(autostart->under_way, i))->autostart = NULL;
        g_ptr_array_free(autostart->under_way, TRUE);
        g_queue_free_full(autostart->waiting, g_free);
        sd_event_source_disable_unref(autostart->next);
        (void) vb_idle_release(autostart->hold);
        g_free(autostart->stamp);
        g_free(autostart);
        return NULL;
}

static void start_more(VbAutostart *autostart);

static void on_once_forgotten(int r, const sd_bus_error *error, void *userdata) {
        if (r < 0)
                vb_log_warning("%s", error->message);
}

/* The wish for the next boot has been fulfilled, or has failed: it does not come back. */
static void forget_once(VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (domain->autostart_once && domain->config &&
            vb_domain_save_autostart_once(domain, false, on_once_forgotten, NULL, &error) < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "%s", error.message);
}

static void on_started(int r, const sd_bus_error *error, void *userdata) {
        g_autofree Start *start = userdata;
        VbAutostart *autostart = start->autostart;

        if (r < 0)
                vb_log_error("autostart: %s", error && error->message ? error->message : g_strerror(-r));
        if (!autostart)
                return;
        (void) g_ptr_array_remove_fast(autostart->under_way, start);
        start_more(autostart);
}

static void start_domain(VbAutostart *autostart, VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Start *start = g_new(Start, 1);

        *start = (Start){ .autostart = autostart, .uuid = domain->uuid };
        g_ptr_array_add(autostart->under_way, start);
        forget_once(domain);
        if (vb_domain_boot(domain, &(VbStartOptions){ 0 }, on_started, start, &error) < 0) {
                vb_log_error_for(VB_DOMAIN_LOG(domain), "autostart: %s", error.message);
                (void) g_ptr_array_remove_fast(autostart->under_way, start);
                g_free(start);
        }
}

static void start_more(VbAutostart *autostart) {
        while (autostart->under_way->len < STARTS_AT_ONCE && !g_queue_is_empty(autostart->waiting)) {
                g_autofree VbUuid *uuid = g_queue_pop_head(autostart->waiting);
                VbDomain *domain = vb_registry_find(autostart->hypervisor->registry, uuid);

                if (domain && domain->config && !vb_domain_is_active(domain) && !domain->operation)
                        start_domain(autostart, domain);
        }
        if (autostart->under_way->len == 0)
                autostart->hold = vb_idle_release(autostart->hold);
}

static int on_next_turn(sd_event_source *source, void *userdata) {
        start_more(userdata);
        return 0;
}

static int compare_names(const void *a, const void *b, void *userdata) {
        const VbRegistry *registry = userdata;

        return g_strcmp0(vb_registry_find(registry, a)->name, vb_registry_find(registry, b)->name);
}

int vb_autostart_begin(VbAutostart *autostart) {
        VbHypervisor *hypervisor = autostart->hypervisor;
        VbDomain *domain;
        struct stat st;
        int r;

        if (lstat(autostart->stamp, &st) == 0)
                return 0;

        for (VbRegistryIter i = vb_registry_iterate(hypervisor->registry); (domain = vb_registry_next(&i));)
                if (domain->autostart || domain->autostart_once)
                        g_queue_push_tail(autostart->waiting, g_memdup2(&domain->uuid, sizeof(domain->uuid)));
        g_queue_sort(autostart->waiting, compare_names, hypervisor->registry);

        /* Before the first start: should one of them bring the daemon down, it is not tried again and again. */
        r = vb_file_write(autostart->stamp, "", 0, 0600);
        if (r < 0)
                return vb_log_error_errno(r, "cannot write '%s', so nothing is started with the host: %m",
                                          autostart->stamp);
        if (g_queue_is_empty(autostart->waiting))
                return 0;

        autostart->hold = vb_idle_hold(hypervisor->daemon, "guests are started with the host");
        return sd_event_add_defer(vb_daemon_event(hypervisor->daemon), &autostart->next, on_next_turn, autostart);
}
