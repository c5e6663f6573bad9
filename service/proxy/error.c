/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "proxy/call.h"

/* A classic error travels in a sd_bus_error by a name that says it: CODE and DOMAIN in decimal, and whether
 * the sentence stands alone. */
#define CLASSIC_PREFIX "org.virtbus.Classic."
#define CLASSIC_FORMAT CLASSIC_PREFIX "C%d.D%d.%s"

/* What other names of the bus mean. */
static const ProxyErrorCode bus_codes[] = {
        { SD_BUS_ERROR_ACCESS_DENIED, VIR_ERR_ACCESS_DENIED },
        { SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, VIR_ERR_AUTH_UNAVAILABLE },
        { SD_BUS_ERROR_AUTH_FAILED, VIR_ERR_AUTH_FAILED },
        { SD_BUS_ERROR_UNKNOWN_METHOD, VIR_ERR_NO_SUPPORT },
        { SD_BUS_ERROR_UNKNOWN_INTERFACE, VIR_ERR_NO_SUPPORT },
        { SD_BUS_ERROR_UNKNOWN_PROPERTY, VIR_ERR_NO_SUPPORT },
        { SD_BUS_ERROR_NOT_SUPPORTED, VIR_ERR_NO_SUPPORT },
        { SD_BUS_ERROR_UNKNOWN_OBJECT, VIR_ERR_NO_DOMAIN },
        { SD_BUS_ERROR_INVALID_ARGS, VIR_ERR_INVALID_ARG },
        { SD_BUS_ERROR_INVALID_SIGNATURE, VIR_ERR_INVALID_ARG },
        { SD_BUS_ERROR_NO_MEMORY, VIR_ERR_NO_MEMORY },
        { SD_BUS_ERROR_LIMITS_EXCEEDED, VIR_ERR_RESOURCE_BUSY },
        { SD_BUS_ERROR_NO_REPLY, VIR_ERR_OPERATION_TIMEOUT },
        { SD_BUS_ERROR_TIMEOUT, VIR_ERR_OPERATION_TIMEOUT },
        { SD_BUS_ERROR_SERVICE_UNKNOWN, VIR_ERR_NO_CONNECT },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, VIR_ERR_NO_CONNECT },
        {},
};

/* The words before the sentence. Clients and their users know them by heart; a code that is not here has
 * none. */
