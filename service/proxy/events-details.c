/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which element of the metadata has changed, and who has come to a display: what the bus does not tell to everyone. */

#include <string.h>

#include "proxy/call.h"
#include "proxy/constants.h"
#include "proxy/events-asked.h"

static int append_number(sd_bus_message *message, const ProxyQuestion *question) {
        return sd_bus_message_append(message, "ta{sv}", question->number, 0);
}

/* --- metadata ---------------------------------------------------------------------------------------------------------- */

static void tell_element(const ProxyQuestion *question, const ProxyDomain *domain, sd_bus_message *answer) {
        const char *uri = NULL;

        if (answer && sd_bus_message_read(answer, "s", &uri) < 0)
                uri = NULL;
        proxy_events_send(question->events, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, domain,
                          &(RpcRemoteDomainEventCallbackMetadataChangeMsg){
                                  .dom = proxy_domain_to_rpc(domain),
                                  .type = VIR_DOMAIN_METADATA_ELEMENT,
                                  .nsuri = uri,
                          });
}

void proxy_events_tell_metadata(ProxyEvents *events, const ProxyDomain *domain, uint64_t change) {
        static const ProxyQuestionKind kind = { "GetMetadataChange", append_number, tell_element };

        proxy_events_ask(&(ProxyQuestion){ .events = events, .kind = &kind, .number = change }, domain);
}

/* --- viewers ----------------------------------------------------------------------------------------------------------- */

enum {
        IDENTITIES_MAX = 4,
};

static int read_address(sd_bus_message *answer, RpcDomainEventGraphicsAddress *ret) {
        const char *family, *node, *service;
        int r;

        r = sd_bus_message_read(answer, "(sss)", &family, &node, &service);
        if (r < 0)
                return r;
        *ret = (RpcDomainEventGraphicsAddress){
                .family = strcmp(family, "ipv6") == 0 ? VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV6 :
                          strcmp(family, "unix") == 0 ? VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_UNIX :
                                                        VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV4,
                .node = node,
                .service = service,
        };
        return 0;
}

static int read_identities(sd_bus_message *answer, RpcDomainEventGraphicsIdentity *items, uint32_t *n) {
        const char *type, *name;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "(ss)");
        while (r >= 0 && *n < IDENTITIES_MAX && (r = sd_bus_message_read(answer, "(ss)", &type, &name)) > 0)
                items[(*n)++] = (RpcDomainEventGraphicsIdentity){
                        .type = strcmp(type, "x509-name") == 0 ? "x509dname" :
                                strcmp(type, "sasl-username") == 0 ? "saslUsername" : type,
                        .name = name,
                };
        return r;
}

static void tell_viewer(const ProxyQuestion *question, const ProxyDomain *domain, sd_bus_message *answer) {
        const RpcDomainEventGraphicsAddress nowhere = { VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_UNIX, "", "" };
        RpcDomainEventGraphicsAddress server = nowhere, client = nowhere;
        RpcDomainEventGraphicsIdentity identities[IDENTITIES_MAX];
        uint32_t n = 0;

        if (answer && (read_address(answer, &server) < 0 || read_address(answer, &client) < 0 || read_identities(answer, identities, &n) < 0)) {
                server = client = nowhere;
                n = 0;
        }
        proxy_events_send(question->events, VIR_DOMAIN_EVENT_ID_GRAPHICS, domain,
                          &(RpcRemoteDomainEventCallbackGraphicsMsg){
                                  .msg = { .dom = proxy_domain_to_rpc(domain),
                                           .phase = question->phase,
                                           .local = server,
                                           .remote = client,
                                           .authScheme = question->part,
                                           .subject = { n, identities } },
                          });
}

void proxy_events_tell_viewer(ProxyEvents *events, const ProxyDomain *domain, int phase, const char *auth, uint64_t number) {
        static const ProxyQuestionKind kind = { "GetDisplayClient", append_number, tell_viewer };

        proxy_events_ask(&(ProxyQuestion){ .events = events, .kind = &kind, .number = number, .phase = phase, .part = auth }, domain);
}
