/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The manager: an entry for each binary that was asked for. What is known of a binary is true as long as the
 * file and the host are what they were, which costs one stat() to see. Else the file in the cache folder is
 * read, and if that does not fit either, the binary is asked; whoever wants to know meanwhile waits for the
 * same probe.
 *
 * A failure is told to those who wait and not remembered: the next one to ask tries again. */

#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/writer.h"
#include "qemu/capabilities-private.h"
#include "qemu/capabilities-probe.h"

/* How often a binary may be replaced under a running probe before we give up on it. */
#define PROBE_RESTARTS_MAX 3u

struct QemuCapabilitiesManager {
        sd_event *event;
        char *cache_directory;
        VbWriter *writer;
        uid_t uid;
        gid_t gid;
        bool no_kvm;
        QemuEmulatorFolders folders;

        GHashTable *entries; /* path → CacheEntry, owned */
        unsigned n_requests;
};

typedef struct CacheEntry {
        QemuCapabilitiesManager *manager;
        char *path;

        /* what is known, and of what */
        QemuCapabilities *capabilities;
        QemuBinaryIdentity identity;
        bool kvm;

        /* while it is asked */
        QemuProbe *probe;
        QemuBinaryIdentity probe_identity;
        bool probe_kvm;
        unsigned n_restarts;
        GQueue waiting; /* of QemuCapabilitiesRequest, borrowed */
} CacheEntry;

struct QemuCapabilitiesRequest {
        QemuCapabilitiesManager *manager;
        CacheEntry *entry; /* while it waits for a probe */
        sd_event_source *deferred;
        QemuCapabilities *capabilities; /* the answer; or: */
        sd_bus_error error;
        QemuCapabilitiesCallback callback;
        void *userdata;
};

static void entry_free(gpointer data) {
        CacheEntry *entry = data;

        assert(g_queue_is_empty(&entry->waiting));
        qemu_probe_free(entry->probe);
        qemu_capabilities_unref(entry->capabilities);
        g_free(entry->path);
        g_free(entry);
}

int qemu_capabilities_manager_new(QemuCapabilitiesManager **ret, sd_event *event,
                                  const QemuCapabilitiesOptions *options) {
        QemuCapabilitiesManager *manager = g_new0(QemuCapabilitiesManager, 1);

        assert(!options->cache_directory == !options->writer);

        manager->event = sd_event_ref(event);
        manager->cache_directory = g_strdup(options->cache_directory);
        manager->writer = options->writer;
        manager->uid = options->uid;
        manager->gid = options->gid;
        manager->no_kvm = options->no_kvm;
        qemu_emulator_folders_init(&manager->folders, options);
        manager->entries =
                g_hash_table_new_full(g_str_hash, g_str_equal, /* key_destroy_func= */ NULL, entry_free);
        *ret = manager;
        return 0;
}

QemuCapabilitiesManager *qemu_capabilities_manager_free(QemuCapabilitiesManager *manager) {
        if (!manager)
                return NULL;

        assert(manager->n_requests == 0);
        g_hash_table_unref(manager->entries);
        qemu_emulator_folders_done(&manager->folders);
        g_free(manager->cache_directory);
        sd_event_unref(manager->event);
        g_free(manager);
        return NULL;
}

int qemu_capabilities_check_emulator(const QemuCapabilitiesManager *manager, const char *path,
                                     sd_bus_error *reterr) {
        return qemu_emulator_check(&manager->folders, path, reterr);
}

int qemu_capabilities_find_emulator(const QemuCapabilitiesManager *manager, const char *arch, char **ret_path,
                                    sd_bus_error *reterr) {
        return qemu_emulator_find(&manager->folders, arch, ret_path, reterr);
}

GPtrArray *qemu_capabilities_list_emulators(const QemuCapabilitiesManager *manager) {
        return qemu_emulator_list(&manager->folders);
}

void qemu_capabilities_manager_get_owner(const QemuCapabilitiesManager *manager, uid_t *ret_uid,
                                         gid_t *ret_gid) {
        bool other = manager->uid != (uid_t) -1;

        *ret_uid = other ? manager->uid : geteuid();
        *ret_gid = other ? manager->gid : getegid();
}

sd_event *qemu_capabilities_manager_get_event(const QemuCapabilitiesManager *manager) {
        return manager->event;
}

/* --- The cache folder --- */

static char *entry_file(const CacheEntry *entry) {
        g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, entry->path, -1);

        return g_strdup_printf("%s/%s.json", entry->manager->cache_directory, hash);
}

/* Only a file that we wrote ourselves is believed. It is small, and blocks no longer than the stat() above
 * does. */
static int read_own_file(const char *path, char **ret, size_t *ret_size) {
        vb_autofd fd = -EBADF;
        struct stat st;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0022))
                return -EPERM;
        return vb_file_read_fd(fd, QEMU_CAPABILITIES_FILE_MAX, ret, ret_size);
}

