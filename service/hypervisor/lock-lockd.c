/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtlockd, by LockManager1. Images go as the descriptors that were opened with the owner's rights, as many in a message as a bus lets through;
 * a guest with more takes several calls, and gives back what the first ones gave if a later one is refused. Lockspaces of <lease>s are made known
 * before. */

#include "base/error.h"
#include "bus/names.h"
#include "hypervisor/lock-private.h"

#include "interfaces/lock-manager1.h"

#define ASK_USEC (UINT64_C(20) * 1000000)
/* At a guest's end; the process's own end lets go of everything, too. */
#define RELEASE_USEC (UINT64_C(2) * 1000000)

/* What a bus lets through by default. */
#define IMAGES_PER_CALL 16u

typedef struct Lockd {
        VbLockCall *call;
        sd_bus_slot *slot;
        size_t next_folder;  /* of the claims, whose lockspace is to be made known */
        size_t next;         /* of the claims, which is to be asked for */
        bool holds;          /* some of them are held already */
        int r;               /* of what was refused, while the rest is given back */
        sd_bus_error error;
} Lockd;

static void lockd_free(void *work) {
        Lockd *lockd = work;

        sd_bus_slot_unref(lockd->slot);
        sd_bus_error_free(&lockd->error);
        g_free(lockd);
}

/* --- messages ------------------------------------------------------------------------------------------------------- */

static int new_message(const Lockd *lockd, const char *member, sd_bus_message **ret) {
        sd_bus *bus = vb_daemon_bus(lockd->call->domain->hypervisor->daemon);

        return sd_bus_message_new_method_call(bus, ret, VB_LOCK_NAME, VB_LOCK_PATH, VB_INTERFACE_LOCK_MANAGER1, member);
}

/* The process that holds what is held, by number and start time: so it is no other. */
static int append_process(sd_bus_message *m, const VbLockCall *call) {
        return sd_bus_message_append(m, "a{sv}", 2, "pid", "u", (uint32_t) call->claims->pid, "start-time", "t",
                                     call->claims->start_time);
}

static int append_owner(sd_bus_message *m, const VbLockCall *call) {
        const VbDomain *domain = call->domain;

        return sd_bus_message_append(m, "a{sv}", 6, "pid", "u", (uint32_t) call->claims->pid, "start-time", "t",
                                     call->claims->start_time, "name", "s", domain->name, "uuid", "s", domain->uuid_string, "id",
                                     "i", (int32_t) domain->id, "uid", "u", (uint32_t) domain->owner);
}

static int append_images(sd_bus_message *m, const VbClaim *claims, size_t n) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sh}");
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (!claims[i].folder)
                        r = sd_bus_message_append(m, "{sh}", claims[i].name, claims[i].fd);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* What it is called: an image by its path, a lease by its file. */
static char *claim_path(const VbClaim *claim) {
        return claim->folder ? g_build_filename(claim->folder, claim->name, NULL) : g_strdup(claim->name);
}

static bool is_lease(const VbClaim *claim) {
        return claim->folder;
}

static bool is_shared(const VbClaim *claim) {
        return claim->shared;
}

static int append_names(sd_bus_message *m, const char *key, const VbClaim *claims, size_t n, bool (*wanted)(const VbClaim *)) {
        g_auto(GStrv) names = g_new0(char *, n + 1);
        size_t found = 0;
        int r;

        for (size_t i = 0; i < n; i++)
                if (wanted(&claims[i]))
                        names[found++] = claim_path(&claims[i]);
        if (found == 0)
                return 0;
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, names);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_claims(sd_bus_message *m, const VbClaim *claims, size_t n) {
        int r;

        r = append_images(m, claims, n);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_names(m, "leases", claims, n, is_lease);
        if (r >= 0)
                r = append_names(m, "shared", claims, n, is_shared);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void end(Lockd *lockd, int r, const sd_bus_error *error) {
        vb_lock_call_end(lockd->call, r, error);
}

/* What of the definition the words are about, if they name it: "disk vda: ". */
static char *find_device(const VbClaims *claims, const char *words) {
        for (size_t i = 0; i < claims->n; i++) {
                g_autofree char *path = claim_path(&claims->items[i]);

                if (strstr(words, path))
                        return g_strdup_printf("%s: ", claims->items[i].device);
        }
        return g_strdup("");
}

static bool is_absent(const sd_bus_error *error) {
        return g_str_has_prefix(error->name, "org.freedesktop.DBus.Error.Spawn.") || g_str_has_prefix(error->name, "org.freedesktop.systemd1.") ||
               sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_NO_REPLY,
                                      SD_BUS_ERROR_DISCONNECTED);
}

