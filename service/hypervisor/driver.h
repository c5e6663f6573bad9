/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a driver does for the domains of its kind: the operations behind Domain1 and Hypervisor1. This layer has checked the
 * caller's rights and the domain's state, and that nothing else is under way, before it calls one of them. */

#include "bus/call.h"
#include "hypervisor/domain.h"
#include "hypervisor/stats.h"

#include "interfaces/domain1.h"
#include "interfaces/hypervisor1.h"

typedef struct VbStartOptions {
        VbFiles files; /* what fd:NAME stands for; lives as long as the operation */
        int id; /* the number that the guest gets; 0: the next */
        bool paused;
        bool paused_by_state; /* … as the guest was when it was saved, or as it was to be restored; not by a word of who starts it */
        bool bypass_cache;
        bool force_boot;
        bool reset_nvram;
        VbCall *bind_to; /* the guest ends when this caller leaves; NULL: nobody's leaving ends it. Kept by who asked, until done() */

        /* The guest's state comes from a file; the definition is the saved one. */
        bool restore;
        int state_fd;           /* at the position where the driver's own stream begins; the driver duplicates it */
        const char *state_path; /* to be removed when the state has been read and before the guest runs; may be NULL */
        VbCall *call;           /* who asked for the restore, for its job; may be NULL. Used before start() returns */
} VbStartOptions;

typedef struct VbSaveOptions {
        bool bypass_cache;
        bool resume_running; /* what the guest does when it is restored; else it stands still */
} VbSaveOptions;

/* How a guest is asked to power off or reboot. */
typedef enum VbAskMode {
        VB_ASK_DEFAULT, /* the agent if it is connected, else the button */
        VB_ASK_ACPI,
        VB_ASK_AGENT,
} VbAskMode;

/* What of a running guest can be changed, or what is told of it. */
typedef enum VbResource {
        VB_RESOURCE_MEMORY,        /* what its balloon leaves it: current_memory */
        VB_RESOURCE_MEMORY_STATS,  /* how often its balloon is asked for figures */
        VB_RESOURCE_VCPUS,         /* how many it has */
        VB_RESOURCE_VCPU_PIN,      /* part: the vCPU's number */
        VB_RESOURCE_EMULATOR_PIN,
        VB_RESOURCE_IOTHREADS,     /* part: the number of the one that is there, or is there no more */
        VB_RESOURCE_IOTHREAD_PIN,  /* part: its number */
        VB_RESOURCE_IOTHREAD_TUNING, /* part: its number */
        VB_RESOURCE_CPU_TUNING,
        VB_RESOURCE_MEMORY_TUNING,
        VB_RESOURCE_BLOCK_TUNING,
        VB_RESOURCE_NUMA_TUNING,
        VB_RESOURCE_DISK_TUNING,   /* part: the disk's place among the definition's */
        VB_RESOURCE_INTERFACE_TUNING, /* part: the network card's place */
        VB_RESOURCE_LIFECYCLE,     /* what follows when it powers off, reboots, crashes */
} VbResource;

/* What is NULL is not offered, and calls that need it get NotSupported. Those that change the guest return 0 and end with
 * vb_domain_finish(), now or later; or return a negative errno with reterr filled, and have changed nothing. */
typedef struct VbDriver {
        const char *name;    /* "qemu" */
        const char *program; /* "virtqemud": who the files are private to */

        /* Members of the two interfaces that only this driver serves; the layer's own handlers go first. */
        const VbDomain1Handlers *domain_handlers;
        const VbHypervisor1Handlers *hypervisor_handlers;

        /* Makes and frees driver_data. */
        int (*attach)(VbDomain *domain);
        void (*detach)(VbDomain *domain);

        /* Fills in what the definition left open, and refuses what this driver, emulator or host does not offer. 1: done. 0: done() follows,
         * and the definition must stay until then. Negative: reterr says why not. */
        int (*complete)(VbHypervisor *hypervisor, VbDomainDefinition *definition, VbDone done, void *userdata,
                        sd_bus_error *reterr);

        /* Whether the driver can hold what a definition that was changed says; without asking the host or emulator. May be NULL. */
        int (*check)(const VbDomainDefinition *definition, sd_bus_error *reterr);

        /* Of domain->live, which is its own by now, as is domain->id. Ends with vb_domain_finish() if the guest is there, else with
         * vb_domain_stopped(). */
        int (*start)(VbDomain *domain, const VbStartOptions *options, sd_bus_error *reterr);
        /* Whether the guest can be asked anything: one that a daemon has just taken up cannot be yet. NULL: always. */
        bool (*is_ready)(const VbDomain *domain);
        int (*shutdown)(VbDomain *domain, VbAskMode mode, sd_bus_error *reterr);
        int (*reboot)(VbDomain *domain, VbAskMode mode, sd_bus_error *reterr);
        int (*reset)(VbDomain *domain, sd_bus_error *reterr);
        int (*suspend)(VbDomain *domain, VbDomainReason reason, sd_bus_error *reterr); /* reason: of the state that follows */
        int (*resume)(VbDomain *domain, sd_bus_error *reterr);

        /* The guest has stood still while the host's clock went on: sets its clock, as soon as that is possible. Nobody waits for it. NULL: guests
         * see to that themselves. */
        void (*catch_up)(VbDomain *domain);

        /* Ends the guest and whatever is under way, at any time, also while a start goes on. Ends with vb_domain_stopped(), not with
         * vb_domain_finish(). graceful: by asking the emulator only, which may take its time. */
        int (*destroy)(VbDomain *domain, bool graceful, sd_bus_error *reterr);

        /* Saves a running guest of a persistent domain to vb_domain_managed_save_path(), and ends it. Begins the operation itself, with done
         * (hypervisor/domain.h), and a job for call (NULL: the daemon's own). If it fails or the job is cancelled, the guest is as before, and no file is
         * left. */
        int (*managed_save)(VbDomain *domain, const VbSaveOptions *options, VbCall *call, VbDone done, void *userdata,
                            sd_bus_error *reterr);

        /* Makes the guest, or its part of this number, as wanted says; domain->live is changed when that has succeeded. Ends with
         * vb_domain_finish(). */
        int (*apply)(VbDomain *domain, VbResource what, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr);

        /* Something of a guest that runs has been changed (its metadata in domain->live, the time for its agent), and a daemon that is started
         * anew should know. */
        void (*live_changed)(VbDomain *domain);

        /* Files beside the definition that the domain leaves behind when it is undefined; the firmware's variables. NULL: none. */
        char *(*find_nvram)(VbDomain *domain);
        /* The domain has been undefined, and has no guest: whatever else the driver has kept for it goes, too. NULL: nothing. */
        void (*forget)(VbDomain *domain);

        /* Figures (hypervisor/stats.h): asks for those that are not known since the batch's time, then appends what is known. */
        void (*collect)(VbDomain *domain, VbStatsGroups groups, VbStatsBatch *batch);
        int (*append_stats)(VbDomain *domain, VbStatsGroups groups, sd_bus_message *m);
        /* Entries {sv} that only the driver knows of a vCPU that is there: "time", "cpu". */
        int (*append_vcpu)(VbDomain *domain, uint32_t vcpu, sd_bus_message *m);
} VbDriver;
