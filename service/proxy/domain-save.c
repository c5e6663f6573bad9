/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guests to files and back: save, restore, dump. Clients name a file by its path; drivers want it open. */

#include <string.h>

#include "proxy/call.h"
#include "proxy/file.h"

#define HYPERVISOR "org.virtbus.Hypervisor1"
#define DOMAIN "org.virtbus.Domain1"

enum {
        SAVE_FLAGS = VIR_DOMAIN_SAVE_BYPASS_CACHE | VIR_DOMAIN_SAVE_RUNNING | VIR_DOMAIN_SAVE_PAUSED,
};

/* What is asked for, in whichever way it was said. */
typedef struct Saving {
        const RpcDomain *dom; /* NULL: restore */
        const char *path; /* of the domain's object */
        const char *file;
        const char *xml; /* NULL: the guest's own */
        unsigned flags; /* virDomainSaveRestoreFlags */
} Saving;

static Saving *saving_new(ProxyCall *call, const Saving *what) {
        Saving *saving = proxy_call_alloc(call, sizeof(Saving));

        *saving = *what;
        return saving;
}

/* VIR_DOMAIN_SAVE_PARAM_*, of which those that name formats and channels ask for what no driver offers. */
static int read_params(const RpcTypedParamArray *params, Saving *saving, sd_bus_error *reterr) {
        for (uint32_t i = 0; i < params->n; i++) {
                const RpcTypedParam *param = &params->items[i];
                const char **where;

                if (strcmp(param->field, VIR_DOMAIN_SAVE_PARAM_FILE) == 0)
                        where = &saving->file;
                else if (strcmp(param->field, VIR_DOMAIN_SAVE_PARAM_DXML) == 0)
                        where = &saving->xml;
                else
                        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                               "parameter '%s' not supported", param->field);
                if (param->value.type != VIR_TYPED_PARAM_STRING)
                        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                               "parameter '%s' is not a string", param->field);
                if (*where)
                        return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                               "parameter '%s' occurs multiple times", param->field);
                *where = param->value.s;
        }
        if (!saving->file)
                return proxy_error_set(reterr, VIR_ERR_OPERATION_UNSUPPORTED, VIR_FROM_NONE,
                                       "a file to save to, or to restore from, must be named");
        return 0;
}

static int check_flags(ProxyCall *call, unsigned flags, sd_bus_error *reterr) {
        if ((flags & VIR_DOMAIN_SAVE_RUNNING) && (flags & VIR_DOMAIN_SAVE_PAUSED))
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                       "Flags 'VIR_DOMAIN_SAVE_RUNNING' and 'VIR_DOMAIN_SAVE_PAUSED' are "
                                       "mutually exclusive");
        return proxy_call_check_flags(call, flags, SAVE_FLAGS, reterr);
}

static int append_bool(sd_bus_message *message, const char *key, bool value) {
        return sd_bus_message_append(message, "{sv}", key, "b", value);
}

/* The options that saving and restoring have in common. */
static int append_options(sd_bus_message *message, const Saving *saving) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0 && saving->dom && saving->flags & VIR_DOMAIN_SAVE_BYPASS_CACHE)
                r = append_bool(message, "bypass-cache", true);
        if (r >= 0 && saving->flags & (VIR_DOMAIN_SAVE_RUNNING | VIR_DOMAIN_SAVE_PAUSED))
                r = append_bool(message, "paused", saving->flags & VIR_DOMAIN_SAVE_PAUSED);
        if (r >= 0 && saving->xml)
                r = sd_bus_message_append(message, "{sv}", "xml", "s", saving->xml);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* ---- save */

