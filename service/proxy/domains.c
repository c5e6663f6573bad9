/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/domains.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/uuid.h"
#include "bus/names.h"
#include "interfaces/domain1.h"
#include "proxy/constants.h"
#include "proxy/domains-private.h"

/* A record never changes: a change makes a new one, which takes the old one's place everywhere before anybody is told. So who is told has both,
 * and what was read of a record stays true to itself. */
typedef struct Record {
        ProxyDomain domain; /* first: what is lent out */
        char *reason; /* its word, as the number depends on the state */
} Record;

struct ProxyDomainsWatch {
        ProxyDomains *domains;
        ProxyDomainsTell tell; /* NULL: freed while others were told */
        void *userdata;
};

struct ProxyDomains {
        GHashTable *by_path; /* path → Record, owned */
        GHashTable *by_name, *by_uuid, *by_id; /* the same, not owned */
        GPtrArray *sorted; /* by name; NULL: not since the last change */
        GPtrArray *watches;
        unsigned telling;
};

/* States */

static const char *const state_words[] = {
        [VIR_DOMAIN_RUNNING] = "running", [VIR_DOMAIN_PAUSED] = "paused", [VIR_DOMAIN_SHUTDOWN] = "shutdown",
        [VIR_DOMAIN_SHUTOFF] = "shutoff", [VIR_DOMAIN_CRASHED] = "crashed", [VIR_DOMAIN_PMSUSPENDED] = "pmsuspended",
};

static const char *const running_reasons[] = {
        [VIR_DOMAIN_RUNNING_BOOTED] = "booted",
        [VIR_DOMAIN_RUNNING_MIGRATED] = "migrated",
        [VIR_DOMAIN_RUNNING_RESTORED] = "restored",
        [VIR_DOMAIN_RUNNING_FROM_SNAPSHOT] = "from-snapshot",
        [VIR_DOMAIN_RUNNING_UNPAUSED] = "unpaused",
        [VIR_DOMAIN_RUNNING_MIGRATION_CANCELED] = "migration-canceled",
        [VIR_DOMAIN_RUNNING_SAVE_CANCELED] = "save-canceled",
        [VIR_DOMAIN_RUNNING_WAKEUP] = "wakeup",
        [VIR_DOMAIN_RUNNING_CRASHED] = "crashed",
        [VIR_DOMAIN_RUNNING_POSTCOPY] = "postcopy",
        [VIR_DOMAIN_RUNNING_POSTCOPY_FAILED] = "postcopy-failed",
};

static const char *const paused_reasons[] = {
        [VIR_DOMAIN_PAUSED_USER] = "user",
        [VIR_DOMAIN_PAUSED_MIGRATION] = "migration",
        [VIR_DOMAIN_PAUSED_SAVE] = "save",
        [VIR_DOMAIN_PAUSED_DUMP] = "dump",
        [VIR_DOMAIN_PAUSED_IOERROR] = "ioerror",
        [VIR_DOMAIN_PAUSED_WATCHDOG] = "watchdog",
        [VIR_DOMAIN_PAUSED_FROM_SNAPSHOT] = "from-snapshot",
        [VIR_DOMAIN_PAUSED_SHUTTING_DOWN] = "shutting-down",
        [VIR_DOMAIN_PAUSED_SNAPSHOT] = "snapshot",
        [VIR_DOMAIN_PAUSED_CRASHED] = "crashed",
        [VIR_DOMAIN_PAUSED_STARTING_UP] = "starting-up",
        [VIR_DOMAIN_PAUSED_POSTCOPY] = "postcopy",
        [VIR_DOMAIN_PAUSED_POSTCOPY_FAILED] = "postcopy-failed",
        [VIR_DOMAIN_PAUSED_API_ERROR] = "api-error",
};

static const char *const shutdown_reasons[] = { [VIR_DOMAIN_SHUTDOWN_USER] = "user" };

