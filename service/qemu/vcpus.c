/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A change goes like this:
 *
 *   query-hotpluggable-cpus   which places there are, and what is in them
 *   device_add                for each that is wanted and empty, one after the other
 *   device_del                for each that is not wanted; the guest lets go of it, and DEVICE_DELETED tells, or what its
 *                             firmware says in ACPI_DEVICE_OST
 *   query-cpus-fast           what there is now: threads for the new ones, and the truth for the live definition
 *
 * The first failure goes to the last step at once: what was done before it has been done. */
#include "qemu/vcpus.h"

#include <stdio.h>

#include "base/error.h"
#include "model/vcpus.h"
#include "qemu/ask.h"
#include "qemu/json.h"
#include "qemu/resource-limits.h"

#define COMMAND_TIMEOUT_USEC ((uint64_t) 10 * G_USEC_PER_SEC)

#define ALIAS_SIZE 16
#define PERIPHERAL "/machine/peripheral/"

/* One place for a vCPU, as the emulator tells of it. */
typedef struct Slot {
        VbJson *props; /* borrowed */
        const char *type;
        const char *path; /* of what is there; NULL: nothing */
} Slot;

/* One thing to do. */
typedef struct Task {
        uint32_t vcpu;
        VbJson *device; /* to be added; NULL: to be removed */
} Task;

struct QemuVcpus {
        QemuDomain *qemu;
        VbDomainDefinition *wanted;
        QemuVcpusDone done;

        GArray *tasks; /* of Task */
        unsigned next;
        bool waits_for_guest; /* the task before next is a removal that was asked for */
        uint64_t removal; /* the command that asked, until it is answered; 0: none */
        sd_event_source *timer;

        int r; /* the first failure */
        sd_bus_error error;
};

static void clear_task(gpointer data) {
        vb_json_put(((Task *) data)->device);
}

QemuVcpus *qemu_vcpus_free(QemuVcpus *vcpus) {
        if (!vcpus)
                return NULL;
        (void) sd_event_source_disable_unref(vcpus->timer);
        g_array_free(vcpus->tasks, TRUE);
        (void) vb_domain_definition_free(vcpus->wanted);
        sd_bus_error_free(&vcpus->error);
        g_free(vcpus);
        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuVcpus, qemu_vcpus_free)

static void format_alias(char alias[static ALIAS_SIZE], uint32_t vcpu) {
        (void) snprintf(alias, ALIAS_SIZE, "vcpu%u", vcpu);
}

/* --- what there is --------------------------------------------------------------------------------------------------- */

static void set_thread(QemuDomain *qemu, uint32_t vcpu, pid_t thread) {
        if (vcpu >= qemu->vcpu_threads->len)
                g_array_set_size(qemu->vcpu_threads, vcpu + 1);
        g_array_index(qemu->vcpu_threads, pid_t, vcpu) = thread;
}

static void correct_live(QemuDomain *qemu) {
        VbDomainDefinition *live = qemu->domain->live;
        bool changed = false;

        for (uint32_t i = 0; i < live->vcpus; i++) {
                bool there = i < qemu->vcpu_threads->len && g_array_index(qemu->vcpu_threads, pid_t, i) > 0;

                if (there == vb_vcpu_is_enabled(live, i))
                        continue;
                vb_vcpu_set_enabled(live, i, there, /* hotpluggable= */ true);
                changed = true;
        }
        if (changed)
                vb_domain_live_changed(qemu->domain);
}

void qemu_vcpus_take(QemuDomain *qemu, VbJson *answer) {
        VbDomainDefinition *live = qemu->domain->live;

        if (!json_object_is_type(answer, json_type_array) || json_object_array_length(answer) == 0 || !live)
                return;
        g_clear_pointer(&qemu->vcpu_threads, g_array_unref);
        qemu->vcpu_threads = g_array_new(FALSE, TRUE, sizeof(pid_t));
        for (size_t i = 0; i < json_object_array_length(answer); i++) {
                VbJson *vcpu = json_object_array_get_idx(answer, i);
                int64_t number = qemu_json_number(vcpu, "cpu-index", -1), thread = qemu_json_number(vcpu, "thread-id", 0);

                if (number >= 0 && number < live->vcpus && thread > 0 && thread <= INT32_MAX)
                        set_thread(qemu, (uint32_t) number, (pid_t) thread);
        }
        correct_live(qemu);
}

/* --- the last step --------------------------------------------------------------------------------------------------- */

