/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/monitor-stream.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PEER_TEXT_MAX 1024

void json_stream_init(JsonStream *stream, size_t max_line, size_t max_values, int max_depth) {
        *stream = (JsonStream) { .max_line = max_line, .max_values = max_values };
        stream->tokener = json_tokener_new_ex(max_depth);
        g_assert(stream->tokener);
        /* What follows an object we look at ourselves. */
        json_tokener_set_flags(stream->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
                                                        JSON_TOKENER_VALIDATE_UTF8);
}

void json_stream_done(JsonStream *stream) {
        g_clear_pointer(&stream->document, vb_json_put);
        g_clear_pointer(&stream->tokener, json_tokener_free);
}

void json_stream_reset(JsonStream *stream) {
        g_clear_pointer(&stream->document, vb_json_put);
        json_tokener_reset(stream->tokener);
        stream->line = stream->values = 0;
        stream->started = false;
}

bool json_stream_is_inside(const JsonStream *stream) {
        return stream->started || stream->document;
}

static int __attribute__((format(printf, 3, 4))) refuse(JsonStream *stream, int r, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(stream->error, sizeof stream->error, format, arguments);
        va_end(arguments);
        return r;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r';
}

/* Bounds before parsing. Characters inside strings count, too: an upper bound is good enough. */
static int check_bounds(JsonStream *stream, const char *data, size_t size) {
        stream->line += size;
        if (stream->line > stream->max_line)
                return refuse(stream, -EMSGSIZE, "a line of more than %zu bytes", stream->max_line);
        for (size_t i = 0; i < size; i++) {
                if (data[i] == '\0')
                        return refuse(stream, -EBADMSG, "a NUL byte");
                stream->values += data[i] == ',' || data[i] == '[' || data[i] == '{';
        }
        if (stream->values > stream->max_values)
                return refuse(stream, -EMSGSIZE, "a line of more than %zu values", stream->max_values);
        return 0;
}

/* A piece of a line, without its end. */
static int parse(JsonStream *stream, const char *data, size_t size) {
        enum json_tokener_error error;

        if (!stream->started)
                while (size > 0 && is_blank(*data))
                        data++, size--;

        while (size > 0 && !stream->document) {
                int piece = (int) MIN(size, (size_t) INT_MAX / 2);

                stream->started = true;
                stream->document = json_tokener_parse_ex(stream->tokener, data, piece);
                error = json_tokener_get_error(stream->tokener);
                if (error == json_tokener_error_depth)
                        return refuse(stream, -EBADMSG, "too deeply nested JSON");
                if (error != json_tokener_continue && error != json_tokener_success)
                        return refuse(stream, -EBADMSG, "no valid JSON (%s)", json_tokener_error_desc(error));
                if (error == json_tokener_success) {
                        if (!json_object_is_type(stream->document, json_type_object))
                                return refuse(stream, -EBADMSG, "JSON that is no object");
                        piece = (int) json_tokener_get_parse_end(stream->tokener);
                }
                data += piece;
                size -= (size_t) piece;
        }

        for (size_t i = 0; i < size; i++)
                if (!is_blank(data[i]))
                        return refuse(stream, -EBADMSG, "something behind an object on its line");
        return 0;
}

int json_stream_feed(JsonStream *stream, const char *data, size_t size, size_t *ret_used, VbJson **ret) {
        size_t used = 0;

        while (used < size) {
                const char *piece = data + used, *end = memchr(piece, '\n', size - used);
                size_t length = end ? (size_t) (end - piece) : size - used;
                int r;

                r = check_bounds(stream, piece, length);
                if (r >= 0)
                        r = parse(stream, piece, length);
                if (r < 0)
                        return r;
                used += length + (end ? 1 : 0);
                if (!end)
                        break;

                if (stream->document) {
                        *ret = g_steal_pointer(&stream->document);
                        *ret_used = used;
                        json_stream_reset(stream);
                        return 1;
                }
                if (stream->started)
                        return refuse(stream, -EBADMSG, "a line that ends inside an object");
                json_stream_reset(stream); /* an empty line */
        }
        *ret_used = used;
        return 0;
}

VbJson *json_member(VbJson *object, const char *key, json_type type) {
        VbJson *member;

        if (!json_object_object_get_ex(object, key, &member) || !json_object_is_type(member, type))
                return NULL;
        return member;
}

char *json_peer_text(const char *text) {
        g_autofree char *cut = g_strndup(text ?: "", PEER_TEXT_MAX), *valid = g_utf8_make_valid(cut, -1);

        for (char *c = valid; *c; c++)
                if ((unsigned char) *c < ' ' || *c == 0x7f)
                        *c = ' ';
        return g_steal_pointer(&valid);
}

void json_peer_error(VbJson *error, char **ret_class, char **ret_text) {
        VbJson *class = json_member(error, "class", json_type_string), *desc = json_member(error, "desc", json_type_string);

        *ret_class = json_peer_text(class ? json_object_get_string(class) : "GenericError");
        *ret_text = json_peer_text(desc ? json_object_get_string(desc) : "no reason given");
}
