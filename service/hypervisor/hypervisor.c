/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/hypervisor.h"

#include "base/error.h"
#include "base/file.h"
#include "hypervisor/autostart.h"
#include "hypervisor/call-work.h"
#include "hypervisor/handlers.h"
#include "hypervisor/host-sleep.h"

/* A struct of handlers is an array of pointers to functions. Where the layer has none, the driver's is taken. */
static void add_handlers(void *handlers, const void *driver, size_t size) {
        void (**to)(void) = handlers;
        void (*const *from)(void) = driver;

        for (size_t i = 0; driver && i < size / sizeof(*to); i++)
                if (!to[i])
                        to[i] = from[i];
}

VbHypervisor1Handlers vb_hypervisor_handlers(const VbHypervisor1Handlers *driver) {
        VbHypervisor1Handlers handlers = vb_hypervisor_layer_handlers;

        add_handlers(&handlers, driver, sizeof(handlers));
        return handlers;
}

static void describe(VbObject *object, VbSubject *ret_subject) {
        const VbDomain *domain = vb_domain_of(object);

        *ret_subject = (VbSubject){ .name = domain->name, .uuid = domain->uuid_string, .owner = domain->owner };
}

static VbTurnQueue *turns_of(VbObject *object) {
        return vb_domain_of(object)->turns;
}

static void make_kind(VbHypervisor *hypervisor) {
        hypervisor->domain_handlers = vb_domain_layer_handlers;
        add_handlers(&hypervisor->domain_handlers, hypervisor->driver->domain_handlers,
                     sizeof(hypervisor->domain_handlers));
        hypervisor->domain_interfaces[0] =
                (VbObjectInterface){ &vb_domain1_interface, &hypervisor->domain_handlers };
        hypervisor->domain_kind = (VbObjectKind){
                .noun = "domain",
                .prefix = "domain",
                .interfaces = hypervisor->domain_interfaces,
                .describe = describe,
                .turns = turns_of,
        };
}

static int make_folder(const char *path, mode_t mode, sd_bus_error *reterr) {
        int r;

        r = vb_mkdir(path, mode);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot make folder '%s': %s", path,
                                         g_strerror(-r));
        return 0;
}

int vb_hypervisor_new(VbHypervisor **ret, VbDaemon *daemon, const VbDriver *driver, void *driver_data,
                      sd_bus_error *reterr) {
        g_autoptr(VbHypervisor) hypervisor = g_new(VbHypervisor, 1);
        int r;

        *hypervisor = (VbHypervisor){
                .daemon = daemon,
                .driver = driver,
                .driver_data = driver_data,
                .registry = vb_registry_new(),
                .config_dir = g_build_filename(vb_daemon_config_dir(daemon), driver->name, NULL),
                .run_dir = g_build_filename(vb_daemon_run_dir(daemon), driver->name, NULL),
                .state_dir = g_build_filename(vb_daemon_state_dir(daemon), driver->name, NULL),
                .host_root = secure_getenv("VIRTBUS_HOST_ROOT") ?: "",
                .turn_timeout_usec = 30 * UINT64_C(1000000),
                .works = g_ptr_array_new(),
        };
        hypervisor->autostart_dir = g_build_filename(hypervisor->config_dir, "autostart", NULL);
        make_kind(hypervisor);

        /* Definitions hold passwords. */
        r = make_folder(hypervisor->config_dir, 0700, reterr);
        if (r < 0)
                return r;
        r = make_folder(hypervisor->autostart_dir, 0700, reterr);
        if (r < 0)
                return r;
        r = make_folder(hypervisor->run_dir, 0711, reterr);
        if (r < 0)
                return r;

        r = vb_writer_new(&hypervisor->writer, vb_daemon_event(daemon));
        if (r < 0)
                return r;
        r = vb_autostart_new(&hypervisor->autostart, hypervisor);
        if (r < 0)
                return r;
        r = vb_host_sleep_new(&hypervisor->sleep, hypervisor);
        if (r < 0)
                return r;

        r = vb_host_shutdown_new(&hypervisor->host_shutdown, hypervisor);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&hypervisor);
        return 0;
}

void vb_hypervisor_clear(VbHypervisor *hypervisor) {
        while (hypervisor->works->len > 0)
                vb_call_work_free(hypervisor->works->pdata[0]);
        hypervisor->autostart = vb_autostart_free(hypervisor->autostart);
        hypervisor->sleep = vb_host_sleep_free(hypervisor->sleep);
        if (hypervisor->host_shutdown)
                vb_host_shutdown_end(hypervisor->host_shutdown);
        /* Who waits for the disk is told before the domains go. */
        if (hypervisor->writer)
                vb_writer_flush(hypervisor->writer);
        hypervisor->registry = vb_registry_free(hypervisor->registry);
}

VbHypervisor *vb_hypervisor_free(VbHypervisor *hypervisor) {
        if (!hypervisor)
                return NULL;

        vb_hypervisor_clear(hypervisor);
        (void) vb_host_shutdown_free(hypervisor->host_shutdown);
        (void) vb_writer_free(hypervisor->writer);
        g_ptr_array_unref(hypervisor->works);
        g_free(hypervisor->config_dir);
        g_free(hypervisor->autostart_dir);
        g_free(hypervisor->run_dir);
        g_free(hypervisor->state_dir);
        g_free(hypervisor);
        return NULL;
}

VbHypervisor *vb_hypervisor_of(VbObject *root) {
        return vb_daemon_userdata(vb_objects_daemon(root->objects));
}

int vb_hypervisor_export_domain(VbHypervisor *hypervisor, VbDomain *domain) {
        char label[VB_UUID_PATH_SIZE];

        return vb_object_export(&domain->object, vb_daemon_objects(hypervisor->daemon), &hypervisor->domain_kind,
                                vb_uuid_path_format(&domain->uuid, label));
}

int vb_hypervisor_export(VbHypervisor *hypervisor) {
        VbDomain *domain;
        int r;

        for (VbRegistryIter i = vb_registry_iterate(hypervisor->registry); (domain = vb_registry_next(&i));) {
                r = vb_hypervisor_export_domain(hypervisor, domain);
                if (r < 0)
                        return r;
        }
        return 0;
}
