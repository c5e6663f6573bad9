/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/domain-file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "hypervisor/hypervisor.h"

#define SUFFIX ".xml"
#define ONCE_SUFFIX ".once"
#define FILE_SIZE_MAX (16u << 20)

/* The first line says which format the file has. It is a processing instruction, so that the file stays plain XML. */
#define FORMAT_MARK "<?virtbus format=\""

char *vb_domain_file_path(const VbHypervisor *hypervisor, const char *name) {
        return g_strdup_printf("%s/%s" SUFFIX, hypervisor->config_dir, name);
}

static char *mark_path(const VbHypervisor *hypervisor, const char *name, const char *suffix) {
        return g_strdup_printf("%s/%s%s", hypervisor->autostart_dir, name, suffix);
}

static GBytes *format_file(const VbHypervisor *hypervisor, const VbDomainDefinition *definition) {
        g_autofree char *xml = NULL;
        char *text;

        xml = vb_domain_definition_format(definition, VB_DOMAIN_FORMAT_SECURE | VB_DOMAIN_FORMAT_INACTIVE |
                                                              VB_DOMAIN_FORMAT_PRIVATE);
        text = g_strdup_printf(FORMAT_MARK "%d\"?>\n"
                               "<!-- This file is private to %s, which writes it anew at each change of the\n"
                               "     definition. To change it, give the daemon a new definition (Define). -->\n"
                               "%s",
                               VB_DOMAIN_FILE_FORMAT, hypervisor->driver->program, xml);
        return g_bytes_new_take(text, strlen(text));
}

void vb_domain_file_save(VbHypervisor *hypervisor, const VbDomainDefinition *definition, VbWriterCallback done,
                         void *userdata) {
        g_autofree char *path = vb_domain_file_path(hypervisor, definition->name);
        g_autoptr(GBytes) bytes = format_file(hypervisor, definition);

        vb_writer_write(hypervisor->writer, path, bytes, 0600, done, userdata);
}

static void remove_mark(const VbHypervisor *hypervisor, const char *name, const char *suffix, VbWriterCallback done,
                        void *userdata) {
        g_autofree char *path = mark_path(hypervisor, name, suffix);

        vb_writer_unlink(hypervisor->writer, path, done, userdata);
}

void vb_domain_file_set_autostart(const VbDomain *domain, bool on, VbWriterCallback done, void *userdata) {
        VbHypervisor *hypervisor = domain->hypervisor;
        g_autofree char *path = NULL, *target = NULL;

        if (!on) {
                remove_mark(hypervisor, domain->name, SUFFIX, done, userdata);
                return;
        }
        path = mark_path(hypervisor, domain->name, SUFFIX);
        target = g_strdup_printf("../%s" SUFFIX, domain->name);
        vb_writer_link(hypervisor->writer, target, path, done, userdata);
}

void vb_domain_file_set_autostart_once(const VbDomain *domain, bool on, VbWriterCallback done, void *userdata) {
        VbHypervisor *hypervisor = domain->hypervisor;
        g_autoptr(GBytes) bytes = NULL;
        g_autofree char *path = NULL;
        char *text;

        if (!on) {
                remove_mark(hypervisor, domain->name, ONCE_SUFFIX, done, userdata);
                return;
        }
        path = mark_path(hypervisor, domain->name, ONCE_SUFFIX);
        text = g_strdup_printf("%d\n", domain->started_as);
        bytes = g_bytes_new_take(text, strlen(text));
        vb_writer_write(hypervisor->writer, path, bytes, 0600, done, userdata);
}

void vb_domain_file_remove(const VbDomain *domain, const char *name, VbWriterCallback done, void *userdata) {
        VbHypervisor *hypervisor = domain->hypervisor;
        g_autofree char *path = vb_domain_file_path(hypervisor, name);

        /* Most have none, and a folder less to sync is half the time. */
        if (domain->autostart)
                remove_mark(hypervisor, name, SUFFIX, NULL, NULL);
        if (domain->autostart_once)
                remove_mark(hypervisor, name, ONCE_SUFFIX, NULL, NULL);
        vb_writer_unlink(hypervisor->writer, path, done, userdata);
}

/* Whether this program can understand the file; one without a mark is read as the current format. */
static int check_format(const char *text, sd_bus_error *reterr) {
        long format;

        if (!g_str_has_prefix(text, FORMAT_MARK))
                return 0;
        format = strtol(text + strlen(FORMAT_MARK), NULL, 10);
        if (format >= 1 && format <= VB_DOMAIN_FILE_FORMAT)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED,
                                 "it has format %ld, and this version of virtbus knows formats up to %d", format,
                                 VB_DOMAIN_FILE_FORMAT);
}

static int load_definition(VbHypervisor *hypervisor, const char *file, VbDomainDefinition **ret, sd_bus_error *reterr) {
        g_autofree char *path = g_build_filename(hypervisor->config_dir, file, NULL), *text = NULL;
        g_autoptr(VbDomainDefinition) definition = NULL;
        size_t size;
        int r;

        r = vb_file_read(AT_FDCWD, path, FILE_SIZE_MAX, &text, &size);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "it cannot be read: %s", g_strerror(-r));
        r = check_format(text, reterr);
        if (r < 0)
                return r;
        r = vb_domain_definition_parse(&definition, text, size, VB_DOMAIN_PARSE_PRIVATE, reterr);
        if (r < 0)
                return r;

        if (sd_id128_is_null(definition->uuid))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "it has no UUID");
        *ret = g_steal_pointer(&definition);
        return 0;
}

