/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory that is handed out in pieces and freed as a whole. */

#include <stddef.h>

#include <glib.h>

typedef struct ProxyArena {
        struct ProxyArenaBlock *blocks; /* the newest first */
        size_t size; /* handed out in all */
} ProxyArena;

/* Zeroed, aligned for anything; never NULL. */
void *proxy_arena_alloc(ProxyArena *arena, size_t size);
/* A copy with a NUL behind it. */
char *proxy_arena_strndup(ProxyArena *arena, const void *text, size_t size);
/* An empty one can be done away with any number of times. */
void proxy_arena_done(ProxyArena *arena);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProxyArena, proxy_arena_done)
