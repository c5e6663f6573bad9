/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hypervisor1: what an administrator changes of the host. */

#include "base/error.h"
#include "bus/names.h"
#include "hypervisor/call-work.h"
#include "hypervisor/handlers.h"
#include "model/host-tune.h"

/* Shorter, and the host would wake before it sleeps. */
#define SUSPEND_SECONDS_MIN 60

/* logind writes nothing to the disk and starts nothing before it answers. */
#define LOGIN_TIMEOUT_USEC (10 * G_USEC_PER_SEC)

/* --- Huge pages --- */

typedef struct PagesWork {
        const char *root;
        uint64_t size, count;
        bool add;
        GArray *nodes; /* of int */
} PagesWork;

static void pages_work_free(gpointer data) {
        PagesWork *work = data;

        g_array_unref(work->nodes);
        g_free(work);
}

static int refuse_pages(const PagesWork *work, int node, int r, sd_bus_error *reterr) {
        g_autofree char *where = node < 0 ? g_strdup("the host") : g_strdup_printf("NUMA node %d", node);

        if (r == -ENXIO)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "%s: has no huge pages of %" G_GUINT64_FORMAT " bytes", where, work->size);
        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                 "%s: cannot set %" G_GUINT64_FORMAT " pages of %" G_GUINT64_FORMAT " bytes aside (nr_hugepages): %s",
                                 where, work->count, work->size, g_strerror(-r));
}

static int set_pages(void *data, sd_bus_error *reterr) {
        const PagesWork *work = data;

        for (guint i = 0; i < work->nodes->len; i++) {
                int node = g_array_index(work->nodes, int, i), r;
                uint64_t lacking;

                r = vb_host_set_pages(work->root, node, work->size, work->count, work->add, &lacking);
                if (r < 0)
                        return refuse_pages(work, node, r, reterr);
                if (lacking > 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                                 "the kernel found no memory for %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                                                 " pages of %" G_GUINT64_FORMAT " bytes",
                                                 lacking, work->count, work->size);
        }
        return 0;
}

static int reply_pages(VbCall *call, void *data, sd_bus_error *reterr) {
        return vb_hypervisor1_reply_set_host_pages(call);
}

int vb_hypervisor_on_set_host_pages(VbCall *call, VbObject *root, const VbHypervisor1SetHostPagesArgs *args,
                                    sd_bus_error *reterr) {
        VbHypervisor *hypervisor = vb_hypervisor_of(root);
        PagesWork *work = g_new(PagesWork, 1);
        int all = VB_HOST_ALL_NODES;

        *work = (PagesWork){
                .root = hypervisor->host_root,
                .size = args->size,
                .count = args->count,
                .add = args->options.add,
                .nodes = g_array_new(/* zero_terminated= */ FALSE, /* clear= */ FALSE, sizeof(int)),
        };
        for (size_t i = 0; i < args->options.nodes.n; i++) {
                int node = (int) MIN(args->options.nodes.values[i], INT_MAX);

                g_array_append_val(work->nodes, node);
        }
        if (!args->options.has_nodes)
                g_array_append_val(work->nodes, all);
        return vb_call_work_start(call, hypervisor, set_pages, work, pages_work_free, reply_pages, reterr);
}

/* --- Equal pages --- */

typedef struct MergingWork {
        const char *root;
        struct {
                VbPageMergingSetting setting;
                uint64_t value;
                const char *name;
        } changes[_VB_PAGE_MERGING_SETTING_MAX];
        size_t n;
} MergingWork;

static void add_change(MergingWork *work, VbPageMergingSetting setting, const char *name, bool given, uint64_t value) {
        if (!given)
                return;
        work->changes[work->n].setting = setting;
        work->changes[work->n].name = name;
        work->changes[work->n++].value = value;
}

static int set_merging(void *data, sd_bus_error *reterr) {
        const MergingWork *work = data;
        VbPageMerging now;

        if (vb_page_merging_load(work->root, &now) < 0)
                return sd_bus_error_set(reterr, VB_ERROR_NOT_SUPPORTED, "this kernel does not merge equal pages");
        for (size_t i = 0; i < work->n; i++) {
                int r = vb_page_merging_set(work->root, work->changes[i].setting, work->changes[i].value);

                if (r < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                                 "the kernel refused %s %" G_GUINT64_FORMAT ": %s", work->changes[i].name,
                                                 work->changes[i].value, g_strerror(-r));
        }
        return 0;
}

static int reply_merging(VbCall *call, void *data, sd_bus_error *reterr) {
        return vb_hypervisor1_reply_set_page_merging(call);
}

