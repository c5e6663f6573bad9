/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answer of Hypervisor1.GetStats: keys are libvirt's, values are typed by the bus. */

#include "proxy/call.h"

typedef struct ProxyFigure {
        const char *key;
        char type; /* 's', 'u', 't', 'b' */
        uint64_t number;
        const char *text; /* the call's */
} ProxyFigure;

typedef struct ProxyFigures {
        const char *path; /* of the domain; the call's */
        ProxyFigure *items;
        unsigned n;
} ProxyFigures;

/* The next domain of the answer, into which the caller has entered (a(oa{sv})). 0: there is none. */
VB_MUST_USE int proxy_figures_read(ProxyCall *call, sd_bus_message *answer, ProxyFigures *ret);

/* NULL if there is none of this key. */
const ProxyFigure *proxy_figures_find(const ProxyFigures *figures, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A number, or what stands for none. */
uint64_t proxy_figures_number(const ProxyFigures *figures, uint64_t none, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
