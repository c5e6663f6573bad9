/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The listener's answers to the administration. */

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "bus/settings.h"
#include "proxy/admin.h"
#include "proxy/listener-private.h"

/* Names, from the host's own files: to ask LDAP might take long, and nobody is served meanwhile. */

static void find_user(uid_t uid, char *ret, size_t size) {
        FILE *file = fopen("/etc/passwd", "re");
        const struct passwd *entry;

        while (file && (entry = fgetpwent(file)))
                if (entry->pw_uid == uid) {
                        g_strlcpy(ret, entry->pw_name, size);
                        break;
                }
        if (file)
                (void) fclose(file);
}

static void find_group(gid_t gid, char *ret, size_t size) {
        FILE *file = fopen("/etc/group", "re");
        const struct group *entry;

        while (file && (entry = fgetgrent(file)))
                if (entry->gr_gid == gid) {
                        g_strlcpy(ret, entry->gr_name, size);
                        break;
                }
        if (file)
                (void) fclose(file);
}

/* Clients */

/* Who has left is shown no more, though calls of it go on. */
static bool is_of(const ProxyServed *served, const ProxyAdminServer *server) {
        return !served->left && (served->client.door == PROXY_DOOR_ADMIN) == server->admin &&
               strncmp(served->client.driver, server->driver, sizeof server->driver) == 0;
}

static ProxyServed *find(ProxyListener *listener, const ProxyAdminWhich *which) {
        ProxyServed *served = g_hash_table_lookup(listener->served, &which->id);

        return served && is_of(served, &which->server) ? served : NULL;
}

static gint compare_entries(gconstpointer a, gconstpointer b) {
        uint64_t one = ((const ProxyAdminEntry *) a)->id, other = ((const ProxyAdminEntry *) b)->id;

        return (one > other) - (one < other);
}

static int answer_list(ProxyListener *listener, const void *question, GByteArray *answer) {
        const ProxyAdminList *list = question;
        g_autoptr(GArray) found = g_array_new(false, false, sizeof(ProxyAdminEntry));
        GHashTableIter iter;
        gpointer p;

        g_hash_table_iter_init(&iter, listener->served);
        while (g_hash_table_iter_next(&iter, NULL, &p)) {
                const ProxyServed *served = p;
                ProxyAdminEntry entry = { served->client.id, served->client.since_usec };

                if (is_of(served, &list->server) && entry.id > list->after)
                        g_array_append_val(found, entry);
        }
        g_array_sort(found, compare_entries);
        g_byte_array_append(answer, (const guint8 *) found->data,
                            MIN(found->len, PROXY_ADMIN_PAGE) * (guint) sizeof(ProxyAdminEntry));
        return 0;
}

static int answer_client(ProxyListener *listener, const void *question, GByteArray *answer) {
        const ProxyServed *served = find(listener, question);
        ProxyAdminClient client = { 0 };

        if (!served)
                return -ESRCH;
        client.client = served->client;
        client.open = served->open;
        client.read_only = served->read_only;
        find_user(served->client.uid, client.user, sizeof client.user);
        find_group(served->client.gid, client.group, sizeof client.group);
        g_byte_array_append(answer, (const guint8 *) &client, sizeof client);
        return 0;
}

static int answer_disconnect(ProxyListener *listener, const void *question, GByteArray *answer) {
        ProxyServed *served = find(listener, question);
        ProxyControlHead head = { .kind = PROXY_CONTROL_DISCONNECT };

        if (!served)
                return -ESRCH;
        head.id = served->client.id;
        return proxy_control_send(served->worker->control, &head, NULL, 0, -EBADF);
}

/* Figures */

static int answer_figures(ProxyListener *listener, const void *question, GByteArray *answer) {
        ProxyAdminFigures figures = { .clients_max = listener->clients_max, .workers_max = listener->workers_max };
        GHashTableIter iter;
        gpointer p;

        g_hash_table_iter_init(&iter, listener->served);
        while (g_hash_table_iter_next(&iter, NULL, &p)) {
                const ProxyServed *served = p;

                if (!is_of(served, question))
                        continue;
                figures.n_clients++;
                figures.n_not_open += served->open ? 0 : 1;
        }
        g_hash_table_iter_init(&iter, listener->workers);
        while (g_hash_table_iter_next(&iter, NULL, &p)) {
                figures.n_workers++;
                figures.n_idle_workers += ((const ProxyWorkerProcess *) p)->n_clients == 0 ? 1 : 0;
        }
        g_byte_array_append(answer, (const guint8 *) &figures, sizeof figures);
        return 0;
}

