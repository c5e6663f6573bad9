/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The definitions of saved guests: read, and replaced by others that the guest cannot tell apart.
 *
 * To replace one takes three steps: a thread reads what is there; the loop compares, and asks for rights,
 * after whose answer all begins anew; a thread writes. A managed save is its domain's business: while it is
 * written, the domain can do nothing else. */

#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "hypervisor/call-work.h"
#include "hypervisor/define.h"
#include "hypervisor/handlers.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/restore.h"
#include "hypervisor/saved-state.h"
#include "interfaces/actions.h"

/* What a thread works on. */
typedef struct Saved {
        VbHypervisor *hypervisor;
        VbUuid uuid; /* the domain of a managed save, which may go meanwhile */
        char *path; /* likewise, to be opened; NULL: the file is the caller's */
        int fd;
        VbSavedState *state; /* as it was */
        const char *wanted; /* the call's; NULL: only to be read */
        bool has_paused, paused; /* wanted, too */
        bool secure;
        char *xml; /* to be written */

        /* Of the writing. */
        int result;
        sd_bus_error error;
} Saved;

static void saved_free(gpointer data) {
        Saved *saved = data;

        saved->fd = vb_close(saved->fd);
        saved->state = vb_saved_state_free(saved->state);
        sd_bus_error_free(&saved->error);
        g_free(saved->path);
        g_free(saved->xml);
        g_free(saved);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Saved, saved_free)

static Saved *saved_new(VbHypervisor *hypervisor, const char *wanted) {
        Saved *saved = g_new0(Saved, 1);

        saved->hypervisor = hypervisor;
        saved->fd = -EBADF;
        saved->wanted = wanted;
        return saved;
}

static int work_read(void *data, sd_bus_error *reterr) {
        Saved *saved = data;
        int flags = (saved->wanted ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;

        if (saved->path) {
                saved->fd = open(saved->path, flags);
                if (saved->fd < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot open %s: %s",
                                                 saved->path, g_strerror(errno));
        }
        return vb_saved_state_read(saved->fd, &saved->state, reterr);
}

/* Whatever comes of it, the loop is told: there is something to be ended. */
static int work_write(void *data, sd_bus_error *reterr) {
        Saved *saved = data;
        bool running = saved->has_paused ? !saved->paused : saved->state->running;

        saved->result = vb_saved_state_replace_xml(saved->fd, saved->xml, running, &saved->error);
        return 0;
}

static int parse_saved(const Saved *saved, VbDomainDefinition **ret, sd_bus_error *reterr) {
        const char *xml = saved->state->xml;
        int r;

        /* Only what we have written ourselves says whose it is. */
        r = vb_domain_definition_parse(ret, xml, strlen(xml), saved->path ? VB_DOMAIN_PARSE_PRIVATE : 0,
                                       reterr);
        return r < 0 ? vb_error_prefix(reterr, "saved guest") : 0;
}

static int parse_wanted(const Saved *saved, VbDomainDefinition **ret, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) before = NULL, wanted = NULL;
        int r;

        r = parse_saved(saved, &before, reterr);
        if (r < 0)
                return r;
        r = vb_domain_definition_parse(&wanted, saved->wanted, strlen(saved->wanted), 0, reterr);
        if (r < 0)
                return r;
        r = vb_domain_definition_check_same_guest(before, wanted, reterr);
        if (r < 0)
                return r;
        wanted->owner = before->owner;
        *ret = g_steal_pointer(&wanted);
        return 0;
}

/* The caller's own file */

static int reply_written(VbCall *call, void *data, sd_bus_error *reterr) {
        Saved *saved = data;

        if (saved->result < 0)
                return sd_bus_error_move(reterr, &saved->error);
        return vb_hypervisor1_reply_set_saved_xml(call);
}

/* The file of a thread that is done goes on to the next. */
static Saved *pass_on(Saved *saved, const VbDomainDefinition *wanted) {
        Saved *next = g_new(Saved, 1);

        *next = *saved;
        saved->fd = -EBADF;
        saved->state = NULL;
        saved->path = NULL;
        next->xml = vb_domain_definition_format(wanted, VB_DOMAIN_FORMAT_SECURE | VB_DOMAIN_FORMAT_INACTIVE |
                                                                (next->path ? VB_DOMAIN_FORMAT_PRIVATE : 0));
        return next;
}

static int replace_saved(VbCall *call, void *data, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) wanted = NULL;
        Saved *saved = data;
        int r;

        r = parse_wanted(saved, &wanted, reterr);
        if (r < 0)
                return r;
        return vb_call_work_start(call, saved->hypervisor, work_write, pass_on(saved, wanted), saved_free,
                                  reply_written, reterr);
}

static int check_writable(int fd, sd_bus_error *reterr) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || flags & (O_APPEND | O_PATH))
                return sd_bus_error_set(
                        reterr, VB_ERROR_INVALID_ARGUMENT,
                        "the file is not open for reading and writing (and not only for appending)");
        return 0;
}

