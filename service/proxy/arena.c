/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

enum {
        BLOCK_SIZE = 4096 - 64, /* with malloc's own, a page */
        ALIGNMENT = alignof(max_align_t),
};

typedef struct ProxyArenaBlock {
        struct ProxyArenaBlock *next;
        size_t used;
        size_t size;
        alignas(max_align_t) char bytes[];
} ProxyArenaBlock;

static ProxyArenaBlock *add_block(ProxyArena *arena, size_t size) {
        ProxyArenaBlock *block = g_malloc(sizeof(ProxyArenaBlock) + size);

        block->next = arena->blocks;
        block->used = 0;
        block->size = size;
        arena->blocks = block;
        return block;
}

void *proxy_arena_alloc(ProxyArena *arena, size_t size) {
        ProxyArenaBlock *block = arena->blocks;
        void *piece;

        assert(size <= SIZE_MAX - sizeof(ProxyArenaBlock) - ALIGNMENT);

        size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (!block || block->size - block->used < size)
                block = add_block(arena, MAX(size, BLOCK_SIZE));

        piece = block->bytes + block->used;
        block->used += size;
        arena->size += size;
        return memset(piece, 0, size);
}

char *proxy_arena_strndup(ProxyArena *arena, const void *text, size_t size) {
        char *copy = proxy_arena_alloc(arena, size + 1);

        if (size > 0)
                memcpy(copy, text, size);
        return copy;
}

void proxy_arena_done(ProxyArena *arena) {
        ProxyArenaBlock *next;

        for (ProxyArenaBlock *block = arena->blocks; block; block = next) {
                next = block->next;
                g_free(block);
        }
        *arena = (ProxyArena){};
}
