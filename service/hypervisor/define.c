/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/define.h"

#include <sys/stat.h>

#include "base/error.h"
#include "hypervisor/domain-file.h"
#include "hypervisor/hypervisor.h"

/* A change that is on its way to the disk. The domain stays as long: domain->saving keeps it. */
typedef struct Change {
        VbDomain *domain;
        VbDomainDefinition *definition; /* what counts if the disk takes it */
        uid_t owner;
        bool value; /* of an autostart link; whether the state of a TPM is kept */
        VbDone done;
        void *userdata;
} Change;

static int begin(VbDomain *domain, const char *what, VbDone done, void *userdata, Change **ret, sd_bus_error *reterr) {
        if (domain->saving)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': %s is under way", domain->name,
                                         domain->saving);

        vb_domain_set_saving(domain, what);
        *ret = g_new(Change, 1);
        **ret = (Change){ .domain = domain, .owner = domain->owner, .done = done, .userdata = userdata };
        return 0;
}

/* Last of all: the domain may be freed by now. */
static void end(Change *change, int r, const sd_bus_error *error) {
        change->done(r, error, change->userdata);
        (void) vb_domain_definition_free(change->definition);
        g_free(change);
}

/* The disk did not take it, so everything stays as it was. */
static void end_failed(Change *change, int r, const char *what) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbDomain *domain = change->domain;

        r = sd_bus_error_setf(&error, VB_ERROR_STORAGE_FAILED, "domain '%s': %s: %s", domain->name, what, g_strerror(-r));
        vb_domain_set_saving(domain, NULL);
        vb_domain_settle(domain);
        end(change, r, &error);
}

static int check_persistent(const VbDomain *domain, sd_bus_error *reterr) {
        if (domain->config)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s' is transient: it has no persistent definition",
                                 domain->name);
}

static void take_config(Change *change) {
        VbDomain *domain = change->domain;

        vb_domain_set_saving(domain, NULL);
        if (domain->owner != change->owner)
                vb_registry_set_owner(domain->hypervisor->registry, domain, change->owner);
        vb_domain_set_config(domain, g_steal_pointer(&change->definition));
}

static void on_defined(int r, void *userdata) {
        Change *change = userdata;
        VbDomain *domain = change->domain;
        bool replaced = domain->config;

        if (r < 0) {
                end_failed(change, r, "the definition cannot be written");
                return;
        }

        take_config(change);
        if (!vb_object_is_exported(&domain->object))
                r = vb_hypervisor_export_domain(domain->hypervisor, domain);
        else if (replaced)
                vb_domain1_emit_redefined(&domain->object);
        end(change, r, NULL);
}

static int check_quota(VbHypervisor *hypervisor, uid_t owner, sd_bus_error *reterr) {
        unsigned n = vb_registry_count_of(hypervisor->registry, owner);

        if (owner == 0 || hypervisor->domains_per_user == 0 || n < hypervisor->domains_per_user)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED,
                                 "user %u has %u domains already, and may have %u (domains_per_user)", owner, n,
                                 hypervisor->domains_per_user);
}

/* Checks that a definition may take its place: the name and UUID belong together, or to nobody. ret_domain is NULL for a new one. */
static int find_place(VbHypervisor *hypervisor, const VbDomainDefinition *definition, VbDomain **ret_domain,
                      sd_bus_error *reterr) {
        VbUuid uuid = vb_domain_definition_uuid(definition);
        VbDomain *domain = vb_registry_find(hypervisor->registry, &uuid);

        if (domain && !g_str_equal(domain->name, definition->name))
                return sd_bus_error_setf(reterr, VB_ERROR_EXISTS,
                                         "domain '%s': UUID %s belongs to domain '%s'; use Rename to change its name",
                                         definition->name, domain->uuid_string, domain->name);
        *ret_domain = domain;
        return vb_registry_check_name(hypervisor->registry, definition->name, &uuid, reterr);
}

static int new_domain(VbHypervisor *hypervisor, const VbDomainDefinition *definition, uid_t owner, VbDomain **ret,
                      sd_bus_error *reterr) {
        g_autoptr(VbDomain) domain = NULL;
        VbUuid uuid = vb_domain_definition_uuid(definition);
        int r;

        r = check_quota(hypervisor, owner, reterr);
        if (r < 0)
                return r;
        r = vb_domain_new(&domain, hypervisor, &uuid, definition->name, owner);
        if (r < 0)
                return r;
        r = vb_registry_add(hypervisor->registry, domain, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&domain);
        return 0;
}

