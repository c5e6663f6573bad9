/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/daemon.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "interfaces/daemon1.h"

#include "base/error.h"
#include "base/log.h"
#include "bus/daemon-private.h"
#include "bus/daemon-restart.h"
#include "bus/dispatch.h"
#include "bus/folders.h"
#include "bus/lock.h"
#include "bus/manager.h"
#include "bus/names.h"
#include "bus/objects.h"
#include "bus/options.h"
#include "bus/trim.h"

/* Leaving without losing a request:
 *
 *   1. STOPPING=1 goes to the service manager, before the bus can know that we leave: should a call now start
 * us, the manager queues the start behind our end, and does not take us for running.
 *   2. The name is given back. What was sent to it before comes to us ahead of the bus's answer, and is
 * served as ever; what is sent to it from now on starts the next daemon.
 *   3. When the bus has answered, links take no more, either (bus/link.h). When no call is under way any more, we go. The lock that we hold until then
 * keeps the next daemon from reading files that we may still write.
 *
 * After step 1 there is no way back: the manager would kill us. So if a call that came at the last moment
 * left something that must be watched (a guest that it started), we call the next daemon ourselves.
 *
 * When asked to end by a signal, we do the same, but wait for calls under way only for a while. */

#define LEAVE_TIMEOUT_USEC (5 * (uint64_t) G_USEC_PER_SEC)

struct VbDaemon {
        const VbDaemonInfo *info;
        VbDaemonOptions options;
        char **argv;
        VbFolders folders;
        void *userdata;

        VbRestarter *restarter; /* NULL: it does not restart by exec */
        VbDaemonLock *lock;
        sd_event *event;
        sd_bus *bus;
        sd_bus *system_bus; /* of a session's daemon, once it is needed */
        VbObjects *objects;
        VbObject root;
        VbObjectKind root_kind;
        VbObjectInterface root_interfaces[VB_OBJECT_INTERFACES_MAX + 1];
        VbPeers *peers;
        VbAuthorization *authorization;
        VbLinks *links;
        VbIdle *idle;
        VbPreserve *preserve;
        VbTrim *trim;
        GQueue calls;
        unsigned n_peers; /* as far as idle knows */
        bool inhibited;

        bool leaving, released;
        sd_bus_slot *filter_slot, *release_slot;
        sd_event_source *leave_timer;
};

/* Leaving */

static void call_successor(VbDaemon *daemon) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        vb_log_info("something was begun at the last moment, so the next daemon is called at once");
        r = sd_bus_message_new_method_call(daemon->bus, &message, daemon->info->bus_name,
                                           vb_objects_root(daemon->objects), VB_DBUS_PEER_INTERFACE, "Ping");
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(message, /* b= */ false);
        if (r >= 0)
                r = sd_bus_send(daemon->bus, message, /* ret_cookie= */ NULL);
        if (r >= 0)
                r = sd_bus_flush(daemon->bus);
        if (r < 0)
                (void) vb_log_error_errno(r, "cannot call the next daemon: %m");
}

/* Left because there was nothing to do, and now there is. Clients that are merely connected are no reason. */
static bool needs_successor(VbDaemon *daemon) {
        bool asked_to_leave = daemon->leave_timer;
        unsigned clients = daemon->n_peers > 0 ? 1 : 0;

        return daemon->leaving && !asked_to_leave && vb_idle_count(daemon->idle) > clients;
}

static bool is_busy(VbDaemon *daemon) {
        return daemon->calls.length > 0 || (daemon->info->is_busy && daemon->info->is_busy(daemon));
}

void vb_daemon_leave_if_done(VbDaemon *daemon) {
        if (!daemon->leaving || !daemon->released || is_busy(daemon))
                return;
        /* Now, as the bus is closed at the loop's end. */
        if (needs_successor(daemon))
                call_successor(daemon);
        (void) sd_event_exit(daemon->event, EXIT_SUCCESS);
}

static int on_released(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbDaemon *daemon = userdata;

        if (sd_bus_message_is_method_error(message, NULL))
                vb_log_warning("cannot give back the name %s: %s", daemon->info->bus_name,
                               sd_bus_message_get_error(message)->message);
        daemon->released = true;
        vb_links_shut(daemon->links);
        vb_daemon_leave_if_done(daemon);
        return 0;
}

void vb_daemon_cancel_calls(VbDaemon *daemon, const char *why) {
        const sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(VB_ERROR_CANCELED, why);

        for (GList *link = daemon->calls.head, *next; link; link = next) {
                next = link->next;
                vb_call_cancel(link->data, &error);
        }
}

