/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/iothreads.h"

#include "base/error.h"
#include "model/tables.h"

#define T(field) VB_XML_FIELD(VbIothread, field)

static const VbXmlRow poll_rows[] = {
        VB_XML_ATTRIBUTE("max", VB_XML_OPT_UINT, T(poll_max), VB_XML_RANGE(0, INT32_MAX)),
        VB_XML_ATTRIBUTE("grow", VB_XML_OPT_UINT, T(poll_grow), VB_XML_RANGE(0, INT32_MAX)),
        VB_XML_ATTRIBUTE("shrink", VB_XML_OPT_UINT, T(poll_shrink), VB_XML_RANGE(0, INT32_MAX)),
        {},
};

static const VbXmlRow iothread_rows[] = {
        VB_XML_ATTRIBUTE("id", VB_XML_OPT_UINT, T(id), .flags = VB_XML_REQUIRED, VB_XML_RANGE(1, UINT32_MAX)),
        VB_XML_ATTRIBUTE("thread_pool_min", VB_XML_OPT_UINT, T(pool_min), VB_XML_RANGE(0, INT32_MAX)),
        VB_XML_ATTRIBUTE("thread_pool_max", VB_XML_OPT_UINT, T(pool_max), VB_XML_RANGE(1, INT32_MAX)),
        VB_XML_GROUP("poll", poll_rows),
        {},
};

static int iothread_finish(void *item, VbXmlReader *reader) {
        const VbIothread *thread = item;

        if (thread->pool_min.set && thread->pool_max.set && thread->pool_min.value > thread->pool_max.value)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "thread_pool_min %u is more than thread_pool_max %u",
                                   thread->pool_min.value, thread->pool_max.value);
        return 0;
}

const VbXmlTable vb_iothread_table = { "iothread", sizeof(VbIothread), iothread_rows, iothread_finish };

const VbIothread *vb_iothread_find(const VbDomainDefinition *definition, uint32_t id) {
        for (size_t i = 0; i < definition->iothread_ids.n; i++)
                if (definition->iothread_ids.items[i]->id.value == id)
                        return definition->iothread_ids.items[i];
        return NULL;
}

bool vb_iothread_exists(const VbDomainDefinition *definition, uint32_t id) {
        if (definition->iothread_ids.n > 0)
                return vb_iothread_find(definition, id);
        return id > 0 && id <= definition->iothreads;
}

uint32_t vb_iothread_id(const VbDomainDefinition *definition, uint32_t place) {
        return definition->iothread_ids.n > 0 ? definition->iothread_ids.items[place]->id.value : place + 1;
}

static void append(VbDomainDefinition *definition, uint32_t id) {
        VbIothread *thread = g_new(VbIothread, 1);

        *thread = (VbIothread){ .id = VB_OPT(id) };
        VB_LIST_APPEND(&definition->iothread_ids, thread);
}

/* Those that nothing was said of have the lowest numbers that are free. */
static void spell_out(VbDomainDefinition *definition) {
        for (uint32_t id = 1; definition->iothread_ids.n < definition->iothreads; id++)
                if (!vb_iothread_find(definition, id))
                        append(definition, id);
}

VbIothread *vb_iothread_get(VbDomainDefinition *definition, uint32_t id) {
        spell_out(definition);
        return (VbIothread *) vb_iothread_find(definition, id);
}

void vb_iothread_add(VbDomainDefinition *definition, uint32_t id) {
        spell_out(definition);
        append(definition, id);
        definition->iothreads++;
}

void vb_iothread_remove(VbDomainDefinition *definition, uint32_t id) {
        size_t i = 0;

        spell_out(definition);
        while (definition->iothread_ids.items[i]->id.value != id)
                i++;
        g_free(VB_LIST_STEAL(&definition->iothread_ids, i));
        definition->iothreads--;
}

char *vb_iothread_user(const VbDomainDefinition *definition, uint32_t id) {
        for (size_t i = 0; i < definition->disks.n; i++)
                if (definition->disks.items[i]->iothread == id)
                        return g_strdup_printf("disk '%s'", definition->disks.items[i]->target);
        for (size_t i = 0; i < definition->controllers.n; i++)
                if (definition->controllers.items[i]->iothread == id)
                        return g_strdup_printf("controller '%s' %u", vb_controller_type_to_string(definition->controllers.items[i]->type),
                                               definition->controllers.items[i]->index.value);
        return NULL;
}

int vb_iothreads_finish(VbDomainDefinition *definition, VbXmlReader *reader) {
        for (size_t i = 0; i < definition->iothread_ids.n; i++)
                if (vb_iothread_find(definition, definition->iothread_ids.items[i]->id.value) != definition->iothread_ids.items[i])
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<iothreadids>: %u is there twice",
                                           definition->iothread_ids.items[i]->id.value);
        definition->iothreads = MAX(definition->iothreads, (uint32_t) definition->iothread_ids.n);
        if (definition->iothread_ids.n > 0)
                spell_out(definition);
        return 0;
}

static int check_controllers(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        for (size_t i = 0; i < definition->controllers.n; i++) {
                const VbController *controller = definition->controllers.items[i];

                if (controller->iothread == 0)
                        continue;
                if (!vb_controller_is_virtio_scsi(controller))
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "<controller type='%s'>: 'iothread' attribute only supported for virtio scsi controllers",
                                                 vb_controller_type_to_string(controller->type));
                if (!vb_iothread_exists(definition, controller->iothread))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "<controller type='scsi'>: there is no I/O thread %u (<iothreads>)",
                                                 controller->iothread);
        }
        return 0;
}

int vb_iothreads_check(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        const VbCputune *tune = definition->cputune;
        int r;

        for (size_t i = 0; i < definition->disks.n; i++) {
                const VbDisk *disk = definition->disks.items[i];

                if (disk->iothread == 0)
                        continue;
                if (!vb_iothread_exists(definition, disk->iothread))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "disk '%s': there is no I/O thread %u (<iothreads>)",
                                                 disk->target, disk->iothread);
                if (disk->bus != VB_DISK_BUS_VIRTIO)
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "disk '%s': only disks on bus 'virtio' can have an I/O thread", disk->target);
        }
        r = check_controllers(definition, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; tune && i < tune->iothreadpins.n; i++)
                if (!vb_iothread_exists(definition, tune->iothreadpins.items[i]->iothread.value))
                        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "<iothreadpin>: there is no I/O thread %u (<iothreads>)",
                                                 tune->iothreadpins.items[i]->iothread.value);
        return 0;
}
