/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/daemon-restart.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/adopt.h"
#include "bus/link-restart.h"
#include "bus/names.h"

/* SIGUSR1:
 *
 *   1. We wait until no call is under way and every link has been read up to the end of a message. Calls that come meanwhile are served as ever; but
 *      if that does not come about in HOLD_AFTER_USEC, replies are held back. So whoever calls again and again, waits, and there is an end to it.
 *   2. A question to the bus daemon itself. When its answer is what sd-bus reads last, all that it has read of the connection are whole messages,
 *      so what follows in the socket can be read by the next run. If a call has begun meanwhile, from 1 on.
 *   3. The state is written; it names the descriptors that stay open, the bus connection's among them. If that fails, we go on as before.
 *   4. Replies that were held back are sent. Match rules are taken back, as the next run makes its own; what is still to be sent is sent.
 *   5. exec, of the file that we were started from, which by now may be another version; should that fail, of the program that we are.
 *
 * Nothing was closed, and nobody told to leave: the bus daemon sees one connection all the time, on which for some milliseconds nobody reads. Whatever fails on
 * this side leaves us running. In the next run, a state that cannot be used is refused, and the driver looks for what is its own among the
 * descriptors that came over exec.
 *
 * After LIMIT_USEC, calls that are not done are answered with an error, and links in the midst of a message are closed. */

#define LIMIT_USEC (5 * (uint64_t) G_USEC_PER_SEC)
#define HOLD_AFTER_USEC (50 * (uint64_t) 1000)
#define RETRY_USEC (2 * (uint64_t) 1000)

/* Says to the next run that it is one. */
#define MARK "VIRTBUS_RESTART_PID"

struct VbRestarter {
        VbDaemon *daemon;
        char *path; /* of the state file */
        char *program;
        char **argv;

        VbRestart *state;
        VbJson *server; /* the part of state that is ours; or NULL */
        VbStore *store;
        VbDescriptors *descriptors;

        sd_event_source *signal, *retry, *limit;
        sd_bus_slot *question;
        uint64_t begun_usec; /* 0: not begun */
        bool late;
        GQueue held; /* HeldReply */
};

typedef struct HeldReply {
        sd_bus_message *message;
        VbPeer *peer; /* or NULL */
} HeldReply;

static void send_held(VbRestarter *restarter) {
        HeldReply *held;

        while ((held = g_queue_pop_head(&restarter->held))) {
                VbLink *link = held->peer ? vb_peer_link(held->peer) : NULL;

                /* To a caller that has left meanwhile there is nothing to send. */
                (void) sd_bus_send(/* bus= */ NULL, held->message, /* ret_cookie= */ NULL);
                if (link)
                        vb_link_replied(link);
                sd_bus_message_unref(held->message);
                vb_peer_unref(held->peer);
                g_free(held);
        }
}

/* Coming up */

/* An upgrade replaces the file, which then is found under its old name. */
static char *own_program(void) {
        g_autofree char *link = g_file_read_link("/proc/self/exe", /* error= */ NULL);

        if (link && g_str_has_suffix(link, " (deleted)"))
                link[strlen(link) - strlen(" (deleted)")] = '\0';
        return g_steal_pointer(&link);
}

static bool is_marked(void) {
        const char *mark = secure_getenv(MARK);
        bool marked = mark && g_ascii_strtoull(mark, NULL, 10) == (uint64_t) getpid();

        (void) unsetenv(MARK);
        return marked;
}

/* A file without the mark is of a run that died between writing it and exec; the mark without a good file, of one that we must pick up
 * after. */
static void load(VbRestarter *restarter, bool marked) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = vb_restart_read(&restarter->state, restarter->path, &error);
        if (r >= 0 && !marked) {
                restarter->state = vb_restart_free(restarter->state);
                (void) sd_bus_error_setf(&error, VB_ERROR_INVALID_ARGUMENT, "it was left by a run that did not restart");
                r = -EBADMSG;
        }
        if (r == -ENOENT && !marked)
                return;
        if (r < 0)
                vb_log_error("%s is refused: %s", restarter->path, error.message ? error.message : g_strerror(-r));
        if (unlink(restarter->path) < 0 && errno != ENOENT)
                (void) vb_log_warning_errno(errno, "cannot remove %s: %m", restarter->path);
        if (restarter->state && vb_restart_get_object(vb_restart_root(restarter->state), "server", &restarter->server, &error) < 0)
                vb_log_error("%s: connections are not taken over: %s", restarter->path, error.message);
}

