/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's weight and limits on the host's disks. Classic clients say those of all devices in one text, "/dev/sda,500,/dev/sdb,300"; on the
 * bus each device is a call of its own, so they are made one after the other. */
#include <errno.h>
#include <string.h>

#include "proxy/params.h"

#define IMPACT (VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG)
#define DEVICES_MAX 256u

static const struct {
        const char *name, *key;
        char type;
} kinds[] = {
        { VIR_DOMAIN_BLKIO_DEVICE_WEIGHT, "weight", 'u' },
        { VIR_DOMAIN_BLKIO_DEVICE_READ_IOPS, "read-iops-sec", 'u' },
        { VIR_DOMAIN_BLKIO_DEVICE_WRITE_IOPS, "write-iops-sec", 'u' },
        { VIR_DOMAIN_BLKIO_DEVICE_READ_BPS, "read-bytes-sec", 't' },
        { VIR_DOMAIN_BLKIO_DEVICE_WRITE_BPS, "write-bytes-sec", 't' },
};

/* --- asking --------------------------------------------------------------------------------------------------------- */

static int take_value(sd_bus_message *answer, const char *device, GString *const *texts) {
        uint64_t number = 0;
        uint32_t small = 0;
        const char *key;
        int r;

        r = sd_bus_message_read_basic(answer, 's', &key);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(kinds); i++) {
                if (strcmp(kinds[i].key, key) != 0)
                        continue;
                r = kinds[i].type == 'u' ? sd_bus_message_read(answer, "v", "u", &small) : sd_bus_message_read(answer, "v", "t", &number);
                if (r >= 0)
                        g_string_append_printf(texts[i], "%s%s,%" G_GUINT64_FORMAT, texts[i]->len > 0 ? "," : "", device,
                                               kinds[i].type == 'u' ? small : number);
                return r;
        }
        return r < 0 ? r : sd_bus_message_skip(answer, "v");
}

static int take_device(sd_bus_message *answer, GString *const *texts) {
        const char *device;
        int r;

        r = sd_bus_message_read_basic(answer, 's', &device);
        if (r >= 0)
                r = sd_bus_message_enter_container(answer, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(answer, 'e', "sv")) > 0) {
                r = take_value(answer, device, texts);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
        }
        return r < 0 ? r : sd_bus_message_exit_container(answer);
}

static int take_devices(sd_bus_message *answer, GString *const *texts) {
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "(sa{sv})");
        while (r >= 0 && (r = sd_bus_message_enter_container(answer, 'r', "sa{sv}")) > 0) {
                r = take_device(answer, texts);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
        }
        return r;
}

static int on_tuning(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainGetBlkioParametersArgs *args = userdata;
        GString *texts[G_N_ELEMENTS(kinds)];
        ProxyParams params = { .call = call };
        RpcTypedParamArray array;
        uint32_t weight = 0;
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                texts[i] = g_string_new(NULL);
        r = sd_bus_message_read_basic(answer, 'u', &weight);
        if (r >= 0)
                r = take_devices(answer, texts);
        proxy_params_add_uint(&params, VIR_DOMAIN_BLKIO_WEIGHT, weight);
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                proxy_params_add_string(&params, kinds[i].name, texts[i]->str);
                g_string_free(texts[i], TRUE);
        }
        array = proxy_params_array(&params, args->nparams);
        return r < 0 ? r :
                       proxy_reply_remote_domain_get_blkio_parameters(call, &(RpcRemoteDomainGetBlkioParametersRet){
                               .params = array, .nparams = (int32_t) array.n });
}

int proxy_remote_domain_get_blkio_parameters(ProxyCall *call, const RpcRemoteDomainGetBlkioParametersArgs *args,
                                             sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_check_flags(call, args->flags, IMPACT | VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        r = proxy_call_new_domain_method(call, &message, &args->dom, "GetBlockTuning", reterr);
        if (r <= 0)
                return r;
        if (args->nparams == 0)
                return proxy_reply_remote_domain_get_blkio_parameters(
                        call, &(RpcRemoteDomainGetBlkioParametersRet){ .nparams = G_N_ELEMENTS(kinds) + 1 });
        r = proxy_put_impact(message, args->flags);
        return r < 0 ? r : proxy_call_send(call, message, on_tuning, (void *) args, reterr);
}

/* --- telling -------------------------------------------------------------------------------------------------------- */

typedef struct Device {
        const char *path; /* "": the guest's own weight */
        bool given[G_N_ELEMENTS(kinds)];
        uint64_t values[G_N_ELEMENTS(kinds)];
} Device;

typedef struct Change {
        const RpcRemoteDomainSetBlkioParametersArgs *args;
        Device *devices;
        unsigned n, next;
} Change;

static Device *find_device(Change *change, const char *path) {
        for (unsigned i = 0; i < change->n; i++)
                if (strcmp(change->devices[i].path, path) == 0)
                        return &change->devices[i];
        if (change->n == DEVICES_MAX)
                return NULL;
        change->devices[change->n].path = path;
        return &change->devices[change->n++];
}

static int bad_text(const RpcTypedParam *param, sd_bus_error *reterr) {
        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "unable to parse blkio device '%s' '%s'", param->field, param->value.s);
}