/* A thread is born where its maker is, the emulator's own; and may have a place of its own. */
static int pin_new(QemuVcpus *vcpus, sd_bus_error *reterr) {
        QemuDomain *qemu = vcpus->qemu;
        const VbDomainDefinition *live = qemu->domain->live;

        for (unsigned i = 0; live->cputune && qemu->process && i < vcpus->tasks->len; i++) {
                uint32_t vcpu = g_array_index(vcpus->tasks, Task, i).vcpu;
                int r;

                if (!vb_vcpu_is_enabled(live, vcpu) || vcpu >= qemu->vcpu_threads->len)
                        continue;
                r = qemu_limits_pin_vcpu(live, vb_process_get_pid(qemu->process), vcpu,
                                         g_array_index(qemu->vcpu_threads, pid_t, vcpu), reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void finish(QemuVcpus *given) {
        g_autoptr(QemuVcpus) vcpus = given;
        QemuDomain *qemu = vcpus->qemu;

        qemu->vcpus = NULL;
        if (vcpus->r >= 0)
                vcpus->r = pin_new(vcpus, &vcpus->error);
        vcpus->done(qemu, vcpus->r, vcpus->r < 0 ? &vcpus->error : NULL);
}

static void fail(QemuVcpus *vcpus, int r, const sd_bus_error *error) {
        if (vcpus->r < 0)
                return;
        vcpus->r = r;
        (void) sd_bus_error_copy(&vcpus->error, error);
}

static void on_cpus(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (!qemu->vcpus)
                return;
        if (reply->r < 0)
                fail(qemu->vcpus, reply->r, &reply->error);
        else
                qemu_vcpus_take(qemu, reply->result);
        finish(qemu->vcpus);
}

static void look_again(QemuVcpus *vcpus) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = qemu_ask(vcpus->qemu, "query-cpus-fast", NULL, on_cpus, &error);
        if (r < 0) {
                fail(vcpus, r, &error);
                finish(vcpus);
        }
}

/* --- one after the other --------------------------------------------------------------------------------------------- */

static void go_on(QemuVcpus *vcpus);

/* What the emulator still says to the request is about a task that is over. */
static void forget_removal(QemuVcpus *vcpus) {
        if (vcpus->removal > 0 && vcpus->qemu->monitor)
                qmp_monitor_forget(vcpus->qemu->monitor, vcpus->removal);
        vcpus->removal = 0;
}

static void task_ended(QemuVcpus *vcpus, int r, const sd_bus_error *error) {
        vcpus->waits_for_guest = false;
        forget_removal(vcpus);
        vcpus->timer = sd_event_source_disable_unref(vcpus->timer);
        if (r < 0) {
                fail(vcpus, r, error);
                look_again(vcpus);
        } else
                go_on(vcpus);
}

static void on_added(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (qemu->vcpus)
                task_ended(qemu->vcpus, reply->r, &reply->error);
}

static uint32_t current(const QemuVcpus *vcpus) {
        return g_array_index(vcpus->tasks, Task, vcpus->next - 1).vcpu;
}

static int on_kept_too_long(sd_event_source *source, uint64_t usec, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuVcpus *vcpus = userdata;
        int r;

        r = sd_bus_error_setf(&error, VB_ERROR_TIMEOUT, "domain '%s': the guest has not let go of vCPU %u in time; it may still do so",
                              vcpus->qemu->domain->name, current(vcpus));
        task_ended(vcpus, r, &error);
        return 0;
}

static void on_removal_asked(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;

        if (!qemu->vcpus)
                return;
        qemu->vcpus->removal = 0;
        if (reply->r < 0)
                task_ended(qemu->vcpus, reply->r, &reply->error);
}

static int remove_vcpu(QemuVcpus *vcpus, uint32_t vcpu, sd_bus_error *reterr) {
        QemuDomain *qemu = vcpus->qemu;
        char alias[ALIAS_SIZE];
        int r;

        r = qemu_ask_check_connected(qemu, reterr);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(qemu_driver_event(qemu->driver), &vcpus->timer, CLOCK_MONOTONIC,
                                       qemu->driver->settings.unplug_timeout_usec, /* accuracy= */ 0, on_kept_too_long, vcpus);
        if (r < 0)
                return r;
        vcpus->waits_for_guest = true;
        format_alias(alias, vcpu);
        vcpus->removal = qmp_monitor_send(qemu->monitor, "device_del", qmp_arguments("id", alias, NULL), on_removal_asked, qemu,
                                          COMMAND_TIMEOUT_USEC);
        return 0;
}

static void go_on(QemuVcpus *vcpus) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Task *task;
        int r;

        if (vcpus->next >= vcpus->tasks->len) {
                look_again(vcpus);
                return;
        }
        task = &g_array_index(vcpus->tasks, Task, vcpus->next++);
        r = task->device ? qemu_ask(vcpus->qemu, "device_add", g_steal_pointer(&task->device), on_added, &error) :
                           remove_vcpu(vcpus, task->vcpu, &error);
        if (r < 0)
                task_ended(vcpus, r, &error);
}

/* The number in "vcpu7". */
static bool parse_alias(const char *device, uint32_t *ret) {
        guint64 number;

        if (!g_str_has_prefix(device, "vcpu") ||
            !g_ascii_string_to_unsigned(device + strlen("vcpu"), 10, 0, VB_DOMAIN_VCPUS_MAX - 1, &number, NULL))
                return false;
        *ret = (uint32_t) number;
        return true;
}

static bool is_awaited(const QemuDomain *qemu, uint32_t vcpu) {
        return qemu->vcpus && qemu->vcpus->waits_for_guest && current(qemu->vcpus) == vcpu;
}

/* One that was asked for in vain before may go before it is asked for again. */
static void drop_removal(QemuVcpus *vcpus, uint32_t vcpu) {
        for (unsigned i = vcpus->next; i < vcpus->tasks->len; i++) {
                const Task *task = &g_array_index(vcpus->tasks, Task, i);

                if (task->vcpu != vcpu || task->device)
                        continue;
                g_array_remove_index(vcpus->tasks, i);
                return;
        }
}

bool qemu_vcpus_handle_gone(QemuDomain *qemu, const char *device) {
        VbDomainDefinition *live = qemu->domain->live;
        uint32_t vcpu;

        if (!parse_alias(device, &vcpu))
                return false;
        if (vcpu < live->vcpus && vb_vcpu_is_enabled(live, vcpu)) {
                if (qemu->vcpu_threads && vcpu < qemu->vcpu_threads->len)
                        g_array_index(qemu->vcpu_threads, pid_t, vcpu) = 0;
                vb_vcpu_set_enabled(live, vcpu, /* enabled= */ false, /* hotpluggable= */ true);
                vb_domain_live_changed(qemu->domain);
        }
        if (is_awaited(qemu, vcpu))
                task_ended(qemu->vcpus, 0, NULL);
        else if (qemu->vcpus)
                drop_removal(qemu->vcpus, vcpu);
        return true;
}

static void refused(QemuVcpus *vcpus, uint32_t vcpu) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_error_setf(&error, VB_ERROR_OPERATION_FAILED, "domain '%s': the guest does not let go of vCPU %u",
                              vcpus->qemu->domain->name, vcpu);
        task_ended(vcpus, r, &error);
}

