/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/call-private.h"

#include <assert.h>
#include <stdarg.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/arguments.h"
#include "bus/daemon-private.h"
#include "bus/names.h"
#include "bus/objects.h"

/* A call's way:
 *
 *   vb_dispatch()        finds the object, and the member by the contract's tables (bus/dispatch.c)
 *   vb_call_dispatch()   reads the arguments: their shape is checked before anything else
 *   vb_call_run()        waits for the caller's uid if it is not known yet, and comes back;
 *                        finds the object (anew);
 *                        asks about each action that the member names, and comes back for each answer;
 *                        waits for its turn if others change the same, and comes back;
 *                        invokes the handler, which may ask more by vb_call_require() and is then run again
 *   vb_call_send_reply() or vb_call_fail(), once
 *
 * Each time vb_call_run() comes back it begins at its top: what was granted is remembered by the very question
 * (action, name, uuid, owner), so if the object has meanwhile been renamed or given to another owner, that is
 * a new question. */

/* Life */

void vb_call_suspend(VbCall *call) {
        assert(!call->suspended);
        call->suspended = true;
        (void) vb_call_ref(call);
}

/* The caller has left while we waited: give up, with nobody to tell. */
static void on_gone(VbPeerListener *listener, const sd_bus_error *error) {
        VbCall *call = vb_container_of(listener, VbCall, gone);
        g_autoptr(VbCall) reference = vb_call_wake(call);

        call->replied = true;
        (void) reference;
}

void vb_call_suspend_while_there(VbCall *call) {
        call->gone.tell = on_gone;
        vb_peer_watch(call->peer, &call->gone);
        vb_call_suspend(call);
}

VbCall *vb_turn_call(VbTurn *turn) {
        return vb_container_of(turn, VbCall, turn);
}

VbCall *vb_call_wake(VbCall *call) {
        bool suspended = call->suspended;

        vb_peer_unlisten(&call->known);
        vb_peer_unlisten(&call->gone);
        vb_authorization_cancel(&call->waiter);
        vb_turn_leave(&call->turn);
        if (call->entered)
                vb_peer_leave(call->peer);
        call->entered = false;
        call->suspended = false;
        return suspended ? call : NULL;
}

VbCall *vb_call_ref(VbCall *call) {
        call->n_refs++;
        return call;
}

static void answer_forgotten(VbCall *call) {
        const sd_bus_error forgotten = SD_BUS_ERROR_MAKE_CONST(
                VB_ERROR_OPERATION_FAILED,
                "the daemon gave up on this without saying why; its log may tell more");

        vb_log_error("%s: dropped without a reply", call->method->name);
        (void) vb_call_fail(call, -EIO, &forgotten);
}

VbCall *vb_call_unref(VbCall *call) {
        if (!call || --call->n_refs > 0)
                return NULL;

        if (!call->replied) {
                call->n_refs++;
                answer_forgotten(call);
                call->n_refs--;
        }
        assert(!call->suspended);
        vb_daemon_call_ended(call->daemon, &call->link);
        if (call->counted)
                vb_peer_end_call(call->peer);
        vb_peer_unref(call->peer);
        g_free(call->asked);
        g_clear_pointer(&call->granted, g_hash_table_unref);
        g_clear_pointer(&call->left_out, g_hash_table_unref);
        vb_arguments_done(call->method->arguments, call->args);
        g_free(call->args);
        sd_bus_message_unref(call->message);
        g_free(call);
        return NULL;
}

/* From here on nobody waits for an answer to this one. Whoever replies has a reference of its own. */
static void set_replied(VbCall *call) {
        call->replied = true;
        vb_call_unref(vb_call_wake(call));
}

VbDaemon *vb_call_daemon(VbCall *call) {
        return call->daemon;
}

uid_t vb_call_uid(const VbCall *call) {
        assert(call->peer);
        return vb_peer_uid(call->peer);
}

VbPeer *vb_call_peer(VbCall *call) {
        return call->peer;
}

const char *vb_call_member(const VbCall *call) {
        return call->method->name;
}

bool vb_call_is_orphan(const VbCall *call) {
        return call->peer && vb_peer_is_gone(call->peer);
}

void vb_call_set_checked(VbCall *call) {
        call->checked = true;
}

/* Replies */

