/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/state-file.h"

#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

#define STATE_SIZE_MAX (64u << 10)
#define LIVE_SIZE_MAX (16u << 20)

VB_STRING_TABLE(qemu_progress, QemuProgress, _QEMU_PROGRESS_MAX,
                [QEMU_PROGRESS_STARTING] = "starting",
                [QEMU_PROGRESS_RUNNING] = "running")

QemuState *qemu_state_free(QemuState *state) {
        if (!state)
                return NULL;
        g_free(state->machine);
        g_free(state->unit);
        g_free(state->log_path);
        (void) vb_claims_free(state->claims);
        g_free(state);
        return NULL;
}

static void add_string(VbJson *json, const char *key, const char *value) {
        if (value)
                (void) json_object_object_add(json, key, json_object_new_string(value));
}

static void add_number(VbJson *json, const char *key, uint64_t value) {
        (void) json_object_object_add(json, key, json_object_new_uint64(value));
}

void qemu_state_file_save(QemuDomain *qemu) {
        g_autofree char *path = g_build_filename(qemu->run_dir, "state", NULL);
        g_autoptr(VbJson) json = json_object_new_object();
        const VbDomain *domain = qemu->domain;
        const char *text;
        int r;

        add_number(json, "format", QEMU_STATE_FORMAT);
        add_string(json, "name", domain->name);
        add_string(json, "progress", qemu_progress_to_string(qemu->progress));
        add_number(json, "id", (uint64_t) domain->id);
        add_number(json, "owner", domain->owner);
        add_number(json, "uid", qemu->uid);
        if (qemu->process) {
                add_number(json, "pid", (uint64_t) vb_process_get_pid(qemu->process));
                add_number(json, "start-time", vb_process_get_start_time(qemu->process));
        }
        if (qemu->tpm) {
                add_number(json, "tpm-pid", (uint64_t) vb_process_get_pid(qemu->tpm));
                add_number(json, "tpm-start-time", vb_process_get_start_time(qemu->tpm));
        }
        add_string(json, "machine", qemu->machine);
        add_string(json, "unit", qemu->unit);
        add_string(json, "log", qemu->log_path);
        (void) json_object_object_add(json, "log-is-daemons", json_object_new_boolean(qemu->log_is_daemons));
        (void) json_object_object_add(json, "clock-adjustment", json_object_new_int(qemu->clock_adjustment));
        add_string(json, "state", vb_domain_state_to_string(domain->state));
        add_string(json, "reason", vb_domain_reason_to_string(domain->reason));
        (void) json_object_object_add(json, "reboot-by-shutdown", json_object_new_boolean(qemu->reboot_by_shutdown));
        (void) json_object_object_add(json, "goes-on", json_object_new_boolean(qemu->goes_on));
        (void) json_object_object_add(json, "clock-behind", json_object_new_boolean(qemu->clock != NULL));
        add_string(json, "suspend-reason", vb_domain_reason_to_string(qemu->suspend_reason));
        add_number(json, "agent-timeout-usec", domain->agent_timeout_usec);
        if (domain->claims)
                (void) json_object_object_add(json, "leases", vb_claims_to_json(domain->claims));

        text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
        r = vb_file_write(path, text, strlen(text), 0600);
        if (r < 0)
                vb_log_error_for(VB_DOMAIN_LOG(domain), "domain '%s': cannot write '%s': %s", domain->name, path,
                                 g_strerror(-r));
}

void qemu_state_file_save_live(QemuDomain *qemu) {
        g_autofree char *path = g_build_filename(qemu->run_dir, "live.xml", NULL), *xml = NULL;
        const VbDomain *domain = qemu->domain;
        int r;

        xml = vb_domain_definition_format(domain->live, VB_DOMAIN_FORMAT_SECURE | VB_DOMAIN_FORMAT_PRIVATE);
        r = vb_file_write(path, xml, strlen(xml), 0600);
        if (r < 0)
                vb_log_error_for(VB_DOMAIN_LOG(domain), "domain '%s': cannot write '%s': %s", domain->name, path,
                                 g_strerror(-r));
}

static const char *get_string(VbJson *json, const char *key) {
        VbJson *value;

        if (!json_object_object_get_ex(json, key, &value) || !json_object_is_type(value, json_type_string))
                return NULL;
        return json_object_get_string(value);
}