int vb_restarter_new(VbRestarter **ret, VbDaemon *daemon, char **argv) {
        g_autoptr(VbRestarter) restarter = g_new0(VbRestarter, 1);
        bool marked = is_marked();
        int r;

        restarter->daemon = daemon;
        restarter->program = own_program();
        restarter->argv = g_strdupv(argv);
        g_queue_init(&restarter->held);
        restarter->path = g_build_filename(vb_daemon_run_dir(daemon), vb_daemon_driver(daemon), "restart-exec.json", NULL);
        restarter->store = vb_store_new();
        r = vb_descriptors_new(&restarter->descriptors, restarter->store, marked);
        if (r < 0)
                return vb_log_error_errno(r, "cannot take up the descriptors that were received: %m");
        load(restarter, marked);
        *ret = g_steal_pointer(&restarter);
        return 0;
}

VbRestarter *vb_restarter_free(VbRestarter *restarter) {
        if (!restarter)
                return NULL;
        send_held(restarter);
        vb_restart_free(restarter->state);
        vb_descriptors_free(restarter->descriptors);
        vb_store_free(restarter->store);
        sd_event_source_disable_unref(restarter->signal);
        sd_event_source_disable_unref(restarter->retry);
        sd_event_source_disable_unref(restarter->limit);
        sd_bus_slot_unref(restarter->question);
        g_strfreev(restarter->argv);
        g_free(restarter->program);
        g_free(restarter->path);
        g_free(restarter);
        return NULL;
}

VbRestart *vb_restarter_state(VbRestarter *restarter) {
        return restarter->state;
}

VbStore *vb_restarter_store(VbRestarter *restarter) {
        return restarter->store;
}

VbDescriptors *vb_restarter_descriptors(VbRestarter *restarter) {
        return restarter->descriptors;
}

int vb_restarter_take_lock(VbRestarter *restarter) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int fd, r;

        if (!restarter->server)
                return -ENOENT;
        r = vb_restart_take_fd(restarter->state, restarter->server, "lock", S_IFREG, &fd, &error);
        if (r < 0) {
                vb_log_error("the daemon's lock is not taken over: %s", error.message);
                return -ENOENT;
        }
        return fd;
}

int vb_restarter_take_bus(VbRestarter *restarter, sd_bus **ret) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const char *name;
        int fd, r;

        if (!restarter->server)
                return -ENOENT;
        r = vb_restart_get_string(restarter->server, "uniqueName", 255, &name, &error);
        if (r >= 0)
                r = vb_restart_take_fd(restarter->state, restarter->server, "bus", S_IFSOCK, &fd, &error);
        if (r >= 0)
                r = vb_adopt_bus(ret, fd, name, restarter->argv[0]);
        if (r < 0) {
                vb_log_error("the bus connection is not taken over: %s", error.message ? error.message : g_strerror(-r));
                return -ENOENT;
        }
        return 0;
}

int vb_restarter_take_links(VbRestarter *restarter) {
        VbLinks *links = vb_daemon_links(restarter->daemon);
        int fd, r = 0;

        if (restarter->server)
                vb_links_restore(links, restarter->state, restarter->server);
        while (r >= 0 && (fd = vb_descriptors_take_name(restarter->descriptors, "link")) >= 0)
                r = vb_links_listen(links, fd);
        return r;
}

/* Going */

static uint64_t now_usec(VbRestarter *restarter) {
        uint64_t usec = 0;

        (void) sd_event_now(vb_daemon_event(restarter->daemon), CLOCK_MONOTONIC, &usec);
        return usec;
}