static int answer_set_clients_max(ProxyListener *listener, const void *question, GByteArray *answer) {
        uint64_t n = *(const uint64_t *) question;

        if (n == 0 || n > PROXY_CLIENTS_MAX)
                return -ERANGE;
        listener->clients_max = (unsigned) n;
        proxy_listener_count_changed(listener);
        return 0;
}

static int answer_set_workers_max(ProxyListener *listener, const void *question, GByteArray *answer) {
        uint64_t n = *(const uint64_t *) question;

        if (n == 0 || n > PROXY_CLIENTS_MAX)
                return -ERANGE;
        listener->workers_max = (unsigned) n;
        return 0;
}

/* The daemon */

static int answer_get_log(ProxyListener *listener, const void *question, GByteArray *answer) {
        VbLogRules rules;

        vb_log_get_rules(&rules);
        g_byte_array_append(answer, (const guint8 *) &rules, sizeof rules);
        return 0;
}

static int answer_set_log_filters(ProxyListener *listener, const void *question, GByteArray *answer) {
        const VbLogRules *wanted = question;
        VbLogRules rules;

        vb_log_get_rules(&rules);
        memcpy(rules.filters, wanted->filters, sizeof rules.filters);
        return vb_daemon_set_log_rules(listener->daemon, &rules, /* reterr= */ NULL);
}

static int answer_set_log_threshold(ProxyListener *listener, const void *question, GByteArray *answer) {
        const VbLogRules *wanted = question;
        VbLogRules rules;

        vb_log_get_rules(&rules);
        rules.threshold = wanted->threshold;
        return vb_daemon_set_log_rules(listener->daemon, &rules, /* reterr= */ NULL);
}

static int answer_set_timeout(ProxyListener *listener, const void *question, GByteArray *answer) {
        uint64_t seconds = *(const uint64_t *) question;

        if (seconds > PROXY_ADMIN_TIMEOUT_MAX_SEC)
                return -ERANGE;
        vb_daemon_set_timeout(listener->daemon, seconds * G_USEC_PER_SEC);
        return 0;
}

/* Who asked for the end still hears that it was granted, as all calls under way are answered. */
static int answer_shutdown(ProxyListener *listener, const void *question, GByteArray *answer) {
        vb_daemon_quit(listener->daemon);
        return 0;
}

int proxy_admin_answer(ProxyWorkerProcess *worker, const ProxyControlHead *head, const void *tail, size_t n_tail) {
        static const struct {
                int (*answer)(ProxyListener *listener, const void *question, GByteArray *answer);
                size_t size;
        } questions[_PROXY_ADMIN_QUESTION_MAX] = {
                [PROXY_ADMIN_LIST] = { answer_list, sizeof(ProxyAdminList) },
                [PROXY_ADMIN_CLIENT] = { answer_client, sizeof(ProxyAdminWhich) },
                [PROXY_ADMIN_DISCONNECT] = { answer_disconnect, sizeof(ProxyAdminWhich) },
                [PROXY_ADMIN_FIGURES] = { answer_figures, sizeof(ProxyAdminServer) },
                [PROXY_ADMIN_SET_CLIENTS_MAX] = { answer_set_clients_max, sizeof(uint64_t) },
                [PROXY_ADMIN_SET_WORKERS_MAX] = { answer_set_workers_max, sizeof(uint64_t) },
                [PROXY_ADMIN_GET_LOG] = { answer_get_log, 0 },
                [PROXY_ADMIN_SET_LOG_FILTERS] = { answer_set_log_filters, sizeof(VbLogRules) },
                [PROXY_ADMIN_SET_LOG_THRESHOLD] = { answer_set_log_threshold, sizeof(VbLogRules) },
                [PROXY_ADMIN_SET_TIMEOUT] = { answer_set_timeout, sizeof(uint64_t) },
                [PROXY_ADMIN_SHUTDOWN] = { answer_shutdown, 0 },
        };
        g_autoptr(GByteArray) answer = g_byte_array_new();
        ProxyControlHead reply = { .kind = PROXY_CONTROL_ANSWER, .id = head->id };

        /* Only workers of administration sockets may ask: the others belong to users. */
        if (worker->identity->door != PROXY_DOOR_ADMIN || head->result < 0 || head->result >= _PROXY_ADMIN_QUESTION_MAX ||
            questions[head->result].size != n_tail)
                return -EBADMSG;
        reply.result = questions[head->result].answer(worker->listener, tail, answer);
        return proxy_control_send(worker->control, &reply, answer->data, reply.result < 0 ? 0 : answer->len, -EBADF);
}
