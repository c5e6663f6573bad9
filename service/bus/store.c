/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/file.h"
#include "base/log.h"

/* A bundle's name with the manager is this and a number; both ends have the same. Which end is which shows by its queue: a bundle is never empty. */
#define BUNDLE_PREFIX "bundle"
/* Over exec: "NUMBER:QUEUE:OUT," for each bundle, "NAME," for each descriptor that is in none. */
#define INHERITED "VIRTBUS_STORE"

typedef struct Bundle {
        unsigned number;
        int queue, out; /* messages go in here, and come from there */
        unsigned n;     /* messages */
} Bundle;

typedef struct Entry {
        char *name;
        Bundle *bundle; /* NULL: the manager has it as it is */
        bool claimed;
} Entry;

struct VbStore {
        GHashTable *bundles; /* number → Bundle, owned */
        GHashTable *entries; /* name → Entry, owned */
        unsigned next_number, n_direct;
};

typedef struct Record {
        char name[VB_STORE_NAME_MAX + 1];
} Record;

static void bundle_free(void *data) {
        Bundle *bundle = data;

        vb_close(bundle->queue);
        vb_close(bundle->out);
        g_free(bundle);
}

static void entry_free(void *data) {
        Entry *entry = data;

        g_free(entry->name);
        g_free(entry);
}

VbStore *vb_store_new(void) {
        VbStore *store = g_new0(VbStore, 1);

        store->bundles = g_hash_table_new_full(/* hash_func= */ NULL, /* key_equal_func= */ NULL, /* key_destroy_func= */ NULL, bundle_free);
        store->entries = g_hash_table_new_full(g_str_hash, g_str_equal, /* key_destroy_func= */ NULL, entry_free);
        return store;
}

VbStore *vb_store_free(VbStore *store) {
        if (!store)
                return NULL;
        g_hash_table_unref(store->entries);
        g_hash_table_unref(store->bundles);
        g_free(store);
        return NULL;
}