static const char *const shutoff_reasons[] = {
        [VIR_DOMAIN_SHUTOFF_SHUTDOWN] = "shutdown",
        [VIR_DOMAIN_SHUTOFF_DESTROYED] = "destroyed",
        [VIR_DOMAIN_SHUTOFF_CRASHED] = "crashed",
        [VIR_DOMAIN_SHUTOFF_MIGRATED] = "migrated",
        [VIR_DOMAIN_SHUTOFF_SAVED] = "saved",
        [VIR_DOMAIN_SHUTOFF_FAILED] = "failed",
        [VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT] = "from-snapshot",
        [VIR_DOMAIN_SHUTOFF_DAEMON] = "daemon",
};

static const char *const crashed_reasons[] = { [VIR_DOMAIN_CRASHED_PANICKED] = "panicked" };

#define WORDS(array) { array, G_N_ELEMENTS(array) }

static const struct {
        const char *const *words;
        size_t n;
} reasons[] = {
        [VIR_DOMAIN_RUNNING] = WORDS(running_reasons),   [VIR_DOMAIN_PAUSED] = WORDS(paused_reasons),
        [VIR_DOMAIN_SHUTDOWN] = WORDS(shutdown_reasons), [VIR_DOMAIN_SHUTOFF] = WORDS(shutoff_reasons),
        [VIR_DOMAIN_CRASHED] = WORDS(crashed_reasons),   [VIR_DOMAIN_PMSUSPENDED] = { NULL, 0 },
};

/* What we do not know is 0, which in the classic protocol is "no state" or "unknown". */
static int find_word(const char *const *words, size_t n, const char *word) {
        for (size_t i = 0; i < n; i++)
                if (g_strcmp0(words[i], word) == 0)
                        return (int) i;
        return 0;
}

/* Records */

static void record_free(void *data) {
        Record *record = data;

        if (!record)
                return;
        g_free(record->domain.path);
        g_free(record->domain.name);
        g_free(record->domain.job);
        g_free(record->reason);
        g_free(record);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Record, record_free)

static Record *record_new(const char *path) {
        Record *record = g_new0(Record, 1);

        record->domain.path = g_strdup(path);
        record->domain.name = g_strdup("");
        record->domain.job = g_strdup("/");
        record->domain.id = -1;
        return record;
}

static Record *record_copy(const Record *old) {
        Record *record = g_memdup2(old, sizeof(*old));

        record->domain.path = g_strdup(old->domain.path);
        record->domain.name = g_strdup(old->domain.name);
        record->domain.job = g_strdup(old->domain.job);
        record->reason = g_strdup(old->reason);
        return record;
}

static bool record_equal(const Record *a, const Record *b) {
        const ProxyDomain *x = &a->domain, *y = &b->domain;

        return strcmp(x->name, y->name) == 0 && memcmp(x->uuid, y->uuid, sizeof(x->uuid)) == 0 && x->id == y->id &&
               x->state == y->state && x->reason == y->reason && x->restored == y->restored && x->owner == y->owner &&
               x->persistent == y->persistent && x->autostart == y->autostart &&
               x->autostart_once == y->autostart_once && x->managed_save == y->managed_save &&
               x->agent_connected == y->agent_connected && x->n_vcpus == y->n_vcpus && x->memory == y->memory &&
               x->max_memory == y->max_memory && strcmp(x->job, y->job) == 0;
}

/* Reading them off messages */

typedef enum Kind {
        KIND_TEXT, /* char *, owned */
        KIND_BOOL,
        KIND_UINT32,
        KIND_UINT64,
        KIND_INT32,
        KIND_STATE,
        KIND_REASON,
        KIND_UUID,
} Kind;