static const struct {
        int code;
        const char *words;
} openings[] = {
        { VIR_ERR_INTERNAL_ERROR, "internal error" },
        { VIR_ERR_NO_MEMORY, "out of memory" },
        { VIR_ERR_NO_SUPPORT, "this function is not supported by the connection driver" },
        { VIR_ERR_INVALID_ARG, "invalid argument" },
        { VIR_ERR_OPERATION_FAILED, "operation failed" },
        { VIR_ERR_XML_ERROR, "XML error" },
        { VIR_ERR_OPERATION_DENIED, "operation forbidden" },
        { VIR_ERR_NO_DOMAIN, "Domain not found" },
        { VIR_ERR_NO_NETWORK, "Network not found" },
        { VIR_ERR_AUTH_FAILED, "authentication failed" },
        { VIR_ERR_NO_STORAGE_POOL, "Storage pool not found" },
        { VIR_ERR_NO_STORAGE_VOL, "Storage volume not found" },
        { VIR_ERR_NO_NODE_DEVICE, "Node device not found" },
        { VIR_ERR_OPERATION_INVALID, "Requested operation is not valid" },
        { VIR_ERR_NO_INTERFACE, "Interface not found" },
        { VIR_ERR_NO_SECRET, "Secret not found" },
        { VIR_ERR_CONFIG_UNSUPPORTED, "unsupported configuration" },
        { VIR_ERR_OPERATION_TIMEOUT, "Timed out during operation" },
        { VIR_ERR_NO_NWFILTER, "Network filter not found" },
        { VIR_ERR_NO_DOMAIN_SNAPSHOT, "Domain snapshot not found" },
        { VIR_ERR_ARGUMENT_UNSUPPORTED, "argument unsupported" },
        { VIR_ERR_OPERATION_UNSUPPORTED, "Operation not supported" },
        { VIR_ERR_OPERATION_ABORTED, "operation aborted" },
        { VIR_ERR_AUTH_CANCELLED, "authentication cancelled" },
        { VIR_ERR_NO_DOMAIN_METADATA, "metadata not found" },
        { VIR_ERR_OVERFLOW, "numerical overflow" },
        { VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent is not responding" },
        { VIR_ERR_RESOURCE_BUSY, "resource busy" },
        { VIR_ERR_ACCESS_DENIED, "access denied" },
        { VIR_ERR_CPU_INCOMPATIBLE, "the CPU is incompatible with host CPU" },
        { VIR_ERR_AUTH_UNAVAILABLE, "authentication unavailable" },
        { VIR_ERR_DEVICE_MISSING, "device not found" },
        { VIR_ERR_NO_DOMAIN_CHECKPOINT, "Domain checkpoint not found" },
};

/* In whose name drivers speak of what belongs to them. Drivers of other objects do so in their objects' own.
 */
static const struct {
        const char *driver;
        int domain;
} drivers[] = {
        { "qemu", VIR_FROM_QEMU },
        { "lxc", VIR_FROM_LXC },
        { "xen", VIR_FROM_LIBXL },
};

static const char *opening(int code) {
        for (size_t i = 0; i < G_N_ELEMENTS(openings); i++)
                if (openings[i].code == code)
                        return openings[i].words;
        return NULL;
}

static int find_code(const ProxyErrorCode *codes, const char *name) {
        for (; codes->name; codes++)
                if (strcmp(codes->name, name) == 0)
                        return codes->code;
        return VIR_ERR_OK;
}

static int code_of(const sd_bus_error *error) {
        int code;

        code = find_code(proxy_error_codes, error->name);
        if (code == VIR_ERR_OK)
                code = find_code(bus_codes, error->name);
        if (code == VIR_ERR_OK)
                code = g_str_has_prefix(error->name, "System.Error.") ? VIR_ERR_SYSTEM_ERROR
                                                                      : VIR_ERR_OPERATION_FAILED;
        return code;
}

int proxy_error_domain(int domain, const char *driver) {
        if (domain != VIR_FROM_NONE && domain != VIR_FROM_DOMAIN && domain != VIR_FROM_DOMAIN_SNAPSHOT &&
            domain != VIR_FROM_DOMAIN_CHECKPOINT)
                return domain;
        for (size_t i = 0; driver && i < G_N_ELEMENTS(drivers); i++)
                if (strcmp(drivers[i].driver, driver) == 0)
                        return drivers[i].domain;
        return domain;
}

static int domain_of(int code, int domain, const char *driver) {
        switch (code) {
        case VIR_ERR_XML_ERROR: return VIR_FROM_XML;
        case VIR_ERR_ACCESS_DENIED: return VIR_FROM_ACCESS;
        case VIR_ERR_AUTH_UNAVAILABLE:
        case VIR_ERR_AUTH_FAILED: return VIR_FROM_POLKIT;
        default: return proxy_error_domain(domain, driver);
        }
}

static const char *copy(ProxyArena *arena, const char *text) {
        return text ? proxy_arena_strndup(arena, text, strlen(text)) : NULL;
}

/* Clients show the message; what it was made of goes beside it, as the classic daemons send it. */
static void set_message(RpcError *ret, ProxyArena *arena, const char *words, const char *sentence) {
        g_autofree char *whole = NULL, *format = NULL;

        if (!words) {
                ret->message = ret->str1 = copy(arena, sentence);
                return;
        }
        if (!sentence) {
                ret->message = ret->str1 = words;
                return;
        }
        whole = g_strdup_printf("%s: %s", words, sentence);
        format = g_strdup_printf("%s: %%s", words);
        ret->message = copy(arena, whole);
        ret->str1 = copy(arena, format);
        ret->str2 = copy(arena, sentence);
}

static bool translate_classic(const sd_bus_error *error, int object_domain, ProxyArena *arena,
                              RpcError *ret) {
        int code, domain;
        char how[8];

        if (!g_str_has_prefix(error->name, CLASSIC_PREFIX) ||
            sscanf(error->name, CLASSIC_PREFIX "C%d.D%d.%7s", &code, &domain, how) != 3)
                return false;
        ret->code = code;
        ret->domain = domain != 0 ? domain : object_domain;
        set_message(ret, arena, strcmp(how, "Whole") == 0 ? NULL : opening(code), error->message);
        return true;
}

void proxy_error_translate(int r, const sd_bus_error *error, int domain, const char *driver,
                           ProxyArena *arena, RpcError *ret) {
        *ret = (RpcError){ .level = VIR_ERR_ERROR, .int1 = -1, .int2 = -1 };

        if (!error || !error->name) {
                ret->code = r == -ENOMEM ? VIR_ERR_NO_MEMORY : VIR_ERR_SYSTEM_ERROR;
                ret->domain = domain;
                ret->int1 = -r;
                set_message(ret, arena, opening(ret->code), g_strerror(-r));
                return;
        }
        if (translate_classic(error, domain, arena, ret))
                return;
        ret->code = code_of(error);
        ret->domain = domain_of(ret->code, domain, driver);
        set_message(ret, arena, opening(ret->code), error->message ?: error->name);
}

static int set_classic(sd_bus_error *reterr, int code, int domain, const char *how, const char *format,
                       va_list arguments) {
        g_autofree char *name = g_strdup_printf(CLASSIC_FORMAT, code, domain, how);
        g_autofree char *message = g_strdup_vprintf(format, arguments);

        if (sd_bus_error_is_set(reterr))
                return -EIO;
        (void) sd_bus_error_set(reterr, name, message);
        return -EIO;
}

int proxy_error_set(sd_bus_error *reterr, int code, int domain, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = set_classic(reterr, code, domain, "Opened", format, arguments);
        va_end(arguments);
        return r;
}

int proxy_error_set_whole(sd_bus_error *reterr, int code, int domain, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = set_classic(reterr, code, domain, "Whole", format, arguments);
        va_end(arguments);
        return r;
}

int proxy_error_set_text(sd_bus_error *reterr, const char *field) {
        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE, "%s: the text is not UTF-8",
                               field);
}
