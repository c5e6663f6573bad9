/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an emulator binary can do. Asked of each binary once, when first needed, and remembered: in memory,
 * and on disk across restarts. QemuCapabilities is a finished set of facts: it never changes, may be shared
 * freely and is counted by references. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "qemu/cpu.h"

typedef struct QemuCapabilities QemuCapabilities;
typedef struct QemuCapabilitiesManager QemuCapabilitiesManager;
typedef struct QemuCapabilitiesRequest QemuCapabilitiesRequest;

/* The oldest emulator virtbus works with, as qemu_capabilities_version() counts. What every QEMU since then
 * has needs no question and no flag. */
#define QEMU_VERSION(major, minor, micro) ((major) *1000000u + (minor) *1000u + (micro))
#define QEMU_VERSION_MINIMUM QEMU_VERSION(7, 2, 0)

/* Sets of names that QEMU itself enumerates. qemu_capabilities_offers() asks whether a name is in one. */
typedef enum QemuSet {
        QEMU_SET_TYPE, /* concrete QOM types: -device, -object, chardev-*: "virtio-blk-pci",
                          "memory-backend-memfd" */
        QEMU_SET_COMMAND, /* QMP commands: "query-stats" */
        QEMU_SET_EVENT, /* QMP events */
        QEMU_SET_OPTION, /* command line options with their parameters: "sandbox", "spice.port" */
        QEMU_SET_PROPERTY, /* properties of the few devices worth asking: "virtio-blk-pci.iothread-vq-mapping"
                            */
        QEMU_SET_NETDEV, /* -netdev: "user", "stream" */
        QEMU_SET_CHARDEV, /* -chardev: "socket", "spicevmc" */
        QEMU_SET_DISPLAY, /* -display: "dbus", "egl-headless" */
        QEMU_SET_AUDIODEV, /* -audiodev: "pipewire"; empty where QEMU does not tell (before 8.0) */
        QEMU_SET_TPM_BACKEND, /* -tpmdev: "emulator", "passthrough" */
        QEMU_SET_TPM_MODEL, /* "tpm-crb" */
        QEMU_SET_BLOCK_DRIVER,
        QEMU_SET_BLOCK_AIO, /* "threads", "native", "io_uring" */
        QEMU_SET_MIGRATION_CAPABILITY,
        QEMU_SET_HYPERV, /* enlightenments that KVM has on this host: "hv-relaxed" */
        _QEMU_SET_MAX,
} QemuSet;

/* Details that decide how something is said to QEMU and are in no set above. */
typedef enum QemuFeature {
        QEMU_FEATURE_DEVICE_JSON_HOTPLUG, /* unplug works for devices that came by -device JSON */
        QEMU_FEATURE_NETDEV_STREAM_RECONNECT, /* -netdev stream,reconnect=SECONDS */
        QEMU_FEATURE_CHARDEV_RECONNECT_MS, /* -chardev socket,reconnect-ms= instead of reconnect= */
        QEMU_FEATURE_QCOW2_DISCARD_NO_UNREF, /* blockdev qcow2 discard-no-unref */
        QEMU_FEATURE_SCREENDUMP_PNG, /* screendump format=png */
        QEMU_FEATURE_BLOCKDEV_MIRROR_SPARSE, /* blockdev-mirror target-is-zero */
        QEMU_FEATURE_DISPLAY_DBUS_P2P, /* display dbus,p2p=yes */
        QEMU_FEATURE_SET_PASSWORD_DISPLAY, /* set_password display=ID */
        _QEMU_FEATURE_MAX,
} QemuFeature;

typedef struct QemuMachine {
        const char *name;
        const char *alias; /* "pc", or NULL */
        const char *default_cpu_type; /* QOM type, or NULL */
        const char *default_ram_id; /* for -machine memory-backend=; NULL if the machine has no main memory */
        unsigned max_cpus;
        bool is_default;
        bool deprecated;
        bool hotpluggable_cpus;
        bool numa_mem_supported;
} QemuMachine;

QemuCapabilities *qemu_capabilities_ref(QemuCapabilities *capabilities);
/* Takes NULL, returns NULL. */
QemuCapabilities *qemu_capabilities_unref(QemuCapabilities *capabilities);

const char *qemu_capabilities_path(const QemuCapabilities *capabilities);
const char *qemu_capabilities_arch(
        const QemuCapabilities *capabilities); /* as QEMU and uname say: "x86_64" */
const char *qemu_capabilities_package(
        const QemuCapabilities *capabilities); /* "Debian 1:7.2+dfsg-7", or "" */
unsigned qemu_capabilities_version(const QemuCapabilities *capabilities);

bool qemu_capabilities_offers(const QemuCapabilities *capabilities, QemuSet set, const char *name);
bool qemu_capabilities_has(const QemuCapabilities *capabilities, QemuFeature feature);
/* Whether guests can run with this accelerator: built in, and for KVM also usable on this host. */
bool qemu_capabilities_has_accel(const QemuCapabilities *capabilities, QemuAccel accel);

