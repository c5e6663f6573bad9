/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/types.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

void vb_list_insert(VbList *list, size_t index, void *item) {
        assert(index <= list->n);

        list->items = g_renew(void *, list->items, list->n + 1);
        memmove(list->items + index + 1, list->items + index, (list->n - index) * sizeof(void *));
        list->items[index] = item;
        list->n++;
}

void vb_list_append(VbList *list, void *item) {
        vb_list_insert(list, list->n, item);
}

void *vb_list_steal(VbList *list, size_t index) {
        void *item;

        assert(index < list->n);

        item = list->items[index];
        list->n--;
        memmove(list->items + index, list->items + index + 1, (list->n - index) * sizeof(void *));
        return item;
}

bool vb_mac_is_set(const VbMac *mac) {
        static const VbMac none = {};

        return memcmp(mac, &none, sizeof(none)) != 0;
}

const char *vb_mac_format(const VbMac *mac, char buffer[static VB_MAC_STRING_MAX]) {
        const uint8_t *b = mac->bytes;

        (void) snprintf(buffer, VB_MAC_STRING_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
                        b[4], b[5]);
        return buffer;
}

int vb_mac_parse(const char *text, VbMac *ret) {
        VbMac mac;

        if (strlen(text) != VB_MAC_STRING_MAX - 1)
                return -EINVAL;

        for (size_t i = 0; i < sizeof(mac.bytes); i++) {
                int high = g_ascii_xdigit_value(text[3 * i]), low = g_ascii_xdigit_value(text[3 * i + 1]);

                if (high < 0 || low < 0 || (text[3 * i + 2] != ':' && text[3 * i + 2] != '\0'))
                        return -EINVAL;
                mac.bytes[i] = (uint8_t) (high << 4 | low);
        }

        *ret = mac;
        return 0;
}