static int on_save_opened(ProxyCall *call, ProxyFile *file, void *userdata, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const Saving *saving = userdata;
        int r;

        r = proxy_call_new_method(call, &message, saving->path, DOMAIN, "Save", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "h", file->fd);
        if (r >= 0)
                r = append_options(message, saving);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

static int save(ProxyCall *call, const Saving *what, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        Saving *saving;
        int r;

        r = check_flags(call, what->flags, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_domain(call, what->dom, &domain, reterr);
        if (r <= 0)
                return r;
        if (domain->id < 0) /* before the file is touched */
                return proxy_error_set(reterr, VIR_ERR_OPERATION_INVALID, proxy_call_driver_domain(call),
                                       "domain is not running");
        saving = saving_new(call, what);
        saving->path = proxy_call_strdup(call, domain->path);
        return proxy_file_open(call, saving->file, PROXY_FILE_CREATE, on_save_opened, saving, reterr);
}

int proxy_remote_domain_save(ProxyCall *call, const RpcRemoteDomainSaveArgs *args, sd_bus_error *reterr) {
        return save(call, &(Saving){ .dom = &args->dom, .file = args->to }, reterr);
}

int proxy_remote_domain_save_flags(ProxyCall *call, const RpcRemoteDomainSaveFlagsArgs *args,
                                   sd_bus_error *reterr) {
        return save(call,
                    &(Saving){ .dom = &args->dom, .file = args->to, .xml = args->dxml, .flags = args->flags },
                    reterr);
}

int proxy_remote_domain_save_params(ProxyCall *call, const RpcRemoteDomainSaveParamsArgs *args,
                                    sd_bus_error *reterr) {
        Saving saving = { .dom = &args->dom, .flags = args->flags };
        int r;

        r = read_params(&args->params, &saving, reterr);
        return r < 0 ? r : save(call, &saving, reterr);
}

/* ---- restore */

static int on_restore_opened(ProxyCall *call, ProxyFile *file, void *userdata, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const Saving *saving = userdata;
        int r;

        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "Restore", reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "h", file->fd);
        if (r >= 0)
                r = append_options(message, saving);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

static int restore(ProxyCall *call, const Saving *what, sd_bus_error *reterr) {
        int r;

        r = check_flags(call, what->flags, reterr);
        if (r < 0)
                return r;
        return proxy_file_open(call, what->file, PROXY_FILE_READ, on_restore_opened, saving_new(call, what),
                               reterr);
}

int proxy_remote_domain_restore(ProxyCall *call, const RpcRemoteDomainRestoreArgs *args,
                                sd_bus_error *reterr) {
        return restore(call, &(Saving){ .file = args->from }, reterr);
}

int proxy_remote_domain_restore_flags(ProxyCall *call, const RpcRemoteDomainRestoreFlagsArgs *args,
                                      sd_bus_error *reterr) {
        return restore(call, &(Saving){ .file = args->from, .xml = args->dxml, .flags = args->flags },
                       reterr);
}

int proxy_remote_domain_restore_params(ProxyCall *call, const RpcRemoteDomainRestoreParamsArgs *args,
                                       sd_bus_error *reterr) {
        Saving saving = { .flags = args->flags };
        int r;

        r = read_params(&args->params, &saving, reterr);
        return r < 0 ? r : restore(call, &saving, reterr);
}

static int on_saved_xml(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        RpcRemoteDomainSaveImageGetXmlDescRet ret = {};
        int r;

        r = sd_bus_message_read_basic(answer, 's', &ret.xml);
        return r < 0 ? r : proxy_reply_remote_domain_save_image_get_xml_desc(call, &ret);
}

static int on_image_opened(ProxyCall *call, ProxyFile *file, void *userdata, sd_bus_error *reterr) {
        const RpcRemoteDomainSaveImageGetXmlDescArgs *args = userdata;
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "GetSavedXML", reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "ha{sv}", file->fd, 1, "secure", "b", (args->flags & VIR_DOMAIN_SAVE_IMAGE_XML_SECURE) != 0);
        return r < 0 ? r : proxy_call_send(call, message, on_saved_xml, NULL, reterr);
}

int proxy_remote_domain_save_image_get_xml_desc(ProxyCall *call,
                                                const RpcRemoteDomainSaveImageGetXmlDescArgs *args,
                                                sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE, reterr);
        return r < 0 ? r : proxy_file_open(call, args->file, PROXY_FILE_READ, on_image_opened, (void *) args, reterr);
}

