/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/autostart.h"

#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "hypervisor/define.h"
#include "hypervisor/host-settings.h"
#include "hypervisor/host-shutdown.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/restore.h"
#include "hypervisor/start-order.h"

/* Guests that boot all at once make each other slow, and a host that has just booted has other work, too. */
#define STARTS_AT_ONCE 4u
/* How long one start may keep the others waiting. */
#define PATIENCE_USEC (UINT64_C(120) * 1000000)
/* With how many daemons a guest's start may have ended before it is suspected. */
#define ATTEMPTS_MAX 2u
#define LIST_SIZE_MAX (16u << 20)

/* A guest that could not be started with the host. */
#define MESSAGE_START_FAILED "5e1c0f6a1d3b4b0f9a70c2c5d2f1a9e4"

/* One guest that is to be started, or is being started. */
typedef struct Start {
        VbAutostart *autostart; /* NULL: the daemon ends */
        VbUuid uuid;
        unsigned attempts;
        bool under_way;
        sd_event_source *patience; /* while the others wait for it */
} Start;

struct VbAutostart {
        VbHypervisor *hypervisor;
        char *path;
        GPtrArray *starts;     /* of Start, in their order */
        sd_event_source *next; /* in the loop's next turn, or when the delay is over */
        VbIdleHold *hold;
};

static void start_more(VbAutostart *autostart);

static Start *start_free(Start *start) {
        if (!start)
                return NULL;
        start->patience = sd_event_source_disable_unref(start->patience);
        g_free(start);
        return NULL;
}

static Start *add_start(VbAutostart *autostart, const VbUuid *uuid, unsigned attempts) {
        Start *start = g_new(Start, 1);

        *start = (Start){ .autostart = autostart, .uuid = *uuid, .attempts = attempts };
        g_ptr_array_add(autostart->starts, start);
        return start;
}

/* --- the list in memory and in /run -------------------------------------------------------------------------------- */

/* Lines of UUID and attempts. In memory, so it is written in the loop. */
static int save(const VbAutostart *autostart) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i < autostart->starts->len; i++) {
                const Start *start = autostart->starts->pdata[i];
                char uuid[VB_UUID_STRING_SIZE];

                g_string_append_printf(text, "%s %u\n", vb_uuid_format(&start->uuid, uuid), start->attempts);
        }
        return vb_file_write(autostart->path, text->str, text->len, 0600);
}

static void save_or_warn(const VbAutostart *autostart) {
        int r = save(autostart);

        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot write '%s', and a daemon that is started now would not know what is "
                                               "still to be started: %m", autostart->path);
}

static int load_line(VbAutostart *autostart, const char *line) {
        g_auto(GStrv) words = g_strsplit(line, " ", 2);
        guint64 attempts;
        VbUuid uuid;
        int r;

        if (g_strv_length(words) != 2 || !g_ascii_string_to_unsigned(words[1], 10, 0, ATTEMPTS_MAX, &attempts, NULL))
                return -EBADMSG;
        r = vb_uuid_parse(words[0], &uuid);
        if (r < 0)
                return r;
        (void) add_start(autostart, &uuid, (unsigned) attempts);
        return 0;
}

/* -ENOENT: nothing was started in this boot. */
static int load(VbAutostart *autostart) {
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        int r;

        r = vb_file_read(AT_FDCWD, autostart->path, LIST_SIZE_MAX, &text, /* ret_size= */ NULL);
        if (r < 0)
                return r;
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
                if (**line && load_line(autostart, *line) < 0)
                        vb_log_warning("'%s': '%.64s' is no guest to be started", autostart->path, *line);
        return 0;
}

static void make_list(VbAutostart *autostart) {
        g_autoptr(GPtrArray) domains = g_ptr_array_new();
        VbDomain *domain;

        for (VbRegistryIter i = vb_registry_iterate(autostart->hypervisor->registry); (domain = vb_registry_next(&i));)
                if (domain->config && (domain->autostart || domain->autostart_once))
                        g_ptr_array_add(domains, domain);
        vb_start_order_sort(domains);
        for (unsigned i = 0; i < domains->len; i++)
                (void) add_start(autostart, &((VbDomain *) domains->pdata[i])->uuid, /* attempts= */ 0);
}

/* --- one start ----------------------------------------------------------------------------------------------------- */

static uint64_t delay_of(const VbAutostart *autostart) {
        return autostart->hypervisor->host.start_delay_usec;
}

static int on_next(sd_event_source *source, uint64_t usec, void *userdata) {
        VbAutostart *autostart = userdata;

        autostart->next = sd_event_source_disable_unref(autostart->next);
        start_more(autostart);
        return 0;
}

