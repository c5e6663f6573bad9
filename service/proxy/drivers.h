/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The drivers that exist: each has sockets of its own beside libvirt-sock, and an address on the bus. */

#include <stdbool.h>

typedef struct ProxyDriver {
        const char *name; /* "qemu"; as in virtqemud-sock, and before the colon of an URI */
        const char *bus_name;
        const char *path; /* its root object */
} ProxyDriver;

extern const ProxyDriver proxy_drivers[]; /* ends with a name of NULL */

/* NULL if there is none. */
const ProxyDriver *proxy_driver_find(const char *name);
