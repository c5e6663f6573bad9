/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events of which the bus tells everyone that they happened, but not what: to which limit, in which element of the metadata, by whom. The driver
 * is asked for it in the name of the client who has registered, and tells it if she may read the definition. */

#include "proxy/events.h"

typedef struct ProxyQuestion ProxyQuestion;

typedef struct ProxyQuestionKind {
        const char *member; /* of Domain1 */
        int (*append)(sd_bus_message *message, const ProxyQuestion *question); /* its arguments */
        /* answer NULL: it is not known, or not for her. */
        void (*tell)(const ProxyQuestion *question, const ProxyDomain *domain, sd_bus_message *answer);
} ProxyQuestionKind;

struct ProxyQuestion {
        ProxyEvents *events;
        const ProxyQuestionKind *kind;

        /* what the event has said; which of it matters, the kind knows */
        const char *part;
        uint64_t number;
        int phase;
};

/* Asks a question that is copied; its kind tells the answer, if the domain is still there then. */
void proxy_events_ask(const ProxyQuestion *question, const ProxyDomain *domain);