bool qemu_vcpus_handle_refused(QemuDomain *qemu, const char *device) {
        uint32_t vcpu;

        if (!parse_alias(device, &vcpu))
                return false;
        if (is_awaited(qemu, vcpu))
                refused(qemu->vcpus, vcpu);
        return true;
}

/* The guest's firmware tells what the guest has made of a request; the source is what was asked. */
#define OST_EJECT_REQUEST 3
#define OST_EJECT_IN_PROGRESS 0x84

typedef struct Look {
        QemuDomain *qemu;
        uint32_t vcpu; /* that was waited for; UINT32_MAX: none */
        bool refused;
} Look;

static void on_looked(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_autofree Look *look = userdata;
        QemuDomain *qemu = look->qemu;

        if (reply->r < 0)
                return;
        qemu_vcpus_take(qemu, reply->result);
        if (!is_awaited(qemu, look->vcpu))
                return;
        if (!vb_vcpu_is_enabled(qemu->domain->live, look->vcpu))
                task_ended(qemu->vcpus, 0, NULL);
        else if (look->refused)
                refused(qemu->vcpus, look->vcpu);
}

/* Of one that is still there, the emulator tells the name; of one that has gone, only its place. */
static bool tells_of(VbJson *info, uint32_t vcpu) {
        const char *device = qemu_json_string(info, "device");
        uint32_t named;

        return !device || (parse_alias(device, &named) && named == vcpu);
}

void qemu_vcpus_handle_ost(QemuDomain *qemu, VbJson *info) {
        int64_t status = qemu_json_number(info, "status", 0);
        bool waits = qemu->vcpus && qemu->vcpus->waits_for_guest;
        Look *look;

        if (!qemu->monitor || g_strcmp0(qemu_json_string(info, "slot-type"), "CPU") != 0 ||
            qemu_json_number(info, "source", 0) != OST_EJECT_REQUEST)
                return;
        look = g_new(Look, 1);
        *look = (Look){ .qemu = qemu, .vcpu = waits ? current(qemu->vcpus) : UINT32_MAX };
        look->refused = waits && status != 0 && status != OST_EJECT_IN_PROGRESS && tells_of(info, look->vcpu);
        (void) qmp_monitor_send(qemu->monitor, "query-cpus-fast", NULL, on_looked, look, COMMAND_TIMEOUT_USEC);
}

/* --- the plan -------------------------------------------------------------------------------------------------------- */

