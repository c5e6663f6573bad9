/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/authorization.h"

#include <assert.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/log.h"
#include "bus/names.h"

enum {
        CHECK_ALLOW_INTERACTION = 1, /* polkit's CheckAuthorizationFlags */
        VERDICTS_PER_PEER = 2048,
};

#define ANSWER_TIMEOUT_USEC (10 * (uint64_t) G_USEC_PER_SEC)
#define INTERACTIVE_TIMEOUT_USEC (300 * (uint64_t) G_USEC_PER_SEC)

typedef struct VbQuestion {
        VbAuthorization *authorization;
        VbPeer *peer;
        char *key; /* as in the peer's verdicts */
        char *id; /* in the table of questions, and for polkit to withdraw it */
        char *action;
        char *name, *uuid; /* the subject's */
        uid_t owner;
        bool interactive; /* a password may be asked for now */
        bool asks_later; /* … if this one ends with a challenge */
        uint64_t epoch; /* what was answered before polkit changed is not remembered */
        sd_bus_slot *slot;
        VbPeerListener gone;
        VbAuthorizationWaiter *waiters;
} VbQuestion;

struct VbAuthorization {
        sd_bus *bus;
        VbPeers *peers;
        char *driver;
        bool session;
        GHashTable *questions; /* id → VbQuestion, owned */
        sd_bus_slot *changed_slot, *owner_slot;
        uint64_t epoch;
};

static VbVerdict ask(VbQuestion *question);

/* What polkit says for all */

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbAuthorization *authorization = userdata;

        authorization->epoch++;
        vb_peers_forget_verdicts(authorization->peers);
        return 0;
}

static int on_match_installed(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbAuthorization *authorization = userdata;

        if (!sd_bus_message_is_method_error(message, NULL))
                return 0;
        vb_log_warning("cannot watch polkit, so its answers are not remembered: %s",
                       sd_bus_message_get_error(message)->message);
        authorization->changed_slot = sd_bus_slot_unref(authorization->changed_slot);
        return on_changed(message, userdata, reterr);
}

/* Before the first question, so that no change after its answer is missed: the bus handles what we send in
 * its order. */
static int watch_polkit(VbAuthorization *authorization) {
        int r;

        if (authorization->changed_slot && authorization->owner_slot)
                return 0;
        authorization->changed_slot = sd_bus_slot_unref(authorization->changed_slot);
        authorization->owner_slot = sd_bus_slot_unref(authorization->owner_slot);
        r = sd_bus_match_signal_async(authorization->bus, &authorization->changed_slot, VB_POLKIT_NAME,
                                      VB_POLKIT_PATH, VB_POLKIT_INTERFACE, "Changed", on_changed,
                                      on_match_installed, authorization);
        if (r < 0)
                return r;
        return sd_bus_add_match_async(authorization->bus, &authorization->owner_slot,
                                      "type='signal',sender='" VB_DBUS_NAME "',path='" VB_DBUS_PATH
                                      "',interface='" VB_DBUS_INTERFACE
                                      "',member='NameOwnerChanged',arg0='" VB_POLKIT_NAME "'",
                                      on_changed, on_match_installed, authorization);
}

/* Questions */

static void question_free(void *data) {
        VbQuestion *question = data;

        assert(!question->waiters);
        vb_peer_unlisten(&question->gone);
        sd_bus_slot_unref(question->slot);
        vb_peer_unref(question->peer);
        g_free(question->key);
        g_free(question->id);
        g_free(question->action);
        g_free(question->name);
        g_free(question->uuid);
        g_free(question);
}

static void add_waiter(VbQuestion *question, VbAuthorizationWaiter *waiter) {
        assert(!waiter->question);
        waiter->question = question;
        waiter->previous = NULL;
        waiter->next = question->waiters;
        if (question->waiters)
                question->waiters->previous = waiter;
        question->waiters = waiter;
}

static void remove_waiter(VbAuthorizationWaiter *waiter) {
        VbQuestion *question = waiter->question;

        *(waiter->previous ? &waiter->previous->next : &question->waiters) = waiter->next;
        if (waiter->next)
                waiter->next->previous = waiter->previous;
        waiter->question = NULL;
        waiter->previous = waiter->next = NULL;
}