static uint64_t get_number(VbJson *json, const char *key) {
        VbJson *value;

        if (!json_object_object_get_ex(json, key, &value) || !json_object_is_type(value, json_type_int))
                return 0;
        return json_object_get_uint64(value);
}

/* One that may be negative. */
static int32_t get_int(VbJson *json, const char *key) {
        VbJson *value;

        if (!json_object_object_get_ex(json, key, &value) || !json_object_is_type(value, json_type_int))
                return 0;
        return json_object_get_int(value);
}

static bool get_bool(VbJson *json, const char *key) {
        VbJson *flag;

        return json_object_object_get_ex(json, key, &flag) && json_object_get_boolean(flag);
}

static int parse_state(VbJson *json, QemuState **ret) {
        g_autoptr(QemuState) state = g_new(QemuState, 1);
        int progress, value, reason, r;
        VbJson *leases;

        *state = (QemuState){ 0 };
        progress = qemu_progress_from_string(get_string(json, "progress"));
        value = vb_domain_state_from_string(get_string(json, "state"));
        reason = vb_domain_reason_from_string(get_string(json, "reason"));
        if (get_number(json, "format") != QEMU_STATE_FORMAT || progress < 0 || value < 0 || reason < 0 ||
            get_number(json, "id") > INT32_MAX || get_number(json, "pid") > INT32_MAX ||
            get_number(json, "tpm-pid") > INT32_MAX)
                return -EBADMSG;

        state->progress = (QemuProgress) progress;
        state->id = (int) get_number(json, "id");
        state->pid = (pid_t) get_number(json, "pid");
        state->start_time = get_number(json, "start-time");
        state->tpm_pid = (pid_t) get_number(json, "tpm-pid");
        state->tpm_start_time = get_number(json, "tpm-start-time");
        state->owner = (uid_t) get_number(json, "owner");
        state->uid = (uid_t) get_number(json, "uid");
        state->machine = g_strdup(get_string(json, "machine"));
        state->unit = g_strdup(get_string(json, "unit"));
        state->log_path = g_strdup(get_string(json, "log"));
        state->log_is_daemons = get_bool(json, "log-is-daemons");
        state->clock_adjustment = get_int(json, "clock-adjustment");
        state->state = (VbDomainState) value;
        state->reason = (VbDomainReason) reason;
        if (!vb_domain_state_allows(state->state, state->reason))
                state->reason = VB_REASON_UNKNOWN;
        state->reboot_by_shutdown = get_bool(json, "reboot-by-shutdown");
        state->goes_on = get_bool(json, "goes-on");
        state->clock_behind = get_bool(json, "clock-behind");
        reason = vb_domain_reason_from_string(get_string(json, "suspend-reason"));
        state->suspend_reason = reason < 0 ? VB_REASON_UNKNOWN : (VbDomainReason) reason;
        state->agent_timeout_usec = json_object_object_get_ex(json, "agent-timeout-usec", NULL) ? get_number(json, "agent-timeout-usec") : VB_AGENT_TIMEOUT_USEC;
        if (json_object_object_get_ex(json, "leases", &leases)) {
                r = vb_claims_from_json(&state->claims, leases);
                if (r < 0)
                        return r;
        }
        *ret = g_steal_pointer(&state);
        return 0;
}

int qemu_state_file_load(const char *run_dir, QemuState **ret) {
        g_autofree char *path = g_build_filename(run_dir, "state", NULL), *text = NULL;
        g_autoptr(VbJson) json = NULL;
        int r;

        r = vb_file_read(AT_FDCWD, path, STATE_SIZE_MAX, &text, NULL);
        if (r < 0)
                return r;
        json = json_tokener_parse(text);
        if (!json || !json_object_is_type(json, json_type_object))
                return -EBADMSG;
        return parse_state(json, ret);
}

int qemu_state_file_load_live(const char *run_dir, VbDomainDefinition **ret, sd_bus_error *reterr) {
        g_autofree char *path = g_build_filename(run_dir, "live.xml", NULL), *text = NULL;
        size_t size;
        int r;

        r = vb_file_read(AT_FDCWD, path, LIVE_SIZE_MAX, &text, &size);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "'%s' cannot be read: %s", path, g_strerror(-r));
        return vb_domain_definition_parse(ret, text, size, VB_DOMAIN_PARSE_LIVE | VB_DOMAIN_PARSE_PRIVATE, reterr);
}