/* The emulator lists them in any order; their numbers follow from where they are. */
static int compare_slots(const void *a, const void *b) {
        static const char *const levels[] = { "node-id", "drawer-id", "book-id", "socket-id", "die-id", "cluster-id", "core-id", "thread-id" };
        const Slot *first = a, *second = b;

        for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
                int64_t difference = qemu_json_number(first->props, levels[i], 0) - qemu_json_number(second->props, levels[i], 0);

                if (difference != 0)
                        return difference < 0 ? -1 : 1;
        }
        return 0;
}

static int read_slots(const QemuVcpus *vcpus, VbJson *answer, GArray *slots, sd_bus_error *reterr) {
        size_t n = json_object_is_type(answer, json_type_array) ? json_object_array_length(answer) : 0;

        for (size_t i = 0; i < n; i++) {
                VbJson *place = json_object_array_get_idx(answer, i);
                Slot slot = {
                        .props = qemu_json_object(place, "props"),
                        .type = qemu_json_string(place, "type"),
                        .path = qemu_json_string(place, "qom-path"),
                };

                if (slot.props && slot.type && qemu_json_number(place, "vcpus-count", 0) == 1)
                        g_array_append_val(slots, slot);
        }
        if (slots->len != vcpus->wanted->vcpus)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': its machine has no way to plug single vCPUs", vcpus->wanted->name);
        g_array_sort(slots, compare_slots);
        return 0;
}

static VbJson *make_device(uint32_t vcpu, const Slot *slot) {
        char alias[ALIAS_SIZE];
        VbJson *device;

        format_alias(alias, vcpu);
        device = qmp_arguments("driver", slot->type, "id", alias, NULL);
        json_object_object_foreach(slot->props, key, value)
                (void) json_object_object_add(device, key, json_object_get(value));
        return device;
}

/* QEMU 7.2 frees an emulated vCPU while its thread still uses it, and gives its place to no other: sooner or later it crashes. */
static int check_removable(const QemuVcpus *vcpus, uint32_t vcpu, const Slot *slot, sd_bus_error *reterr) {
        const VbDomainDefinition *wanted = vcpus->wanted;

        if (!g_str_has_prefix(slot->path, PERIPHERAL))
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': vCPU %u has been there from its start, and stays", wanted->name, vcpu);
        if (wanted->type == VB_DOMAIN_TYPE_QEMU)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': vCPU %u is emulated, and cannot be taken away while the guest runs: that needs domain "
                                         "type 'kvm'", wanted->name, vcpu);
        return 0;
}

static int plan(QemuVcpus *vcpus, VbJson *answer, sd_bus_error *reterr) {
        g_autoptr(GArray) slots = g_array_new(FALSE, TRUE, sizeof(Slot));
        int r;

        r = read_slots(vcpus, answer, slots, reterr);
        if (r < 0)
                return r;
        for (uint32_t i = 0; i < slots->len; i++) {
                const Slot *slot = &g_array_index(slots, Slot, i);
                Task task = { .vcpu = i };

                if (vb_vcpu_is_enabled(vcpus->wanted, i) == (slot->path != NULL))
                        continue;
                if (!slot->path)
                        task.device = make_device(i, slot);
                r = slot->path ? check_removable(vcpus, i, slot, reterr) : 0;
                if (r < 0)
                        return r;
                g_array_append_val(vcpus->tasks, task);
        }
        return 0;
}

static void on_slots(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;
        QemuVcpus *vcpus = qemu->vcpus;
        int r = reply->r;

        if (!vcpus)
                return;
        if (r == -EPROTO)
                r = sd_bus_error_setf(&error, VB_ERROR_UNSUPPORTED_CONFIGURATION, "domain '%s': its machine has no way to plug vCPUs: %s",
                                      vcpus->wanted->name, reply->error.message);
        else if (r < 0)
                (void) sd_bus_error_copy(&error, &reply->error);
        else
                r = plan(vcpus, reply->result, &error);
        if (r < 0)
                fail(vcpus, r, &error);
        if (r < 0)
                finish(vcpus);
        else
                go_on(vcpus);
}

int qemu_vcpus_change(QemuDomain *qemu, const VbDomainDefinition *wanted, QemuVcpusDone done, sd_bus_error *reterr) {
        g_autoptr(QemuVcpus) vcpus = g_new(QemuVcpus, 1);
        int r;

        *vcpus = (QemuVcpus){
                .qemu = qemu,
                .wanted = vb_domain_definition_copy(wanted),
                .done = done,
                .tasks = g_array_new(FALSE, TRUE, sizeof(Task)),
        };
        g_array_set_clear_func(vcpus->tasks, clear_task);
        r = qemu_ask(qemu, "query-hotpluggable-cpus", NULL, on_slots, reterr);
        if (r < 0)
                return r;
        qemu->vcpus = g_steal_pointer(&vcpus);
        return 0;
}
