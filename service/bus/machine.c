/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/machine-properties.h"

#define MACHINED_NAME "org.freedesktop.machine1"
#define MACHINED_PATH "/org/freedesktop/machine1"
#define MACHINED_MANAGER "org.freedesktop.machine1.Manager"
#define MACHINED_ERROR_NONE "org.freedesktop.machine1.NoSuchMachine"
#define MANAGER_NAME "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_MANAGER "org.freedesktop.systemd1.Manager"
#define MANAGER_ERROR_NONE "org.freedesktop.systemd1.NoSuchUnit"

#define TIMEOUT_DEFAULT_USEC (10 * G_USEC_PER_SEC)

struct VbMachineCall {
        /* configured */
        const char *server;      /* for people: "systemd-machined" */
        const char *error_gone;  /* the error that is a success, or NULL */
        char *subject;           /* "machine 'qemu-3-web'" */
        char *unit;              /* told on success */
        uint64_t timeout_usec;
        VbMachineCallback callback;
        void *userdata;

        /* runtime */
        unsigned n_ref; /* one for the owner, one while the callback runs */
        bool freed;
        bool answered;   /* the method has replied */
        bool wants_job;  /* and a job has to be done, too */
        char *job_result; /* "done", "failed", …; NULL while it runs */

        sd_bus_slot *slot;
        sd_bus_slot *job_slot;
        sd_event_source *timer;
};

static VbMachineCall *call_unref(VbMachineCall *call) {
        if (--call->n_ref > 0)
                return NULL;
        sd_bus_slot_unref(call->slot);
        sd_bus_slot_unref(call->job_slot);
        sd_event_source_disable_unref(call->timer);
        g_free(call->subject);
        g_free(call->unit);
        g_free(call->job_result);
        g_free(call);
        return NULL;
}
typedef VbMachineCall MachineCallRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MachineCallRef, call_unref)

VbMachineCall *vb_machine_call_free(VbMachineCall *call) {
        if (!call || call->freed)
                return NULL;
        call->freed = true;
        call->slot = sd_bus_slot_unref(call->slot);
        call->job_slot = sd_bus_slot_unref(call->job_slot);
        call->timer = sd_event_source_disable_unref(call->timer);
        return call_unref(call);
}

/* The end of a call, well or not; nothing comes after. */
static void finish(VbMachineCall *call, int r, const sd_bus_error *error) {
        VbMachineCallback callback = g_steal_pointer(&call->callback);

        call->slot = sd_bus_slot_unref(call->slot);
        call->job_slot = sd_bus_slot_unref(call->job_slot);
        call->timer = sd_event_source_disable_unref(call->timer);
        if (callback)
                callback(call, r, r >= 0 ? call->unit : NULL, error, call->userdata);
}

static void __attribute__((format(printf, 4, 5))) finish_error(VbMachineCall *call, int r, const char *error_name,
                                                               const char *format, ...) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        va_list arguments;

        va_start(arguments, format);
        (void) sd_bus_error_setfv(&error, error_name, format, arguments);
        va_end(arguments);
        finish(call, r, &error);
}

static void finish_timeout(VbMachineCall *call) {
        finish_error(call, -ETIMEDOUT, VB_ERROR_TIMEOUT, "%s: %s did not answer within %.4g s", call->subject,
                     call->server, (double) call->timeout_usec / G_USEC_PER_SEC);
}

static void finish_refused(VbMachineCall *call, const sd_bus_error *error) {
        static const char *const absent[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                "org.freedesktop.systemd1.NoSuchUnit",
                "org.freedesktop.systemd1.UnitMasked",
                "org.freedesktop.systemd1.LoadFailed",
                NULL,
        };

        if (call->error_gone && sd_bus_error_has_name(error, call->error_gone))
                finish(call, 0, NULL);
        else if (sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT,
                                        "org.freedesktop.DBus.Error.TimedOut"))
                finish_timeout(call);
        else if (g_strv_contains(absent, error->name) || g_str_has_prefix(error->name, "org.freedesktop.DBus.Error.Spawn."))
                finish_error(call, -EHOSTUNREACH, VB_ERROR_MACHINE_FAILED, "%s: %s is not there: %s", call->subject,
                             call->server, error->message ?: error->name);
        else
                finish_error(call, -EHOSTUNREACH, VB_ERROR_MACHINE_FAILED, "%s: %s refused: %s", call->subject,
                             call->server, error->message ?: error->name);
}

