/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads what QEMU's interop document firmware.json lays down. Precedence: descriptions are taken in the order
 * of their file names; of files with the same name in several folders only that of the most important folder
 * counts, and if that one is empty (or is a link to /dev/null), the name is masked altogether. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "qemu/firmware-private.h"
#include "qemu/json.h"

#define DESCRIPTION_SIZE_MAX (64u * 1024)
#define DESCRIPTIONS_MAX 512u
#define TARGETS_MAX 256u
#define MACHINES_MAX 256u

static const char *const standard_folders[] = { "/usr/share/qemu/firmware", "/etc/qemu/firmware", NULL };

/* Where there is no description at all: images at the places that distributions have given them. */
static const struct {
        const char *arch;
        const char *machines;
        const char *loader;
        const char *nvram_template;
        bool secure;
} well_known[] = {
        { "x86_64", "pc-*", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", false },
        { "x86_64", "pc-*", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd", false },
        { "x86_64", "pc-*", "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd", false },
        { "x86_64", "pc-*", "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
          false },
        { "x86_64", "pc-*", "/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin",
          false },
        { "x86_64", "pc-*", "/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd",
          false },
        { "x86_64", "pc-q35-*", "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd",
          true },
        { "aarch64", "virt-*", "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd", false },
        { "aarch64", "virt-*", "/usr/share/edk2/aarch64/QEMU_EFI-silent-pflash.raw",
          "/usr/share/edk2/aarch64/vars-template-pflash.raw", false },
};

bool firmware_is_pc(const char *arch) {
        return g_str_equal(arch, "x86_64") || g_str_equal(arch, "i686") || g_str_equal(arch, "i386");
}

static void target_free(gpointer data) {
        FirmwareTarget *target = data;

        g_free(target->arch);
        g_strfreev(target->machines);
        g_free(target);
}

static FirmwareDescription *description_new(void) {
        FirmwareDescription *description = g_new0(FirmwareDescription, 1);

        description->firmware = g_new0(QemuFirmware, 1);
        description->targets = g_ptr_array_new_with_free_func(target_free);
        return description;
}

FirmwareDescription *firmware_description_free(FirmwareDescription *description) {
        if (!description)
                return NULL;
        qemu_firmware_free(description->firmware);
        g_ptr_array_unref(description->targets);
        g_free(description);
        return NULL;
}

static void description_destroy(gpointer data) {
        (void) firmware_description_free(data);
}

static void add_target(FirmwareDescription *description, const char *arch, char **machines) {
        FirmwareTarget *target = g_new0(FirmwareTarget, 1);

        target->arch = g_strdup(arch);
        target->machines = machines;
        g_ptr_array_add(description->targets, target);
}

/* --- One description --- */

static bool has_word(VbJson *array, const char *word) {
        for (size_t i = 0; array && i < json_object_array_length(array); i++)
                if (g_strcmp0(json_object_get_string(json_object_array_get_idx(array, i)), word) == 0)
                        return true;
        return false;
}

static int parse_image(VbJson *json, char **ret_path, char **ret_format) {
        const char *path = qemu_json_string(json, "filename");
        const char *format = qemu_json_string(json, "format");

        if (!path || !g_path_is_absolute(path))
                return -EBADMSG;
        *ret_path = g_strdup(path);
        *ret_format = g_strdup(format ?: "raw");
        return 0;
}

/* Code and variables in one image would have to be copied for each guest, and be updated in none. */
static int parse_flash(QemuFirmware *firmware, VbJson *mapping) {
        const char *mode = qemu_json_string(mapping, "mode") ?: "split";
        int r;

        if (!g_str_equal(mode, "split") && !g_str_equal(mode, "stateless"))
                return -EOPNOTSUPP;
        r = parse_image(qemu_json_object(mapping, "executable"), &firmware->loader, &firmware->loader_format);
        if (r < 0 || g_str_equal(mode, "stateless"))
                return r;
        return parse_image(qemu_json_object(mapping, "nvram-template"), &firmware->nvram_template,
                           &firmware->nvram_template_format);
}

static int parse_mapping(QemuFirmware *firmware, VbJson *mapping) {
        const char *device = qemu_json_string(mapping, "device");

        if (!device)
                return -EBADMSG;
        if (g_str_equal(device, "flash"))
                return parse_flash(firmware, mapping);
        if (g_str_equal(device, "memory")) {
                firmware->rom = true;
                return parse_image(mapping, &firmware->loader, &firmware->loader_format);
        }
        return -EOPNOTSUPP; /* "kernel" */
}

static int parse_target(FirmwareDescription *description, VbJson *json) {
        const char *arch = qemu_json_string(json, "architecture");
        VbJson *machines = qemu_json_array(json, "machines");
        g_autoptr(GPtrArray) patterns = g_ptr_array_new_with_free_func(g_free);

        if (!arch || !machines || json_object_array_length(machines) > MACHINES_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < json_object_array_length(machines); i++) {
                VbJson *pattern = json_object_array_get_idx(machines, i);

                if (!json_object_is_type(pattern, json_type_string))
                        return -EBADMSG;
                g_ptr_array_add(patterns, g_strdup(json_object_get_string(pattern)));
        }
        g_ptr_array_add(patterns, NULL);
        add_target(description, arch, (char **) g_ptr_array_steal(patterns, NULL));
        return 0;
}

static int parse_description(FirmwareDescription *description, VbJson *json) {
        VbJson *interfaces = qemu_json_array(json, "interface-types");
        VbJson *features = qemu_json_array(json, "features");
        VbJson *targets = qemu_json_array(json, "targets");
        int r;

        if (!interfaces || !features || !targets || json_object_array_length(targets) > TARGETS_MAX)
                return -EBADMSG;
        description->uefi = has_word(interfaces, "uefi");
        description->bios = has_word(interfaces, "bios");
        description->firmware->secure_boot = has_word(features, "secure-boot");
        description->firmware->enrolled_keys = has_word(features, "enrolled-keys");
        description->firmware->requires_smm = has_word(features, "requires-smm");
        for (size_t i = 0; i < json_object_array_length(targets); i++) {
                r = parse_target(description, json_object_array_get_idx(targets, i));
                if (r < 0)
                        return r;
        }
        return parse_mapping(description->firmware, qemu_json_object(json, "mapping"));
}

int firmware_description_parse(const char *text, size_t size, FirmwareDescription **ret) {
        g_autoptr(FirmwareDescription) description = description_new();
        g_autoptr(VbJson) json = NULL;
        json_tokener *tokener;
        int r;

        if (size > DESCRIPTION_SIZE_MAX)
                return -EBADMSG;
        tokener = json_tokener_new_ex(/* depth= */ 8);
        json = json_tokener_parse_ex(tokener, text, (int) size);
        json_tokener_free(tokener);
        if (!json_object_is_type(json, json_type_object))
                return -EBADMSG;

        r = parse_description(description, json);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&description);
        return 0;
}

/* --- Folders --- */

/* The folders are the administrator's, so links in them are followed. What is no regular file is taken as
 * empty. */
static int read_description(const char *path, char **ret, size_t *ret_size) {
        vb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode)) {
                *ret = g_strdup("");
                *ret_size = 0;
                return 0;
        }
        return vb_file_read_fd(fd, DESCRIPTION_SIZE_MAX, ret, ret_size);
}