int vb_hypervisor_define(VbHypervisor *hypervisor, VbDomainDefinition *definition, uid_t owner, bool change_owner,
                         VbDone done, void *userdata, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) config = definition;
        VbDomain *domain;
        Change *change = NULL;
        int r;

        r = find_place(hypervisor, config, &domain, reterr);
        if (r < 0)
                return r;
        if (!domain) {
                r = new_domain(hypervisor, config, owner, &domain, reterr);
                if (r < 0)
                        return r;
        }
        r = begin(domain, "define", done, userdata, &change, reterr);
        if (r < 0)
                return r;

        if (change_owner)
                change->owner = owner;
        config->owner = (VbOptUint) VB_OPT(change->owner);
        change->definition = g_steal_pointer(&config);
        vb_domain_file_save(hypervisor, change->definition, on_defined, change);
        return 0;
}

int vb_hypervisor_prepare_transient(VbHypervisor *hypervisor, const VbDomainDefinition *definition, uid_t owner,
                                    VbDomain **ret, sd_bus_error *reterr) {
        VbDomain *domain;
        int r;

        r = find_place(hypervisor, definition, &domain, reterr);
        if (r < 0)
                return r;
        if (!domain)
                return new_domain(hypervisor, definition, owner, ret, reterr);

        if (vb_domain_is_active(domain) || domain->operation || !vb_object_is_exported(&domain->object))
                return sd_bus_error_setf(reterr, VB_ERROR_EXISTS, "domain '%s' runs already", domain->name);
        *ret = domain;
        return 0;
}

static void on_config_saved(int r, void *userdata) {
        Change *change = userdata;

        if (r < 0) {
                end_failed(change, r, "the definition cannot be written");
                return;
        }
        take_config(change);
        end(change, 0, NULL);
}

int vb_domain_save_config(VbDomain *domain, const char *what, VbDomainDefinition *definition, VbDone done, void *userdata,
                          sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) config = definition;
        Change *change = NULL;
        int r;

        r = check_persistent(domain, reterr);
        if (r < 0)
                return r;
        r = begin(domain, what, done, userdata, &change, reterr);
        if (r < 0)
                return r;
        change->definition = g_steal_pointer(&config);
        vb_domain_file_save(domain->hypervisor, change->definition, on_config_saved, change);
        return 0;
}

/* Renaming: the new file, then in memory, then the links, then the old file goes. */

static void on_old_name_removed(int r, void *userdata) {
        Change *change = userdata;
        VbDomain *domain = change->domain;

        if (r < 0) /* The new file is the newer one, and counts after a restart, too. */
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': the file with its old name cannot be removed: %s",
                                   domain->name, g_strerror(-r));
        vb_domain_set_saving(domain, NULL);
        end(change, 0, NULL);
}

static void on_new_name_saved(int r, void *userdata) {
        Change *change = userdata;
        VbDomain *domain = change->domain;
        VbHypervisor *hypervisor = domain->hypervisor;
        g_autofree char *old = g_strdup(domain->name);

        if (r < 0) {
                vb_registry_release_name(hypervisor->registry, domain, change->definition->name);
                end_failed(change, r, "the definition cannot be written under its new name");
                return;
        }

        vb_registry_rename(hypervisor->registry, domain, change->definition->name);
        vb_domain_set_config(domain, g_steal_pointer(&change->definition));
        vb_domain1_changed(&domain->object, VB_DOMAIN1_NAME);

        if (domain->autostart)
                vb_domain_file_set_autostart(domain, true, NULL, NULL);
        if (domain->autostart_once)
                vb_domain_file_set_autostart_once(domain, true, NULL, NULL);
        vb_domain_file_remove(domain, old, on_old_name_removed, change);
}

static int check_renamable(const VbDomain *domain, const char *name, sd_bus_error *reterr) {
        g_auto(sd_bus_error) why = SD_BUS_ERROR_NULL;
        int r;

        /* It comes as an argument, not in a definition. */
        if (vb_domain_name_check(name, &why) < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': %s", domain->name, why.message);
        r = check_persistent(domain, reterr);
        if (r < 0)
                return r;
        if (vb_domain_is_active(domain) || domain->operation)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': the guest must be off to be renamed",
                                         domain->name);
        if (domain->has_managed_save)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s' has a managed save, which belongs to its name", domain->name);
        if (g_str_equal(domain->name, name))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s' has this name already", name);
        return vb_registry_check_name(domain->hypervisor->registry, name, &domain->uuid, reterr);
}

int vb_domain_rename(VbDomain *domain, const char *name, VbDone done, void *userdata, sd_bus_error *reterr) {
        Change *change = NULL;
        int r;

        r = check_renamable(domain, name, reterr);
        if (r < 0)
                return r;
        r = begin(domain, "rename", done, userdata, &change, reterr);
        if (r < 0)
                return r;

        vb_registry_reserve_name(domain->hypervisor->registry, domain, name);
        change->definition = vb_domain_definition_copy(domain->config);
        g_free(change->definition->name);
        change->definition->name = g_strdup(name);
        vb_domain_file_save(domain->hypervisor, change->definition, on_new_name_saved, change);
        return 0;
}