static void entry_set(CacheEntry *entry, QemuCapabilities *capabilities, const QemuBinaryIdentity *identity,
                      bool kvm) {
        qemu_capabilities_unref(entry->capabilities);
        entry->capabilities = capabilities;
        entry->identity = *identity;
        entry->kvm = kvm;
}

static int entry_load(CacheEntry *entry, const QemuBinaryIdentity *identity, bool kvm) {
        g_autofree char *file = NULL, *host = NULL, *text = NULL;
        QemuCapabilities *capabilities;
        size_t size;
        int r;

        if (!entry->manager->cache_directory)
                return -ENOENT;
        file = entry_file(entry);
        r = read_own_file(file, &text, &size);
        if (r >= 0) {
                host = qemu_host_key(kvm);
                r = qemu_capabilities_parse(text, size, entry->path, identity, host, &capabilities);
        }
        if (r < 0) {
                if (r != -ENOENT && r != -ESTALE)
                        (void) vb_log_warning_errno(r, "not using '%s', asking the emulator instead: %m",
                                                    file);
                return r;
        }
        entry_set(entry, capabilities, identity, kvm);
        return 0;
}

static void entry_save(const CacheEntry *entry) {
        g_autofree char *file = NULL, *host = NULL;
        g_autoptr(GBytes) bytes = NULL;
        int r;

        if (!entry->manager->cache_directory)
                return;
        r = vb_mkdir(entry->manager->cache_directory, 0700);
        if (r < 0) {
                (void) vb_log_warning_errno(r, "cannot make '%s', emulators will be asked again: %m",
                                            entry->manager->cache_directory);
                return;
        }
        file = entry_file(entry);
        host = qemu_host_key(entry->kvm);
        bytes = qemu_capabilities_format(entry->capabilities, &entry->identity, host);
        vb_writer_write(entry->manager->writer, file, bytes, 0600, /* callback= */ NULL,
                        /* userdata= */ NULL);
}

/* --- Answering: each request from the loop, by itself, so that a callback may do as it likes --- */

static int on_deferred(sd_event_source *source, void *userdata) {
        QemuCapabilitiesRequest *request = userdata;
        const sd_bus_error *error = request->capabilities ? NULL : &request->error;

        request->callback(request->capabilities, error, request->userdata); /* may have freed the request */
        return 0;
}

static void request_answer(QemuCapabilitiesRequest *request, QemuCapabilities *capabilities,
                           const sd_bus_error *error) {
        int r;

        request->entry = NULL;
        if (capabilities)
                request->capabilities = qemu_capabilities_ref(capabilities);
        else
                (void) sd_bus_error_copy(&request->error, error);
        r = sd_event_source_set_enabled(request->deferred, SD_EVENT_ONESHOT);
        assert(r >= 0);
}

static void entry_answer(CacheEntry *entry, QemuCapabilities *capabilities, const sd_bus_error *error) {
        QemuCapabilitiesRequest *request;

        while ((request = g_queue_pop_head(&entry->waiting)))
                request_answer(request, capabilities, error);
}

/* --- Asking --- */

static int entry_probe(CacheEntry *entry, const QemuBinaryIdentity *identity, bool kvm, sd_bus_error *reterr);

/* A binary that was replaced while it was asked is asked again. Returns whether it is. */
static bool entry_restart_if_stale(CacheEntry *entry, sd_bus_error *reterr) {
        QemuBinaryIdentity identity;
        int r;

        r = qemu_binary_identity_get(entry->path, &identity);
        if (r < 0) {
                (void) sd_bus_error_set_errnof(reterr, r, "emulator '%s': %m", entry->path);
                return false;
        }
        if (qemu_binary_identity_equal(&identity, &entry->probe_identity))
                return false;
        if (++entry->n_restarts > PROBE_RESTARTS_MAX) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_EMULATOR_FAILED,
                                         "emulator '%s': is being replaced again and again", entry->path);
                return false;
        }
        return entry_probe(entry, &identity, entry->probe_kvm, reterr) >= 0;
}

static void on_probed(QemuProbe *probe, QemuCapabilities *capabilities, const sd_bus_error *error,
                      void *userdata) {
        CacheEntry *entry = userdata;
        g_autoptr(QemuCapabilities) owned = capabilities;
        g_auto(sd_bus_error) stale = SD_BUS_ERROR_NULL;

        entry->probe = qemu_probe_free(entry->probe);
        if (owned && entry_restart_if_stale(entry, &stale))
                return;
        if (sd_bus_error_is_set(&stale))
                error = &stale;
        if (error) {
                entry_answer(entry, NULL, error);
                return;
        }
        entry_set(entry, g_steal_pointer(&owned), &entry->probe_identity, entry->probe_kvm);
        entry_save(entry);
        entry_answer(entry, entry->capabilities, NULL);
}