static int on_leave_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        VbDaemon *daemon = userdata;

        if (daemon->calls.length > 0)
                vb_log_warning("%u calls are not done; they are answered without", daemon->calls.length);
        vb_daemon_cancel_calls(daemon, "the daemon ends");
        return sd_event_exit(daemon->event, EXIT_SUCCESS);
}

/* timeout_usec: how long to wait for calls under way; UINT64_MAX for ever. */
static void leave(VbDaemon *daemon, uint64_t timeout_usec) {
        int r;

        if (timeout_usec != UINT64_MAX && !daemon->leave_timer) {
                r = sd_event_add_time_relative(daemon->event, &daemon->leave_timer, CLOCK_MONOTONIC,
                                               timeout_usec, /* accuracy= */ 0, on_leave_timeout, daemon);
                if (r < 0)
                        (void) sd_event_exit(daemon->event, EXIT_FAILURE);
        }
        if (daemon->leaving)
                return;
        daemon->leaving = true;
        vb_idle_stop(daemon->idle);
        if (daemon->info->leaving)
                daemon->info->leaving(daemon);
        vb_manager_tell_stopping();
        r = sd_bus_release_name_async(daemon->bus, &daemon->release_slot, daemon->info->bus_name, on_released,
                                      daemon);
        if (r < 0) {
                (void) vb_log_error_errno(r, "cannot give back the name %s: %m", daemon->info->bus_name);
                (void) sd_event_exit(daemon->event, EXIT_FAILURE);
        }
}

static void on_idle(void *userdata) {
        VbDaemon *daemon = userdata;

        vb_log_debug("nothing to do; ends");
        leave(daemon, UINT64_MAX);
}

void vb_daemon_quit(VbDaemon *daemon) {
        leave(daemon, LEAVE_TIMEOUT_USEC);
}

/* What happens */

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        VbDaemon *daemon = userdata;

        if (!vb_preserve_terminate(daemon->preserve))
                vb_daemon_quit(daemon);
        return 0;
}

/* Whoever sits at its terminal and presses the keys wants it to end. */
static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        vb_daemon_quit(userdata);
        return 0;
}

int vb_daemon_reload(VbDaemon *daemon, sd_bus_error *reterr) {
        int r = 0;

        vb_manager_tell_reloading();
        if (daemon->info->reload)
                r = daemon->info->reload(daemon, reterr);
        vb_manager_tell_ready();
        return r;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = vb_daemon_reload(userdata, &error);
        if (r < 0)
                (void) vb_log_error_errno(r, "cannot reload: %s",
                                          error.message ? error.message : g_strerror(-r));
        return 0;
}

void vb_daemon_touch(VbDaemon *daemon) {
        vb_idle_touch(daemon->idle);
        vb_trim_touch(daemon->trim);
}

/* Every message that comes over the bus comes by here first. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbDaemon *daemon = userdata;

        if (sd_bus_message_is_method_call(message, /* interface= */ NULL, /* member= */ NULL) <= 0)
                return 0;
        vb_daemon_touch(daemon);
        return vb_dispatch(daemon->objects, message, /* peer= */ NULL, reterr);
}

/* As long as someone who has called is connected, we stay. */
static void on_peers_changed(void *userdata) {
        VbDaemon *daemon = userdata;
        unsigned n = vb_peers_count(daemon->peers);

        if (n > 0 && daemon->n_peers == 0)
                vb_idle_busy(daemon->idle);
        else if (n == 0 && daemon->n_peers > 0)
                vb_idle_done(daemon->idle);
        daemon->n_peers = n;
}

void vb_daemon_call_began(VbDaemon *daemon, GList *link) {
        g_queue_push_tail_link(&daemon->calls, link);
        vb_idle_busy(daemon->idle);
}

void vb_daemon_call_ended(VbDaemon *daemon, GList *link) {
        g_queue_unlink(&daemon->calls, link);
        vb_idle_done(daemon->idle);
        vb_trim_touch(daemon->trim);
        vb_daemon_leave_if_done(daemon);
        vb_restarter_poke(daemon->restarter);
}

/* Coming up */