static bool is_late(const sd_bus_error *error) {
        return sd_bus_error_has_names(error, SD_BUS_ERROR_TIMEOUT, "org.freedesktop.DBus.Error.TimedOut");
}

/* Says for people what was refused, and returns the errno. */
static int explain(const VbLockCall *call, const sd_bus_error *error, sd_bus_error *ret) {
        const VbDomain *domain = call->domain;
        const char *words = error->message ?: error->name, *settings = domain->hypervisor->driver->name;
        g_autofree char *device = NULL;

        if (is_late(error))
                return sd_bus_error_setf(ret, VB_ERROR_TIMEOUT, "domain '%s': cannot %s: virtlockd, which grants leases on disks, does not answer",
                                         domain->name, call->purpose);
        if (is_absent(error))
                return sd_bus_error_setf(ret, VB_ERROR_OPERATION_FAILED,
                                         "domain '%s': cannot %s: virtlockd, which grants leases on disks, cannot be reached (%s); lock_manager = none in "
                                         "%s.conf does without",
                                         domain->name, call->purpose, words, settings);
        device = find_device(call->claims, words);
        return sd_bus_error_setf(ret, g_str_has_prefix(error->name, "org.virtbus.Error.") ? error->name : VB_ERROR_OPERATION_FAILED,
                                 "domain '%s': cannot %s: %s%s", domain->name, call->purpose, device, words);
}

static void fail(Lockd *lockd, const sd_bus_error *error) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        int r = explain(lockd->call, error, &own);

        end(lockd, r, &own);
}

static int send(Lockd *lockd, sd_bus_message *m, sd_bus_message_handler_t answered, uint64_t usec) {
        sd_bus *bus = vb_daemon_bus(lockd->call->domain->hypervisor->daemon);

        lockd->slot = sd_bus_slot_unref(lockd->slot);
        return sd_bus_call_async(bus, &lockd->slot, m, answered, lockd, usec);
}

/* Something could not even be sent. */
static void fail_to_ask(Lockd *lockd, int r) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        r = sd_bus_error_setf(&error, VB_ERROR_OPERATION_FAILED, "domain '%s': cannot %s: cannot ask virtlockd: %s",
                              lockd->call->domain->name, lockd->call->purpose, g_strerror(-r));
        end(lockd, r, &error);
}

/* --- acquire -------------------------------------------------------------------------------------------------------- */

static int ask_next(Lockd *lockd);

static int on_given_back(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        Lockd *lockd = userdata;

        end(lockd, lockd->r, &lockd->error);
        return 0;
}

static int send_release(Lockd *lockd, sd_bus_message_handler_t answered) {
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = new_message(lockd, "Release", &m);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false); /* who is not there holds nothing for anybody */
        if (r >= 0)
                r = append_process(m, lockd->call);
        if (r >= 0)
                r = sd_bus_message_append(m, "asa{sv}", 0, 0);
        return r < 0 ? r : send(lockd, m, answered, RELEASE_USEC);
}

static int on_acquired(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        Lockd *lockd = userdata;
        int r;

        if (!error) {
                lockd->holds = true;
                r = ask_next(lockd);
                if (r < 0)
                        fail_to_ask(lockd, r);
                else if (r == 0)
                        end(lockd, 0, NULL);
                return 0;
        }
        if (!lockd->holds) {
                fail(lockd, error);
                return 0;
        }
        lockd->r = explain(lockd->call, error, &lockd->error);
        if (send_release(lockd, on_given_back) < 0)
                end(lockd, lockd->r, &lockd->error);
        return 0;
}

/* As many as go into one call. */
static size_t choose_batch(const VbClaims *claims, size_t first) {
        size_t images = 0, i;

        for (i = first; i < claims->n; i++)
                if (!claims->items[i].folder && ++images > IMAGES_PER_CALL)
                        break;
        return i - first;
}

static int ask_for_claims(Lockd *lockd) {
        const VbClaims *claims = lockd->call->claims;
        const VbClaim *first = &claims->items[lockd->next];
        size_t n = choose_batch(claims, lockd->next);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = new_message(lockd, "Acquire", &m);
        if (r >= 0)
                r = append_owner(m, lockd->call);
        if (r >= 0)
                r = append_claims(m, first, n);
        lockd->next += n;
        return r < 0 ? r : send(lockd, m, on_acquired, ASK_USEC);
}