/* A machine by its name or alias, or NULL. A NULL name finds the default machine, if the target has one. */
const QemuMachine *qemu_capabilities_find_machine(const QemuCapabilities *capabilities, const char *name);
const QemuMachine *qemu_capabilities_machines(const QemuCapabilities *capabilities, size_t *ret_n);

/* What CPUs guests can have with this accelerator; NULL if it is not usable. See qemu/cpu.h. */
const QemuCpuTable *qemu_capabilities_cpus(const QemuCapabilities *capabilities, QemuAccel accel);

/* --- The manager: who asks, and who remembers --- */

struct VbWriter;

typedef struct QemuCapabilitiesOptions {
        const char *cache_directory; /* NULL: remember in memory only. Made when first needed. */
        struct VbWriter *writer; /* for the files there; outlives the manager */
        const char *const *emulator_folders; /* NULL: the standard ones */
        const char *const *emulators; /* further binaries the administrator allows by full path, or NULL */
        uid_t uid; /* who binaries are asked as; (uid_t) -1: as the daemon runs */
        gid_t gid;
        bool no_kvm; /* never touch /dev/kvm; the environment's VIRTBUS_KVM=no says the same */
        bool session; /* the user's own daemon: her own binaries may run, too */
} QemuCapabilitiesOptions;

int qemu_capabilities_manager_new(QemuCapabilitiesManager **ret, sd_event *event,
                                  const QemuCapabilitiesOptions *options) VB_MUST_USE;
/* Takes NULL, returns NULL. Requests must be gone by then; probes that still run are ended. */
QemuCapabilitiesManager *qemu_capabilities_manager_free(QemuCapabilitiesManager *manager);

/* The answer: capabilities (borrowed: take a reference to keep them) or, if they are NULL, the error. */
typedef void (*QemuCapabilitiesCallback)(QemuCapabilities *capabilities, const sd_bus_error *error,
                                         void *userdata);

/* Finds out what the emulator at this path can do. The callback always comes later, from the event loop,
 * exactly once unless the request is freed first; it may free the request. Askers of the same binary share
 * one probe. Fails at once with UnsupportedConfiguration if the path is not one that may be run (see
 * qemu_capabilities_check_emulator()). */
int qemu_capabilities_get(QemuCapabilitiesManager *manager, const char *path,
                          QemuCapabilitiesCallback callback, void *userdata, QemuCapabilitiesRequest **ret,
                          sd_bus_error *reterr) VB_MUST_USE;
/* Cancels if it is not answered yet. Takes NULL, returns NULL. Must be called after the answer, too. */
QemuCapabilitiesRequest *qemu_capabilities_request_free(QemuCapabilitiesRequest *request);

/* Asks the emulator about the features of all its CPU models, which a usual start needs to know of few only. 1: they are known. 0: the callback
 * follows, with an error or none; the probe must be freed (qemu/capabilities-probe.h), also to cancel. The capabilities must stay until then. */
struct QemuProbe;
int qemu_capabilities_learn_models(QemuCapabilitiesManager *manager, QemuCapabilities *capabilities, QemuAccel accel,
                                   void (*callback)(struct QemuProbe *probe, QemuCapabilities *unused,
                                                    const sd_bus_error *error, void *userdata),
                                   void *userdata, struct QemuProbe **ret, sd_bus_error *reterr) VB_MUST_USE;

/* The same without waiting: what is in memory and still true of the file, or NULL. Borrowed. */
QemuCapabilities *qemu_capabilities_find(QemuCapabilitiesManager *manager, const char *path);

/* May this program be run as an emulator? A path in a definition or argument names a program, and what runs
 * with a caller's choice of program is that caller's to command; so in the system service only binaries count
 * that are in the standard folders or named by the administrator, belong to root, and are writable by root
 * alone. */
int qemu_capabilities_check_emulator(const QemuCapabilitiesManager *manager, const char *path,
                                     sd_bus_error *reterr) VB_MUST_USE;

/* The emulator for a guest architecture ("x86_64", "i686", "aarch64"), by file name alone (nothing is run),
 * or UnsupportedConfiguration. */
int qemu_capabilities_find_emulator(const QemuCapabilitiesManager *manager, const char *arch, char **ret_path,
                                    sd_bus_error *reterr) VB_MUST_USE;

typedef struct QemuEmulator {
        const char *arch; /* as in definitions: "i686", where QEMU says "i386" */
        unsigned word_size;
        char *path;
} QemuEmulator;

/* The emulators on this host, one (QemuEmulator *) per guest architecture, sorted by it; by file names alone.
 * Free with g_ptr_array_unref(). */
GPtrArray *qemu_capabilities_list_emulators(const QemuCapabilitiesManager *manager);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCapabilities, qemu_capabilities_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCapabilitiesManager, qemu_capabilities_manager_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCapabilitiesRequest, qemu_capabilities_request_free)
