/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/claims.h"

#include <string.h>

#include "hypervisor/lock.h"

VB_STRING_TABLE(vb_claims_state, VbClaimsState, _VB_CLAIMS_STATE_MAX,
                [VB_CLAIMS_NONE] = "none",
                [VB_CLAIMS_HELD] = "held",
                [VB_CLAIMS_SUSPENDED] = "suspended")

static bool is_claimed(const VbDisk *disk) {
        /* What is only read may be read by many. A CD-ROM is never written to. */
        return disk->path && !disk->readonly && disk->device != VB_DISK_DEVICE_CDROM;
}

/* Lock managers know an image by its path, in its plainest spelling. */
static char *image_name(const VbDomainDefinition *definition, const VbDisk *disk) {
        char uuid[SD_ID128_UUID_STRING_MAX];

        if (disk->path[0] == '/')
                return g_canonicalize_filename(disk->path, "/");
        /* "fd:NAME": the caller's own descriptor, which may have any path or none. */
        return g_strdup_printf("/%s/%s", sd_id128_to_uuid_string(definition->uuid, uuid), disk->path);
}

/* Several drives of one guest may have the same image, if they share it. */
static bool is_shared_already(const VbClaims *claims, const char *name) {
        for (size_t i = 0; i < claims->n; i++)
                if (claims->items[i].shared && g_str_equal(claims->items[i].name, name))
                        return true;
        return false;
}

static void add(VbClaims *claims, const VbClaim *claim) {
        claims->items = g_renew(VbClaim, claims->items, claims->n + 1);
        claims->items[claims->n++] = *claim;
}

static void add_disk(VbClaims *claims, const VbDomainDefinition *definition, const VbDisk *disk) {
        g_autofree char *name = image_name(definition, disk);

        if (disk->shareable && is_shared_already(claims, name))
                return;
        add(claims, &(VbClaim){
                            .device = g_strdup_printf("disk %s", disk->target),
                            .name = g_steal_pointer(&name),
                            .shared = disk->shareable,
                            .fd = -EBADF,
                    });
}

VbClaims *vb_claims_new(const VbDomainDefinition *definition, bool disks) {
        VbClaims *claims = g_new0(VbClaims, 1);

        for (size_t i = 0; i < definition->disks.n; i++) {
                const VbDisk *disk = definition->disks.items[i];

                if (!is_claimed(disk))
                        continue;
                if (disks)
                        add_disk(claims, definition, disk);
                else if (!disk->shareable)
                        claims->leaves_disks = true;
        }
        for (size_t i = 0; i < definition->leases.n; i++) {
                const VbLease *lease = definition->leases.items[i];

                add(claims, &(VbClaim){
                                    .device = g_strdup_printf("lease %s", lease->key),
                                    .name = g_strdup(lease->key),
                                    .folder = g_canonicalize_filename(lease->path, "/"),
                                    .lockspace = g_strdup(lease->lockspace),
                                    .offset = lease->offset,
                                    .fd = -EBADF,
                            });
        }
        return claims;
}

VbClaims *vb_claims_free(VbClaims *claims) {
        if (!claims)
                return NULL;

        vb_claims_close(claims);
        for (size_t i = 0; i < claims->n; i++) {
                g_free(claims->items[i].device);
                g_free(claims->items[i].name);
                g_free(claims->items[i].folder);
                g_free(claims->items[i].lockspace);
        }
        g_free(claims->items);
        g_free(claims->token);
        g_free(claims);
        return NULL;
}

VbClaim *vb_claims_find(VbClaims *claims, const char *device) {
        for (size_t i = 0; i < claims->n; i++)
                if (g_str_equal(claims->items[i].device, device))
                        return &claims->items[i];
        return NULL;
}

void vb_claims_close(VbClaims *claims) {
        for (size_t i = 0; i < claims->n; i++)
                claims->items[i].fd = vb_close(claims->items[i].fd);
}

/* --- the daemon's file ---------------------------------------------------------------------------------------------- */

static void put_string(VbJson *json, const char *key, const char *value) {
        if (value)
                (void) json_object_object_add(json, key, json_object_new_string(value));
}

static VbJson *claim_to_json(const VbClaim *claim) {
        VbJson *json = json_object_new_object();

        put_string(json, "device", claim->device);
        put_string(json, "name", claim->name);
        put_string(json, "folder", claim->folder);
        put_string(json, "lockspace", claim->lockspace);
        (void) json_object_object_add(json, "offset", json_object_new_uint64(claim->offset));
        (void) json_object_object_add(json, "shared", json_object_new_boolean(claim->shared));
        return json;
}

VbJson *vb_claims_to_json(const VbClaims *claims) {
        VbJson *json = json_object_new_object(), *items = json_object_new_array();

        put_string(json, "manager", vb_lock_manager_name(claims->manager));
        (void) json_object_object_add(json, "pid", json_object_new_uint64((uint64_t) claims->pid));
        (void) json_object_object_add(json, "start-time", json_object_new_uint64(claims->start_time));
        put_string(json, "state", vb_claims_state_to_string(claims->state));
        put_string(json, "token", claims->token);
        for (size_t i = 0; i < claims->n; i++)
                (void) json_object_array_add(items, claim_to_json(&claims->items[i]));
        (void) json_object_object_add(json, "claims", items);
        return json;
}

static const char *get_string(VbJson *json, const char *key) {
        VbJson *value;

        return json_object_object_get_ex(json, key, &value) && json_object_is_type(value, json_type_string) ?
                       json_object_get_string(value) :
                       NULL;
}

static uint64_t get_number(VbJson *json, const char *key) {
        VbJson *value;

        return json_object_object_get_ex(json, key, &value) && json_object_is_type(value, json_type_int) ?
                       json_object_get_uint64(value) :
                       0;
}

static int take_claim(VbClaims *claims, VbJson *json) {
        VbJson *shared;

        if (!get_string(json, "device") || !get_string(json, "name"))
                return -EBADMSG;
        add(claims, &(VbClaim){
                            .device = g_strdup(get_string(json, "device")),
                            .name = g_strdup(get_string(json, "name")),
                            .folder = g_strdup(get_string(json, "folder")),
                            .lockspace = g_strdup(get_string(json, "lockspace")),
                            .offset = get_number(json, "offset"),
                            .shared = json_object_object_get_ex(json, "shared", &shared) && json_object_get_boolean(shared),
                            .fd = -EBADF,
                    });
        return 0;
}

int vb_claims_from_json(VbClaims **ret, VbJson *json) {
        g_autoptr(VbClaims) claims = g_new0(VbClaims, 1);
        int state = vb_claims_state_from_string(get_string(json, "state")), r = 0;
        VbJson *items;

        claims->manager = vb_lock_manager_find(get_string(json, "manager"));
        if (!claims->manager || state < 0 || get_number(json, "pid") > INT32_MAX ||
            !json_object_object_get_ex(json, "claims", &items) || !json_object_is_type(items, json_type_array))
                return -EBADMSG;
        claims->pid = (pid_t) get_number(json, "pid");
        claims->start_time = get_number(json, "start-time");
        claims->state = (VbClaimsState) state;
        claims->token = g_strdup(get_string(json, "token"));
        for (size_t i = 0; r >= 0 && i < json_object_array_length(items); i++)
                r = take_claim(claims, json_object_array_get_idx(items, i));
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&claims);
        return 0;
}