int vb_hypervisor_on_set_page_merging(VbCall *call, VbObject *root, const VbHypervisor1SetPageMergingArgs *args,
                                      sd_bus_error *reterr) {
        VbHypervisor *hypervisor = vb_hypervisor_of(root);
        MergingWork *work = g_new(MergingWork, 1);

        *work = (MergingWork){ .root = hypervisor->host_root };
        add_change(work, VB_PAGE_MERGING_RUN, "run", args->settings.has_run, args->settings.run);
        add_change(work, VB_PAGE_MERGING_PAGES_TO_SCAN, "pages-to-scan", args->settings.has_pages_to_scan,
                   args->settings.pages_to_scan);
        add_change(work, VB_PAGE_MERGING_SLEEP_MSEC, "sleep-usec", args->settings.has_sleep_usec,
                   args->settings.sleep_usec / 1000);
        add_change(work, VB_PAGE_MERGING_ACROSS_NODES, "merge-across-nodes", args->settings.has_merge_across_nodes,
                   args->settings.merge_across_nodes);
        return vb_call_work_start(call, hypervisor, set_merging, work, g_free, reply_merging, reterr);
}

/* --- Sleep: first the clock is set, then logind is asked; if it refuses, the clock is silenced again --- */

typedef struct Sleep {
        VbCall *call;
        const char *root; /* the hypervisor's, which outlives its calls */
} Sleep;

static void sleep_free(Sleep *sleep) {
        (void) vb_call_unref(sleep->call);
        g_free(sleep);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sleep, sleep_free)

static void refuse_sleep(VbCall *call, const sd_bus_error *cause) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        bool never = sd_bus_error_has_name(cause, VB_LOGIN_ERROR_SLEEP_VERB_NOT_SUPPORTED) ||
                     sd_bus_error_has_name(cause, SD_BUS_ERROR_SERVICE_UNKNOWN);
        int r = sd_bus_error_setf(&error, never ? VB_ERROR_NOT_SUPPORTED : VB_ERROR_OPERATION_FAILED,
                                  "the host was not put to sleep: %s", cause->message);

        (void) vb_call_fail(call, r, &error);
}

static int on_login(sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {
        g_autoptr(Sleep) sleep = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        if (!error)
                return vb_hypervisor1_reply_suspend_host(sleep->call);
        if (vb_host_set_wake_alarm(sleep->root, 0) < 0)
                vb_log_warning("the host does not sleep, but its clock cannot be told not to wake it");
        refuse_sleep(sleep->call, error);
        return 0;
}

static int ask_login(VbCall *call, const char *method, const char *root, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        sd_bus *bus = vb_daemon_bus(vb_call_daemon(call));
        g_autoptr(Sleep) sleep = g_new(Sleep, 1);
        int r;

        *sleep = (Sleep){ .call = vb_call_ref(call), .root = root };
        r = sd_bus_message_new_method_call(bus, &message, VB_LOGIN_NAME, VB_LOGIN_PATH, VB_LOGIN_INTERFACE, method);
        if (r >= 0)
                r = sd_bus_message_append(message, "b", /* interactive= */ false);
        if (r >= 0)
                r = sd_bus_call_async(bus, /* ret_slot= */ NULL, message, on_login, sleep, LOGIN_TIMEOUT_USEC);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot ask logind to put the host to sleep: %m");
        (void) g_steal_pointer(&sleep);
        return 0;
}

int vb_hypervisor_on_suspend_host(VbCall *call, VbObject *root, const VbHypervisor1SuspendHostArgs *args,
                                  sd_bus_error *reterr) {
        static const char *const methods[] = {
                [VB_HYPERVISOR1_SUSPEND_HOST_TARGET_MEM] = "Suspend",
                [VB_HYPERVISOR1_SUSPEND_HOST_TARGET_DISK] = "Hibernate",
                [VB_HYPERVISOR1_SUSPEND_HOST_TARGET_HYBRID] = "HybridSleep",
        };
        const char *host = vb_hypervisor_of(root)->host_root;
        int r;

        if (args->duration < SUSPEND_SECONDS_MIN)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "duration %" G_GUINT64_FORMAT ": must be at least %d seconds", args->duration,
                                         SUSPEND_SECONDS_MIN);
        r = vb_host_set_wake_alarm(host, args->duration);
        if (r == -ENXIO)
                return sd_bus_error_set(reterr, VB_ERROR_NOT_SUPPORTED, "the host has no clock that could wake it");
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                         "cannot set the clock that is to wake the host: %s", g_strerror(-r));
        return ask_login(call, methods[args->target], host, reterr);
}
