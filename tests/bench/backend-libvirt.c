/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirtd, or virtproxyd, by libvirt's own C library over the local socket: what answers there is not known here. */

#include <errno.h>
#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "backend.h"
#include "measure.h"

static virConnectPtr connection;
static GHashTable *found; /* number of the domain → virDomainPtr */

static int fail(const char *what) {
        const char *message = virGetLastErrorMessage();

        return log_error(-EIO, "%s: %s", what, message);
}

static void domain_unref(void *domain) {
        (void) virDomainFree(domain);
}

static void keep(unsigned index, virDomainPtr domain) {
        g_hash_table_insert(found, GUINT_TO_POINTER(index + 1), domain);
}

static virDomainPtr kept(unsigned index) {
        return g_hash_table_lookup(found, GUINT_TO_POINTER(index + 1));
}

static void ignore_error(void *userdata, virErrorPtr error) {
}

static void give_up(int timer, void *userdata) {
        bool *late = userdata;

        *late = true;
}

static int libvirt_connect(void) {
        virSetErrorFunc(NULL, ignore_error);
        connection = virConnectOpen("qemu:///system");
        if (!connection)
                return fail("cannot connect");
        found = g_hash_table_new_full(NULL, NULL, NULL, domain_unref);
        return 0;
}

static void libvirt_disconnect(void) {
        g_clear_pointer(&found, g_hash_table_unref);
        if (connection)
                (void) virConnectClose(connection);
        connection = NULL;
}

static int libvirt_ping(void) {
        unsigned long version;

        return virConnectGetLibVersion(connection, &version) < 0 ? fail("version") : 0;
}

static int libvirt_find(unsigned index) {
        g_autofree char *uuid = g_strdup_printf(DOMAIN_UUID_FORMAT, index);
        virDomainPtr domain;

        if (kept(index))
                return 0;
        domain = virDomainLookupByUUIDString(connection, uuid);
        if (!domain)
                return fail(uuid);
        keep(index, domain);
        return 0;
}

static int libvirt_state(unsigned index) {
        int state, reason;

        return virDomainGetState(kept(index), &state, &reason, 0) < 0 ? fail("state") : 0;
}

static int libvirt_list(unsigned *ret_n, uint64_t *ret_replied) {
        virDomainPtr *domains;
        int n, failed = 0;

        n = virConnectListAllDomains(connection, &domains, 0);
        if (n < 0)
                return fail("list");
        for (int i = 0; i < n; i++) {
                int state, reason;

                failed |= virDomainGetState(domains[i], &state, &reason, 0);
                (void) virDomainFree(domains[i]);
        }
        free(domains);
        if (failed < 0)
                return fail("state of a listed domain");
        *ret_replied = now_nsec();
        *ret_n = (unsigned) n;
        return 0;
}

static int libvirt_stats(StatsGroup group, unsigned *ret_n) {
        virDomainStatsRecordPtr *records;
        int n;

        n = virConnectGetAllDomainStats(connection, group == STATS_STATE ? VIR_DOMAIN_STATS_STATE : 0, &records, 0);
        if (n < 0)
                return fail("stats");
        virDomainStatsRecordListFree(records);
        *ret_n = (unsigned) n;
        return 0;
}

static int libvirt_names(unsigned *ret_n) {
        virDomainPtr *domains;
        int n;

        n = virConnectListAllDomains(connection, &domains, 0);
        if (n < 0)
                return fail("list");
        for (int i = 0; i < n; i++)
                (void) virDomainFree(domains[i]);
        free(domains);
        *ret_n = (unsigned) n;
        return 0;
}

static int libvirt_hold(unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (!virConnectOpen("qemu:///system"))
                        return fail("one more connection");
        return 0;
}

static int on_lifecycle(virConnectPtr of, virDomainPtr domain, int event, int detail, void *userdata) {
        uint64_t *heard = userdata;

        if (event == VIR_DOMAIN_EVENT_SUSPENDED)
                *heard = now_nsec();
        return 0;
}

static int wait_for(uint64_t *heard) {
        bool late = false;
        int timer = virEventAddTimeout(10000, give_up, &late, NULL);

        while (*heard == 0 && !late)
                if (virEventRunDefaultImpl() < 0)
                        return fail("the event loop");
        (void) virEventRemoveTimeout(timer);
        return late ? log_error(-ETIMEDOUT, "no event in ten seconds") : 0;
}

/* On a connection of its own: one that was opened before there was an event loop hears nothing. */
static int libvirt_event(unsigned index, uint64_t *ret_start, uint64_t *ret_heard) {
        static virConnectPtr listening;
        static virDomainPtr guest;
        static uint64_t heard;
        int r;

        if (!listening) {
                g_autofree char *uuid = g_strdup_printf(DOMAIN_UUID_FORMAT, index);

                (void) virEventRegisterDefaultImpl();
                listening = virConnectOpen("qemu:///system");
                guest = listening ? virDomainLookupByUUIDString(listening, uuid) : NULL;
                if (!guest || virConnectDomainEventRegisterAny(listening, guest, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                               VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), &heard, NULL) < 0)
                        return fail("listening");
        }
        heard = 0;
        *ret_start = now_nsec();
        if (virDomainSuspend(guest) < 0)
                return fail("suspend");
        r = wait_for(&heard);
        if (r < 0)
                return r;
        *ret_heard = heard;
        return virDomainResume(guest) < 0 ? fail("resume") : 0;
}

static int libvirt_define(unsigned index, const char *xml) {
        virDomainPtr domain = virDomainDefineXMLFlags(connection, xml, 0);

        if (!domain)
                return fail("define");
        keep(index, domain);
        return 0;
}

static int libvirt_undefine(unsigned index) {
        return virDomainUndefineFlags(kept(index), 0) < 0 ? fail("undefine") : 0;
}

static int libvirt_create(unsigned index, const char *xml, bool paused) {
        virDomainPtr domain = virDomainCreateXML(connection, xml, paused ? VIR_DOMAIN_START_PAUSED : 0);

        if (!domain)
                return fail("create");
        keep(index, domain);
        return 0;
}

static int libvirt_destroy(unsigned index) {
        return virDomainDestroyFlags(kept(index), 0) < 0 ? fail("destroy") : 0;
}

static int libvirt_capabilities(const char *emulator) {
        g_autofree char *xml = virConnectGetDomainCapabilities(connection, emulator, "x86_64", "pc", "qemu", 0);

        return xml ? 0 : fail("domain capabilities");
}

static const Backend libvirt_backend = {
        .name = "libvirt",
        .unit = "libvirtd.service",
        .connect = libvirt_connect,
        .disconnect = libvirt_disconnect,
        .ping = libvirt_ping,
        .first = libvirt_ping,
        .state = libvirt_state,
        .list = libvirt_list,
        .stats = libvirt_stats,
        .names = libvirt_names,
        .hold = libvirt_hold,
        .event = libvirt_event,
        .find = libvirt_find,
        .define = libvirt_define,
        .undefine = libvirt_undefine,
        .create = libvirt_create,
        .destroy = libvirt_destroy,
        .capabilities = libvirt_capabilities,
};

const Backend *const backends[] = { &libvirt_backend, NULL };