bool vb_restarter_hold_reply(VbRestarter *restarter, sd_bus_message *reply, VbPeer *peer) {
        HeldReply *held;

        if (!restarter || restarter->begun_usec == 0 || now_usec(restarter) < restarter->begun_usec + HOLD_AFTER_USEC)
                return false;
        held = g_new0(HeldReply, 1);
        held->message = sd_bus_message_ref(reply);
        held->peer = peer ? vb_peer_ref(peer) : NULL;
        g_queue_push_tail(&restarter->held, held);
        return true;
}

static void end(VbRestarter *restarter) {
        restarter->begun_usec = 0;
        restarter->late = false;
        send_held(restarter);
        (void) sd_event_source_set_enabled(restarter->retry, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(restarter->limit, SD_EVENT_OFF);
        (void) sd_notify(/* unset_environment= */ false, "READY=1");
}

static int put_server(VbRestarter *restarter, VbRestart *state) {
        VbDaemon *daemon = restarter->daemon;
        VbJson *server = json_object_new_object();
        const char *name;
        int r;

        (void) json_object_object_add(vb_restart_root(state), "server", server);
        r = sd_bus_get_unique_name(vb_daemon_bus(daemon), &name);
        if (r < 0)
                return r;
        vb_restart_put_string(server, "uniqueName", name);
        r = vb_restart_put_fd(state, server, "bus", sd_bus_get_fd(vb_daemon_bus(daemon)));
        if (r >= 0)
                r = vb_restart_put_fd(state, server, "lock", vb_daemon_lock_fd(daemon));
        if (r >= 0)
                r = vb_links_save(vb_daemon_links(daemon), state, server);
        return r;
}

static int write_state(VbRestarter *restarter, VbRestart **ret, sd_bus_error *reterr) {
        g_autoptr(VbRestart) state = vb_restart_new();
        int r;

        r = put_server(restarter, state);
        if (r < 0)
                return r;
        r = vb_daemon_info(restarter->daemon)->save(restarter->daemon, state, reterr);
        if (r < 0)
                return r;
        r = vb_restart_write(state, restarter->path);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot write %s: %s", restarter->path, g_strerror(-r));
        *ret = g_steal_pointer(&state);
        return 0;
}

/* Returns only if it fails. */
static int replace(VbRestarter *restarter, VbRestart *state) {
        g_autofree char *pid = g_strdup_printf("%d", (int) getpid());
        int r;

        r = sd_bus_flush(vb_daemon_bus(restarter->daemon));
        if (r >= 0)
                r = vb_restart_set_inherited(state, true);
        if (r >= 0)
                r = vb_store_set_inherited(restarter->store, true);
        if (r < 0)
                return r;
        (void) setenv(MARK, pid, /* overwrite= */ 1);
        if (restarter->program)
                (void) execv(restarter->program, restarter->argv);
        (void) vb_log_error_errno(errno, "cannot execute %s, so this version goes on: %m", restarter->program);
        (void) execv("/proc/self/exe", restarter->argv);
        return -errno;
}

static bool is_at_rest(VbRestarter *restarter) {
        return vb_daemon_count_calls(restarter->daemon) == 0 &&
               (restarter->late || vb_links_at_rest(vb_daemon_links(restarter->daemon)));
}

static void wait_a_little(VbRestarter *restarter) {
        if (sd_event_source_set_time_relative(restarter->retry, RETRY_USEC) < 0 ||
            sd_event_source_set_enabled(restarter->retry, SD_EVENT_ONESHOT) < 0)
                end(restarter);
}

static void go(VbRestarter *restarter) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(VbRestart) state = NULL;
        int r;

        /* From here on nothing is read any more, so what their receivers call next is for the next run. */
        send_held(restarter);
        if (!is_at_rest(restarter)) {
                wait_a_little(restarter);
                return;
        }
        r = write_state(restarter, &state, &error);
        if (r < 0) {
                vb_log_error("cannot restart, and goes on as before: %s", error.message ? error.message : g_strerror(-r));
                end(restarter);
                return;
        }
        vb_authorization_unwatch(vb_daemon_authorization(restarter->daemon));
        vb_peers_unwatch(vb_daemon_peers(restarter->daemon));
        vb_preserve_unwatch(vb_daemon_preserve(restarter->daemon));

        r = replace(restarter, state);
        (void) vb_log_error_errno(r, "cannot restart, and goes on as before: %m");
        if (vb_restart_set_inherited(state, false) < 0 || vb_store_set_inherited(restarter->store, false) < 0)
                vb_log_warning("children may see descriptors of ours");
        (void) unsetenv(MARK);
        (void) unlink(restarter->path);
        vb_peers_watch_again(vb_daemon_peers(restarter->daemon));
        vb_preserve_watch_again(vb_daemon_preserve(restarter->daemon));
        end(restarter);
}

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbRestarter *restarter = userdata;
        uint64_t unread = 0;

        restarter->question = sd_bus_slot_unref(restarter->question);
        (void) sd_bus_get_n_queued_read(vb_daemon_bus(restarter->daemon), &unread);
        if (is_at_rest(restarter) && unread == 0)
                go(restarter);
        else
                wait_a_little(restarter);
        return 0;
}