int vb_hypervisor_on_set_saved_xml(VbCall *call, VbObject *root, const VbHypervisor1SetSavedXmlArgs *args,
                                   sd_bus_error *reterr) {
        VbHypervisor *hypervisor = vb_hypervisor_of(root);
        Saved *saved;
        int r;

        r = check_writable(args->file, reterr);
        if (r < 0)
                return r;
        saved = saved_new(hypervisor, args->xml);
        saved->fd = fcntl(args->file, F_DUPFD_CLOEXEC, 3);
        saved->has_paused = args->options.has_paused;
        saved->paused = args->options.paused;
        return vb_call_work_start(call, hypervisor, work_read, saved, saved_free, replace_saved, reterr);
}

/* A domain's managed save */

static int begin_managed(VbCall *call, const VbDomain *domain, Saved *saved, VbCallWorkReply reply,
                         sd_bus_error *reterr) {
        saved->uuid = domain->uuid;
        saved->path = vb_domain_managed_save_path(domain);
        return vb_call_work_start(call, domain->hypervisor, work_read, saved, saved_free, reply, reterr);
}

static int check_managed(const VbDomain *domain, sd_bus_error *reterr) {
        if (!domain->has_managed_save)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s' has no managed save",
                                         domain->name);
        return 0;
}

static int reply_managed(VbCall *call, void *data, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_autofree char *xml = NULL;
        const Saved *saved = data;
        int r;

        r = parse_saved(saved, &definition, reterr);
        if (r < 0)
                return r;
        xml = vb_domain_definition_format(definition, VB_DOMAIN_FORMAT_INACTIVE |
                                                              (saved->secure ? VB_DOMAIN_FORMAT_SECURE : 0));
        return vb_domain1_reply_get_managed_save_xml(call, xml);
}

int vb_domain_on_get_managed_save_xml(VbCall *call, VbObject *object,
                                      const VbDomain1GetManagedSaveXmlArgs *args, sd_bus_error *reterr) {
        const VbDomain *domain = vb_domain_of(object);
        Saved *saved;
        int r;

        r = check_managed(domain, reterr);
        if (r < 0)
                return r;
        saved = saved_new(domain->hypervisor, /* wanted= */ NULL);
        saved->secure = args->options.secure;
        return begin_managed(call, domain, saved, reply_managed, reterr);
}

static int managed_written(VbCall *call, void *data, sd_bus_error *reterr) {
        Saved *saved = data;
        VbDomain *domain = vb_registry_find(saved->hypervisor->registry, &saved->uuid);

        if (domain)
                vb_domain_finish(domain, saved->result, saved->result < 0 ? &saved->error : NULL);
        if (saved->result < 0)
                return sd_bus_error_move(reterr, &saved->error);
        return vb_domain1_reply_set_managed_save_xml(call);
}

static int replace_managed(VbCall *call, void *data, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) wanted = NULL;
        Saved *saved = data;
        VbDomain *domain = vb_registry_find(saved->hypervisor->registry, &saved->uuid);
        int r;

        r = parse_wanted(saved, &wanted, reterr);
        if (r < 0)
                return r;
        if (!domain || !domain->has_managed_save)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_STATE,
                                        "the managed save has gone meanwhile");
        r = vb_domain_begin(domain, "change the managed save", NULL, NULL, reterr);
        if (r < 0)
                return r;
        r = vb_call_work_start(call, saved->hypervisor, work_write, pass_on(saved, wanted), saved_free,
                               managed_written, reterr);
        if (r < 0)
                vb_domain_abandon(domain);
        return r;
}

/* What reaches into the host needs a right, whatever else may stand in the way. As vb_call_require(). */
static int require_host(VbCall *call, const VbDomain *domain, const char *xml, sd_bus_error *reterr) {
        VbSubject subject = { domain->name, domain->uuid_string, domain->owner };
        g_autoptr(VbDomainDefinition) wanted = NULL;
        int r;

        r = vb_domain_definition_parse(&wanted, xml, strlen(xml), 0, reterr);
        if (r < 0)
                return r;
        if (!vb_domain_definition_uses_host(wanted))
                return 1;
        return vb_call_require(call, &vb_action_domain_assign_device, subject, reterr);
}

int vb_domain_on_set_managed_save_xml(VbCall *call, VbObject *object,
                                      const VbDomain1SetManagedSaveXmlArgs *args, sd_bus_error *reterr) {
        const VbDomain *domain = vb_domain_of(object);
        Saved *saved;
        int r;

        r = require_host(call, domain, args->xml, reterr);
        if (r <= 0)
                return r;
        r = check_managed(domain, reterr);
        if (r < 0)
                return r;
        saved = saved_new(domain->hypervisor, args->xml);
        saved->has_paused = args->options.has_paused;
        saved->paused = args->options.paused;
        return begin_managed(call, domain, saved, replace_managed, reterr);
}