static void start_more_later(VbAutostart *autostart) {
        int r;

        if (autostart->next)
                return;
        r = sd_event_add_time_relative(vb_daemon_event(autostart->hypervisor->daemon), &autostart->next, CLOCK_MONOTONIC,
                                       delay_of(autostart), /* accuracy= */ 1000, on_next, autostart);
        if (r < 0)
                (void) vb_log_error_errno(r, "cannot wait to start more guests: %m");
}

/* Nothing more is to be done for it. */
static void drop(Start *start) {
        VbAutostart *autostart = start->autostart;

        if (autostart) {
                (void) g_ptr_array_remove(autostart->starts, start);
                save_or_warn(autostart);
                start_more_later(autostart);
        }
        (void) start_free(start);
}

static void on_mark_removed(int r, const sd_bus_error *error, void *userdata) {
        if (r < 0)
                vb_log_warning("%s", error->message);
        drop(userdata);
}

/* The start has succeeded, or failed for good. The list forgets the guest when its mark is gone: not before, else a daemon that was killed in between
 * would leave a mark for a boot that it was not made for. */
static void settle(Start *start, VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (domain && domain->autostart_once && domain->config) {
                if (vb_domain_save_autostart_once(domain, false, on_mark_removed, start, &error) >= 0)
                        return;
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "%s; it stays marked to be started at the next boot", error.message);
        }
        drop(start);
}

static void tell_failure(VbDomain *domain, const char *why) {
        const VbLogFields fields = { .domain = domain->name, .uuid = domain->uuid_string, .message_id = MESSAGE_START_FAILED };

        vb_log_error_for(&fields, "domain '%s' did not start with the host: %s%s", domain->name, why,
                         domain->has_managed_save ? "; its saved state is kept, and Start tries it again" : "");
        /* What failed before there was anything of a guest has left the state as it was. */
        if (!vb_domain_is_active(domain) && !domain->operation)
                vb_domain_set_state(domain, VB_DOMAIN_SHUTOFF, VB_REASON_FAILED);
}

static void on_started(int r, const sd_bus_error *error, void *userdata) {
        Start *start = userdata;
        VbDomain *domain;

        if (!start->autostart) {
                (void) start_free(start);
                return;
        }
        domain = vb_registry_find(start->autostart->hypervisor->registry, &start->uuid);
        if (r < 0 && domain)
                tell_failure(domain, error && error->message ? error->message : g_strerror(-r));
        settle(start, domain);
}

static int on_impatient(sd_event_source *source, uint64_t usec, void *userdata) {
        Start *start = userdata;
        const VbDomain *domain = vb_registry_find(start->autostart->hypervisor->registry, &start->uuid);

        start->patience = sd_event_source_disable_unref(start->patience);
        if (domain)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s' takes long to start; the others wait for it no more",
                                   domain->name);
        start_more_later(start->autostart);
        return 0;
}

static void boot(Start *start, VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbHypervisor *hypervisor = domain->hypervisor;
        VbStartOptions options = { .bypass_cache = hypervisor->host.start_bypass_cache };

        /* Of those that are started at once, some have a saved state to be read first. The numbers, which give the order at the next boot, are those
         * of this one. */
        options.id = ++hypervisor->last_id;
        start->attempts++;
        save_or_warn(start->autostart);
        if (vb_domain_boot(domain, &options, on_started, start, &error) < 0) {
                tell_failure(domain, error.message);
                settle(start, domain);
        }
}

/* What the last daemon had half made is undone by now, or takes too long. */
static void on_undone(int r, const sd_bus_error *error, void *userdata) {
        Start *start = userdata;
        VbDomain *domain;

        if (!start->autostart) {
                (void) start_free(start);
                return;
        }
        domain = vb_registry_find(start->autostart->hypervisor->registry, &start->uuid);
        if (domain && r >= 0)
                boot(start, domain);
        else
                settle(start, domain);
}

/* A start that was cut short is being undone: qemu/reconnect.c and its like. */
static bool is_being_undone(const VbDomain *domain) {
        return domain->state == VB_DOMAIN_PAUSED && domain->reason == VB_REASON_STARTING_UP && !domain->operation;
}