static int add_signals(VbDaemon *daemon) {
        static const struct {
                int number;
                sd_event_signal_handler_t handler;
        } handled[] = {
                { SIGTERM, on_terminate },
                { SIGINT, on_interrupt },
                { SIGHUP, on_hangup },
        };
        sigset_t mask;

        /* SIGCHLD is blocked for those who will watch children; SIGUSR1 until it will be heard (bus/daemon-restart.c). */
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        if (daemon->info->save)
                (void) sigaddset(&mask, SIGUSR1);
        for (size_t i = 0; i < G_N_ELEMENTS(handled); i++)
                (void) sigaddset(&mask, handled[i].number);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        (void) signal(SIGPIPE, SIG_IGN);

        for (size_t i = 0; i < G_N_ELEMENTS(handled); i++) {
                int r;

                r = sd_event_add_signal(daemon->event, /* ret= */ NULL, handled[i].number, handled[i].handler,
                                        daemon);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int connect_bus(VbDaemon *daemon) {
        int r;

        r = daemon->restarter ? vb_restarter_take_bus(daemon->restarter, &daemon->bus) : -ENOENT;
        if (r == -ENOENT)
                r = daemon->options.session
                            ? sd_bus_open_user_with_description(&daemon->bus, daemon->info->program)
                            : sd_bus_open_system_with_description(&daemon->bus, daemon->info->program);
        if (r < 0)
                return vb_log_error_errno(r, "cannot connect to the %s bus: %m",
                                          daemon->options.session ? "session" : "system");
        r = sd_bus_attach_event(daemon->bus, daemon->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(daemon->bus, /* b= */ true);
        if (r >= 0)
                r = sd_bus_add_filter(daemon->bus, &daemon->filter_slot, on_message, daemon);
        if (r < 0)
                return vb_log_error_errno(r, "cannot set up the bus connection: %m");
        return 0;
}

static void describe_root(VbObject *object, VbSubject *ret_subject) {
        *ret_subject = (VbSubject){ .owner = VB_UID_NOBODYS };
}

static char *root_path(const char *bus_name) {
        g_autofree char *slashes = g_strdelimit(g_strdup(bus_name), ".", '/');

        return g_strconcat("/", slashes, NULL);
}

static int export_root(VbDaemon *daemon) {
        const VbObjectInterface *more = daemon->info->root_interfaces;
        g_autofree char *path = root_path(daemon->info->bus_name);
        unsigned n = 0;
        int r;

        daemon->root_interfaces[n++] = vb_daemon_root_interface;
        for (; more && more->interface; more++) {
                assert(n < VB_OBJECT_INTERFACES_MAX);
                daemon->root_interfaces[n++] = *more;
        }
        daemon->root_kind = (VbObjectKind){
                .noun = "daemon",
                .interfaces = daemon->root_interfaces,
                .describe = describe_root,
        };

        r = vb_objects_new(&daemon->objects, daemon, daemon->bus, daemon->event, path);
        if (r >= 0)
                r = vb_object_export(&daemon->root, daemon->objects, &daemon->root_kind, /* id= */ NULL);
        if (r < 0)
                return vb_log_error_errno(r, "cannot export the root object: %m");
        return 0;
}

static int take_lock(VbDaemon *daemon) {
        int fd = daemon->restarter ? vb_restarter_take_lock(daemon->restarter) : -ENOENT;

        if (fd < 0)
                return vb_daemon_lock_take(&daemon->lock, daemon->folders.run, daemon->info->driver);
        daemon->lock = vb_daemon_lock_adopt(fd);
        return 0;
}

static int set_up(VbDaemon *daemon) {
        int r;

        r = vb_folders_init(&daemon->folders, daemon->options.session);
        if (r < 0)
                return vb_log_error_errno(r, "XDG_RUNTIME_DIR is not set; a session's daemon needs it");
        if (daemon->info->save) {
                r = vb_restarter_new(&daemon->restarter, daemon, daemon->argv);
                if (r < 0)
                        return r;
        }
        r = take_lock(daemon);
        if (r < 0)
                return r;
        r = sd_event_default(&daemon->event);
        if (r >= 0)
                r = add_signals(daemon);
        if (r >= 0)
                r = vb_idle_new(&daemon->idle, daemon->event, daemon->options.timeout_usec, on_idle, daemon);
        if (r >= 0)
                r = vb_trim_new(&daemon->trim, daemon->event);
        if (r < 0)
                return vb_log_error_errno(r, "cannot set up the event loop: %m");
        (void) sd_event_set_watchdog(daemon->event, /* b= */ true);

        r = connect_bus(daemon);
        if (r < 0)
                return r;
        daemon->peers = vb_peers_new(daemon->bus, on_peers_changed, daemon);
        daemon->authorization = vb_authorization_new(daemon->bus, daemon->peers, daemon->info->driver,
                                                     daemon->options.session);
        r = export_root(daemon);
        if (r < 0)
                return r;
        r = vb_links_new(&daemon->links, daemon);
        if (r < 0)
                return vb_log_error_errno(r, "cannot set up links: %m");
        vb_objects_set_links(daemon->objects, daemon->links);
        r = daemon->restarter ? vb_restarter_take_links(daemon->restarter) : 0;
        if (r < 0)
                return vb_log_error_errno(r, "cannot serve the sockets that were received: %m");
        r = vb_preserve_new(&daemon->preserve, daemon);
        if (r < 0)
                return vb_log_error_errno(r, "cannot watch for the host's shutdown: %m");
        return 0;
}

static int start(VbDaemon *daemon) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = daemon->info->start ? daemon->info->start(daemon, &error) : 0;
        if (r < 0)
                return vb_log_error_errno(r, "cannot start: %s",
                                          error.message ? error.message : g_strerror(-r));

        /* Before the name: what is left over may be a connection that owns it. */
        r = daemon->restarter ? vb_restarter_started(daemon->restarter) : 0;
        if (r < 0)
                return vb_log_error_errno(r, "cannot be ready to restart: %m");
        r = sd_bus_request_name(daemon->bus, daemon->info->bus_name, /* flags= */ 0);
        /* Ours since before a restart. */
        if (r < 0 && r != -EALREADY)
                return vb_log_error_errno(
                        r, r == -EEXIST ? "another daemon owns the name %s" : "cannot own the name %s: %m",
                        daemon->info->bus_name);
        vb_objects_set_live(daemon->objects, true);
        vb_idle_touch(daemon->idle);
        vb_manager_tell_ready();
        return 0;
}

static void stop(VbDaemon *daemon) {
        vb_manager_tell_stopping();
        vb_objects_set_live(daemon->objects, false);
        if (daemon->info->stop)
                daemon->info->stop(daemon);
}

static VbDaemon *daemon_free(VbDaemon *daemon) {
        if (!daemon)
                return NULL;
        assert(daemon->calls.length == 0);
        daemon->restarter = vb_restarter_free(daemon->restarter);
        if (daemon->objects)
                vb_objects_set_links(daemon->objects, NULL);
        vb_links_free(daemon->links);
        vb_object_unexport(&daemon->root);
        vb_authorization_free(daemon->authorization);
        if (daemon->n_peers > 0)
                vb_idle_done(daemon->idle);
        vb_peers_free(daemon->peers);
        daemon->preserve = vb_preserve_free(daemon->preserve);
        vb_objects_free(daemon->objects);
        vb_idle_free(daemon->idle);
        vb_trim_free(daemon->trim);
        sd_event_source_disable_unref(daemon->leave_timer);
        sd_bus_slot_unref(daemon->release_slot);
        sd_bus_slot_unref(daemon->filter_slot);
        sd_bus_close_unref(daemon->system_bus);
        sd_bus_flush_close_unref(daemon->bus);
        sd_event_unref(daemon->event);
        vb_daemon_lock_release(daemon->lock);
        vb_folders_done(&daemon->folders);
        g_free(daemon);
        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbDaemon, daemon_free)

static int run(VbDaemon *daemon) {
        int r;

        r = set_up(daemon);
        if (r < 0)
                return r;
        r = start(daemon);
        if (r >= 0)
                r = sd_event_loop(daemon->event);
        stop(daemon);
        return r;
}

/* systemd's part of the name service asks machined, too, for the users and groups of containers: all of a user's groups
 * would be known only when machined has answered, and no guest, image or emulator could be opened while it hangs. Nobody
 * here is one of a container's users. Said before there are threads and children, which look users up. */
static void look_up_users_without_machined(void) {
        (void) setenv("SYSTEMD_BYPASS_USERDB", "io.systemd.Machine", /* overwrite= */ 0);
}

int vb_daemon_run(const VbDaemonInfo *info, int argc, char **argv) {
        g_autoptr(VbDaemon) daemon = g_new0(VbDaemon, 1);
        int r;

        look_up_users_without_machined();
        vb_error_init();
        daemon->info = info;
        daemon->argv = argv;
        r = vb_daemon_options_parse(info, argc, argv, &daemon->options);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        vb_log_init(info->driver, daemon->options.log_level < 0 ? LOG_INFO : daemon->options.log_level);

        r = run(daemon);
        return r < 0 ? EXIT_FAILURE : r;
}

/* For the others */

sd_event *vb_daemon_event(VbDaemon *daemon) {
        return daemon->event;
}

sd_bus *vb_daemon_bus(VbDaemon *daemon) {
        return daemon->bus;
}

sd_bus *vb_daemon_system_bus(VbDaemon *daemon) {
        int r;

        if (!daemon->options.session)
                return daemon->bus;
        if (daemon->system_bus)
                return daemon->system_bus;
        r = sd_bus_open_system_with_description(&daemon->system_bus, daemon->info->program);
        if (r >= 0)
                r = sd_bus_attach_event(daemon->system_bus, daemon->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                vb_log_info("cannot connect to the system bus: %s", g_strerror(-r));
                daemon->system_bus = sd_bus_close_unref(daemon->system_bus);
        }
        return daemon->system_bus;
}

int vb_daemon_log_level_option(VbDaemon *daemon) {
        return daemon->options.log_level;
}

VbObjects *vb_daemon_objects(VbDaemon *daemon) {
        return daemon->objects;
}

VbObject *vb_daemon_root(VbDaemon *daemon) {
        return &daemon->root;
}

const char *vb_daemon_driver(VbDaemon *daemon) {
        return daemon->info->driver;
}

bool vb_daemon_is_session(VbDaemon *daemon) {
        return daemon->options.session;
}

const char *vb_daemon_config_dir(VbDaemon *daemon) {
        return daemon->folders.config;
}

const char *vb_daemon_state_dir(VbDaemon *daemon) {
        return daemon->folders.state;
}

const char *vb_daemon_cache_dir(VbDaemon *daemon) {
        return daemon->folders.cache;
}

const char *vb_daemon_run_dir(VbDaemon *daemon) {
        return daemon->folders.run;
}

const char *vb_daemon_log_dir(VbDaemon *daemon) {
        return daemon->folders.log;
}

void *vb_daemon_userdata(VbDaemon *daemon) {
        return daemon->userdata;
}

void vb_daemon_set_userdata(VbDaemon *daemon, void *userdata) {
        daemon->userdata = userdata;
}

VbRestart *vb_daemon_restart(VbDaemon *daemon) {
        return daemon->restarter ? vb_restarter_state(daemon->restarter) : NULL;
}

VbStore *vb_daemon_store(VbDaemon *daemon) {
        return vb_restarter_store(daemon->restarter);
}

VbDescriptors *vb_daemon_descriptors(VbDaemon *daemon) {
        return daemon->restarter ? vb_restarter_descriptors(daemon->restarter) : NULL;
}

bool vb_daemon_hold_reply(VbDaemon *daemon, sd_bus_message *reply, VbPeer *peer) {
        return vb_restarter_hold_reply(daemon->restarter, reply, peer);
}

bool vb_daemon_is_leaving(VbDaemon *daemon) {
        return daemon->leaving;
}

int vb_daemon_lock_fd(VbDaemon *daemon) {
        return vb_daemon_lock_get_fd(daemon->lock);
}

unsigned vb_daemon_count_calls(VbDaemon *daemon) {
        return daemon->calls.length;
}

VbPeers *vb_daemon_peers(VbDaemon *daemon) {
        return daemon->peers;
}

VbAuthorization *vb_daemon_authorization(VbDaemon *daemon) {
        return daemon->authorization;
}

const VbDaemonInfo *vb_daemon_info(VbDaemon *daemon) {
        return daemon->info;
}

VbLinks *vb_daemon_links(VbDaemon *daemon) {
        return daemon->links;
}

bool vb_daemon_is_inhibited(VbDaemon *daemon) {
        return daemon->inhibited;
}

void vb_daemon_set_inhibited(VbDaemon *daemon, bool inhibited) {
        if (daemon->inhibited == inhibited)
                return;
        daemon->inhibited = inhibited;
        vb_daemon1_changed(&daemon->root, VB_DAEMON1_INHIBITED);
}

VbPreserve *vb_daemon_preserve(VbDaemon *daemon) {
        return daemon->preserve;
}

void vb_daemon_preserved(VbDaemon *daemon) {
        vb_preserve_finished(daemon->preserve);
}

void vb_daemon_hold_shutdown(VbDaemon *daemon) {
        vb_preserve_busy(daemon->preserve);
}

void vb_daemon_release_shutdown(VbDaemon *daemon) {
        vb_preserve_done(daemon->preserve);
}

void vb_daemon_set_timeout(VbDaemon *daemon, uint64_t timeout_usec) {
        vb_idle_set_timeout(daemon->idle, timeout_usec);
}

VbIdleHold *vb_idle_hold(VbDaemon *daemon, const char *reason) {
        return vb_idle_add(daemon->idle, reason);
}

VbIdleHold *vb_idle_release(VbIdleHold *hold) {
        return vb_idle_remove(hold);
}
