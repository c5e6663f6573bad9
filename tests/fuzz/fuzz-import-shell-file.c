/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What another package's file of settings says, whatever it is. */
#include "import/libvirt-guests.h"

#include "base/error.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GString) settings = g_string_new(NULL), notes = g_string_new(NULL);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *text = g_strndup((const char *) data, size);
        g_autoptr(VbShellFile) file = vb_shell_file_parse(text);

        if (vb_libvirt_guests_import("guests", file, settings, notes, &error) < 0)
                g_assert_nonnull(error.message);
        return 0;
}
