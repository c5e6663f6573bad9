/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How capabilities are built: by the probe from QMP's answers, or by the cache from its file. Whoever builds
 * calls qemu_capabilities_new(), fills in, and ends with qemu_capabilities_seal(), after which nothing
 * changes. */

#include <stddef.h>
#include <stdint.h>

#include "base/string-table.h"
#include "qemu/capabilities.h"
#include "qemu/cpu-private.h"

/* Bounds on what a binary or a file may claim. Ten times what the largest QEMU of today has. */
#define QEMU_NAME_MAX 256u /* bytes of one name */
#define QEMU_SET_SIZE_MAX 20000u /* names in one set */
#define QEMU_MACHINES_MAX 4096u

typedef struct QemuNames {
        GPtrArray *names; /* of const char *, owned by the capabilities' string chunk; sorted when sealed */
} QemuNames;

struct QemuCapabilities {
        unsigned n_ref;
        bool sealed;

        char *path;
        char *arch;
        char *package;
        unsigned version;
        QemuNames sets[_QEMU_SET_MAX];
        bool features[_QEMU_FEATURE_MAX];
        GArray *machines; /* of QemuMachine */
        QemuCpuTable *cpus[_QEMU_ACCEL_MAX];

        GStringChunk *strings; /* every name above, each once */
};

VB_STRING_TABLE_DECLARE(qemu_set, QemuSet);
VB_STRING_TABLE_DECLARE(qemu_feature, QemuFeature);

QemuCapabilities *qemu_capabilities_new(const char *path);

/* Keeps the name once; NULL stays NULL. The result lives as long as the capabilities. */
const char *qemu_capabilities_intern(QemuCapabilities *capabilities, const char *name);

/* -E2BIG for a name or set that is too long. A name that is there already is not added twice by seal(). */
int qemu_capabilities_add(QemuCapabilities *capabilities, QemuSet set, const char *name) VB_MUST_USE;

/* The machine's strings are interned. -E2BIG if there are too many. */
int qemu_capabilities_add_machine(QemuCapabilities *capabilities, const QemuMachine *machine) VB_MUST_USE;

/* Sorts, and checks that what must be known is: -EBADMSG if architecture, version or machines are missing. */
int qemu_capabilities_seal(QemuCapabilities *capabilities) VB_MUST_USE;

/* --- Which binaries there are (capabilities-emulators.c) --- */

typedef struct QemuEmulatorFolders {
        char **folders;
        char **allowed; /* by the administrator, full paths */
        bool session;
} QemuEmulatorFolders;

void qemu_emulator_folders_init(QemuEmulatorFolders *folders, const QemuCapabilitiesOptions *options);
void qemu_emulator_folders_done(QemuEmulatorFolders *folders);
int qemu_emulator_check(const QemuEmulatorFolders *folders, const char *path,
                        sd_bus_error *reterr) VB_MUST_USE;
int qemu_emulator_find(const QemuEmulatorFolders *folders, const char *arch, char **ret,
                       sd_bus_error *reterr) VB_MUST_USE;
GPtrArray *qemu_emulator_list(const QemuEmulatorFolders *folders);

/* QEMU's word for its target ("i386") to that of definitions ("i686"), or NULL; and whether such an emulator
 * runs guests of an architecture: its own, or the smaller one that it includes. */
const char *qemu_emulator_arch(const char *target);
bool qemu_emulator_runs(const char *target, const char *arch);

/* Where guests of root run, for <secmodel>. */
void qemu_capabilities_manager_get_owner(const QemuCapabilitiesManager *manager, uid_t *ret_uid,
                                         gid_t *ret_gid);
sd_event *qemu_capabilities_manager_get_event(const QemuCapabilitiesManager *manager);

/* --- Answers of QMP to facts (capabilities-parse.c, capabilities-schema.c). -EBADMSG: QEMU answered what it
 * must not. */

int qemu_capabilities_parse_target(QemuCapabilities *capabilities, VbJson *result) VB_MUST_USE;
int qemu_capabilities_parse_machines(QemuCapabilities *capabilities, VbJson *result) VB_MUST_USE;
int qemu_capabilities_parse_types(QemuCapabilities *capabilities, VbJson *result) VB_MUST_USE;
int qemu_capabilities_parse_options(QemuCapabilities *capabilities, VbJson *result) VB_MUST_USE;
int qemu_capabilities_parse_properties(QemuCapabilities *capabilities, const char *device,
                                       VbJson *result) VB_MUST_USE;
int qemu_capabilities_parse_words(QemuCapabilities *capabilities, QemuSet set, VbJson *result) VB_MUST_USE;
int qemu_capabilities_parse_hyperv(QemuCapabilities *capabilities, VbJson *result) VB_MUST_USE;
int qemu_capabilities_parse_schema(QemuCapabilities *capabilities, VbJson *result) VB_MUST_USE;

/* --- The file (capabilities-file.c) --- */

/* Raise it whenever something is asked or kept that older files do not have: they are then not read. */
#define QEMU_CAPABILITIES_FORMAT 1
#define QEMU_CAPABILITIES_FILE_MAX (4u * 1024 * 1024)

/* What a binary is recognized by: if any of it differs, it is another binary. Times in nanoseconds. */
typedef struct QemuBinaryIdentity {
        uint64_t device, inode, size;
        int64_t mtime, ctime;
} QemuBinaryIdentity;

/* -ENOENT and so on if there is no such file, -EACCES if it is no executable regular file. */
int qemu_binary_identity_get(const char *path, QemuBinaryIdentity *ret) VB_MUST_USE;
bool qemu_binary_identity_equal(const QemuBinaryIdentity *a, const QemuBinaryIdentity *b);

/* Whether KVM may and can be asked about here. Looks at /dev/kvm's permissions, but never opens it. */
bool qemu_host_has_kvm(bool no_kvm);

/* What else than the binary its answers depend on: with KVM the processor, its microcode and the kernel; else
 * nothing. */
char *qemu_host_key(bool kvm);

/* host says what else than the binary the answers depend on (see qemu_host_key()). */
GBytes *qemu_capabilities_format(const QemuCapabilities *capabilities, const QemuBinaryIdentity *identity,
                                 const char *host);
/* -ESTALE if it is of another format, binary or host; -EBADMSG if it is damaged: both mean to ask again. */
int qemu_capabilities_parse(const char *text, size_t size, const char *path,
                            const QemuBinaryIdentity *identity, const char *host,
                            QemuCapabilities **ret) VB_MUST_USE;