/* A dialog that nobody waits for should not stay on the screen. There is nothing to do about a failure. */
static void end_dialog(VbQuestion *question) {
        if (question->interactive)
                (void) sd_bus_call_method_async(question->authorization->bus, /* ret_slot= */ NULL,
                                                VB_POLKIT_NAME, VB_POLKIT_PATH, VB_POLKIT_INTERFACE,
                                                "CancelCheckAuthorization", /* callback= */ NULL, NULL, "s",
                                                question->id);
}

static void withdraw(VbQuestion *question) {
        end_dialog(question);
        g_hash_table_remove(question->authorization->questions, question->id);
}

void vb_authorization_cancel(VbAuthorizationWaiter *waiter) {
        VbQuestion *question = waiter->question;

        if (!question)
                return;
        remove_waiter(waiter);
        if (!question->waiters)
                withdraw(question);
}

static void on_peer_gone(VbPeerListener *listener, const sd_bus_error *error) {
        VbQuestion *question = vb_container_of(listener, VbQuestion, gone);

        /* The calls that wait hear of it themselves. */
        while (question->waiters)
                remove_waiter(question->waiters);
        withdraw(question);
}

/* Whoever is told may ask the next question, so this one must be out of the way first. */
static void conclude(VbQuestion *question, VbVerdict verdict) {
        VbQuestion *taken = NULL;

        if (!g_hash_table_steal_extended(question->authorization->questions, question->id, NULL,
                                         (void **) &taken))
                return;
        assert(taken == question);
        while (question->waiters) {
                VbAuthorizationWaiter *waiter = question->waiters;

                remove_waiter(waiter);
                waiter->answered(waiter, verdict);
        }
        question_free(question);
}

static VbQuestion *find_question_of(const VbAuthorization *authorization, const VbPeer *peer) {
        GHashTableIter iter;
        void *question;

        g_hash_table_iter_init(&iter, authorization->questions);
        while (g_hash_table_iter_next(&iter, NULL, &question))
                if (((const VbQuestion *) question)->peer == peer)
                        return question;
        return NULL;
}

void vb_authorization_peer_ended(VbAuthorization *authorization, const VbPeer *peer) {
        VbQuestion *question;

        /* Who is told may ask the next one, but of a process that has ended the answer is known. */
        while ((question = find_question_of(authorization, peer))) {
                end_dialog(question);
                conclude(question, VB_VERDICT_DENIED);
        }
}

static void remember(VbQuestion *question, VbVerdict verdict) {
        VbAuthorization *authorization = question->authorization;
        GHashTable *verdicts;

        if (question->epoch != authorization->epoch || !authorization->changed_slot ||
            vb_peer_is_gone(question->peer) || vb_peer_is_ended(question->peer))
                return;
        verdicts = vb_peer_verdicts(question->peer);
        if (g_hash_table_size(verdicts) >= VERDICTS_PER_PEER)
                g_hash_table_remove_all(verdicts);
        g_hash_table_insert(verdicts, g_strdup(question->key), GINT_TO_POINTER(verdict));
}

/* Answers */

/* polkit's (bba{ss}): is authorized, a challenge would help, details. An authorization that it gave for a
 * time says so in the details. */
