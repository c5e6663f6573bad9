/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/drivers.h"

#include <stddef.h>
#include <string.h>

const ProxyDriver proxy_drivers[] = {
        { "qemu", "org.virtbus.Qemu1", "/org/virtbus/Qemu1" },
        {},
};

const ProxyDriver *proxy_driver_find(const char *name) {
        for (const ProxyDriver *driver = proxy_drivers; driver->name; driver++)
                if (strcmp(driver->name, name) == 0)
                        return driver;
        return NULL;
}
