/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/figures.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define FIGURES_MAX 65536u

static int read_value(ProxyCall *call, sd_bus_message *answer, ProxyFigure *figure) {
        const char *contents, *text;
        uint32_t small;
        char type;
        int flag, r;

        r = sd_bus_message_peek_type(answer, &type, &contents);
        if (r < 0)
                return r;
        figure->type = contents[1] == '\0' ? contents[0] : '?';
        switch (figure->type) {
        case 's':
                r = sd_bus_message_read(answer, "v", "s", &text);
                if (r >= 0)
                        figure->text = proxy_call_strdup(call, text);
                return r;
        case 'u':
                r = sd_bus_message_read(answer, "v", "u", &small);
                figure->number = r < 0 ? 0 : small;
                return r;
        case 'b':
                r = sd_bus_message_read(answer, "v", "b", &flag);
                figure->number = r >= 0 && flag;
                return r;
        case 't':
                return sd_bus_message_read(answer, "v", "t", &figure->number);
        default:
                return sd_bus_message_skip(answer, "v");
        }
}

static int read_all(ProxyCall *call, sd_bus_message *answer, GArray *items) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(answer, 'e', "sv")) > 0) {
                ProxyFigure figure = { 0 };

                r = sd_bus_message_read_basic(answer, 's', &key);
                if (r >= 0)
                        r = read_value(call, answer, &figure);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
                figure.key = proxy_call_strdup(call, key);
                if (r >= 0 && items->len < FIGURES_MAX)
                        g_array_append_val(items, figure);
        }
        return r < 0 ? r : sd_bus_message_exit_container(answer);
}

int proxy_figures_read(ProxyCall *call, sd_bus_message *answer, ProxyFigures *ret) {
        g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(ProxyFigure));
        const char *path;
        int r;

        r = sd_bus_message_enter_container(answer, 'r', "oa{sv}");
        if (r <= 0)
                return r;
        r = sd_bus_message_read_basic(answer, 'o', &path);
        if (r >= 0)
                r = read_all(call, answer, items);
        if (r >= 0)
                r = sd_bus_message_exit_container(answer);
        if (r < 0)
                return r;
        *ret = (ProxyFigures){ .path = proxy_call_strdup(call, path), .n = items->len };
        ret->items = proxy_call_alloc_array(call, MAX(items->len, 1u), sizeof(ProxyFigure));
        if (items->len > 0)
                memcpy(ret->items, items->data, items->len * sizeof(ProxyFigure));
        return 1;
}

static const ProxyFigure *find(const ProxyFigures *figures, const char *format, va_list arguments) {
        char key[128];

        (void) g_vsnprintf(key, sizeof(key), format, arguments);
        for (unsigned i = 0; i < figures->n; i++)
                if (strcmp(figures->items[i].key, key) == 0)
                        return &figures->items[i];
        return NULL;
}

const ProxyFigure *proxy_figures_find(const ProxyFigures *figures, const char *format, ...) {
        const ProxyFigure *found;
        va_list arguments;

        va_start(arguments, format);
        found = find(figures, format, arguments);
        va_end(arguments);
        return found;
}

uint64_t proxy_figures_number(const ProxyFigures *figures, uint64_t none, const char *format, ...) {
        const ProxyFigure *found;
        va_list arguments;

        va_start(arguments, format);
        found = find(figures, format, arguments);
        va_end(arguments);
        return found && found->type != 's' ? found->number : none;
}
