/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <glib.h>
#include <stdarg.h>

#include "base/cleanup.h"

void vb_error_init(void) {
        static gsize once = 0;

        if (g_once_init_enter(&once)) {
                (void) sd_bus_error_add_map(vb_error_map);
                g_once_init_leave(&once, 1);
        }
}

int vb_error_prefix(sd_bus_error *error, const char *format, ...) {
        g_auto(sd_bus_error) old = SD_BUS_ERROR_NULL;
        g_autofree char *context = NULL;
        va_list arguments;

        if (!error || !sd_bus_error_is_set(error))
                return 0;

        va_start(arguments, format);
        context = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        (void) sd_bus_error_move(&old, error);
        return sd_bus_error_setf(error, old.name, "%s: %s", context, old.message);
}