static int read_answer(sd_bus_message *message, VbVerdict *ret_verdict, bool *ret_lasting) {
        int authorized, challenge, r;
        const char *key, *value;
        bool lasting = true;

        r = sd_bus_message_enter_container(message, 'r', "bba{ss}");
        if (r < 0)
                return r;
        r = sd_bus_message_read(message, "bb", &authorized, &challenge);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(message, 'a', "{ss}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(message, "{ss}", &key, &value)) > 0)
                if (g_str_equal(key, "polkit.temporary_authorization_id") ||
                    g_str_equal(key, "polkit.retains_authorization_after_challenge"))
                        lasting = lasting && !authorized;
        if (r < 0)
                return r;

        *ret_verdict = authorized ? VB_VERDICT_ALLOWED : challenge ? VB_VERDICT_CHALLENGE : VB_VERDICT_DENIED;
        *ret_lasting = lasting;
        return 0;
}

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        VbQuestion *question = userdata;
        VbVerdict verdict;
        bool lasting;
        int r;

        question->slot = sd_bus_slot_unref(question->slot);

        if (sd_bus_message_is_method_error(message, NULL)) {
                const sd_bus_error *error = sd_bus_message_get_error(message);

                vb_log_warning("polkit does not answer about %s: %s: %s", question->action, error->name,
                               error->message);
                end_dialog(question);
                conclude(question, VB_VERDICT_UNAVAILABLE);
                return 0;
        }
        r = read_answer(message, &verdict, &lasting);
        if (r < 0) {
                (void) vb_log_warning_errno(r, "polkit's answer about %s makes no sense: %m",
                                            question->action);
                conclude(question, VB_VERDICT_UNAVAILABLE);
                return 0;
        }

        if (vb_peer_is_ended(question->peer))
                verdict = VB_VERDICT_DENIED;
        if (!question->interactive && lasting)
                remember(question, verdict);
        if (verdict == VB_VERDICT_CHALLENGE && question->asks_later) {
                question->interactive = true;
                question->asks_later = false;
                verdict = ask(question);
                if (verdict == VB_VERDICT_PENDING)
                        return 0;
        } else if (verdict == VB_VERDICT_CHALLENGE && question->interactive)
                verdict = VB_VERDICT_DENIED; /* Asked and dismissed, or there was nobody to ask. */
        conclude(question, verdict);
        return 0;
}

/* Asking */

static int append_details(sd_bus_message *message, const VbQuestion *question) {
        char owner[16] = "";

        if (question->owner != VB_UID_NOBODYS)
                (void) g_snprintf(owner, sizeof(owner), "%u", question->owner);
        return sd_bus_message_append(message, "a{ss}", 4, "driver", question->authorization->driver, "name",
                                     question->name ? question->name : "", "uuid",
                                     question->uuid ? question->uuid : "", "owner", owner);
}

/* A process by number, start and user: polkit takes no other that got the same number later, nor one that has become
 * another user. */
static int append_who(sd_bus_message *message, const VbPeer *peer) {
        if (vb_peer_name(peer))
                return sd_bus_message_append(message, "(sa{sv})", "system-bus-name", 1, "name", "s",
                                             vb_peer_name(peer));
        return sd_bus_message_append(message, "(sa{sv})", "unix-process", 3, "pid", "u", (uint32_t) vb_peer_pid(peer),
                                     "start-time", "t", vb_peer_start_time(peer), "uid", "i",
                                     (int32_t) vb_peer_uid(peer));
}

static int send_question(VbQuestion *question) {
        VbAuthorization *authorization = question->authorization;
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = watch_polkit(authorization);
        if (r < 0)
                return r;
        question->epoch = authorization->epoch;

        r = sd_bus_message_new_method_call(authorization->bus, &message, VB_POLKIT_NAME, VB_POLKIT_PATH,
                                           VB_POLKIT_INTERFACE, "CheckAuthorization");
        if (r < 0)
                return r;
        r = append_who(message, question->peer);
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(message, 's', question->action);
        if (r < 0)
                return r;
        r = append_details(message, question);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "us", question->interactive ? CHECK_ALLOW_INTERACTION : 0,
                                  question->interactive ? question->id : "");
        if (r < 0)
                return r;
        return sd_bus_call_async(authorization->bus, &question->slot, message, on_answer, question,
                                 question->interactive ? INTERACTIVE_TIMEOUT_USEC : ANSWER_TIMEOUT_USEC);
}

static VbVerdict ask(VbQuestion *question) {
        int r;

        r = send_question(question);
        if (r < 0) {
                (void) vb_log_warning_errno(r, "cannot ask polkit about %s: %m", question->action);
                return VB_VERDICT_UNAVAILABLE;
        }
        return VB_VERDICT_PENDING;
}