static int on_lockspace_added(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        Lockd *lockd = userdata;
        int r;

        if (error) {
                fail(lockd, error);
                return 0;
        }
        r = ask_next(lockd);
        if (r < 0)
                fail_to_ask(lockd, r);
        return 0;
}

static int add_lockspace(Lockd *lockd, const char *folder) {
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = new_message(lockd, "AddLockspace", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sa{sv}", folder, 1, "create", "b", false);
        return r < 0 ? r : send(lockd, m, on_lockspace_added, ASK_USEC);
}

/* 1: it was asked. 0: there is nothing left to ask for. */
static int ask_next(Lockd *lockd) {
        const VbClaims *claims = lockd->call->claims;
        int r;

        while (lockd->next_folder < claims->n) {
                const char *folder = claims->items[lockd->next_folder++].folder;

                if (!folder)
                        continue;
                r = add_lockspace(lockd, folder);
                return r < 0 ? r : 1;
        }
        if (lockd->next == claims->n)
                return 0;
        r = ask_for_claims(lockd);
        return r < 0 ? r : 1;
}

static Lockd *lockd_new(VbLockCall *call) {
        Lockd *lockd = g_new0(Lockd, 1);

        lockd->call = call;
        call->work = lockd;
        call->free_work = lockd_free;
        return lockd;
}

static int refuse_to_ask(const VbLockCall *call, int r, sd_bus_error *reterr) {
        if (r >= 0)
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': cannot %s: cannot ask virtlockd: %s",
                                 call->domain->name, call->purpose, g_strerror(-r));
}

static int acquire(VbLockCall *call, sd_bus_error *reterr) {
        return refuse_to_ask(call, ask_next(lockd_new(call)), reterr);
}

/* --- the others ----------------------------------------------------------------------------------------------------- */

static int on_released(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error *error = sd_bus_message_get_error(m);

        if (error && !is_absent(error))
                fail(userdata, error);
        else
                end(userdata, 0, NULL);
        return 0;
}

static int release(VbLockCall *call, sd_bus_error *reterr) {
        return refuse_to_ask(call, send_release(lockd_new(call), on_released), reterr);
}

static int on_suspended(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        Lockd *lockd = userdata;
        const char *token;

        if (error || sd_bus_message_read(m, "s", &token) < 0) {
                fail(lockd, error ?: &SD_BUS_ERROR_MAKE_CONST(SD_BUS_ERROR_INVALID_SIGNATURE, "virtlockd's answer makes no sense"));
                return 0;
        }
        g_free(lockd->call->claims->token);
        lockd->call->claims->token = g_strdup(token);
        end(lockd, 0, NULL);
        return 0;
}

static int suspend(VbLockCall *call, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) m = NULL;
        Lockd *lockd = lockd_new(call);
        int r;

        r = new_message(lockd, "Suspend", &m);
        if (r >= 0)
                r = append_process(m, call);
        if (r >= 0)
                r = sd_bus_message_append(m, "a{sv}", 0);
        if (r >= 0)
                r = send(lockd, m, on_suspended, ASK_USEC);
        return refuse_to_ask(call, r, reterr);
}

static int on_resumed(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        Lockd *lockd = userdata;

        if (error) {
                fail(lockd, error);
                return 0;
        }
        g_clear_pointer(&lockd->call->claims->token, g_free);
        end(lockd, 0, NULL);
        return 0;
}

static int resume(VbLockCall *call, sd_bus_error *reterr) {
        const char *token = call->claims->token;
        g_autoptr(sd_bus_message) m = NULL;
        Lockd *lockd = lockd_new(call);
        int r;

        r = new_message(lockd, "Resume", &m);
        if (r >= 0)
                r = append_process(m, call);
        if (r >= 0)
                r = token ? sd_bus_message_append(m, "a{sv}", 1, "state", "s", token) : sd_bus_message_append(m, "a{sv}", 0);
        if (r >= 0)
                r = send(lockd, m, on_resumed, ASK_USEC);
        return refuse_to_ask(call, r, reterr);
}

static int check(const VbDomain *domain, sd_bus_error *reterr) {
        for (size_t i = 0; i < domain->claims->n; i++)
                if (domain->claims->items[i].offset > 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "domain '%s': cannot start: %s: its <target> has an offset, but virtlockd's leases are files of their own",
                                                 domain->name, domain->claims->items[i].device);
        return 0;
}

const VbLockManager vb_lock_manager_lockd = {
        .name = "lockd",
        .in_session = true,
        .check = check,
        .acquire = acquire,
        .release = release,
        .suspend = suspend,
        .resume = resume,
};