/* With a reply, and where one is waited for, a job that is done. */
static void finish_if_complete(VbMachineCall *call) {
        if (!call->answered || (call->wants_job && !call->job_result))
                return;
        if (call->wants_job && strcmp(call->job_result, "done") != 0)
                finish_error(call, -EHOSTUNREACH, VB_ERROR_MACHINE_FAILED, "%s: %s could not make its scope: job %s",
                             call->subject, call->server, call->job_result);
        else
                finish(call, 0, NULL);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        g_autoptr(MachineCallRef) call = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        call->n_ref++;
        if (error) {
                finish_refused(call, error);
                return 0;
        }
        call->answered = true;
        finish_if_complete(call);
        return 0;
}

/* Whatever job of our new unit ends is ours. sd-bus cannot match arg2 of this signal, as its arg0 is no string. */
static int on_job_removed(sd_bus_message *signal, void *userdata, sd_bus_error *unused) {
        g_autoptr(MachineCallRef) call = userdata;
        const char *unit, *result;

        call->n_ref++;
        if (call->job_result || sd_bus_message_read(signal, "uoss", NULL, NULL, &unit, &result) < 0 ||
            strcmp(unit, call->unit) != 0)
                return 0;
        call->job_result = g_strdup(result);
        finish_if_complete(call);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        g_autoptr(MachineCallRef) call = userdata;

        call->n_ref++;
        finish_timeout(call);
        return 0;
}

static VbMachineCall *call_new(const char *server, const char *error_gone, uint64_t timeout_usec,
                               VbMachineCallback callback, void *userdata) {
        VbMachineCall *call = g_new0(VbMachineCall, 1);

        vb_error_init();
        call->n_ref = 1;
        call->server = server;
        call->error_gone = error_gone;
        call->timeout_usec = timeout_usec ?: TIMEOUT_DEFAULT_USEC;
        call->callback = callback;
        call->userdata = userdata;
        return call;
}

/* The time limit is ours and not sd-bus's, as a reply need not be all. */
static int call_send(VbMachineCall *call, sd_bus *bus, sd_bus_message *message) {
        sd_event *event = sd_bus_get_event(bus);
        int r;

        g_assert(event);
        r = sd_event_add_time_relative(event, &call->timer, CLOCK_MONOTONIC, call->timeout_usec, 10000, on_timeout,
                                       call);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, &call->slot, message, on_reply, call, UINT64_MAX);
}

int vb_machine_create(VbMachineCall **ret, sd_bus *bus, const VbMachineSpec *spec, VbMachineCallback callback,
                      void *userdata, uint64_t timeout_usec) {
        g_autoptr(VbMachineCall) call = call_new("systemd-machined", NULL, timeout_usec, callback, userdata);
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        call->subject = g_strdup_printf("machine '%s'", spec->name);
        call->unit = vb_machine_unit(spec->name);

        r = sd_bus_message_new_method_call(bus, &message, MACHINED_NAME, MACHINED_PATH, MACHINED_MANAGER,
                                           "CreateMachineWithNetwork");
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "s", spec->name);
        if (r < 0)
                return r;
        r = sd_bus_message_append_array(message, 'y', spec->uuid->bytes, sizeof spec->uuid->bytes);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "ssus", spec->service, spec->class, (uint32_t) spec->leader,
                                  spec->root ?: "");
        if (r < 0)
                return r;
        r = sd_bus_message_append_array(message, 'i', spec->ifindexes, spec->n_ifindexes * sizeof(int));
        if (r < 0)
                return r;
        r = vb_machine_append_scope(message, spec, /* own_pid= */ false, "machine.slice");
        if (r < 0)
                return r;

        r = call_send(call, bus, message);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&call);
        return 0;
}

static int on_ignored(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        return 0; /* subscribed already, most likely; if it failed, the time limit tells */
}

/* The match and the subscription go ahead of the call on the same connection, so they are in force when it is served. */
static int watch_job(VbMachineCall *call, sd_bus *bus) {
        int r;

        call->wants_job = true;
        r = sd_bus_match_signal_async(bus, &call->job_slot, MANAGER_NAME, MANAGER_PATH, MANAGER_MANAGER, "JobRemoved",
                                      on_job_removed, on_ignored, call);
        if (r < 0)
                return r;
        return sd_bus_call_method_async(bus, NULL, MANAGER_NAME, MANAGER_PATH, MANAGER_MANAGER, "Subscribe", on_ignored,
                                        NULL, NULL);
}