static const struct {
        const char *property;
        const char *type;
        Kind kind;
        size_t offset;
} fields[] = {
        { "State", "s", KIND_STATE, 0 },
        { "StateReason", "s", KIND_REASON, 0 },
        { "Id", "i", KIND_INT32, offsetof(Record, domain.id) },
        { "Name", "s", KIND_TEXT, offsetof(Record, domain.name) },
        { "UUID", "s", KIND_UUID, 0 },
        { "Owner", "u", KIND_UINT32, offsetof(Record, domain.owner) },
        { "Persistent", "b", KIND_BOOL, offsetof(Record, domain.persistent) },
        { "Autostart", "b", KIND_BOOL, offsetof(Record, domain.autostart) },
        { "AutostartOnce", "b", KIND_BOOL, offsetof(Record, domain.autostart_once) },
        { "HasManagedSave", "b", KIND_BOOL, offsetof(Record, domain.managed_save) },
        { "AgentConnected", "b", KIND_BOOL, offsetof(Record, domain.agent_connected) },
        { "VCPUs", "u", KIND_UINT32, offsetof(Record, domain.n_vcpus) },
        { "Memory", "t", KIND_UINT64, offsetof(Record, domain.memory) },
        { "MaxMemory", "t", KIND_UINT64, offsetof(Record, domain.max_memory) },
        { "Job", "o", KIND_TEXT, offsetof(Record, domain.job) },
};

static int set_uuid(ProxyDomain *domain, const char *text) {
        VbUuid uuid;
        int r;

        r = vb_uuid_parse(text, &uuid);
        if (r < 0)
                return r;
        memcpy(domain->uuid, uuid.bytes, sizeof(domain->uuid));
        (void) vb_uuid_format(&uuid, domain->uuid_text);
        return 0;
}

static void set_text(char **field, const char *text) {
        g_free(*field);
        *field = g_strdup(text);
}

static int read_field(sd_bus_message *m, Record *record, size_t i) {
        void *field = (char *) record + fields[i].offset;
        union {
                const char *text;
                uint32_t u32;
                uint64_t u64;
                int32_t i32;
                int boolean;
        } value;
        int r;

        r = sd_bus_message_read(m, "v", fields[i].type, &value);
        if (r < 0)
                return r;
        switch (fields[i].kind) {
        case KIND_TEXT: set_text(field, value.text); break;
        case KIND_BOOL: *(bool *) field = value.boolean; break;
        case KIND_UINT32: *(uint32_t *) field = value.u32; break;
        case KIND_UINT64: *(uint64_t *) field = value.u64; break;
        case KIND_INT32: *(int32_t *) field = value.i32; break;
        case KIND_STATE: record->domain.state = find_word(state_words, G_N_ELEMENTS(state_words), value.text); break;
        case KIND_REASON: set_text(&record->reason, value.text); break;
        case KIND_UUID: return set_uuid(&record->domain, value.text);
        }
        return 0;
}
G_STATIC_ASSERT(sizeof(uid_t) == sizeof(uint32_t) && sizeof(unsigned) == sizeof(uint32_t) && sizeof(int) == sizeof(int32_t));

/* The classic protocol has no word for a guest that stands still since it was restored: it is as if somebody wanted that. */
static void take_reason(Record *record) {
        ProxyDomain *domain = &record->domain;
        bool restoring = g_strcmp0(record->reason, "restoring") == 0, restored = g_strcmp0(record->reason, "restored") == 0;

        domain->restored = domain->state == VIR_DOMAIN_PAUSED && (restoring || restored);
        if (domain->restored)
                domain->reason = restoring ? VIR_DOMAIN_PAUSED_STARTING_UP : VIR_DOMAIN_PAUSED_USER;
        else
                domain->reason = find_word(reasons[domain->state].words, reasons[domain->state].n, record->reason);
}

/* a{sv}; what we have no field for is skipped. */
static int read_properties(sd_bus_message *m, Record *record) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                size_t i = 0;

                r = sd_bus_message_read_basic(m, 's', &name);
                if (r < 0)
                        return r;
                while (i < G_N_ELEMENTS(fields) && strcmp(fields[i].property, name) != 0)
                        i++;
                r = i < G_N_ELEMENTS(fields) ? read_field(m, record, i) : sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r < 0)
                return r;
        take_reason(record);
        return sd_bus_message_exit_container(m);
}