char *vb_domain_managed_save_path(const VbDomain *domain) {
        return g_strdup_printf("%s/save/%s.save", domain->hypervisor->state_dir, domain->name);
}

static void on_undefined(int r, void *userdata) {
        Change *change = userdata;
        VbDomain *domain = change->domain;

        if (r < 0) {
                end_failed(change, r, "the definition cannot be removed");
                return;
        }

        vb_domain_set_saving(domain, NULL);
        vb_domain_set_autostart(domain, false);
        vb_domain_set_autostart_once(domain, false);
        if (vb_domain_is_active(domain)) {
                vb_domain_set_config(domain, NULL);
                end(change, 0, NULL);
        } else {
                if (!change->value && domain->hypervisor->driver->forget)
                        domain->hypervisor->driver->forget(domain);
                vb_registry_remove(domain->hypervisor->registry, domain);
                end(change, 0, NULL);
        }
}

static int check_undefinable(const VbDomain *domain, bool managed_save, VbUndefineNvram nvram, const char *nvram_path,
                             sd_bus_error *reterr) {
        struct stat st;
        int r;

        r = check_persistent(domain, reterr);
        if (r < 0)
                return r;
        if (domain->operation)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': %s is under way", domain->name,
                                         domain->operation);
        if (domain->has_managed_save && !managed_save)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s' has a managed save; say with option 'managed-save' that it goes, too",
                                         domain->name);
        if (nvram == VB_UNDEFINE_NVRAM_UNDECIDED && nvram_path && lstat(nvram_path, &st) == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s' has firmware variables; say with option 'nvram' to keep or remove them",
                                         domain->name);
        return 0;
}

int vb_domain_undefine(VbDomain *domain, bool managed_save, bool keep_tpm, VbUndefineNvram nvram, VbDone done, void *userdata,
                       sd_bus_error *reterr) {
        VbHypervisor *hypervisor = domain->hypervisor;
        g_autofree char *nvram_path = NULL, *save_path = NULL;
        Change *change = NULL;
        int r;

        if (domain->config && hypervisor->driver->find_nvram)
                nvram_path = hypervisor->driver->find_nvram(domain);
        r = check_undefinable(domain, managed_save, nvram, nvram_path, reterr);
        if (r < 0)
                return r;
        r = begin(domain, "undefine", done, userdata, &change, reterr);
        if (r < 0)
                return r;

        change->value = keep_tpm;
        if (domain->has_managed_save) {
                save_path = vb_domain_managed_save_path(domain);
                vb_writer_unlink(hypervisor->writer, save_path, NULL, NULL);
        }
        if (nvram_path && nvram == VB_UNDEFINE_NVRAM_REMOVE)
                vb_writer_unlink(hypervisor->writer, nvram_path, NULL, NULL);
        vb_domain_file_remove(domain, domain->name, on_undefined, change);
        return 0;
}

static void on_autostart_saved(int r, void *userdata) {
        Change *change = userdata;

        if (r < 0) {
                end_failed(change, r, "the link for autostart cannot be written");
                return;
        }
        vb_domain_set_saving(change->domain, NULL);
        vb_domain_set_autostart(change->domain, change->value);
        end(change, 0, NULL);
}

static void on_autostart_once_saved(int r, void *userdata) {
        Change *change = userdata;

        if (r < 0) {
                end_failed(change, r, "the link for autostart cannot be written");
                return;
        }
        vb_domain_set_saving(change->domain, NULL);
        vb_domain_set_autostart_once(change->domain, change->value);
        end(change, 0, NULL);
}

static int save_mark(VbDomain *domain, VbDomainFileMark set, bool on, VbWriterCallback saved, VbDone done, void *userdata,
                     sd_bus_error *reterr) {
        Change *change = NULL;
        int r;

        r = check_persistent(domain, reterr);
        if (r < 0)
                return r;
        r = begin(domain, "set autostart", done, userdata, &change, reterr);
        if (r < 0)
                return r;
        change->value = on;
        set(domain, on, saved, change);
        return 0;
}

int vb_domain_save_autostart(VbDomain *domain, bool autostart, VbDone done, void *userdata, sd_bus_error *reterr) {
        return save_mark(domain, vb_domain_file_set_autostart, autostart, on_autostart_saved, done, userdata, reterr);
}

int vb_domain_save_autostart_once(VbDomain *domain, bool autostart_once, VbDone done, void *userdata, sd_bus_error *reterr) {
        return save_mark(domain, vb_domain_file_set_autostart_once, autostart_once, on_autostart_once_saved, done, userdata,
                         reterr);
}