static void have_closed(const char *name) {
        int r;

        r = sd_notifyf(/* unset_environment= */ false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot have the service manager close its descriptor '%s': %m", name);
}

static int give(const char *name, const int *fds, unsigned n) {
        /* FDPOLL: else it would close a pipe whose writers have gone, with all that is still in it. */
        g_autofree char *state = g_strdup_printf("FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        int r;

        r = sd_pid_notify_with_fds(/* pid= */ 0, /* unset_environment= */ false, state, fds, n);
        return MIN(r, 0);
}

static bool manager_exists(void) {
        return secure_getenv("NOTIFY_SOCKET");
}

/* Messages */

static int put(const Bundle *bundle, const Record *record, int fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec data = { .iov_base = (void *) record, .iov_len = sizeof(*record) };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

        control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
        return sendmsg(bundle->out, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The first, or with SO_PEEK_OFF the next one. ret_fd: NULL if it is not wanted. -EAGAIN: there is none (any more). */
static int peek(int queue, Record *ret, int *ret_fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec data = { .iov_base = ret, .iov_len = sizeof(*ret) };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
        ssize_t n;

        if (ret_fd) {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
        }
        n = recvmsg(queue, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n <= 0)
                return n < 0 ? -errno : -EAGAIN;
        ret->name[VB_STORE_NAME_MAX] = '\0';
        if (!ret_fd)
                return n == sizeof(*ret) ? 0 : -EBADMSG;
        if (message.msg_flags & MSG_CTRUNC)
                return -EMFILE;
        if (n != sizeof(*ret) || message.msg_controllen < CMSG_LEN(sizeof(int)) || control.header.cmsg_type != SCM_RIGHTS)
                return -EBADMSG;
        memcpy(ret_fd, CMSG_DATA(&control.header), sizeof(int));
        return 0;
}

/* Takes the first out, which closes its descriptor. */
static int drop(const Bundle *bundle) {
        Record record;

        return recv(bundle->queue, &record, sizeof(record), MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Bundles */

static void end_bundle(VbStore *store, Bundle *bundle) {
        g_autofree char *name = g_strdup_printf(BUNDLE_PREFIX "%u", bundle->number);

        have_closed(name);
        (void) g_hash_table_remove(store->bundles, GUINT_TO_POINTER(bundle->number));
}

static int add_bundle(VbStore *store, Bundle **ret) {
        g_autofree char *name = g_strdup_printf(BUNDLE_PREFIX "%u", store->next_number);
        Bundle *bundle;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        bundle = g_new(Bundle, 1);
        *bundle = (Bundle){ .number = store->next_number++, .queue = fds[0], .out = fds[1] };
        r = give(name, fds, G_N_ELEMENTS(fds));
        if (r < 0) {
                bundle_free(bundle);
                return r;
        }
        (void) g_hash_table_insert(store->bundles, GUINT_TO_POINTER(bundle->number), bundle);
        *ret = bundle;
        return 0;
}

static Bundle *find_room(VbStore *store) {
        GHashTableIter iterator;
        Bundle *bundle;

        g_hash_table_iter_init(&iterator, store->bundles);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &bundle))
                if (bundle->n < VB_STORE_BUNDLE && bundle->out >= 0)
                        return bundle;
        return NULL;
}

/* bundle NULL: it is in none. */
static void note(VbStore *store, Bundle *bundle, const char *name, bool claimed) {
        Entry *entry = g_new(Entry, 1);

        *entry = (Entry){ .name = g_strdup(name), .bundle = bundle, .claimed = claimed };
        if (g_hash_table_replace(store->entries, entry->name, entry) && !bundle)
                store->n_direct++;
}

/* Adding and removing */

static int add_direct(VbStore *store, const char *name, int fd) {
        int r;

        r = give(name, &fd, 1);
        if (r >= 0)
                note(store, /* bundle= */ NULL, name, /* claimed= */ true);
        return r;
}

static int add_to_bundle(VbStore *store, const char *name, int fd) {
        Bundle *bundle = find_room(store);
        Record record = {};
        int r = 0;

        if (!bundle)
                r = add_bundle(store, &bundle);
        if (r < 0)
                return r;
        memcpy(record.name, name, strlen(name));
        r = put(bundle, &record, fd);
        if (r < 0) {
                if (bundle->n == 0)
                        end_bundle(store, bundle);
                return r;
        }
        bundle->n++;
        note(store, bundle, name, /* claimed= */ true);
        return 0;
}

int vb_store_add(VbStore *store, const char *name, int fd) {
        int r;

        if (!manager_exists())
                return 0;
        if (strlen(name) > VB_STORE_NAME_MAX)
                return -ENAMETOOLONG;
        vb_store_remove(store, name);
        if (store->n_direct < VB_STORE_DIRECT)
                return add_direct(store, name, fd);
        r = add_to_bundle(store, name, fd);
        return r == -ETOOMANYREFS ? add_direct(store, name, fd) : r;
}

/* Puts the first behind the last. It is there twice in between, so that a crash loses nothing. */
static int turn(const Bundle *bundle, const Record *record, int fd) {
        int r;

        r = put(bundle, record, fd);
        return r < 0 ? r : drop(bundle);
}

/* Goes once through all, for a crash may have left one twice. */
static int take_out(Bundle *bundle, const char *name) {
        for (unsigned i = bundle->n; i > 0; i--) {
                vb_autofd fd = -EBADF;
                Record record;
                int r;

                r = peek(bundle->queue, &record, &fd);
                if (r < 0)
                        return r;
                if (strcmp(record.name, name) != 0)
                        r = turn(bundle, &record, fd);
                else {
                        r = drop(bundle);
                        bundle->n -= r >= 0;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static void remove_from_bundle(VbStore *store, const Entry *entry) {
        Bundle *bundle = entry->bundle;
        int r;

        r = take_out(bundle, entry->name);
        if (r < 0)
                (void) vb_log_warning_errno(r, "descriptor '%s' stays with the service manager: %m", entry->name);
        if (bundle->n == 0)
                end_bundle(store, bundle);
}

void vb_store_remove(VbStore *store, const char *name) {
        const Entry *entry = g_hash_table_lookup(store->entries, name);

        if (!entry)
                return;
        if (entry->bundle)
                remove_from_bundle(store, entry);
        else {
                have_closed(name);
                store->n_direct--;
        }
        (void) g_hash_table_remove(store->entries, name);
}

/* The next process */

static bool parse_number(const char *text, unsigned *ret) {
        char *after;
        uint64_t number = g_ascii_strtoull(text, &after, 10);

        if (!g_ascii_isdigit(*text) || *after != '\0' || number >= INT32_MAX)
                return false;
        *ret = (unsigned) number;
        return true;
}

bool vb_store_take_given(VbStore *store, const char *name, int fd) {
        unsigned number;
        Bundle *bundle;

        if (!g_str_has_prefix(name, BUNDLE_PREFIX) || !parse_number(name + strlen(BUNDLE_PREFIX), &number)) {
                note(store, /* bundle= */ NULL, name, /* claimed= */ false);
                return false;
        }
        bundle = g_hash_table_lookup(store->bundles, GUINT_TO_POINTER(number));
        if (!bundle) {
                bundle = g_new(Bundle, 1);
                *bundle = (Bundle){ .number = number, .queue = fd, .out = -EBADF };
                (void) g_hash_table_insert(store->bundles, GUINT_TO_POINTER(number), bundle);
                store->next_number = MAX(store->next_number, number + 1);
        } else if (bundle->out < 0)
                bundle->out = fd;
        else
                vb_close(fd);
        return true;
}

/* Goes through the queue and leaves it as it is. found NULL: nothing is opened. */
static int look_through(VbStore *store, Bundle *bundle, VbStoreFound found, void *userdata) {
        const int from_start = 0, as_ever = -1;
        int r = 0;

        if (setsockopt(bundle->queue, SOL_SOCKET, SO_PEEK_OFF, &from_start, sizeof(from_start)) < 0)
                return -errno;
        for (bundle->n = 0;; bundle->n++) {
                vb_autofd fd = -EBADF;
                Record record;

                r = peek(bundle->queue, &record, found ? &fd : NULL);
                if (r < 0)
                        break;
                note(store, bundle, record.name, /* claimed= */ false);
                if (found)
                        found(record.name, vb_steal_fd(&fd), userdata);
        }
        (void) setsockopt(bundle->queue, SOL_SOCKET, SO_PEEK_OFF, &as_ever, sizeof(as_ever));
        return r == -EAGAIN ? 0 : r;
}

static bool has_messages(int fd) {
        char byte;

        return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static int open_bundle(VbStore *store, Bundle *bundle, VbStoreFound found, void *userdata) {
        if (bundle->out >= 0 && !has_messages(bundle->queue)) {
                int end = bundle->queue;

                bundle->queue = bundle->out;
                bundle->out = end;
        }
        return look_through(store, bundle, found, userdata);
}

int vb_store_open_all(VbStore *store, VbStoreFound found, void *userdata) {
        g_autoptr(GList) bundles = g_hash_table_get_values(store->bundles);

        for (GList *link = bundles; link; link = link->next) {
                Bundle *bundle = link->data;
                int r;

                r = open_bundle(store, bundle, found, userdata);
                if (r == -EMFILE || r == -ENFILE)
                        return r;
                if (r < 0)
                        (void) vb_log_error_errno(r, "a bundle of descriptors from the service manager cannot be read to its end: %m");
                if (bundle->n == 0)
                        end_bundle(store, bundle);
        }
        return 0;
}

static int take_one_inherited(VbStore *store, char **parts) {
        unsigned number, queue, out;
        Bundle *bundle;

        if (g_strv_length(parts) == 1) {
                note(store, /* bundle= */ NULL, parts[0], /* claimed= */ false);
                return 0;
        }
        if (g_strv_length(parts) != 3 || !parse_number(parts[0], &number) || !parse_number(parts[1], &queue) || !parse_number(parts[2], &out))
                return -EBADMSG;
        bundle = g_new(Bundle, 1);
        *bundle = (Bundle){ .number = number, .queue = (int) queue, .out = (int) out };
        (void) g_hash_table_replace(store->bundles, GUINT_TO_POINTER(number), bundle);
        store->next_number = MAX(store->next_number, number + 1);
        return look_through(store, bundle, /* found= */ NULL, /* userdata= */ NULL);
}

int vb_store_take_inherited(VbStore *store) {
        g_autofree char *text = g_strdup(secure_getenv(INHERITED));
        g_auto(GStrv) all = NULL;
        int r = 0;

        (void) unsetenv(INHERITED);
        if (!text)
                return 0;
        all = g_strsplit(text, ",", -1);
        for (char **one = all; r >= 0 && *one && **one; one++) {
                g_auto(GStrv) parts = g_strsplit(*one, ":", -1);

                r = take_one_inherited(store, parts);
        }
        return r < 0 ? r : vb_store_set_inherited(store, false);
}

void vb_store_claim(VbStore *store, const char *name) {
        Entry *entry = g_hash_table_lookup(store->entries, name);

        if (entry)
                entry->claimed = true;
}

void vb_store_drop_unclaimed(VbStore *store) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iterator;
        const Entry *entry;

        g_hash_table_iter_init(&iterator, store->entries);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &entry))
                if (!entry->claimed)
                        g_ptr_array_add(names, g_strdup(entry->name));
        for (guint i = 0; i < names->len; i++)
                vb_store_remove(store, names->pdata[i]);
}

int vb_store_set_inherited(VbStore *store, bool inherited) {
        g_autoptr(GString) text = g_string_new(NULL);
        GHashTableIter iterator;
        const Bundle *bundle;
        const Entry *entry;

        g_hash_table_iter_init(&iterator, store->bundles);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &bundle)) {
                int r;

                r = vb_fd_set_cloexec(bundle->queue, !inherited);
                if (r >= 0)
                        r = vb_fd_set_cloexec(bundle->out, !inherited);
                if (r < 0)
                        return r;
                g_string_append_printf(text, "%u:%d:%d,", bundle->number, bundle->queue, bundle->out);
        }
        g_hash_table_iter_init(&iterator, store->entries);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &entry))
                if (!entry->bundle)
                        g_string_append_printf(text, "%s,", entry->name);
        if (inherited)
                (void) setenv(INHERITED, text->str, /* overwrite= */ 1);
        else
                (void) unsetenv(INHERITED);
        return 0;
}
