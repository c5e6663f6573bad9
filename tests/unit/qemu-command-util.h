/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From XML to a command line with real descriptors, in a scratch folder: what the tests of the command line share. In
 * definitions, @DIR@ is that folder. */

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/error.h"
#include "qemu-fixture.h"
#include "qemu/command.h"
#include "test-util.h"

#define FIRST_FD 100

static inline char *replace_all(const char *text, const char *from, const char *to) {
        g_auto(GStrv) parts = g_strsplit(text, from, -1);

        return g_strjoinv(to, parts);
}

static inline void run(const char *const *argv) {
        g_autoptr(GError) error = NULL;
        int status;

        g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                     &status, &error);
        g_assert_no_error(error);
        g_assert_cmpint(status, ==, 0);
}

static inline void make_file(const char *folder, const char *name, off_t size) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        vb_autofd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ftruncate(fd, size), ==, 0);
}

/* What QEMU looks at in a Linux kernel before it loads an initrd beside it; nobody ever runs it. */
static inline void make_kernel(const char *folder) {
        g_autofree char *path = g_build_filename(folder, "vmlinuz", NULL);
        g_autofree uint8_t *image = g_malloc0(1 << 20);

        image[0x1f1] = 1; /* sectors of set-up code */
        memcpy(image + 0x202, "HdrS", 4);
        image[0x206] = 0x0c; /* boot protocol 2.12 */
        image[0x207] = 0x02;
        image[0x211] = 1; /* loaded high */
        memset(image + 0x22c, 0x7f, 4); /* the highest address of an initrd */
        g_assert_true(g_file_set_contents(path, (char *) image, 1 << 20, NULL));
}

