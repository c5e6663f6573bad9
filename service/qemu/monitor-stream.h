/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* JSON objects, one a line, out of a stream of bytes from a peer that is not trusted; for QMP and the guest agent. Bytes are
 * parsed as they come, each once, so neither a line in many pieces nor a large one costs more than its length. */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

typedef struct JsonStream {
        /* configured */
        size_t max_line;   /* bytes */
        size_t max_values; /* objects, arrays and members of a line: what a short text can blow up in memory */

        /* runtime */
        json_tokener *tokener;
        size_t line;   /* bytes of this line so far */
        size_t values; /* likewise */
        bool started;  /* the tokener has seen something of this line */
        VbJson *document;
        char error[128];
} JsonStream;

void json_stream_init(JsonStream *stream, size_t max_line, size_t max_values, int max_depth);
void json_stream_done(JsonStream *stream);

/* Takes bytes up to the end of a line, or all, and says how many in *ret_used. 1: a line has ended, *ret is its object.
 * 0: all are used, and more must come. Negative: the peer does not speak JSON objects in lines, and
 * stream->error reads on from "sent"; use json_stream_reset() before going on. */
VB_MUST_USE int json_stream_feed(JsonStream *stream, const char *data, size_t size, size_t *ret_used, VbJson **ret);

/* Forgets the line so far. */
void json_stream_reset(JsonStream *stream);

/* A line has begun and not ended. */
bool json_stream_is_inside(const JsonStream *stream);

/* The member of that name and type, or NULL. */
VbJson *json_member(VbJson *object, const char *key, json_type type);

/* A peer's text, made fit for an error message: valid UTF-8, no control characters, not too long. To be freed. */
char *json_peer_text(const char *text);

/* The same for both parts of a peer's "error". */
void json_peer_error(VbJson *error, char **ret_class, char **ret_text);