bool vb_authorization_is_privileged(const VbAuthorization *authorization, const VbPeer *peer) {
        uid_t uid = vb_peer_uid(peer);

        assert(vb_peer_is_known(peer));
        return uid == 0 || (authorization->session && uid == getuid());
}

char *vb_authorization_key(const char *action, const VbSubject *subject) {
        return g_strdup_printf("%s\n%s\n%s\n%u", action, subject->name ? subject->name : "",
                               subject->uuid ? subject->uuid : "", subject->owner);
}

static VbQuestion *question_new(VbAuthorization *authorization, VbPeer *peer, const char *action,
                                const VbSubject *subject, bool interactive, char *key, char *id) {
        VbQuestion *question = g_new0(VbQuestion, 1);

        question->authorization = authorization;
        question->peer = vb_peer_ref(peer);
        question->key = key;
        question->id = id;
        question->action = g_strdup(action);
        question->name = g_strdup(subject->name);
        question->uuid = g_strdup(subject->uuid);
        question->owner = subject->owner;
        question->asks_later = interactive;
        question->gone.tell = on_peer_gone;
        vb_peer_watch(peer, &question->gone);
        g_hash_table_insert(authorization->questions, id, question);
        return question;
}

VbVerdict vb_authorization_check(VbAuthorization *authorization, VbPeer *peer, const char *action,
                                 const VbSubject *subject, bool interactive, VbAuthorizationWaiter *waiter) {
        g_autofree char *key = NULL, *id = NULL;
        VbQuestion *question;
        VbVerdict verdict;

        if (vb_authorization_is_privileged(authorization, peer))
                return VB_VERDICT_ALLOWED;
        /* Of a process that has ended nobody can say where it sits. */
        if (authorization->session || vb_peer_is_ended(peer))
                return VB_VERDICT_DENIED;

        key = vb_authorization_key(action, subject);
        verdict = GPOINTER_TO_INT(g_hash_table_lookup(vb_peer_verdicts(peer), key));
        if (verdict != VB_VERDICT_PENDING && !(verdict == VB_VERDICT_CHALLENGE && interactive))
                return verdict;

        id = g_strdup_printf("%s\n%d\n%s", vb_peer_label(peer), interactive, key);
        question = g_hash_table_lookup(authorization->questions, id);
        if (!question) {
                question = question_new(authorization, peer, action, subject, interactive,
                                        g_steal_pointer(&key), g_steal_pointer(&id));
                if (verdict == VB_VERDICT_CHALLENGE) {
                        question->interactive = true;
                        question->asks_later = false;
                }
                verdict = ask(question);
                if (verdict != VB_VERDICT_PENDING) {
                        g_hash_table_remove(authorization->questions, question->id);
                        return verdict;
                }
        }
        add_waiter(question, waiter);
        return VB_VERDICT_PENDING;
}

/* The whole */

VbAuthorization *vb_authorization_new(sd_bus *bus, VbPeers *peers, const char *driver, bool session) {
        VbAuthorization *authorization = g_new0(VbAuthorization, 1);

        authorization->bus = bus;
        authorization->peers = peers;
        authorization->driver = g_strdup(driver);
        authorization->session = session;
        authorization->questions =
                g_hash_table_new_full(g_str_hash, g_str_equal, /* key_destroy_func= */ NULL, question_free);
        return authorization;
}

void vb_authorization_unwatch(VbAuthorization *authorization) {
        authorization->changed_slot = sd_bus_slot_unref(authorization->changed_slot);
        authorization->owner_slot = sd_bus_slot_unref(authorization->owner_slot);
        authorization->epoch++;
        vb_peers_forget_verdicts(authorization->peers);
}

VbAuthorization *vb_authorization_free(VbAuthorization *authorization) {
        if (!authorization)
                return NULL;
        sd_bus_slot_unref(authorization->changed_slot);
        sd_bus_slot_unref(authorization->owner_slot);
        g_hash_table_unref(authorization->questions);
        g_free(authorization->driver);
        g_free(authorization);
        return NULL;
}