/* Everything that definitions in these tests name. */
static inline char *scratch_new(void) {
        char *folder = test_folder_new();
        g_autofree char *base = g_build_filename(folder, "base.qcow2", NULL);
        g_autofree char *overlay = g_build_filename(folder, "overlay.qcow2", NULL);
        static const struct {
                const char *name;
                off_t size;
        } files[] = {
                { "a,b.raw", 1 << 20 },     { "disk.raw", 1 << 20 },   { "disk2.raw", 1 << 20 },
                { "cd.iso", 1 << 20 },      { "floppy.img", 1440 << 10 }, { "initrd.img", 1 << 20 },
                { "code.fd", 128 << 10 },   { "vars.fd", 0 },          { "vars-template.fd", 128 << 10 },
                { "rom.fd", 128 << 10 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                make_file(folder, files[i].name, files[i].size);
        make_kernel(folder);
        run((const char *[]) { "qemu-img", "create", "-q", "-f", "qcow2", base, "1M", NULL });
        run((const char *[]) { "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "base.qcow2", overlay,
                               NULL });
        return folder;
}

/* --- The emulator --- */

/* The recorded answers are cut down to what other tests need; this is what else these definitions use. That the real
 * binary has it is what test-qemu-command-start finds out. */
static inline QemuCapabilities *command_capabilities(void) {
        static const struct {
                QemuSet set;
                const char *names;
        } more[] = {
                { QEMU_SET_TYPE, "AC97 ES1370 VGA am53c974 bochs-display cirrus-vga e1000 e1000e floppy hda-duplex hda-micro hda-output "
                                 "i6300esb i82801b11-bridge ib700 ich9-ahci ich9-intel-hda ich9-usb-ehci1 ich9-usb-uhci1 ich9-usb-uhci2 "
                                 "ich9-usb-uhci3 ide-cd ide-hd intel-hda ioh3420 isa-debugcon isa-fdc isa-parallel isa-serial "
                                 "lsi53c895a megasas mptsas1068 nec-usb-xhci pci-bridge pci-ohci pci-serial pcie-pci-bridge pcie-root-port "
                                 "piix3-usb-uhci piix4-usb-uhci pvpanic pvpanic-pci pvscsi pxb pxb-pcie qemu-xhci rtl8139 sb16 scsi-block "
                                 "scsi-cd scsi-hd secondary-vga usb-audio usb-ccid usb-ehci usb-kbd usb-mouse usb-redir usb-serial "
                                 "usb-storage usb-tablet virtconsole virtio-balloon-pci virtio-gpu-pci virtio-keyboard-pci virtio-mouse-pci "
                                 "virtio-rng-pci virtio-scsi-pci virtio-serial-pci virtio-tablet-pci virtio-vga virtserialport "
                                 "vmware-svga x3130-upstream xio3130-downstream" },
                { QEMU_SET_OPTION, "vnc" },
                { QEMU_SET_NETDEV, "tap user" },
                { QEMU_SET_CHARDEV, "dbus file null pipe pty qemu-vdagent serial socket spiceport spicevmc stdio vc" },
                { QEMU_SET_DISPLAY, "dbus egl-headless none" },
                { QEMU_SET_BLOCK_AIO, "io_uring native threads" },
        };
        QemuCapabilities *capabilities = qemu_fixture_capabilities();

        capabilities->sealed = false;
        for (size_t i = 0; i < G_N_ELEMENTS(more); i++) {
                g_auto(GStrv) names = g_strsplit(more[i].names, " ", -1);

                for (char **name = names; *name; name++)
                        g_assert_cmpint(qemu_capabilities_add(capabilities, more[i].set, *name), ==, 0);
        }
        g_assert_cmpint(qemu_capabilities_seal(capabilities), ==, 0);
        return capabilities;
}

/* --- The host that definitions are completed for --- */

static inline int host_find_emulator(void *userdata, VbDomainType type, const char *arch, char **ret,
                                     sd_bus_error *reterr) {
        *ret = g_strdup(qemu_capabilities_path(userdata));
        return 0;
}

static inline int host_resolve_machine(void *userdata, const char *emulator, const char *arch, const char *machine,
                                       char **ret, sd_bus_error *reterr) {
        const QemuMachine *found = qemu_capabilities_find_machine(userdata, machine);

        /* What is not offered is the command's to refuse. */
        *ret = g_strdup(found ? found->name : machine);
        return 0;
}

static inline VbDomainDefinition *definition_new(const char *xml, const char *folder, QemuCapabilities *capabilities,
                                                 sd_bus_error *reterr) {
        const VbDomainHost host = { .find_emulator = host_find_emulator,
                                    .resolve_machine = host_resolve_machine,
                                    .arch = "x86_64",
                                    .userdata = capabilities };
        g_autofree char *text = replace_all(xml, "@DIR@", folder);
        g_autoptr(VbDomainDefinition) definition = NULL;

        if (vb_domain_definition_parse(&definition, text, strlen(text), 0, reterr) < 0 ||
            vb_domain_definition_complete(definition, &host, reterr) < 0)
                return NULL;

        vb_domain_definition_assign_aliases(definition);
        return g_steal_pointer(&definition);
}

/* --- What is opened for them --- */

static inline int high_fd(int fd) {
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);

        g_assert_cmpint(moved, >=, FIRST_FD);
        (void) vb_close(fd);
        return moved;
}

static inline void open_image(VbOpenImage *image, const char *path, const VbOpenFile *file, bool writable) {
        int flags = file->access == VB_OPEN_APPEND ? O_WRONLY | O_APPEND | O_CREAT :
                    file->access == VB_OPEN_CREATE ? O_RDWR | O_CREAT :
                    writable                       ? O_RDWR :
                                                     O_RDONLY;
        struct stat status;
        int fd = open(path, flags | O_CLOEXEC, 0600);

        if (fd < 0)
                g_error("cannot open %s for %s", path, file->id);
        image->fd = high_fd(fd);
        g_assert_cmpint(fstat(image->fd, &status), ==, 0);
        image->path = g_strdup(path);
        image->format = file->format;
        image->mode = status.st_mode;
        image->size = (uint64_t) status.st_size;
        image->writable = writable;
}

/* The one chain there is: overlay.qcow2 on base.qcow2. */
static inline void open_file(VbOpenChain *chain, const VbOpenFile *file) {
        bool chained = file->follow_chain && g_str_has_suffix(file->path, "/overlay.qcow2");
        bool writable = file->access == VB_OPEN_WRITE || file->access == VB_OPEN_CREATE;

        chain->id = g_strdup(file->id);
        if (file->optional && access(file->path, F_OK) < 0)
                return;

        chain->n_images = chained ? 2 : 1;
        chain->images = g_new0(VbOpenImage, chain->n_images);
        open_image(&chain->images[0], file->path, file, writable);
        if (chained) {
                g_autofree char *base = replace_all(file->path, "/overlay.", "/base.");

                open_image(&chain->images[1], base, file, /* writable= */ false);
        }
}

static inline int listening_socket(const QemuSocket *socket_) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(fd, >=, 0);
        /* TCP is no different to QEMU: a Unix socket without a name stands for it. */
        if (socket_->path) {
                (void) unlink(socket_->path);
                g_assert_cmpuint(g_strlcpy(address.sun_path, socket_->path, sizeof(address.sun_path)), <,
                                 sizeof(address.sun_path));
                g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        } else
                g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof(sa_family_t)), ==, 0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
        return high_fd(fd);
}

