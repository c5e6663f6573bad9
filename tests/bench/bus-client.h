/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the clients of all bus services share: one connection to the system bus, and calls that wait. */

#include <stdint.h>
#include <systemd/sd-bus.h>

int bus_client_connect(void);
void bus_client_disconnect(void);
sd_bus *bus_client_bus(void);

/* Calls a method without arguments and reads its reply, which must be of the signature "types" (NULL for none). */
int bus_client_call(const char *name, const char *path, const char *interface, const char *member, const char *types);

/* Reads one property of the type "type". */
int bus_client_get(const char *name, const char *path, const char *interface, const char *member, const char *type);

/* All objects with all their properties, each value of them looked at; counts those that have "interface", and tells
 * when the reply had come. */
int bus_client_managed_objects(const char *name, const char *path, const char *interface, unsigned *ret_n,
                               uint64_t *ret_replied);

/* Sends a message, waits for its reply, and says what failed. */
int bus_client_send(sd_bus_message *message, sd_bus_message **ret_reply);

/* A new call to be filled with arguments. */
int bus_client_new(const char *name, const char *path, const char *interface, const char *member, sd_bus_message **ret);