static bool is_newer(const VbHypervisor *hypervisor, const char *name, const char *than) {
        g_autofree char *path = vb_domain_file_path(hypervisor, name), *other = vb_domain_file_path(hypervisor, than);
        struct stat a, b;

        if (lstat(path, &a) < 0 || lstat(other, &b) < 0)
                return false;
        return a.st_mtim.tv_sec > b.st_mtim.tv_sec ||
               (a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec > b.st_mtim.tv_nsec);
}

/* A renaming writes the new file, then removes the old one. If a crash came between, both are there: the newer one counts. */
static void drop_older_twin(VbHypervisor *hypervisor, VbDomain *twin, const VbDomainDefinition *definition) {
        if (!is_newer(hypervisor, definition->name, twin->name))
                return;
        vb_log_warning_for(VB_DOMAIN_LOG(twin), "domain '%s': the newer definition of domain '%s' has the same UUID and counts",
                           twin->name, definition->name);
        vb_registry_remove(hypervisor->registry, twin);
}

static int load_domain(VbHypervisor *hypervisor, const char *file, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_autoptr(VbDomain) domain = NULL;
        g_autofree char *expected = NULL;
        VbDomain *twin;
        VbUuid uuid;
        uid_t owner;
        int r;

        r = load_definition(hypervisor, file, &definition, reterr);
        if (r < 0)
                return r;
        expected = g_strconcat(definition->name, SUFFIX, NULL);
        if (!g_str_equal(expected, file))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "it defines domain '%s', which belongs in '%s'",
                                         definition->name, expected);

        uuid = vb_domain_definition_uuid(definition);
        twin = vb_registry_find(hypervisor->registry, &uuid);
        if (twin)
                drop_older_twin(hypervisor, twin, definition);

        owner = definition->owner.set ? definition->owner.value : geteuid();
        r = vb_domain_new(&domain, hypervisor, &uuid, definition->name, owner);
        if (r < 0)
                return r;
        vb_domain_set_config(domain, g_steal_pointer(&definition));
        r = vb_registry_add(hypervisor->registry, domain, reterr);
        if (r < 0)
                return r;
        (void) g_steal_pointer(&domain);
        return 0;
}

/* The number that the guest ran as when it was marked; 0 if the mark tells none. Its being there is what counts. */
static int read_once(const VbHypervisor *hypervisor, const char *file) {
        g_autofree char *path = g_build_filename(hypervisor->autostart_dir, file, NULL), *text = NULL;
        guint64 number;

        if (vb_file_read(AT_FDCWD, path, 64, &text, /* ret_size= */ NULL) < 0 ||
            !g_ascii_string_to_unsigned(g_strchomp(text), 10, 0, INT_MAX, &number, NULL))
                return 0;
        return (int) number;
}

static void load_mark(VbHypervisor *hypervisor, const char *file) {
        g_autofree char *name = g_strdup(file);
        VbDomain *domain;
        char *dot = strrchr(name, '.');
        bool once = dot && g_str_equal(dot, ONCE_SUFFIX);

        if (!once && (!dot || !g_str_equal(dot, SUFFIX)))
                return;
        *dot = '\0';
        domain = vb_registry_find_name(hypervisor->registry, name);
        if (!domain) {
                vb_log_warning("'%s/%s': there is no such domain", hypervisor->autostart_dir, file);
                return;
        }
        if (once) {
                domain->autostart_once = true;
                domain->started_as = read_once(hypervisor, file);
        } else
                domain->autostart = true;
}

/* A folder that is not there is empty. Whoever reads definitions holds the daemon's lock, so nobody is writing what is left over there. */
static int list_folder(const char *path, GPtrArray **ret) {
        int r = vb_folder_list(path, ret);

        if (r == -ENOENT) {
                *ret = g_ptr_array_new();
                return 0;
        }
        return r < 0 ? vb_log_error_errno(r, "cannot read folder '%s': %m", path) : 0;
}

static int load_definitions(VbHypervisor *hypervisor) {
        g_autoptr(GPtrArray) names = NULL;
        int n = 0, r;

        r = list_folder(hypervisor->config_dir, &names);
        if (r < 0)
                return r;
        for (guint i = 0; i < names->len; i++) {
                const char *file = g_ptr_array_index(names, i);
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                if (file[0] == '.' || !g_str_has_suffix(file, SUFFIX))
                        continue;
                if (load_domain(hypervisor, file, &error) < 0)
                        vb_log_error("'%s/%s' is left alone: %s", hypervisor->config_dir, file, error.message);
                else
                        n++;
        }
        return n;
}

int vb_domain_files_load(VbHypervisor *hypervisor) {
        g_autoptr(GPtrArray) marks = NULL;
        int n;

        n = load_definitions(hypervisor);
        if (n >= 0 && list_folder(hypervisor->autostart_dir, &marks) >= 0)
                for (guint i = 0; i < marks->len; i++)
                        load_mark(hypervisor, g_ptr_array_index(marks, i));
        return n;
}
