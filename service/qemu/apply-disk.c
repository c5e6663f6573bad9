/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of a disk whose guest runs. Where the disk has a throttle node already, its group gets other numbers. Else the nodes are
 * made as command-image.c makes them for a start, and the device is told to use the upper one: it changes hands
 * between two requests, unseen by the guest. So the graph is always the one that the definition describes. */
#include "qemu/apply.h"

#include "base/error.h"
#include "base/operation.h"
#include "qemu/ask.h"
#include "qemu/command-device.h"
#include "qemu/json.h"

#define COMMAND_TIMEOUT_USEC (UINT64_C(10) * 1000000)

struct QemuDiskApply {
        QemuDomain *qemu;
        VbOperation *operation;
        uint64_t command;

        VbDomainDefinition *wanted;
        const VbDisk *new_disk; /* of wanted */
        char *alias;
        char *group;         /* the id of the throttle group, the old one if the disk has limits already */
        bool group_is_shared; /* by another disk that has it already */
        char upper[QEMU_NODE_NAME_SIZE], lower[QEMU_NODE_NAME_SIZE];
        char *qdev; /* the device's path among the emulator's objects */
};

QemuDiskApply *qemu_disk_apply_free(QemuDiskApply *apply) {
        if (!apply)
                return NULL;

        (void) vb_operation_free(apply->operation);
        if (apply->command && apply->qemu->monitor)
                qmp_monitor_forget(apply->qemu->monitor, apply->command);
        (void) vb_domain_definition_free(apply->wanted);
        g_free(apply->alias);
        g_free(apply->group);
        g_free(apply->qdev);
        g_free(apply);
        return NULL;
}

static void on_answered(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDiskApply *apply = userdata;

        apply->command = 0;
        vb_operation_step_done(apply->operation, reply->r, reply->r < 0 ? &reply->error : NULL);
}

static void on_undone(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDiskApply *apply = userdata;

        apply->command = 0;
        vb_operation_undo_done(apply->operation, reply->r);
}

static int send(QemuDiskApply *apply, const char *command, VbJson *arguments, QmpReplyCallback callback) {
        if (!apply->qemu->monitor) {
                vb_json_put(arguments);
                return -ENOTCONN;
        }
        apply->command = qmp_monitor_send(apply->qemu->monitor, command, arguments, callback, apply, COMMAND_TIMEOUT_USEC);
        return VB_STEP_PENDING;
}

/* --- the device ----------------------------------------------------------------------------------------------------- */

static void on_blocks(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDiskApply *apply = userdata;
        VbJson *entry = reply->r < 0 ? NULL : qemu_block_find_device(reply->result, apply->alias);
        int r = reply->r;

        apply->command = 0;
        apply->qdev = g_strdup(qemu_json_string(entry, "qdev"));
        if (r >= 0 && !apply->qdev)
                r = sd_bus_error_setf(&error, VB_ERROR_MONITOR_FAILED, "the emulator knows no disk '%s'", apply->new_disk->target);
        vb_operation_step_done(apply->operation, r, r < 0 ? (reply->r < 0 ? &reply->error : &error) : NULL);
}

static int find_device(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        return send(userdata, "query-block", NULL, on_blocks);
}

static int use_node(QemuDiskApply *apply, const char *node, QmpReplyCallback callback) {
        return send(apply, "qom-set", qmp_arguments("path", apply->qdev, "property", "drive", "value", node, NULL), callback);
}

static int use_upper(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuDiskApply *apply = userdata;

        return use_node(apply, apply->upper, on_answered);
}

static int use_lower(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuDiskApply *apply = userdata;

        return use_node(apply, apply->lower, on_answered);
}

/* --- the group ------------------------------------------------------------------------------------------------------ */

/* All numbers, as those that are left out would stay. */
static VbJson *all_limits(const VbDisk *disk) {
        static const char *const names[] = {
                "bps-total",      "bps-read",       "bps-write",      "iops-total",      "iops-read",      "iops-write",
                "bps-total-max",  "bps-read-max",   "bps-write-max",  "iops-total-max",  "iops-read-max",  "iops-write-max",
                "iops-size",
        };
        static const char *const lengths[] = {
                "bps-total-max-length",  "bps-read-max-length",  "bps-write-max-length",
                "iops-total-max-length", "iops-read-max-length", "iops-write-max-length",
        };
        g_autoptr(VbJson) group = qemu_disk_throttle_group(disk);
        VbJson *given = qemu_json_object(group, "limits"), *all = json_object_new_object();

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                (void) json_object_object_add(all, names[i], json_object_new_int64(qemu_json_number(given, names[i], 0)));
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++)
                (void) json_object_object_add(all, lengths[i], json_object_new_int64(qemu_json_number(given, lengths[i], 1)));
        return all;
}

static int set_group(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuDiskApply *apply = userdata;
        g_autofree char *path = g_strdup_printf("/objects/%s", apply->group);
        VbJson *arguments = qmp_arguments("path", path, "property", "limits", NULL);

        (void) json_object_object_add(arguments, "value", all_limits(apply->new_disk));
        return send(apply, "qom-set", arguments, on_answered);
}