/* File names to full paths; those of later folders replace those of earlier ones. */
static void find_files(GHashTable *files, const char *folder) {
        DIR *directory = opendir(folder);
        struct dirent *entry;

        if (!directory)
                return;
        while ((entry = readdir(directory)) && g_hash_table_size(files) < DESCRIPTIONS_MAX)
                if (entry->d_name[0] != '.' && g_str_has_suffix(entry->d_name, ".json"))
                        (void) g_hash_table_replace(files, g_strdup(entry->d_name),
                                                    g_build_filename(folder, entry->d_name, NULL));
        (void) closedir(directory);
}

static void load_file(GPtrArray *descriptions, const char *path) {
        g_autofree char *text = NULL;
        FirmwareDescription *description;
        size_t size;
        int r;

        r = read_description(path, &text, &size);
        if (r >= 0 && size == 0)
                return; /* masked */
        if (r >= 0)
                r = firmware_description_parse(text, size, &description);
        if (r == -EOPNOTSUPP)
                vb_log_debug("firmware description '%s': of a kind that is not used", path);
        else if (r < 0)
                (void) vb_log_warning_errno(r, "firmware description '%s': left out: %m", path);
        else
                g_ptr_array_add(descriptions, description);
}

static void add_well_known(GPtrArray *descriptions) {
        for (size_t i = 0; i < G_N_ELEMENTS(well_known); i++) {
                FirmwareDescription *description = description_new();
                const char *const machines[] = { well_known[i].machines, NULL };

                description->uefi = true;
                description->firmware->loader = g_strdup(well_known[i].loader);
                description->firmware->loader_format = g_strdup("raw");
                description->firmware->nvram_template = g_strdup(well_known[i].nvram_template);
                description->firmware->nvram_template_format = g_strdup("raw");
                description->firmware->secure_boot = description->firmware->requires_smm =
                        well_known[i].secure;
                add_target(description, well_known[i].arch, g_strdupv((char **) machines));
                g_ptr_array_add(descriptions, description);
        }
}

static int compare_names(gconstpointer a, gconstpointer b) {
        return strcmp(a, b);
}

GPtrArray *firmware_descriptions_load(const char *const *folders) {
        g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        GPtrArray *descriptions = g_ptr_array_new_with_free_func(description_destroy);
        g_autoptr(GList) names = NULL;

        for (const char *const *folder = folders ?: standard_folders; *folder; folder++)
                find_files(files, *folder);
        names = g_list_sort(g_hash_table_get_keys(files), compare_names);
        for (GList *name = names; name; name = name->next)
                load_file(descriptions, g_hash_table_lookup(files, name->data));
        if (g_hash_table_size(files) == 0)
                add_well_known(descriptions);
        return descriptions;
}
