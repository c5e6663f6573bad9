/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a guest's processes live: a machine of systemd-machined with its scope (system), or a scope of the user's
 * own service manager (session). Everything is asynchronous with a time limit: a slow or absent machined costs the
 * call that needs it a clear error and nothing else anything. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/uuid.h"

#define VB_MACHINE_NAME_MAX 64

/* "qemu-3-web": driver, id and name with what machined does not allow replaced, at most 64 characters, so that
 * the id always stays whole and the name unique. Returns a string to be freed. */
char *vb_machine_name(const char *driver, unsigned id, const char *name);

/* The scope that vb_machine_create_scope() makes for a machine of this name. To be freed. */
char *vb_machine_scope(const char *name);

/* Limits on one block device of the host; UINT64_MAX: none. */
typedef struct VbMachineDevice {
        const char *path; /* "/dev/sda" */
        uint64_t weight;  /* 1 … 10000 */
        uint64_t read_bytes_sec, write_bytes_sec;
        uint64_t read_iops_sec, write_iops_sec;
} VbMachineDevice;

/* Which of the resources below belong together. */
typedef enum VbMachineGroups {
        VB_MACHINE_CPU = 1 << 0,    /* cpu_weight, cpu_quota_usec */
        VB_MACHINE_MEMORY = 1 << 1, /* memory_max, memory_high, memory_swap_max */
        VB_MACHINE_IO = 1 << 2,     /* io_weight, devices */
        VB_MACHINE_NODES = 1 << 3,  /* allowed_memory_nodes */
        VB_MACHINE_OTHERS = 1 << 4, /* the rest: told at the start only */
        VB_MACHINE_ALL = (1 << 5) - 1,
} VbMachineGroups;

/* Resource properties of the scope; what is UINT64_MAX (0 for the strings: NULL) is left to the manager's default. */
typedef struct VbMachineResources {
        uint64_t cpu_weight;       /* 1 … 10000 */
        uint64_t cpu_quota_usec;   /* CPU time per second of wall time */
        uint64_t memory_max;       /* bytes */
        uint64_t memory_high;      /* bytes */
        uint64_t memory_swap_max;  /* bytes */
        uint64_t io_weight;        /* 1 … 10000 */
        uint64_t tasks_max;
        const char *allowed_cpus;         /* "0-3,6" */
        const char *allowed_memory_nodes; /* "0" */
        const VbMachineDevice *devices;
        size_t n_devices;
} VbMachineResources;

#define VB_MACHINE_RESOURCES_NONE                                                                                \
        ((VbMachineResources){                                                                                   \
                .cpu_weight = UINT64_MAX,                                                                        \
                .cpu_quota_usec = UINT64_MAX,                                                                    \
                .memory_max = UINT64_MAX,                                                                        \
                .memory_high = UINT64_MAX,                                                                       \
                .memory_swap_max = UINT64_MAX,                                                                   \
                .io_weight = UINT64_MAX,                                                                         \
                .tasks_max = UINT64_MAX,                                                                         \
        })

typedef struct VbMachineSpec {
        const char *name;        /* from vb_machine_name() */
        const VbUuid *uuid;
        const char *service;     /* who registers: "virtbus-qemu" */
        const char *class;       /* "vm" or "container" */
        pid_t leader;
        const pid_t *others;     /* processes of the guest beside the leader */
        size_t n_others;
        const char *description; /* of the scope */
        const char *slice;       /* NULL: "machine.slice" (system), the manager's default (session) */
        const char *root;        /* root directory of a container; NULL: "" */
        const int *ifindexes;    /* network interfaces of the guest */
        size_t n_ifindexes;
        VbMachineResources resources;
} VbMachineSpec;

/* A call under way. Freeing it cancels: the callback is not called any more (what machined does about it is then its
 * own matter; terminate the machine if it must not stay). */
typedef struct VbMachineCall VbMachineCall;
VbMachineCall *vb_machine_call_free(VbMachineCall *call);

/* r = 0, or negative with error: VB_ERROR_MACHINE_FAILED or VB_ERROR_TIMEOUT. unit is the scope's name ("machine-qemu\\x2d3\\x2dweb.scope"), NULL
 * where there is none. Called once, never from within the call. May free the call, and must in the end. */
typedef void (*VbMachineCallback)(VbMachineCall *call, int r, const char *unit, const sd_bus_error *error, void *userdata);

/* System: CreateMachineWithNetwork on the system bus; done when machined has answered, when the scope exists and the leader is in it.
 * timeout_usec 0: 10 s. */
VB_MUST_USE int vb_machine_create(VbMachineCall **ret, sd_bus *bus, const VbMachineSpec *spec,
                                  VbMachineCallback callback, void *userdata, uint64_t timeout_usec);

/* Session: StartTransientUnit of a scope named "virtbus-NAME.scope" with the leader in it, on the user's bus; done when its job is. */
VB_MUST_USE int vb_machine_create_scope(VbMachineCall **ret, sd_bus *bus, const VbMachineSpec *spec,
                                        VbMachineCallback callback, void *userdata, uint64_t timeout_usec);

/* Ends a machine with all its processes. A machine that is gone already is a success. */
VB_MUST_USE int vb_machine_terminate(VbMachineCall **ret, sd_bus *bus, const char *name, VbMachineCallback callback,
                                     void *userdata, uint64_t timeout_usec);
/* The same for the scope of a session. */
VB_MUST_USE int vb_machine_stop_scope(VbMachineCall **ret, sd_bus *bus, const char *unit, VbMachineCallback callback,
                                      void *userdata, uint64_t timeout_usec);

/* Changes resources of a running guest's scope (runtime only): those of the groups, where what is unset becomes the manager's default
 * again; the others stay. */
VB_MUST_USE int vb_machine_set_resources(VbMachineCall **ret, sd_bus *bus, const char *unit, VbMachineGroups groups,
                                         const VbMachineResources *resources, VbMachineCallback callback,
                                         void *userdata, uint64_t timeout_usec);

/* Tells of each machine that machined removes, by name. *ret is unref'ed to stop. */
VB_MUST_USE int vb_machine_watch_removed(sd_bus_slot **ret, sd_bus *bus,
                                         void (*removed)(const char *name, void *userdata), void *userdata);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbMachineCall, vb_machine_call_free)