static int add_group(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuDiskApply *apply = userdata;

        if (apply->group_is_shared)
                return set_group(operation, userdata, reterr);
        return send(apply, "object-add", qemu_disk_throttle_group(apply->new_disk), on_answered);
}

static int add_group_undo(VbOperation *operation, void *userdata) {
        QemuDiskApply *apply = userdata;

        return apply->group_is_shared ? VB_STEP_DONE : send(apply, "object-del", qmp_arguments("id", apply->group, NULL), on_undone);
}

static int remove_group(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuDiskApply *apply = userdata;

        return apply->group_is_shared ? VB_STEP_DONE :
                                        send(apply, "object-del", qmp_arguments("id", apply->group, NULL), on_answered);
}

/* --- the node ------------------------------------------------------------------------------------------------------- */

static int add_node(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuDiskApply *apply = userdata;

        return send(apply, "blockdev-add", qemu_disk_throttle(apply->new_disk), on_answered);
}

static int add_node_undo(VbOperation *operation, void *userdata) {
        QemuDiskApply *apply = userdata;

        return send(apply, "blockdev-del", qmp_arguments("node-name", apply->upper, NULL), on_undone);
}

static int remove_node(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuDiskApply *apply = userdata;

        return send(apply, "blockdev-del", qmp_arguments("node-name", apply->upper, NULL), on_answered);
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static const VbStep change_steps[] = {
        { "set the limits", set_group },
};

static const VbStep add_steps[] = {
        { "find the device", find_device },
        { "add a throttle group", add_group, add_group_undo },
        { "add a throttle node", add_node, add_node_undo },
        { "use the node", use_upper },
};

static const VbStep remove_steps[] = {
        { "find the device", find_device },
        { "use the node below", use_lower },
        { "remove the throttle node", remove_node },
        { "remove the throttle group", remove_group },
};

static void on_done(VbOperation *operation, int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) kept = SD_BUS_ERROR_NULL;
        QemuDiskApply *apply = userdata;
        QemuDomain *qemu = apply->qemu;

        if (r < 0)
                (void) sd_bus_error_copy(&kept, error);
        qemu->disk_apply = qemu_disk_apply_free(apply);
        vb_domain_finish(qemu->domain, r, &kept);
}

/* Whether another disk of the guest is in the group. */
static bool is_shared(const VbDomainDefinition *live, const VbDisk *disk, const char *group) {
        for (size_t i = 0; i < live->disks.n; i++) {
                g_autofree char *theirs = qemu_disk_throttle_group_id(live->disks.items[i]);

                if (live->disks.items[i] != disk && g_strcmp0(theirs, group) == 0)
                        return true;
        }
        return false;
}

static int check(const VbDomainDefinition *live, const VbDisk *old_disk, const VbDisk *new_disk, sd_bus_error *reterr) {
        if (!old_disk->path)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': disk '%s' has no medium whose use could be limited", live->name, old_disk->target);
        if (old_disk->iotune && new_disk->iotune && g_strcmp0(old_disk->iotune->group_name, new_disk->iotune->group_name) != 0)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': disk '%s' cannot change its group while it has limits; take them away first",
                                         live->name, old_disk->target);
        return 0;
}

int qemu_apply_disk(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        const VbDomainDefinition *live = qemu->domain->live;
        const VbDisk *old_disk = live->disks.items[part];
        g_autofree char *title = g_strdup_printf("limit disk '%s' of domain '%s'", old_disk->target, live->name);
        QemuDiskApply *apply;
        VbOperationSpec spec = { .title = title, .object = live->name, .uuid = qemu->domain->uuid_string, .done = on_done };
        int r;

        r = check(live, old_disk, wanted->disks.items[part], reterr);
        if (r < 0)
                return r;
        r = qemu_ask_check_connected(qemu, reterr);
        if (r < 0)
                return r;
        if (!old_disk->iotune && !wanted->disks.items[part]->iotune) {
                vb_domain_finish(qemu->domain, 0, NULL);
                return 0;
        }

        apply = spec.userdata = g_new0(QemuDiskApply, 1);
        *apply = (QemuDiskApply){ .qemu = qemu, .wanted = vb_domain_definition_copy(wanted), .alias = g_strdup(old_disk->info.alias) };
        apply->new_disk = apply->wanted->disks.items[part];
        apply->group = qemu_disk_throttle_group_id(old_disk->iotune ? old_disk : apply->new_disk);
        apply->group_is_shared = is_shared(live, old_disk, apply->group);
        qemu_disk_top_node(old_disk->iotune ? old_disk : apply->new_disk, apply->upper);
        qemu_disk_top_node(old_disk->iotune ? apply->new_disk : old_disk, apply->lower);

        spec.steps = !old_disk->iotune ? add_steps : apply->new_disk->iotune ? change_steps : remove_steps;
        spec.n_steps = !old_disk->iotune          ? G_N_ELEMENTS(add_steps) :
                       apply->new_disk->iotune ? G_N_ELEMENTS(change_steps) :
                                                  G_N_ELEMENTS(remove_steps);
        r = vb_operation_start(&apply->operation, qemu_driver_event(qemu->driver), &spec);
        if (r < 0) {
                (void) qemu_disk_apply_free(apply);
                return r;
        }
        qemu->disk_apply = apply;
        return 0;
}
