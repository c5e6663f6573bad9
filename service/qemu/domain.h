/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the driver keeps of a domain: its emulator, while there is one, and who waits for what of it. */

#include "base/operation.h"
#include "base/process.h"
#include "base/worker.h"
#include "bus/machine.h"
#include "qemu/agent.h"
#include "qemu/command.h"
#include "qemu/console.h"
#include "qemu/driver.h"
#include "qemu/monitor.h"
#include "qemu/stats.h"

typedef struct QemuCrashDump QemuCrashDump;
typedef struct QemuDiskApply QemuDiskApply;
typedef struct QemuGoOn QemuGoOn;
typedef struct QemuGuestClock QemuGuestClock;
typedef struct QemuIothreadChange QemuIothreadChange;
typedef struct QemuMonitorWatches QemuMonitorWatches;
typedef struct QemuSave QemuSave;
typedef struct QemuStart QemuStart;
typedef struct QemuVcpus QemuVcpus;
typedef struct QemuViewers QemuViewers;

/* How far a guest has come, as its state file says. */
typedef enum QemuProgress {
        QEMU_PROGRESS_STARTING, /* half made: to be undone by a daemon that finds it */
        QEMU_PROGRESS_RUNNING,
        _QEMU_PROGRESS_MAX,
        _QEMU_PROGRESS_INVALID = -EINVAL,
} QemuProgress;
VB_STRING_TABLE_DECLARE(qemu_progress, QemuProgress);

/* Who wants to know of a monitor's first answer, or of its end; NULL: nobody. */
typedef struct QemuMonitorWatch {
        void (*ready)(QemuDomain *qemu);
        void (*closed)(QemuDomain *qemu, int r, const sd_bus_error *error);
} QemuMonitorWatch;

/* The monitor's socket in the guest's run folder. */
#define QEMU_MONITOR_SOCKET "monitor.sock"

/* One of the emulator's threads for disks. */
typedef struct QemuIothread {
        uint32_t id;
        pid_t thread;
} QemuIothread;

struct QemuDomain {
        VbDomain *domain;
        QemuDriver *driver;
        QemuMonitorWatches *watches; /* who hears the monitor, over all runs; NULL: nobody has yet */
        QemuViewers *viewers;        /* who came to its displays; NULL: nobody has yet */

        /* this run of the guest */
        char *run_dir; /* "/run/virtbus/qemu/UUID" */
        QemuProgress progress;
        VbProcess *process;
        uid_t uid; /* whom it runs as */
        VbProcess *tpm; /* its TPM emulator; NULL: none */
        QmpMonitor *monitor;
        QemuMonitorWatch monitor_watch;
        GuestAgent *agent;        /* NULL until it is needed: qemu_agent_link() */
        QemuConsoles *consoles;   /* those that are open; NULL: none has been yet */
        QemuCapabilities *capabilities; /* NULL after a restart of the daemon, until they are needed */
        char *machine; /* machined's name for it; in a session, the scope's */
        char *unit;    /* the scope */
        char *cgroup;  /* "/sys/fs/cgroup/…" of the scope; NULL: not known */
        int32_t clock_adjustment; /* with which the emulator was started: what it tells of the guest's clock comes on top; in the state file */
        char *log_path;
        bool log_is_daemons; /* virtlogd writes it */
        uint64_t log_file;   /* … and this is virtlogd's number of the file */
        uint64_t log_start;  /* where this run's lines begin: in log_path, or with log_skip more in log_file */
        uint64_t log_skip;

        /* under way */
        QemuStart *start;            /* steps of a start */
        QemuSave *save;              /* … of saving or dumping */
        QemuGoOn *going_on;          /* … after a save that another daemon began */
        QemuCrashDump *crash_dump;   /* … of dumping a guest that has panicked */
        QemuGuestClock *clock;       /* its clock is behind, and is to be set; whether, is in the state file */
        bool goes_on;                /* paused only for a job: whatever becomes of that, it runs again; in the state file */
        VbMachineCall *scope_call;   /* giving the scope other limits */
        QemuDiskApply *disk_apply;   /* … and a disk */
        QemuIothreadChange *iothread_change; /* … an I/O thread */
        VbWorker *traffic;           /* … and a network card */
        VbLockCall *lock_call;       /* what the lock manager was asked */
        QemuVcpus *vcpus;            /* … and the guest other vCPUs */
        VbWorker *unplug;            /* at the end: taking leave of the host's networks */
        bool ending;                 /* the process has ended, or is being ended */
        bool waits_for_tpm;          /* … the TPM emulator is the last to end */
        bool end_wanted;             /* … by the operation under way, which succeeds by it */
        VbDomainReason end_reason;   /* what the state will say when nothing is left */
        bool reboot_by_shutdown;     /* the guest was asked to power off so that it can be reset */
        VbDomainReason pause_reason; /* why the next STOP comes, if an event has said so; else VB_REASON_UNKNOWN */
        VbDomainReason suspend_reason; /* what a suspend under way is for; in the state file */
        VbDomainReason resume_reason; /* likewise of the next RESUME */
        sd_event_source *kill_timer;
        sd_event_source *tpm_kill_timer;
        QemuStats stats;

        /* known from the emulator */
        GArray *iothreads;    /* of QemuIothread */
        GArray *vcpu_threads; /* of pid_t, by vCPU; 0: it is not there */
};

static inline QemuDomain *qemu_domain_of(const VbDomain *domain) {
        return domain->driver_data;
}

/* VbDriver.attach, detach */
int qemu_domain_attach(VbDomain *domain);
void qemu_domain_detach(VbDomain *domain);

/* Forgets what belonged to one run of the guest. */
void qemu_domain_reset(QemuDomain *qemu);

/* The daemon's listening sockets, and so the guest's monitor, are below. */
char *qemu_domain_run_dir(const VbDomain *domain);

/* Whom the guest runs as. */
static inline uid_t qemu_domain_guest_uid(const QemuDomain *qemu) {
        return qemu->uid;
}

/* Connects to the monitor, whose events go to events.c from then on. */
VB_MUST_USE int qemu_domain_connect_monitor(QemuDomain *qemu, const QemuMonitorWatch *watch, sd_bus_error *reterr);

/* Takes what query-chardev told: the terminals' paths, for the live definition. */
void qemu_domain_take_chardevs(QemuDomain *qemu, VbJson *answer);

/* What the balloon has left to the guest; for the property, and the live definition. */
void qemu_domain_set_balloon(QemuDomain *qemu, uint64_t bytes);

/* Sets the state, and has the state file say so. */
void qemu_domain_set_state(QemuDomain *qemu, VbDomainState state, VbDomainReason reason);