/* oa{sa{sv}}: an object with its interfaces. NULL if it is no domain. */
static int read_object(sd_bus_message *m, Record **ret) {
        g_autoptr(Record) record = NULL;
        const char *path, *interface;
        int r;

        r = sd_bus_message_read_basic(m, 'o', &path);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &interface);
                if (r < 0)
                        return r;
                if (!record && strcmp(interface, VB_INTERFACE_DOMAIN1) == 0) {
                        record = record_new(path);
                        r = read_properties(m, record);
                } else
                        r = sd_bus_message_skip(m, "a{sv}");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                *ret = g_steal_pointer(&record);
        return r;
}

/* Indexes */

static guint hash_uuid(const void *key) {
        guint hash;

        memcpy(&hash, key, sizeof(hash));
        return hash;
}

static gboolean equal_uuid(const void *a, const void *b) {
        return memcmp(a, b, 16) == 0;
}

static void index_record(ProxyDomains *domains, Record *record) {
        ProxyDomain *domain = &record->domain;

        (void) g_hash_table_replace(domains->by_name, domain->name, record);
        (void) g_hash_table_replace(domains->by_uuid, domain->uuid, record);
        if (domain->id >= 0)
                (void) g_hash_table_replace(domains->by_id, GINT_TO_POINTER(domain->id), record);
        g_clear_pointer(&domains->sorted, g_ptr_array_unref);
}

/* Of a name that another has taken meanwhile, that other's entry stays. */
static void unindex(GHashTable *index, const void *key, const Record *record) {
        if (g_hash_table_lookup(index, key) == record)
                (void) g_hash_table_remove(index, key);
}

static void unindex_record(ProxyDomains *domains, const Record *record) {
        const ProxyDomain *domain = &record->domain;

        unindex(domains->by_name, domain->name, record);
        unindex(domains->by_uuid, domain->uuid, record);
        if (domain->id >= 0)
                unindex(domains->by_id, GINT_TO_POINTER(domain->id), record);
        g_clear_pointer(&domains->sorted, g_ptr_array_unref);
}

/* Telling */

static void sweep_watches(ProxyDomains *domains) {
        for (unsigned i = domains->watches->len; i > 0; i--) {
                ProxyDomainsWatch *watch = domains->watches->pdata[i - 1];

                if (watch->tell)
                        continue;
                g_ptr_array_remove_index(domains->watches, i - 1);
                g_free(watch);
        }
}

static void tell(ProxyDomains *domains, const ProxyDomainNews *news) {
        unsigned n = domains->watches->len; /* who comes now does not hear this one */

        domains->telling++;
        for (unsigned i = 0; i < n; i++) {
                ProxyDomainsWatch *watch = domains->watches->pdata[i];

                if (!watch->tell)
                        continue;
                if (news->message)
                        (void) sd_bus_message_rewind(news->message, /* complete= */ true);
                watch->tell(news, watch->userdata);
        }
        if (--domains->telling == 0)
                sweep_watches(domains);
}

ProxyDomainsWatch *proxy_domains_watch(ProxyDomains *domains, ProxyDomainsTell tell_news, void *userdata) {
        ProxyDomainsWatch *watch = g_new0(ProxyDomainsWatch, 1);

        watch->domains = domains;
        watch->tell = tell_news;
        watch->userdata = userdata;
        g_ptr_array_add(domains->watches, watch);
        return watch;
}

ProxyDomainsWatch *proxy_domains_unwatch(ProxyDomainsWatch *watch) {
        if (!watch)
                return NULL;
        watch->tell = NULL;
        if (watch->domains->telling == 0)
                sweep_watches(watch->domains);
        return NULL;
}

bool proxy_domains_is_watched(const ProxyDomains *domains) {
        return domains->watches->len > 0;
}

/* Changing */

/* Takes the new record over. */
static void replace(ProxyDomains *domains, Record *after) {
        Record *before = NULL;

        (void) g_hash_table_steal_extended(domains->by_path, after->domain.path, NULL, (void **) &before);
        if (before)
                unindex_record(domains, before);
        g_hash_table_insert(domains->by_path, after->domain.path, after);
        index_record(domains, after);
        tell(domains, &(ProxyDomainNews){ .before = before ? &before->domain : NULL, .after = &after->domain });
        record_free(before);
}

