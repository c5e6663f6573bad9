/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/link-restart.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/daemon-private.h"
#include "bus/link-private.h"

enum {
        SOCKETS_MAX = 64,
        CLIENTS_MAX = 4096,
};

static bool at_rest(const VbLink *link) {
        uint64_t queued = 0;

        (void) sd_bus_get_n_queued_write(link->bus, &queued);
        return link->ready && !link->partial && !link->doomed && queued == 0;
}

bool vb_links_at_rest(const VbLinks *links) {
        for (GList *l = links->all.head; l; l = l->next)
                if (!at_rest(l->data))
                        return false;
        return true;
}

/* Saving */

static int save_link(VbLink *link, VbRestart *restart, VbJson *clients) {
        VbJson *client = json_object_new_object();

        (void) json_object_array_add(clients, client);
        vb_restart_put_number(client, "uid", vb_peer_uid(link->peer));
        vb_restart_put_number(client, "opener", link->opener);
        vb_restart_put_bool(client, "signals", link->signals);
        vb_restart_put_bool(client, "readonly", vb_peer_is_read_only(link->peer));
        vb_restart_put_string(client, "name", vb_peer_name(link->peer));
        if (vb_peer_pid(link->peer) > 0) {
                vb_restart_put_number(client, "pid", (uint64_t) vb_peer_pid(link->peer));
                vb_restart_put_number(client, "startTime", vb_peer_start_time(link->peer));
        }
        return vb_restart_put_fd(restart, client, "fd", sd_bus_get_fd(link->bus));
}

int vb_links_save(VbLinks *links, VbRestart *restart, VbJson *server) {
        VbJson *services = json_object_new_array(), *clients = json_object_new_array();
        int r = 0;

        (void) json_object_object_add(server, "services", services);
        (void) json_object_object_add(server, "clients", clients);
        for (guint i = 0; r >= 0 && i < links->listeners->len; i++) {
                VbJson *service = json_object_new_object();

                (void) json_object_array_add(services, service);
                r = vb_restart_put_fd(restart, service, "fd", sd_event_source_get_io_fd(links->listeners->pdata[i]));
        }
        for (GList *l = links->all.head; r >= 0 && l; l = l->next)
                if (at_rest(l->data))
                        r = save_link(l->data, restart, clients);
        return r;
}

/* Restoring */

typedef struct Client {
        uint64_t uid, opener, pid, start_time;
        bool signals, read_only;
        const char *name;
} Client;

static int read_client(VbJson *object, Client *ret, sd_bus_error *reterr) {
        Client client = {};
        int r;

        r = vb_restart_get_number(object, "uid", UINT32_MAX, &client.uid, reterr);
        if (r >= 0)
                r = vb_restart_get_number(object, "opener", UINT32_MAX, &client.opener, reterr);
        if (r >= 0)
                r = vb_restart_get_bool(object, "signals", &client.signals, reterr);
        if (r >= 0)
                r = vb_restart_get_bool(object, "readonly", &client.read_only, reterr);
        if (r >= 0 && json_object_object_get_ex(object, "name", NULL))
                r = vb_restart_get_string(object, "name", 255, &client.name, reterr);
        if (r >= 0 && json_object_object_get_ex(object, "pid", NULL)) {
                r = vb_restart_get_number(object, "pid", INT32_MAX, &client.pid, reterr);
                if (r >= 0)
                        r = vb_restart_get_number(object, "startTime", UINT64_MAX, &client.start_time, reterr);
        }
        if (r >= 0)
                *ret = client;
        return r;
}

/* Those for whom it speaks may have gone meanwhile. */
static int watch_whom_it_speaks_for(VbLink *link, const Client *client) {
        VbDaemon *daemon = link->links->daemon;
        g_autoptr(VbPeer) opener = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        if (client->pid > 0) {
                r = vb_process_adopt(&link->process, vb_daemon_event(daemon), (pid_t) client->pid, client->start_time,
                                     vb_link_on_process_exited, link);
                if (r == -ESRCH)
                        vb_peer_set_ended(link->peer);
                return r == -ESRCH ? 0 : r;
        }
        if (!client->name)
                return 0;
        r = vb_peers_get_name(vb_daemon_peers(daemon), client->name, &opener, &error);
        if (r < 0)
                return r;
        link->opener_gone.tell = vb_link_on_opener_gone;
        vb_peer_watch(opener, &link->opener_gone);
        return 0;
}

static int restore_link(VbLinks *links, VbRestart *restart, VbJson *object, sd_bus_error *reterr) {
        g_autoptr(VbLink) link = g_new0(VbLink, 1);
        vb_autofd fd = -EBADF;
        Client client;
        int r;

        r = read_client(object, &client, reterr);
        if (r >= 0)
                r = vb_restart_take_fd(restart, object, "fd", S_IFSOCK, &fd, reterr);
        if (r < 0)
                return r;
        link->links = links;
        link->opener = (uid_t) client.opener;
        link->signals = client.signals;
        link->peer = vb_peer_new_for_link(vb_daemon_peers(links->daemon), link,
                                          &(VbPeerIdentity){
                                                  .uid = (uid_t) client.uid,
                                                  .name = client.name,
                                                  .pid = (pid_t) client.pid,
                                                  .start_time = client.start_time,
                                                  .read_only = client.read_only,
                                          });
        r = watch_whom_it_speaks_for(link, &client);
        if (r >= 0)
                r = vb_link_go_on(link, vb_steal_fd(&fd));
        if (r < 0)
                return r;
        (void) g_steal_pointer(&link);
        return 0;
}

static int restore_listener(VbLinks *links, VbRestart *restart, VbJson *object, sd_bus_error *reterr) {
        int fd, r;

        r = vb_restart_take_fd(restart, object, "fd", S_IFSOCK, &fd, reterr);
        return r < 0 ? r : vb_links_listen(links, fd);
}

static void restore_all(VbLinks *links, VbRestart *restart, VbJson *server, const char *key, size_t max,
                        int (*restore)(VbLinks *links, VbRestart *restart, VbJson *object, sd_bus_error *reterr)) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbJson *array = NULL, *object;
        int r;

        r = vb_restart_get_array(server, key, max, &array, &error);
        if (r < 0)
                vb_log_error("links are not taken over: %s", error.message);
        for (size_t i = 0; array && i < json_object_array_length(array); i++) {
                g_auto(sd_bus_error) why = SD_BUS_ERROR_NULL;

                r = vb_restart_get_entry(array, key, i, &object, &why);
                if (r >= 0)
                        r = restore(links, restart, object, &why);
                if (r < 0)
                        vb_log_error("a link is not taken over: %s", why.message ? why.message : g_strerror(-r));
        }
}

void vb_links_restore(VbLinks *links, VbRestart *restart, VbJson *server) {
        restore_all(links, restart, server, "services", SOCKETS_MAX, restore_listener);
        restore_all(links, restart, server, "clients", CLIENTS_MAX, restore_link);
}
