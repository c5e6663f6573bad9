/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1: I/O threads. */

#include "base/error.h"
#include "hypervisor/change.h"
#include "hypervisor/handlers.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/tuning.h"
#include "hypervisor/values.h"
#include "model/host-stats.h"
#include "model/iothreads.h"

static int no_such_thread(const VbDomainDefinition *definition, uint32_t id, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': cannot find IOThread '%u' in iothreadids list",
                                 definition->name, id);
}

/* --- which there are ------------------------------------------------------------------------------------------------ */

int vb_domain_on_list_io_threads(VbCall *call, VbObject *object, const VbDomain1ListIoThreadsArgs *args, sd_bus_error *reterr) {
        g_autofree char *all = vb_host_online_cpus(vb_domain_of(object)->hypervisor->host_root);
        g_autoptr(sd_bus_message) reply = NULL;
        const VbDomainDefinition *definition;
        int r;

        r = vb_domain_choose_definition(vb_domain_of(object), args->options.live, args->options.config, &definition, reterr);
        if (r < 0)
                return r;
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(us)");
        for (uint32_t i = 0; r >= 0 && i < definition->iothreads; i++) {
                uint32_t id = vb_iothread_id(definition, i);

                r = sd_bus_message_append(reply, "(us)", id, vb_tuning_iothread_cpus(definition, id) ?: all);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

static int edit_add(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1AddIoThreadArgs *args = data;

        if (args->id == 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "I/O threads are numbered from 1");
        if (vb_iothread_exists(definition, args->id))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "domain '%s': an IOThread is already using iothread_id '%u'", definition->name, args->id);
        if (definition->iothreads >= VB_DOMAIN_IOTHREADS_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "domain '%s': it has %d I/O threads already", definition->name,
                                         VB_DOMAIN_IOTHREADS_MAX);
        vb_iothread_add(definition, args->id);
        return (int) args->id;
}

int vb_domain_on_add_io_thread(VbCall *call, VbObject *object, const VbDomain1AddIoThreadArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "add an I/O thread", edit_add, VB_RESOURCE_IOTHREADS };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

static int edit_remove(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1RemoveIoThreadArgs *args = data;
        g_autofree char *user = vb_iothread_user(definition, args->id);
        int r;

        if (!vb_iothread_exists(definition, args->id))
                return no_such_thread(definition, args->id, reterr);
        if (user)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "domain '%s': cannot remove IOThread %u since it is being used by %s", definition->name,
                                         args->id, user);
        r = vb_tuning_pin_iothread(definition, args->id, "", reterr);
        if (r < 0)
                return r;
        vb_iothread_remove(definition, args->id);
        return (int) args->id;
}

int vb_domain_on_remove_io_thread(VbCall *call, VbObject *object, const VbDomain1RemoveIoThreadArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "remove an I/O thread", edit_remove, VB_RESOURCE_IOTHREADS };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

/* --- where they are ------------------------------------------------------------------------------------------------- */

static int edit_pin(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1PinIoThreadArgs *args = data;
        int r;

        if (!vb_iothread_exists(definition, args->id))
                return no_such_thread(definition, args->id, reterr);
        r = vb_tuning_pin_iothread(definition, args->id, args->cpus, reterr);
        return r < 0 ? r : (int) args->id;
}

int vb_domain_on_pin_io_thread(VbCall *call, VbObject *object, const VbDomain1PinIoThreadArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "pin an I/O thread", edit_pin, VB_RESOURCE_IOTHREAD_PIN };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

/* --- how they wait, and their helpers --------------------------------------------------------------------------------- */

/* Unlike the values of other methods, 0 is one that can be set. */
typedef struct ValueRow {
        const char *key;
        bool is_large;      /* of type t, and not u */
        size_t given, has;  /* in the arguments */
        size_t field;       /* in VbIothread */
} ValueRow;

#define VALUE(key, large, name, field)                                                                              \
        {                                                                                                           \
                (key), (large), offsetof(VbDomain1SetIoThreadTuningArgs, values.name),                              \
                        offsetof(VbDomain1SetIoThreadTuningArgs, values.has_##name), offsetof(VbIothread, field)    \
        }

static const ValueRow value_rows[] = {
        VALUE("poll-max-nsec", true, poll_max_nsec, poll_max), VALUE("poll-grow", false, poll_grow, poll_grow),
        VALUE("poll-shrink", false, poll_shrink, poll_shrink), VALUE("pool-min", false, pool_min, pool_min),
        VALUE("pool-max", false, pool_max, pool_max),
};

static bool is_given(const VbDomain1SetIoThreadTuningArgs *args, const ValueRow *row) {
        return *(const bool *) ((const char *) args + row->has);
}

/* The contract has bounded it. */
static uint32_t given_value(const VbDomain1SetIoThreadTuningArgs *args, const ValueRow *row) {
        const void *at = (const char *) args + row->given;

        return row->is_large ? (uint32_t) *(const uint64_t *) at : *(const uint32_t *) at;
}

static int edit_tuning(VbDomainDefinition *definition, bool live, const void *data, sd_bus_error *reterr) {
        const VbDomain1SetIoThreadTuningArgs *args = data;
        VbIothread *thread;
        unsigned n = 0;

        if (!vb_iothread_exists(definition, args->id))
                return no_such_thread(definition, args->id, reterr);
        thread = vb_iothread_get(definition, args->id);
        for (size_t i = 0; i < G_N_ELEMENTS(value_rows); i++) {
                VbOptUint *value = (void *) ((char *) thread + value_rows[i].field);

                if (!is_given(args, &value_rows[i]))
                        continue;
                *value = (VbOptUint) VB_OPT(given_value(args, &value_rows[i]));
                n++;
        }
        if (n == 0)
                return vb_values_none(reterr);
        if (thread->pool_max.set && (thread->pool_max.value == 0 || thread->pool_min.value > thread->pool_max.value))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "value 'pool-max': %u is less than 1 or 'pool-min', %u", thread->pool_max.value,
                                         thread->pool_min.value);
        return (int) args->id;
}

int vb_domain_on_set_io_thread_tuning(VbCall *call, VbObject *object, const VbDomain1SetIoThreadTuningArgs *args, sd_bus_error *reterr) {
        static const VbChangeSpec spec = { "set the tuning of an I/O thread", edit_tuning, VB_RESOURCE_IOTHREAD_TUNING };

        return VB_DOMAIN_CHANGE(call, object, args, &spec, reterr);
}

static int append_tuning(sd_bus_message *m, const VbIothread *thread) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && thread && i < G_N_ELEMENTS(value_rows); i++) {
                const ValueRow *row = &value_rows[i];
                const VbOptUint *value = (const void *) ((const char *) thread + row->field);

                if (!value->set)
                        continue;
                r = row->is_large ? sd_bus_message_append(m, "{sv}", row->key, "t", (uint64_t) value->value) :
                                    sd_bus_message_append(m, "{sv}", row->key, "u", value->value);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int vb_domain_on_get_io_thread_tuning(VbCall *call, VbObject *object, const VbDomain1GetIoThreadTuningArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) reply = NULL;
        const VbDomainDefinition *definition;
        int r;

        r = vb_domain_choose_definition(vb_domain_of(object), args->options.live, args->options.config, &definition, reterr);
        if (r < 0)
                return r;
        if (!vb_iothread_exists(definition, args->id))
                return no_such_thread(definition, args->id, reterr);
        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = append_tuning(reply, vb_iothread_find(definition, args->id));
        return r < 0 ? r : vb_call_send_reply(call, reply);
}
