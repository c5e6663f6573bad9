/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* May the caller? What a member's actions and options ask before its handler runs, and what the handler asks itself. */

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "bus/call-private.h"
#include "bus/daemon-private.h"
#include "bus/names.h"
#include "bus/objects.h"

enum {
        /* As many objects as a call can name, and some for what changes meanwhile. */
        QUESTIONS_PER_CALL = 4096 + 16,
};

static char *object_title(VbCall *call) {
        VbObject *object = vb_objects_find(vb_daemon_objects(call->daemon), call->kind,
                                           sd_bus_message_get_path(call->message));
        VbSubject subject = object ? vb_object_describe(object) : (VbSubject){};

        return subject.name ? g_strdup_printf("%s '%s': ", call->kind->noun, subject.name) : g_strdup("");
}

static int refuse(VbCall *call, VbVerdict verdict, const char *action, sd_bus_error *reterr) {
        g_autofree char *title = object_title(call);
        uid_t uid = vb_peer_uid(call->peer);

        switch (verdict) {
        case VB_VERDICT_CHALLENGE:
                return sd_bus_error_setf(
                        reterr, VB_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                        "%s%s needs a password for '%s', and the call does not allow asking for it", title,
                        call->method->name, action);
        case VB_VERDICT_UNAVAILABLE:
                return sd_bus_error_setf(
                        reterr, VB_ERROR_ACCESS_DENIED,
                        "%s%s: polkit does not answer whether user %u may ('%s'), so only root may", title,
                        call->method->name, uid, action);
        default:
                return sd_bus_error_setf(reterr, VB_ERROR_ACCESS_DENIED, "%s%s: user %u may not ('%s')",
                                         title, call->method->name, uid, action);
        }
}

static int refuse_change(VbCall *call, sd_bus_error *reterr) {
        g_autofree char *title = object_title(call);

        return sd_bus_error_setf(reterr, VB_ERROR_ACCESS_DENIED, "%s%s: the connection is read-only", title,
                                 call->method->name);
}

static void note(GHashTable **questions, char *question) {
        if (!*questions)
                *questions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, /* value_destroy_func= */ NULL);
        g_hash_table_add(*questions, question);
}

static void on_answered(VbAuthorizationWaiter *waiter, VbVerdict verdict) {
        VbCall *call = vb_container_of(waiter, VbCall, waiter);
        g_autoptr(VbCall) reference = vb_call_wake(call);
        g_autofree char *asked = g_steal_pointer(&call->asked);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        if (verdict == VB_VERDICT_ALLOWED) {
                note(&call->granted, g_steal_pointer(&asked));
                vb_call_run(call);
        } else if (call->leaves_out && verdict != VB_VERDICT_UNAVAILABLE) {
                note(&call->left_out, g_steal_pointer(&asked));
                vb_call_run(call);
        } else {
                *strchrnul(asked, '\n') = '\0'; /* the key begins with the action */
                r = refuse(call, verdict, asked, &error);
                (void) vb_call_fail(call, r, &error);
        }
        (void) reference;
}

/* Asks, or finds the answer. 1: yes; 0: it waits now, with a reference of its own. */
static int check(VbCall *call, const char *action, const VbSubject *subject, bool leaves_out, sd_bus_error *reterr) {
        g_autofree char *key = NULL;
        VbVerdict verdict;
        int interactive, r;

        if (vb_authorization_is_privileged(vb_daemon_authorization(call->daemon), call->peer))
                return 1;
        key = vb_authorization_key(action, subject);
        if (call->granted && g_hash_table_contains(call->granted, key))
                return 1;
        if (call->left_out && g_hash_table_contains(call->left_out, key))
                return -EACCES;
        if (vb_peer_is_gone(call->peer))
                return sd_bus_error_setf(reterr, VB_ERROR_CANCELED, "the caller has left the bus");
        if (call->n_asked++ >= QUESTIONS_PER_CALL)
                return sd_bus_error_setf(reterr, VB_ERROR_ACCESS_DENIED,
                                         "%s: what it is about changes too often to decide",
                                         call->method->name);

        interactive = !leaves_out && sd_bus_message_get_allow_interactive_authorization(call->message) > 0;
        call->leaves_out = leaves_out;
        call->waiter.answered = on_answered;
        verdict = vb_authorization_check(vb_daemon_authorization(call->daemon), call->peer, action, subject,
                                         interactive, &call->waiter);
        if (verdict == VB_VERDICT_ALLOWED)
                return 1;
        if (verdict != VB_VERDICT_PENDING) {
                if (leaves_out && verdict != VB_VERDICT_UNAVAILABLE)
                        return -EACCES;
                return refuse(call, verdict, action, reterr);
        }

        r = vb_peer_enter(call->peer, reterr);
        if (r < 0) {
                vb_authorization_cancel(&call->waiter);
                return r;
        }
        call->entered = true;
        call->asked = g_steal_pointer(&key);
        vb_call_suspend_while_there(call);
        return 0;
}

static int ask_for(VbCall *call, const VbAction *action, const VbSubject *subject, bool leaves_out, sd_bus_error *reterr) {
        bool own;

        assert(call->peer);
        call->checked = true;
        if (!action->reads && vb_peer_is_read_only(call->peer))
                return refuse_change(call, reterr);
        own = action->own && subject->owner == vb_peer_uid(call->peer);
        return check(call, own ? action->own : action->id, subject, leaves_out, reterr);
}

int vb_call_require(VbCall *call, const VbAction *action, VbSubject subject, sd_bus_error *reterr) {
        return ask_for(call, action, &subject, /* leaves_out= */ false, reterr);
}

int vb_call_may(VbCall *call, const VbAction *action, VbSubject subject, sd_bus_error *reterr) {
        return ask_for(call, action, &subject, /* leaves_out= */ true, reterr);
}

static int require_for(VbCall *call, VbObject *object, const VbAction *action, VbActionFor whose,
                       sd_bus_error *reterr) {
        VbSubject subject = { .owner = VB_UID_NOBODYS };

        switch (whose) {
        case VB_ACTION_FOR_OBJECT: subject = vb_object_describe(object); break;
        case VB_ACTION_FOR_CALLER: subject.owner = vb_peer_uid(call->peer); break;
        case VB_ACTION_FOR_ADMINISTRATOR: break;
        case VB_ACTION_FOR_HANDLER: return 1;
        }
        return vb_call_require(call, action, subject, reterr);
}

static bool is_chosen(const VbOption *option, const void *args) {
        if (!*(const bool *) ((const char *) args + option->has_offset))
                return false;
        return strcmp(option->argument.type, "b") != 0 ||
               *(const bool *) ((const char *) args + option->argument.offset);
}

/* What single options need beside. */
static int authorize_options(VbCall *call, VbObject *object, sd_bus_error *reterr) {
        for (const VbArgument *argument = call->method->arguments; argument->name; argument++)
                for (const VbOption *option = argument->options; option && option->argument.name; option++) {
                        int r;

                        if (!option->action || !is_chosen(option, call->args))
                                continue;
                        r = require_for(call, object, option->action, option->action_for, reterr);
                        if (r <= 0)
                                return r;
                }
        return 1;
}

int vb_call_authorize(VbCall *call, VbObject *object, sd_bus_error *reterr) {
        int r;

        for (const VbAction *const *action = call->method->actions; action && *action; action++) {
                r = require_for(call, object, *action, call->method->action_for, reterr);
                if (r <= 0)
                        return r;
        }
        r = authorize_options(call, object, reterr);
        if (r > 0)
                call->checked = call->method->action_for != VB_ACTION_FOR_HANDLER;
        return r;
}