static void tell_link(VbCall *call) {
        VbLink *link = call->peer ? vb_peer_link(call->peer) : NULL;

        if (link)
                vb_link_replied(link);
}

/* Now, or when the daemon restarts, which it may be about to do. */
static int send_reply(VbCall *call, sd_bus_message *reply) {
        int r;

        if (vb_daemon_hold_reply(call->daemon, reply, call->peer))
                return 1;
        r = sd_bus_send(/* bus= */ NULL, reply, /* ret_cookie= */ NULL);
        tell_link(call);
        return r < 0 ? r : 1;
}

int vb_call_fail(VbCall *call, int r, const sd_bus_error *error) {
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(sd_bus_error) made = SD_BUS_ERROR_NULL;

        if (call->cancelled)
                return 1;
        if (call->replied) {
                vb_log_error("%s: failed after its reply", call->method->name);
                return 1;
        }
        if (!sd_bus_error_is_set(error)) {
                (void) sd_bus_error_setf(&made, VB_ERROR_OPERATION_FAILED, "%s: %s", call->method->name,
                                         g_strerror(ABS(r)));
                error = &made;
        }

        vb_objects_flush(vb_daemon_objects(call->daemon));
        set_replied(call);
        if (!sd_bus_message_get_expect_reply(call->message))
                return 1;
        r = sd_bus_message_new_method_error(call->message, &reply, error);
        return r < 0 ? r : send_reply(call, reply);
}

int vb_call_new_reply(VbCall *call, sd_bus_message **ret) {
        return sd_bus_message_new_method_return(call->message, ret);
}

/* A reply that its handler must not give: a mistake of ours that must not go unnoticed, nor tell the caller
 * anything. */
static int check_reply(VbCall *call, sd_bus_message *reply) {
        const char *signature = sd_bus_message_get_signature(reply, /* complete= */ true);

        if (call->cancelled)
                return -EALREADY;
        if (call->replied) {
                vb_log_error("%s: replied twice", call->method->name);
                return -EALREADY;
        }
        if (call->method->actions && call->method->action_for == VB_ACTION_FOR_HANDLER && !call->checked) {
                vb_log_error("%s: replied without having asked for the caller's rights", call->method->name);
                return -EACCES;
        }
        if (g_strcmp0(signature ? signature : "", call->method->result) != 0) {
                vb_log_error("%s: replied '%s' and not '%s'", call->method->name, signature,
                             call->method->result);
                return -EBADMSG;
        }
        return 0;
}

int vb_call_send_reply(VbCall *call, sd_bus_message *reply) {
        int r;

        r = check_reply(call, reply);
        if (r == -EALREADY)
                return 1;
        if (r < 0)
                return vb_call_fail(call, r, NULL);

        vb_objects_flush(vb_daemon_objects(call->daemon));
        set_replied(call);
        if (!sd_bus_message_get_expect_reply(call->message))
                return 1;
        return send_reply(call, reply);
}

int vb_call_reply(VbCall *call, const char *types, ...) {
        g_autoptr(sd_bus_message) reply = NULL;
        va_list values;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r < 0)
                return vb_call_fail(call, r, NULL);
        if (types) {
                va_start(values, types);
                r = sd_bus_message_appendv(reply, types, values);
                va_end(values);
                if (r < 0)
                        return vb_call_fail(call, r, NULL);
        }
        return vb_call_send_reply(call, reply);
}

void vb_call_reply_done(int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(VbCall) call = userdata;

        if (r < 0)
                (void) vb_call_fail(call, r, error);
        else
                (void) vb_call_reply(call, /* types= */ NULL);
}

/* The way */

static void on_known(VbPeerListener *listener, const sd_bus_error *error) {
        VbCall *call = vb_container_of(listener, VbCall, known);
        g_autoptr(VbCall) reference = vb_call_wake(call);

        if (error)
                (void) vb_call_fail(call, -EACCES, error);
        else
                vb_call_run(call);
        (void) reference;
}

int vb_call_identify(VbCall *call, sd_bus_error *reterr) {
        int r;

        if (!call->peer) {
                r = vb_peers_get(vb_daemon_peers(call->daemon), call->message, &call->peer, reterr);
                if (r < 0)
                        return r;
        }
        if (vb_peer_is_known(call->peer))
                return 1;
        call->known.tell = on_known;
        vb_peer_wait(call->peer, &call->known);
        vb_call_suspend(call);
        return 0;
}

