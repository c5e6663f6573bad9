/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1: sizes, errors and contents of disks. What runs is asked of the emulator; images of guests that are off, and contents,
 * are looked at with the owner's rights. */

#include <sys/stat.h>

#include "base/error.h"
#include "hypervisor/call-work.h"
#include "hypervisor/disk-tuning.h"
#include "qemu/ask.h"
#include "qemu/command-device.h"
#include "qemu/domain.h"
#include "qemu/handlers.h"
#include "qemu/image-open.h"
#include "qemu/json.h"

#define QUERY_TIMEOUT_USEC (UINT64_C(10) * 1000000)
#define RESIZE_TIMEOUT_USEC (UINT64_C(600) * 1000000)
#define SECTOR 512u

static int find_disk(VbDomain *domain, const char *name, const VbDisk **ret, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = vb_domain_definition(domain);
        int index;

        index = vb_disk_find(definition, name, reterr);
        if (index < 0)
                return index;
        *ret = definition->disks.items[index];
        if (!(*ret)->path)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s': disk '%s' is empty", domain->name, name);
        return 0;
}

/* --- sizes ---------------------------------------------------------------------------------------------------------- */

typedef struct Sizes {
        uint64_t capacity, physical, allocation;
} Sizes;

static int reply_sizes(VbCall *call, const Sizes *sizes) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "a{sv}", 3, "capacity", "t", sizes->capacity, "physical", "t", sizes->physical,
                                          "allocation", "t", sizes->allocation);
        return r < 0 ? vb_call_fail(call, r, NULL) : vb_call_send_reply(call, reply);
}

/* Asked of the emulator: the nodes of the image, and how far it has written. */
typedef struct SizeQuestion {
        VbCall *call;
        char *target;
        char *alias;
        bool is_block; /* on a device of the host, what is taken is what lies below the highest write */
        char format[QEMU_NODE_NAME_SIZE], storage[QEMU_NODE_NAME_SIZE];
        Sizes sizes;
        int r;
        sd_bus_error error;
} SizeQuestion;

static SizeQuestion *size_question_free(SizeQuestion *question) {
        (void) vb_call_unref(question->call);
        sd_bus_error_free(&question->error);
        g_free(question->target);
        g_free(question->alias);
        g_free(question);
        return NULL;
}

static VbJson *find_node(VbJson *nodes, const char *name) {
        for (size_t i = 0; json_object_is_type(nodes, json_type_array) && i < json_object_array_length(nodes); i++)
                if (g_strcmp0(qemu_json_string(json_object_array_get_idx(nodes, i), "node-name"), name) == 0)
                        return json_object_array_get_idx(nodes, i);
        return NULL;
}

static uint64_t image_number(VbJson *node, const char *key, uint64_t fallback) {
        int64_t value = qemu_json_number(qemu_json_object(node, "image"), key, -1);

        return value < 0 ? fallback : (uint64_t) value;
}

static void on_nodes(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        SizeQuestion *question = userdata;
        VbJson *format = find_node(reply->result, question->format);
        VbJson *storage = find_node(reply->result, question->storage);

        question->r = reply->r;
        if (reply->r < 0)
                (void) sd_bus_error_copy(&question->error, &reply->error);
        else if (!format)
                question->r = sd_bus_error_setf(&question->error, VB_ERROR_MONITOR_FAILED, "the emulator has no image of disk '%s'",
                                                question->target);
        question->sizes.capacity = image_number(format, "virtual-size", 0);
        question->sizes.physical = image_number(storage, "virtual-size", question->sizes.capacity);
        question->sizes.allocation = image_number(storage, "actual-size", question->sizes.physical);
}

static void on_stats(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        SizeQuestion *question = userdata;
        VbJson *entry = qemu_block_find_device(reply->result, question->alias);
        int64_t highest = qemu_json_number(qemu_json_object(qemu_json_object(entry, "parent"), "stats"), "wr_highest_offset", -1);

        if (question->is_block && highest >= 0)
                question->sizes.allocation = (uint64_t) highest;
        if (question->r < 0)
                (void) vb_call_fail(question->call, question->r, &question->error);
        else
                (void) reply_sizes(question->call, &question->sizes);
        size_question_free(question);
}

static int ask_for_sizes(VbCall *call, VbDomain *domain, const VbDisk *disk, sd_bus_error *reterr) {
        uint32_t index = qemu_disk_top_index(disk);
        VbJson *arguments = NULL;
        QmpMonitor *monitor = NULL;
        SizeQuestion *question;
        int r;

        r = qemu_ask_find_monitor(domain, &monitor, reterr);
        if (r < 0)
                return r;
        question = g_new(SizeQuestion, 1);
        *question = (SizeQuestion){
                .call = vb_call_ref(call),
                .target = g_strdup(disk->target),
                .alias = g_strdup(disk->info.alias),
                .is_block = disk->type == VB_DISK_TYPE_BLOCK,
        };
        qemu_image_node_name(disk, index, "format", question->format);
        qemu_image_node_name(disk, index, "storage", question->storage);
        arguments = json_object_new_object();
        (void) json_object_object_add(arguments, "flat", json_object_new_boolean(true));
        /* Answered in this order. */
        (void) qmp_monitor_send(monitor, "query-named-block-nodes", arguments, on_nodes, question, QUERY_TIMEOUT_USEC);
        (void) qmp_monitor_send(monitor, "query-blockstats", NULL, on_stats, question, QUERY_TIMEOUT_USEC);
        return 0;
}