static void remove_record(ProxyDomains *domains, const char *path) {
        g_autoptr(Record) before = NULL;

        if (!g_hash_table_steal_extended(domains->by_path, path, NULL, (void **) &before))
                return;
        unindex_record(domains, before);
        tell(domains, &(ProxyDomainNews){ .before = &before->domain });
}

/* Without a name and a UUID it is no domain, and nobody shares those, or an id, with another. */
static int check(ProxyDomains *domains, const Record *record) {
        const ProxyDomain *domain = &record->domain;
        const ProxyDomain *others[] = {
                proxy_domains_by_name(domains, domain->name),
                proxy_domains_by_uuid(domains, domain->uuid),
                proxy_domains_by_id(domains, domain->id),
        };

        if (!*domain->name || !*domain->uuid_text)
                return -EBADMSG;
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                if (others[i] && strcmp(others[i]->path, domain->path) != 0)
                        return -EEXIST;
        return 0;
}

static int read_all(sd_bus_message *m, ProxyDomains *all) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
                g_autoptr(Record) record = NULL;

                r = read_object(m, &record);
                if (r >= 0 && record)
                        r = proxy_domains_by_path(all, record->domain.path) ? -EEXIST : check(all, record);
                if (r < 0)
                        return r;
                if (record)
                        replace(all, g_steal_pointer(&record));
                r = sd_bus_message_exit_container(m);
        }
        return r;
}

static void remove_missing(ProxyDomains *domains, ProxyDomains *now) {
        g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iterator;
        const char *path;

        g_hash_table_iter_init(&iterator, domains->by_path);
        while (g_hash_table_iter_next(&iterator, (void **) &path, NULL))
                if (!proxy_domains_by_path(now, path))
                        g_ptr_array_add(gone, g_strdup(path));
        for (unsigned i = 0; i < gone->len; i++)
                remove_record(domains, gone->pdata[i]);
}

/* All is read before anything changes. What is gone goes first, as its name may be another's now. */
int proxy_domains_load(ProxyDomains *domains, sd_bus_message *answer) {
        g_autoptr(ProxyDomains) now = proxy_domains_new();
        const ProxyDomain *const *all;
        size_t n;
        int r;

        r = read_all(answer, now);
        if (r < 0)
                return r;
        remove_missing(domains, now);
        all = proxy_domains_all(now, &n);
        for (size_t i = 0; i < n; i++) {
                const Record *known = g_hash_table_lookup(domains->by_path, all[i]->path);
                Record *record = g_hash_table_lookup(now->by_path, all[i]->path);

                if (known && record_equal(known, record))
                        continue;
                g_hash_table_steal(now->by_path, all[i]->path);
                replace(domains, record);
        }
        return 0;
}

/* Signals */

static int on_properties_changed(ProxyDomains *domains, sd_bus_message *m) {
        Record *known = g_hash_table_lookup(domains->by_path, sd_bus_message_get_path(m));
        g_autoptr(Record) record = NULL;
        const char *interface;
        int r;

        r = sd_bus_message_read_basic(m, 's', &interface);
        if (r < 0 || !known || strcmp(interface, VB_INTERFACE_DOMAIN1) != 0)
                return r;
        record = record_copy(known);
        r = read_properties(m, record);
        if (r >= 0)
                r = check(domains, record);
        if (r < 0)
                return r;
        replace(domains, g_steal_pointer(&record));
        return 0;
}

static int on_added(ProxyDomains *domains, sd_bus_message *m) {
        g_autoptr(Record) record = NULL;
        int r;

        r = read_object(m, &record);
        if (r < 0 || !record)
                return r;
        r = check(domains, record);
        if (r < 0)
                return r;
        replace(domains, g_steal_pointer(&record));
        return 0;
}

static int on_removed(ProxyDomains *domains, sd_bus_message *m) {
        const char *path, *interface;
        bool is_domain = false;
        int r;

        r = sd_bus_message_read_basic(m, 'o', &path);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &interface)) > 0)
                is_domain = is_domain || strcmp(interface, VB_INTERFACE_DOMAIN1) == 0;
        if (r >= 0 && is_domain)
                remove_record(domains, path);
        return r;
}