static int entry_probe(CacheEntry *entry, const QemuBinaryIdentity *identity, bool kvm,
                       sd_bus_error *reterr) {
        QemuProbeSpec spec = {
                .path = entry->path,
                .uid = entry->manager->uid,
                .gid = entry->manager->gid,
                .kvm = kvm,
        };

        entry->probe_identity = *identity;
        entry->probe_kvm = kvm;
        return qemu_probe_new(&entry->probe, entry->manager->event, &spec, on_probed, entry, reterr);
}

static bool entry_is_true(const CacheEntry *entry, const QemuBinaryIdentity *identity, bool kvm) {
        return entry->capabilities && entry->kvm == kvm &&
               qemu_binary_identity_equal(&entry->identity, identity);
}

static CacheEntry *manager_find_entry(QemuCapabilitiesManager *manager, const char *path, bool make) {
        CacheEntry *entry = g_hash_table_lookup(manager->entries, path);

        if (entry || !make)
                return entry;
        entry = g_new0(CacheEntry, 1);
        entry->manager = manager;
        entry->path = g_strdup(path);
        g_queue_init(&entry->waiting);
        (void) g_hash_table_insert(manager->entries, entry->path, entry);
        return entry;
}

/* Answers from memory or the cache folder, joins the probe that runs, or begins one. */
static int entry_serve(CacheEntry *entry, QemuCapabilitiesRequest *request, sd_bus_error *reterr) {
        QemuBinaryIdentity identity;
        bool kvm = qemu_host_has_kvm(entry->manager->no_kvm);
        int r;

        if (!entry->probe) {
                r = qemu_binary_identity_get(entry->path, &identity);
                if (r < 0)
                        return sd_bus_error_set_errnof(reterr, r, "emulator '%s': %m", entry->path);
                if (entry_is_true(entry, &identity, kvm) || entry_load(entry, &identity, kvm) >= 0) {
                        request_answer(request, entry->capabilities, NULL);
                        return 0;
                }
                entry->n_restarts = 0;
                r = entry_probe(entry, &identity, kvm, reterr);
                if (r < 0)
                        return r;
        }
        request->entry = entry;
        g_queue_push_tail(&entry->waiting, request);
        return 0;
}

int qemu_capabilities_get(QemuCapabilitiesManager *manager, const char *path,
                          QemuCapabilitiesCallback callback, void *userdata, QemuCapabilitiesRequest **ret,
                          sd_bus_error *reterr) {
        g_autoptr(QemuCapabilitiesRequest) request = NULL;
        int r;

        r = qemu_emulator_check(&manager->folders, path, reterr);
        if (r < 0)
                return r;

        request = g_new0(QemuCapabilitiesRequest, 1);
        request->manager = manager;
        request->callback = callback;
        request->userdata = userdata;
        manager->n_requests++;
        r = sd_event_add_defer(manager->event, &request->deferred, on_deferred, request);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "emulator '%s': cannot wait for an answer: %m",
                                               path);
        r = sd_event_source_set_enabled(request->deferred, SD_EVENT_OFF);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "emulator '%s': cannot wait for an answer: %m",
                                               path);

        r = entry_serve(manager_find_entry(manager, path, /* make= */ true), request, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&request);
        return 0;
}

QemuCapabilitiesRequest *qemu_capabilities_request_free(QemuCapabilitiesRequest *request) {
        if (!request)
                return NULL;

        if (request->entry)
                (void) g_queue_remove(&request->entry->waiting, request);
        sd_event_source_disable_unref(request->deferred);
        qemu_capabilities_unref(request->capabilities);
        sd_bus_error_free(&request->error);
        assert(request->manager->n_requests > 0);
        request->manager->n_requests--;
        g_free(request);
        return NULL;
}

QemuCapabilities *qemu_capabilities_find(QemuCapabilitiesManager *manager, const char *path) {
        CacheEntry *entry = manager_find_entry(manager, path, /* make= */ false);
        QemuBinaryIdentity identity;

        if (!entry || qemu_binary_identity_get(path, &identity) < 0 ||
            !entry_is_true(entry, &identity, qemu_host_has_kvm(manager->no_kvm)))
                return NULL;
        return entry->capabilities;
}

int qemu_capabilities_learn_models(QemuCapabilitiesManager *manager, QemuCapabilities *capabilities, QemuAccel accel,
                                   QemuProbeCallback callback, void *userdata, QemuProbe **ret,
                                   sd_bus_error *reterr) {
        QemuCpuTable *table = capabilities->cpus[accel];
        g_autoptr(GPtrArray) unknown = table ? qemu_cpu_table_unknown(table) : g_ptr_array_new();
        const QemuProbeSpec spec = {
                .path = capabilities->path,
                .uid = manager->uid,
                .gid = manager->gid,
                .learn = table,
                .accel = accel,
        };

        if (unknown->len == 0)
                return 1;
        return qemu_probe_new(ret, manager->event, &spec, callback, userdata, reterr);
}