static void on_image(int r, VbOpenImage *image, const sd_bus_error *error, void *userdata) {
        g_autoptr(VbCall) call = userdata;
        struct stat st;

        if (r >= 0 && fstat(image->fd, &st) < 0)
                r = -errno;
        if (r < 0)
                (void) vb_call_fail(call, r, error);
        else
                (void) reply_sizes(call, &(Sizes){
                                                 .capacity = image->virtual_size,
                                                 .physical = image->size,
                                                 .allocation = S_ISREG(st.st_mode) ? (uint64_t) st.st_blocks * SECTOR : image->size,
                                         });
}

int qemu_on_get_disk_info(VbCall *call, VbObject *object, const VbDomain1GetDiskInfoArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        const VbDisk *disk = NULL;
        int r;

        r = find_disk(domain, args->disk, &disk, reterr);
        if (r < 0)
                return r;
        if (vb_domain_is_active(domain))
                return ask_for_sizes(call, domain, disk, reterr);
        r = qemu_image_open(qemu_driver_of(domain->hypervisor), domain->owner, disk, on_image, call, reterr);
        if (r >= 0)
                (void) vb_call_ref(call);
        return r;
}

/* --- errors --------------------------------------------------------------------------------------------------------- */

typedef struct ErrorQuestion {
        VbCall *call;
        VbHypervisor *hypervisor;
        VbUuid uuid;
} ErrorQuestion;

static int append_error(sd_bus_message *m, const VbDisk *disk, VbJson *blocks) {
        const char *status = qemu_json_string(qemu_block_find_device(blocks, disk->info.alias), "io-status");

        if (g_strcmp0(status, "failed") == 0)
                return sd_bus_message_append(m, "(ss)", disk->target, "unspecified");
        if (g_strcmp0(status, "nospace") == 0)
                return sd_bus_message_append(m, "(ss)", disk->target, "no-space");
        return 0;
}

static int reply_errors(VbCall *call, const VbDomainDefinition *live, VbJson *blocks) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ss)");
        for (size_t i = 0; r >= 0 && live && i < live->disks.n; i++)
                r = append_error(reply, live->disks.items[i], blocks);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? vb_call_fail(call, r, NULL) : vb_call_send_reply(call, reply);
}

static void on_blocks(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_autofree ErrorQuestion *question = userdata;
        g_autoptr(VbCall) call = question->call;
        const VbDomain *domain;

        if (reply->r < 0) {
                (void) vb_call_fail(call, reply->r, &reply->error);
                return;
        }
        domain = vb_registry_find(question->hypervisor->registry, &question->uuid);
        (void) reply_errors(call, domain ? domain->live : NULL, reply->result);
}

int qemu_on_get_disk_errors(VbCall *call, VbObject *object, const VbDomain1GetDiskErrorsArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        QmpMonitor *monitor = NULL;
        ErrorQuestion *question;
        int r;

        r = qemu_ask_find_monitor(domain, &monitor, reterr);
        if (r < 0)
                return r;
        question = g_new(ErrorQuestion, 1);
        *question = (ErrorQuestion){ .call = vb_call_ref(call), .hypervisor = domain->hypervisor, .uuid = domain->uuid };
        (void) qmp_monitor_send(monitor, "query-block", NULL, on_blocks, question, QUERY_TIMEOUT_USEC);
        return 0;
}

/* --- another size --------------------------------------------------------------------------------------------------- */

static int check_resizable(const VbDomain *domain, const VbDisk *disk, const VbDomain1ResizeDiskArgs *args, sd_bus_error *reterr) {
        if (disk->readonly || disk->device != VB_DISK_DEVICE_DISK)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION, "domain '%s': disk '%s' cannot be written",
                                         domain->name, disk->target);
        if (args->options.capacity)
                return sd_bus_error_setf(reterr, VB_ERROR_NOT_SUPPORTED,
                                         "domain '%s': disk '%s' cannot be made as large as its device by virtbus yet", domain->name,
                                         disk->target);
        if (args->size == 0 || args->size % SECTOR != 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "domain '%s': disk '%s': a size is a multiple of %u bytes, and not 0", domain->name,
                                         disk->target, SECTOR);
        return 0;
}

int qemu_on_resize_disk(VbCall *call, VbObject *object, const VbDomain1ResizeDiskArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        char node[QEMU_NODE_NAME_SIZE];
        const VbDisk *disk = NULL;
        QmpMonitor *monitor = NULL;
        VbJson *arguments;
        int r;

        r = qemu_ask_find_monitor(domain, &monitor, reterr);
        if (r < 0)
                return r;
        r = find_disk(domain, args->disk, &disk, reterr);
        if (r < 0)
                return r;
        r = check_resizable(domain, disk, args, reterr);
        if (r < 0)
                return r;
        r = vb_domain_begin(domain, "resize a disk", vb_call_reply_done, call, reterr);
        if (r < 0)
                return r;
        (void) vb_call_ref(call);

        qemu_image_node_name(disk, qemu_disk_top_index(disk), "format", node);
        arguments = qmp_arguments("node-name", node, NULL);
        (void) json_object_object_add(arguments, "size", json_object_new_int64((int64_t) args->size));
        (void) qmp_monitor_send(monitor, "block_resize", arguments, qemu_ask_finish, qemu_domain_of(domain), RESIZE_TIMEOUT_USEC);
        return 0;
}