static void begin(Start *start, VbDomain *domain) {
        VbAutostart *autostart = start->autostart;
        int r;

        start->under_way = true;
        r = sd_event_add_time_relative(vb_daemon_event(autostart->hypervisor->daemon), &start->patience, CLOCK_MONOTONIC,
                                       PATIENCE_USEC, /* accuracy= */ 0, on_impatient, start);
        if (r < 0)
                (void) vb_log_warning_errno(r, "domain '%s': cannot limit the time that others wait for it: %m", domain->name);

        if (start->attempts >= ATTEMPTS_MAX) {
                tell_failure(domain, "each time that was tried, the daemon came to an end");
                settle(start, domain);
        } else if (is_being_undone(domain))
                vb_domain_wait_off(domain, PATIENCE_USEC, on_undone, start);
        else if (vb_domain_is_active(domain) || domain->operation)
                settle(start, domain); /* somebody has started it already */
        else
                boot(start, domain);
}

/* --- all ----------------------------------------------------------------------------------------------------------- */

static Start *find_next(const VbAutostart *autostart) {
        for (unsigned i = 0; i < autostart->starts->len; i++) {
                Start *start = autostart->starts->pdata[i];

                if (!start->under_way)
                        return start;
        }
        return NULL;
}

static unsigned count_awaited(const VbAutostart *autostart) {
        unsigned n = 0;

        for (unsigned i = 0; i < autostart->starts->len; i++)
                n += ((Start *) autostart->starts->pdata[i])->patience != NULL;
        return n;
}

static void start_more(VbAutostart *autostart) {
        unsigned at_once = delay_of(autostart) > 0 ? 1 : STARTS_AT_ONCE;
        Start *start;

        if (vb_host_shutdown_is_under_way(autostart->hypervisor->host_shutdown))
                return;
        while (!autostart->next && count_awaited(autostart) < at_once && (start = find_next(autostart))) {
                VbDomain *domain = vb_registry_find(autostart->hypervisor->registry, &start->uuid);

                /* The wish may have been taken back meanwhile. */
                if (domain && domain->config && (domain->autostart || domain->autostart_once))
                        begin(start, domain);
                else {
                        (void) g_ptr_array_remove(autostart->starts, start);
                        (void) start_free(start);
                        save_or_warn(autostart);
                }
        }
        if (autostart->starts->len == 0)
                autostart->hold = vb_idle_release(autostart->hold);
}

void vb_autostart_go_on(VbAutostart *autostart) {
        if (autostart->starts->len > 0)
                start_more_later(autostart);
}

int vb_autostart_new(VbAutostart **ret, VbHypervisor *hypervisor) {
        VbAutostart *autostart = g_new(VbAutostart, 1);

        *autostart = (VbAutostart){
                .hypervisor = hypervisor,
                .path = g_build_filename(hypervisor->run_dir, "autostarted", NULL),
                .starts = g_ptr_array_new(),
        };
        *ret = autostart;
        return 0;
}

/* What is under way is undone with the daemon, and that is no fault of the guest's. */
static void leave_to_next(VbAutostart *autostart) {
        for (unsigned i = 0; i < autostart->starts->len; i++) {
                Start *start = autostart->starts->pdata[i];

                if (start->under_way && start->attempts > 0)
                        start->attempts--;
        }
        if (autostart->starts->len > 0)
                save_or_warn(autostart);
}

VbAutostart *vb_autostart_free(VbAutostart *autostart) {
        if (!autostart)
                return NULL;

        leave_to_next(autostart);
        for (unsigned i = 0; i < autostart->starts->len; i++) {
                Start *start = autostart->starts->pdata[i];

                start->autostart = NULL;
                start->patience = sd_event_source_disable_unref(start->patience);
                if (!start->under_way)
                        (void) start_free(start);
        }
        g_ptr_array_free(autostart->starts, TRUE);
        sd_event_source_disable_unref(autostart->next);
        (void) vb_idle_release(autostart->hold);
        g_free(autostart->path);
        g_free(autostart);
        return NULL;
}

int vb_autostart_begin(VbAutostart *autostart) {
        int r;

        r = load(autostart);
        if (r == -ENOENT) {
                make_list(autostart);
                /* Before the first start: should one of them bring the daemon down, it is not tried again and again. */
                r = save(autostart);
        }
        if (r < 0)
                return vb_log_error_errno(r, "'%s': cannot keep what is to be started, so nothing is started with the host: %m",
                                          autostart->path);
        if (autostart->starts->len == 0)
                return 0;

        autostart->hold = vb_idle_hold(autostart->hypervisor->daemon, "guests are started with the host");
        return sd_event_add_time(vb_daemon_event(autostart->hypervisor->daemon), &autostart->next, CLOCK_MONOTONIC, 0,
                                 /* accuracy= */ 1, on_next, autostart);
}