static int take_turn(VbCall *call, VbObject *object, sd_bus_error *reterr) {
        if (call->method->turns == 0 || !object->kind->turns)
                return 1;
        return vb_turn_take(object->kind->turns(object), call, call->method->turns, reterr);
}

static int run_steps(VbCall *call, sd_bus_error *reterr) {
        const char *path = sd_bus_message_get_path(call->message);
        VbObject *object;
        int r;

        if (call->method->actions) {
                r = vb_call_identify(call, reterr);
                if (r <= 0)
                        return r;
                vb_peer_touch(call->peer);
        }
        object = vb_objects_find(vb_daemon_objects(call->daemon), call->kind, path);
        if (!object)
                return sd_bus_error_setf(reterr, SD_BUS_ERROR_UNKNOWN_OBJECT, "there is no %s %s any more",
                                         call->kind->noun, path);
        r = vb_call_authorize(call, object, reterr);
        if (r <= 0)
                return r;
        r = take_turn(call, object, reterr);
        if (r <= 0)
                return r;
        return call->method->invoke(call, object, vb_object_handlers(object, call->method->interface),
                                    call->args, reterr);
}

void vb_call_run(VbCall *call) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = run_steps(call, &error);
        if (r < 0 && !call->replied)
                (void) vb_call_fail(call, r, &error);
}

void vb_call_run_in_turn(VbCall *call) {
        g_autoptr(VbCall) reference = vb_call_wake(call);

        call->turn.has_come = true;
        vb_call_run(call);
        (void) reference;
}

int vb_call_not_offered(VbCall *call, VbObject *object, const VbMethod *method, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_NOT_SUPPORTED, "the %s driver does not offer %s.%s",
                                 vb_daemon_driver(call->daemon), method->interface->name, method->name);
}

int vb_call_dispatch(sd_bus_message *message, VbObject *object, const VbMethod *method, VbPeer *peer,
                     sd_bus_error *reterr) {
        g_autoptr(VbCall) call = g_new0(VbCall, 1);
        int r;

        call->n_refs = 1;
        call->daemon = vb_objects_daemon(object->objects);
        call->message = sd_bus_message_ref(message);
        call->method = method;
        call->kind = object->kind;
        call->peer = peer ? vb_peer_ref(peer) : NULL;
        call->args = g_memdup2(method->defaults, method->args_size);
        call->link.data = call;
        vb_daemon_call_began(call->daemon, &call->link);

        r = peer ? vb_peer_begin_call(peer, reterr) : 0;
        call->counted = peer && r >= 0;
        if (r >= 0)
                r = vb_arguments_read(message, method->arguments, call->args, method->name, reterr);
        if (r < 0)
                (void) vb_call_fail(call, r, reterr);
        else
                vb_call_run(call);
        sd_bus_error_free(reterr);
        return 1;
}

/* Watching a caller */

struct VbCallerWatch {
        VbPeerListener listener;
        void (*gone)(void *userdata);
        void *userdata;
};

static void on_caller_gone(VbPeerListener *listener, const sd_bus_error *error) {
        VbCallerWatch *watch = vb_container_of(listener, VbCallerWatch, listener);

        watch->gone(watch->userdata);
}

int vb_caller_watch_new(VbCallerWatch **ret, VbCall *call, void (*gone)(void *userdata), void *userdata,
                        sd_bus_error *reterr) {
        VbCallerWatch *watch;

        assert(call->peer);
        if (vb_peer_is_gone(call->peer))
                return sd_bus_error_setf(reterr, VB_ERROR_CANCELED, "the caller has left the bus");
        watch = g_new0(VbCallerWatch, 1);
        watch->listener.tell = on_caller_gone;
        watch->gone = gone;
        watch->userdata = userdata;
        vb_peer_watch(call->peer, &watch->listener);
        *ret = watch;
        return 0;
}

VbCallerWatch *vb_caller_watch_free(VbCallerWatch *watch) {
        if (!watch)
                return NULL;
        vb_peer_unlisten(&watch->listener);
        g_free(watch);
        return NULL;
}

void vb_call_cancel(VbCall *call, const sd_bus_error *error) {
        g_autoptr(VbCall) keep = vb_call_ref(call);

        if (!call->replied)
                (void) vb_call_fail(call, -ECANCELED, error);
        call->cancelled = true;
        (void) keep;
}