static int on_edit_opened(ProxyCall *call, ProxyFile *file, void *userdata, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const RpcRemoteDomainSaveImageDefineXmlArgs *args = userdata;
        int r;

        r = proxy_call_new_method(call, &message, NULL, HYPERVISOR, "SetSavedXML", reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "hs", file->fd, args->dxml);
        if (r >= 0)
                r = append_options(message, &(Saving){ .flags = args->flags });
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

int proxy_remote_domain_save_image_define_xml(ProxyCall *call,
                                              const RpcRemoteDomainSaveImageDefineXmlArgs *args,
                                              sd_bus_error *reterr) {
        int r;

        r = check_flags(call, args->flags, reterr);
        return r < 0 ? r
                     : proxy_file_open(call, args->file, PROXY_FILE_EDIT, on_edit_opened, (void *) args,
                                       reterr);
}

/* ---- dump */

typedef struct Dumping {
        const RpcDomain *dom;
        const char *path; /* of the domain's object */
        const char *file;
        unsigned format; /* virDomainCoreDumpFormat */
        unsigned flags; /* virDomainCoreDumpFlags */
} Dumping;

/* Only memory as such has a format: a raw dump is the emulator's own state, unless memory alone is asked for.
 */
static const char *dump_format(const Dumping *dumping) {
        static const char *const words[] = {
                [VIR_DOMAIN_CORE_DUMP_FORMAT_RAW] = "raw",
                [VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_ZLIB] = "kdump-zlib",
                [VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_LZO] = "kdump-lzo",
                [VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_SNAPPY] = "kdump-snappy",
        };

        if (dumping->format >= G_N_ELEMENTS(words))
                return NULL;
        if (dumping->format == VIR_DOMAIN_CORE_DUMP_FORMAT_RAW && dumping->flags & VIR_DUMP_MEMORY_ONLY)
                return "elf";
        return words[dumping->format];
}

static int append_dump_options(sd_bus_message *message, const Dumping *dumping) {
        static const struct {
                unsigned flag;
                const char *option;
        } options[] = {
                { VIR_DUMP_BYPASS_CACHE, "bypass-cache" },
                { VIR_DUMP_LIVE, "live" },
                { VIR_DUMP_CRASH, "crash" },
                { VIR_DUMP_RESET, "reset" },
                { VIR_DUMP_MEMORY_ONLY, "memory-only" },
        };
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(message, "{sv}", "format", "s", dump_format(dumping));
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(options); i++)
                if (dumping->flags & options[i].flag)
                        r = append_bool(message, options[i].option, true);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int on_dump_opened(ProxyCall *call, ProxyFile *file, void *userdata, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const Dumping *dumping = userdata;
        int r;

        r = proxy_call_new_method(call, &message, dumping->path, DOMAIN, "CoreDump", reterr);
        if (r >= 0)
                r = sd_bus_message_append(message, "h", file->fd);
        if (r >= 0)
                r = append_dump_options(message, dumping);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

static int dump(ProxyCall *call, const Dumping *what, sd_bus_error *reterr) {
        const ProxyDomain *domain;
        Dumping *dumping;
        int r;

        r = proxy_call_check_flags(call, what->flags,
                                   VIR_DUMP_CRASH | VIR_DUMP_LIVE | VIR_DUMP_BYPASS_CACHE | VIR_DUMP_RESET |
                                           VIR_DUMP_MEMORY_ONLY,
                                   reterr);
        if (r < 0)
                return r;
        if (!dump_format(what))
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, VIR_FROM_NONE,
                                       "dumpformat '%u' is not supported", what->format);
        r = proxy_call_find_domain(call, what->dom, &domain, reterr);
        if (r <= 0)
                return r;
        if (domain->id < 0)
                return proxy_error_set(reterr, VIR_ERR_OPERATION_INVALID, proxy_call_driver_domain(call),
                                       "domain is not running");
        dumping = proxy_call_alloc(call, sizeof(Dumping));
        *dumping = *what;
        dumping->path = proxy_call_strdup(call, domain->path);
        return proxy_file_open(call, dumping->file, PROXY_FILE_CREATE, on_dump_opened, dumping, reterr);
}

int proxy_remote_domain_core_dump(ProxyCall *call, const RpcRemoteDomainCoreDumpArgs *args,
                                  sd_bus_error *reterr) {
        return dump(call, &(Dumping){ .dom = &args->dom, .file = args->to, .flags = args->flags }, reterr);
}

int proxy_remote_domain_core_dump_with_format(ProxyCall *call,
                                              const RpcRemoteDomainCoreDumpWithFormatArgs *args,
                                              sd_bus_error *reterr) {
        return dump(call,
                    &(Dumping){ .dom = &args->dom,
                                .file = args->to,
                                .format = args->dumpformat,
                                .flags = args->flags },
                    reterr);
}
