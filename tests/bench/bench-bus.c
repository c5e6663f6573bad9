/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The backends that are reached over the bus, and the limits. */

#include <stddef.h>

#include "backend.h"

extern const Backend virtbus_backend, libvirt_dbus_backend, bare_backend;

const Backend *const backends[] = { &virtbus_backend, &libvirt_dbus_backend, &bare_backend, NULL };