void vb_restarter_poke(VbRestarter *restarter) {
        int r;

        if (!restarter || restarter->begun_usec == 0 || restarter->question)
                return;
        if (!is_at_rest(restarter)) {
                wait_a_little(restarter);
                return;
        }
        r = sd_bus_call_method_async(vb_daemon_bus(restarter->daemon), &restarter->question, VB_DBUS_NAME, VB_DBUS_PATH, VB_DBUS_INTERFACE,
                                     "GetId", on_answer, restarter, /* types= */ NULL);
        if (r < 0) {
                (void) vb_log_error_errno(r, "cannot restart, and goes on as before: %m");
                end(restarter);
        }
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        vb_restarter_poke(userdata);
        return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        VbRestarter *restarter = userdata;

        vb_log_warning("%u calls are not done; they are answered without, as the daemon restarts",
                       vb_daemon_count_calls(restarter->daemon));
        vb_daemon_cancel_calls(restarter->daemon, "the daemon restarts");
        restarter->late = true;
        vb_restarter_poke(restarter);
        return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        VbRestarter *restarter = userdata;

        if (restarter->begun_usec > 0 || vb_daemon_is_leaving(restarter->daemon))
                return 0;
        vb_log_info("restarts");
        restarter->begun_usec = now_usec(restarter);
        (void) sd_notifyf(/* unset_environment= */ false, "RELOADING=1\nMONOTONIC_USEC=%" G_GUINT64_FORMAT, restarter->begun_usec);
        (void) sd_event_source_set_time_relative(restarter->limit, LIMIT_USEC);
        (void) sd_event_source_set_enabled(restarter->limit, SD_EVENT_ONESHOT);
        vb_restarter_poke(restarter);
        return 0;
}

int vb_restarter_started(VbRestarter *restarter) {
        sd_event *event = vb_daemon_event(restarter->daemon);
        int r;

        if (restarter->state)
                vb_log_info("has restarted");
        restarter->server = NULL;
        restarter->state = vb_restart_free(restarter->state);
        if (vb_descriptors_count(restarter->descriptors) > 0)
                vb_log_debug("%u descriptors that were received are closed", vb_descriptors_count(restarter->descriptors));
        restarter->descriptors = vb_descriptors_free(restarter->descriptors);
        vb_store_drop_unclaimed(restarter->store);

        r = sd_event_add_time(event, &restarter->retry, CLOCK_MONOTONIC, UINT64_MAX, /* accuracy= */ 1, on_retry, restarter);
        if (r >= 0)
                r = sd_event_source_set_enabled(restarter->retry, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &restarter->limit, CLOCK_MONOTONIC, UINT64_MAX, /* accuracy= */ 0, on_limit, restarter);
        if (r >= 0)
                r = sd_event_source_set_enabled(restarter->limit, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_signal(event, &restarter->signal, SIGUSR1, on_signal, restarter);
        return r;
}