static int on_domain_signal(ProxyDomains *domains, sd_bus_message *m) {
        Record *known = g_hash_table_lookup(domains->by_path, sd_bus_message_get_path(m));

        if (known)
                tell(domains, &(ProxyDomainNews){ .before = &known->domain,
                                                  .after = &known->domain,
                                                  .signal = sd_bus_message_get_member(m),
                                                  .message = m });
        return 0;
}

int proxy_domains_signal(ProxyDomains *domains, sd_bus_message *signal) {
        if (sd_bus_message_is_signal(signal, VB_DBUS_PROPERTIES_INTERFACE, "PropertiesChanged"))
                return on_properties_changed(domains, signal);
        if (sd_bus_message_is_signal(signal, VB_DBUS_OBJECT_MANAGER_INTERFACE, "InterfacesAdded"))
                return on_added(domains, signal);
        if (sd_bus_message_is_signal(signal, VB_DBUS_OBJECT_MANAGER_INTERFACE, "InterfacesRemoved"))
                return on_removed(domains, signal);
        if (sd_bus_message_is_signal(signal, VB_INTERFACE_DOMAIN1, /* member= */ NULL))
                return on_domain_signal(domains, signal);
        return 0;
}

/* Looking up */

static const ProxyDomain *lookup(GHashTable *index, const void *key) {
        const Record *record = g_hash_table_lookup(index, key);

        return record ? &record->domain : NULL;
}

const ProxyDomain *proxy_domains_by_name(ProxyDomains *domains, const char *name) {
        return lookup(domains->by_name, name);
}

const ProxyDomain *proxy_domains_by_uuid(ProxyDomains *domains, const uint8_t uuid[static 16]) {
        return lookup(domains->by_uuid, uuid);
}

const ProxyDomain *proxy_domains_by_id(ProxyDomains *domains, int id) {
        return id < 0 ? NULL : lookup(domains->by_id, GINT_TO_POINTER(id));
}

const ProxyDomain *proxy_domains_by_path(ProxyDomains *domains, const char *path) {
        return lookup(domains->by_path, path);
}

static int compare_names(const void *a, const void *b) {
        return strcmp((*(const ProxyDomain *const *) a)->name, (*(const ProxyDomain *const *) b)->name);
}

const ProxyDomain *const *proxy_domains_all(ProxyDomains *domains, size_t *ret_n) {
        GHashTableIter iterator;
        Record *record;

        if (!domains->sorted) {
                domains->sorted = g_ptr_array_sized_new(g_hash_table_size(domains->by_path) + 1);
                g_hash_table_iter_init(&iterator, domains->by_path);
                while (g_hash_table_iter_next(&iterator, NULL, (void **) &record))
                        g_ptr_array_add(domains->sorted, &record->domain);
                g_ptr_array_sort(domains->sorted, compare_names);
        }
        *ret_n = domains->sorted->len;
        return (const ProxyDomain *const *) domains->sorted->pdata;
}

/* The whole */

ProxyDomains *proxy_domains_new(void) {
        ProxyDomains *domains = g_new0(ProxyDomains, 1);

        domains->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, /* key_destroy_func= */ NULL, record_free);
        domains->by_name = g_hash_table_new(g_str_hash, g_str_equal);
        domains->by_uuid = g_hash_table_new(hash_uuid, equal_uuid);
        domains->by_id = g_hash_table_new(/* hash_func= */ NULL, /* key_equal_func= */ NULL);
        domains->watches = g_ptr_array_new();
        return domains;
}

ProxyDomains *proxy_domains_free(ProxyDomains *domains) {
        if (!domains)
                return NULL;
        assert(domains->watches->len == 0);
        g_clear_pointer(&domains->sorted, g_ptr_array_unref);
        g_ptr_array_unref(domains->watches);
        g_hash_table_unref(domains->by_id);
        g_hash_table_unref(domains->by_uuid);
        g_hash_table_unref(domains->by_name);
        g_hash_table_unref(domains->by_path);
        g_free(domains);
        return NULL;
}
