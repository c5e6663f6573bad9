/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the command-*.c files share: the command being built, and the helpers that add to it. */

#include <glib.h>

#include "qemu/command-device.h"
#include "qemu/command-text.h"
#include "qemu/command.h"

typedef struct QemuBuild {
        QemuContext context;
        QemuResources *resources;
        const QemuCommandOptions *options;

        GPtrArray *argv;
        GPtrArray *envp;
        GArray *fds;   /* int */
        GArray *setup; /* QemuSetup */
        unsigned n_fdsets;
} QemuBuild;

/* --- Arguments --- */

void qemu_build_add(QemuBuild *build, const char *option, const char *value);
/* Both take over what they are given. */
void qemu_build_add_options(QemuBuild *build, const char *option, GString *options);
void qemu_build_add_json(QemuBuild *build, const char *option, VbJson *json);

/* --- Descriptors --- */

/* The child inherits it; returns its number. *fd is taken over. */
int qemu_build_keep_fd(QemuBuild *build, int *fd);
/* The same, in a descriptor set of its own; returns "/dev/fdset/N". name tells people which file it is. */
char *qemu_build_add_fdset(QemuBuild *build, int *fd, const char *name);

/* The one opened file of that id. Fails if whoever filled in the resources has left it out. */
int qemu_build_find_file(QemuBuild *build, const char *id, VbOpenImage **ret, sd_bus_error *reterr) VB_MUST_USE;
/* "/dev/fdset/N" for it. */
int qemu_build_file_path(QemuBuild *build, const char *id, char **ret, sd_bus_error *reterr) VB_MUST_USE;

/* --- QMP commands to come; arguments are taken over --- */

void qemu_build_add_setup(QemuBuild *build, const char *command, VbJson *arguments);
void qemu_build_add_setup_fd(QemuBuild *build, const char *command, VbJson *arguments, int *fd);
void qemu_build_add_setup_secret(QemuBuild *build, const char *command, VbJson *arguments);

/* --- The parts, in the order in which QEMU gets them; each in the file of its name --- */

int qemu_build_machine(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_clock(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_boot(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
/* Adds the flash images and their names to the options of -machine. */
int qemu_build_firmware(QemuBuild *build, GString *machine, sd_bus_error *reterr) VB_MUST_USE;
/* The value of -cpu; NULL if the machine's default is as good. */
int qemu_build_cpu(const QemuContext *context, char **ret, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_smp(const QemuContext *context, GString **ret, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_controllers(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_disks(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
/* The block nodes below one drive, up to what the device names. */
int qemu_build_disk_images(QemuBuild *build, const VbDisk *disk, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_interfaces(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_chardevs(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_audio(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_graphics(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_videos(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_sounds(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
int qemu_build_small_devices(QemuBuild *build, sd_bus_error *reterr) VB_MUST_USE;