int vb_machine_create_scope(VbMachineCall **ret, sd_bus *bus, const VbMachineSpec *spec, VbMachineCallback callback,
                            void *userdata, uint64_t timeout_usec) {
        g_autoptr(VbMachineCall) call = call_new("the user's service manager", NULL, timeout_usec, callback, userdata);
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        call->unit = vb_machine_scope(spec->name);
        call->subject = g_strdup_printf("scope '%s'", call->unit);

        r = sd_bus_message_new_method_call(bus, &message, MANAGER_NAME, MANAGER_PATH, MANAGER_MANAGER,
                                           "StartTransientUnit");
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "ss", call->unit, "fail");
        if (r < 0)
                return r;
        r = vb_machine_append_scope(message, spec, /* own_pid= */ true, NULL);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "a(sa(sv))", 0);
        if (r < 0)
                return r;

        r = watch_job(call, bus);
        if (r < 0)
                return r;
        r = call_send(call, bus, message);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&call);
        return 0;
}

/* Who ends guests, and how each of them says that one is gone already. */
typedef struct Ender {
        const char *server;
        const char *error_gone;
        const char *noun;
        const char *name, *path, *interface, *member;
        const char *mode; /* the second argument; NULL: there is none */
} Ender;

static const Ender machined = {
        "systemd-machined", MACHINED_ERROR_NONE, "machine", MACHINED_NAME, MACHINED_PATH, MACHINED_MANAGER, "TerminateMachine", NULL,
};
static const Ender user_manager = {
        "the user's service manager", MANAGER_ERROR_NONE, "scope", MANAGER_NAME, MANAGER_PATH, MANAGER_MANAGER, "StopUnit", "replace",
};

static int ask_to_end(VbMachineCall **ret, sd_bus *bus, const Ender *ender, const char *what, VbMachineCallback callback,
                      void *userdata, uint64_t timeout_usec) {
        g_autoptr(VbMachineCall) call = call_new(ender->server, ender->error_gone, timeout_usec, callback, userdata);
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        call->subject = g_strdup_printf("%s '%s'", ender->noun, what);
        r = sd_bus_message_new_method_call(bus, &message, ender->name, ender->path, ender->interface, ender->member);
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(message, 's', what);
        if (r < 0)
                return r;
        r = ender->mode ? sd_bus_message_append_basic(message, 's', ender->mode) : 0;
        if (r < 0)
                return r;
        r = call_send(call, bus, message);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&call);
        return 0;
}

int vb_machine_terminate(VbMachineCall **ret, sd_bus *bus, const char *name, VbMachineCallback callback, void *userdata,
                         uint64_t timeout_usec) {
        return ask_to_end(ret, bus, &machined, name, callback, userdata, timeout_usec);
}

int vb_machine_stop_scope(VbMachineCall **ret, sd_bus *bus, const char *unit, VbMachineCallback callback, void *userdata,
                          uint64_t timeout_usec) {
        return ask_to_end(ret, bus, &user_manager, unit, callback, userdata, timeout_usec);
}

int vb_machine_set_resources(VbMachineCall **ret, sd_bus *bus, const char *unit, VbMachineGroups groups,
                             const VbMachineResources *resources, VbMachineCallback callback, void *userdata,
                             uint64_t timeout_usec) {
        g_autoptr(VbMachineCall) call = call_new("the service manager", NULL, timeout_usec, callback, userdata);
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        call->subject = g_strdup_printf("scope '%s'", unit);
        call->unit = g_strdup(unit);
        r = sd_bus_message_new_method_call(bus, &message, MANAGER_NAME, MANAGER_PATH, MANAGER_MANAGER,
                                           "SetUnitProperties");
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "sb", unit, /* runtime= */ 1);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(message, 'a', "(sv)");
        if (r < 0)
                return r;
        r = vb_machine_append_resources(message, resources, groups, /* unset_too= */ true);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(message);
        if (r < 0)
                return r;
        r = call_send(call, bus, message);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&call);
        return 0;
}

typedef struct Watch {
        void (*removed)(const char *name, void *userdata);
        void *userdata;
} Watch;

static int on_machine_removed(sd_bus_message *signal, void *userdata, sd_bus_error *unused) {
        Watch *watch = userdata;
        const char *name;

        if (sd_bus_message_read(signal, "so", &name, NULL) >= 0)
                watch->removed(name, watch->userdata);
        return 0;
}

int vb_machine_watch_removed(sd_bus_slot **ret, sd_bus *bus, void (*removed)(const char *name, void *userdata),
                             void *userdata) {
        g_autoptr(sd_bus_slot) slot = NULL;
        Watch *watch = g_new(Watch, 1);
        int r;

        *watch = (Watch) { removed, userdata };
        r = sd_bus_match_signal_async(bus, &slot, MACHINED_NAME, MACHINED_PATH, MACHINED_MANAGER, "MachineRemoved",
                                      on_machine_removed, on_ignored, watch);
        if (r >= 0)
                r = sd_bus_slot_set_destroy_callback(slot, g_free);
        if (r < 0) {
                g_free(watch);
                return r;
        }
        *ret = g_steal_pointer(&slot);
        return 0;
}
