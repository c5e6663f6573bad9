/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's definition. Clients ask for the one of the next start without knowing whether there is to be
 * one: of a transient domain they get that of the guest that runs. */

#include "proxy/call.h"

enum {
        ALL_FLAGS = VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_UPDATE_CPU |
                    VIR_DOMAIN_XML_MIGRATABLE,
};

static int append_option(sd_bus_message *message, bool is_set, const char *option) {
        return is_set ? sd_bus_message_append(message, "{sv}", option, "b", 1) : 0;
}

static int append_options(sd_bus_message *message, unsigned flags, bool persistent) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = append_option(message, flags & VIR_DOMAIN_XML_SECURE, "secure");
        if (r >= 0)
                r = append_option(message, flags & VIR_DOMAIN_XML_INACTIVE && persistent, "inactive");
        if (r >= 0)
                r = append_option(message, flags & VIR_DOMAIN_XML_MIGRATABLE, "migratable");
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int on_xml(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        RpcRemoteDomainGetXmlDescRet ret = {};
        int r;

        r = sd_bus_message_read_basic(answer, 's', &ret.xml);
        return r < 0 ? r : proxy_reply_remote_domain_get_xml_desc(call, &ret);
}

int proxy_remote_domain_get_xml_desc(ProxyCall *call, const RpcRemoteDomainGetXmlDescArgs *args,
                                     sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, ALL_FLAGS, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, &message, domain->path, "org.virtbus.Domain1", "GetXML", reterr);
        if (r < 0)
                return r;
        r = append_options(message, args->flags, domain->persistent);
        return r < 0 ? r : proxy_call_send(call, message, on_xml, NULL, reterr);
}