/* "/dev/sda,500,/dev/sdb,300" */
static int parse_devices(ProxyCall *call, Change *change, const RpcTypedParam *param, size_t kind, sd_bus_error *reterr) {
        g_auto(GStrv) words = g_strsplit(param->value.s, ",", -1);
        unsigned n = g_strv_length(words);

        if (n % 2 != 0)
                return bad_text(param, reterr);
        for (unsigned i = 0; i < n; i += 2) {
                Device *device;
                guint64 value;

                if (words[i][0] == '\0' ||
                    !g_ascii_string_to_unsigned(words[i + 1], 10, 0, kinds[kind].type == 'u' ? UINT32_MAX : G_MAXUINT64, &value, NULL))
                        return bad_text(param, reterr);
                device = find_device(change, proxy_call_strdup(call, words[i]));
                if (!device)
                        return bad_text(param, reterr);
                device->given[kind] = true;
                device->values[kind] = value;
        }
        return 0;
}

static int parse_param(ProxyCall *call, Change *change, const RpcTypedParam *param, sd_bus_error *reterr) {
        Device *guest;

        if (strcmp(param->field, VIR_DOMAIN_BLKIO_WEIGHT) == 0) {
                if (param->value.type != VIR_TYPED_PARAM_UINT)
                        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "parameter '%s' has another type than uint", param->field);
                guest = find_device(change, "");
                guest->given[0] = true;
                guest->values[0] = param->value.ui;
                return 0;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (strcmp(kinds[i].name, param->field) == 0) {
                        if (param->value.type != VIR_TYPED_PARAM_STRING)
                                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "parameter '%s' has another type than string",
                                                       param->field);
                        return parse_devices(call, change, param, i, reterr);
                }
        return proxy_error_set(reterr, VIR_ERR_ARGUMENT_UNSUPPORTED, 0, "parameter '%s' not supported", param->field);
}

static int put_device(sd_bus_message *message, const Device *device) {
        int r;

        r = sd_bus_message_append(message, "s", device->path);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(kinds); i++)
                if (device->given[i])
                        r = kinds[i].type == 'u' ?
                                    sd_bus_message_append(message, "{sv}", kinds[i].key, "u", (uint32_t) device->values[i]) :
                                    sd_bus_message_append(message, "{sv}", kinds[i].key, "t", device->values[i]);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int on_told(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr);

static int tell_next(ProxyCall *call, Change *change, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        if (change->next == change->n)
                return proxy_call_reply(call, NULL);
        r = proxy_call_new_domain_method(call, &message, &change->args->dom, "SetBlockTuning", reterr);
        if (r <= 0)
                return r;
        r = put_device(message, &change->devices[change->next]);
        if (r >= 0)
                r = proxy_put_impact(message, change->args->flags);
        if (r >= 0)
                r = proxy_call_send(call, message, on_told, change, reterr);
        if (r >= 0)
                change->next++;
        return r;
}

static int on_told(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        return tell_next(call, userdata, reterr);
}

int proxy_remote_domain_set_blkio_parameters(ProxyCall *call, const RpcRemoteDomainSetBlkioParametersArgs *args,
                                             sd_bus_error *reterr) {
        Change *change = proxy_call_alloc(call, sizeof(*change));
        int r;

        r = proxy_call_check_flags(call, args->flags, IMPACT | VIR_TYPED_PARAM_STRING_OKAY, reterr);
        if (r < 0)
                return r;
        *change = (Change){ .args = args, .devices = proxy_call_alloc_array(call, DEVICES_MAX, sizeof(Device)) };
        for (uint32_t i = 0; i < args->params.n; i++) {
                r = parse_param(call, change, &args->params.items[i], reterr);
                if (r < 0)
                        return r;
        }
        return tell_next(call, change, reterr);
}