/* For those who start QEMU: real ones. A test that only looks at the command line needs neither the rights nor the program. */
static int (*make_tap)(unsigned queues, int *ret_fds);
static int (*make_tpm)(void);

static inline void fill_tap(QemuTap *tap) {
        if (make_tap) {
                g_assert_cmpint(make_tap(tap->queues, tap->fds), ==, 0);
                return;
        }
        for (unsigned i = 0; i < tap->queues; i++) {
                tap->fds[i] = high_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
                if (tap->vhost != QEMU_VHOST_NO)
                        tap->vhost_fds[i] = high_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
        }
}

static inline void resources_fill(QemuResources *resources) {
        resources->opened = g_new0(VbOpenResult, 1);
        resources->opened->chains = g_new0(VbOpenChain, resources->n_files + 1);
        for (size_t i = 0; i < resources->n_files; i++)
                open_file(&resources->opened->chains[resources->opened->n_chains++], &resources->files[i]);
        for (size_t i = 0; i < resources->n_sockets; i++)
                resources->sockets[i].fd = resources->sockets[i].kind == QEMU_SOCKET_TPM && make_tpm ?
                                                   make_tpm() :
                                                   listening_socket(&resources->sockets[i]);
        for (size_t i = 0; i < resources->n_taps; i++)
                fill_tap(&resources->taps[i]);
}

/* All of it in a row; NULL with the error set if a step refuses. */
static inline QemuCommand *command_new(const char *xml, const char *folder, QemuCapabilities *capabilities,
                                       sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) definition = definition_new(xml, folder, capabilities, reterr);
        g_autoptr(QemuResources) resources = NULL;
        QemuCommand *command = NULL;

        if (!definition || qemu_command_choose_firmware(definition, folder, reterr) < 0 ||
            qemu_resources_new(&resources, definition, capabilities, folder, NULL, reterr) < 0)
                return NULL;

        resources_fill(resources);
        if (qemu_resources_fill_nvram(resources, reterr) < 0 ||
            qemu_resources_describe(resources, definition, reterr) < 0 ||
            qemu_command_build(&command, definition, capabilities, resources, /* options= */ NULL, reterr) < 0)
                return NULL;
        return command;
}

/* One option with its value a line, the scratch folder written as @DIR@; then the QMP commands to come. */
static inline char *command_text(const QemuCommand *command, const char *folder) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (char **entry = command->envp; *entry; entry++)
                if (!g_str_has_prefix(*entry, "PATH="))
                        g_string_append_printf(text, "%s\n", *entry);
        for (char **argument = command->argv; *argument; argument++)
                g_string_append_printf(text, "%s%c", *argument,
                                       argument[1] && argument != command->argv && (*argument)[0] == '-' &&
                                                       argument[1][0] != '-' ?
                                               ' ' :
                                               '\n');
        for (size_t i = 0; i < command->n_setup; i++)
                g_string_append_printf(text, "qmp %s %s%s%s\n", command->setup[i].command,
                                       json_object_to_json_string_ext(command->setup[i].arguments,
                                                                      JSON_C_TO_STRING_PLAIN |
                                                                              JSON_C_TO_STRING_NOSLASHESCAPE),
                                       command->setup[i].fd >= 0 ? " (descriptor)" : "",
                                       command->setup[i].secret ? " (secret)" : "");
        return replace_all(text->str, folder, "@DIR@");
}
