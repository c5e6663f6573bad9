/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file that holds a saved guest: a header, the definition as XML, and the emulator's own stream of memory and device
 * state, which begins at a page boundary so that it can be written around the page cache.
 *
 *     0     magic "virtbus saved\n", format number, state, flags, length of the XML, offset of the stream, offset of the XML (little endian)
 *     4096  two places for XML of the same size, one of which has it; each with room for it to grow
 *     …     stream
 *
 * So the definition can be replaced: the new one is written to the other place, and becomes the file's by one write of the header.
 *
 * The state says "partial" until everything is on disk: what a crash cut short is never taken for a guest. Functions here
 * block on the file; run them in a VbWorker. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define VB_SAVED_STATE_XML_MAX ((size_t) 16 * 1024 * 1024)

typedef struct VbSavedState {
        char *xml;
        bool running; /* the guest's vCPUs run after the restore */
        uint64_t stream_offset;
} VbSavedState;

/* Truncates the file, writes the header (as partial) and XML, and leaves the file's position where the stream begins. */
VB_MUST_USE int vb_saved_state_begin(int fd, const char *xml, bool running, sd_bus_error *reterr);

/* The stream is complete: syncs, marks the header complete, syncs again. bypass_cache drops the file from the page cache, as
 * nobody will read it soon. moves (may be NULL) is counted up, atomically, whenever a piece has reached the disk. */
VB_MUST_USE int vb_saved_state_finish(int fd, bool bypass_cache, int *moves, sd_bus_error *reterr);

/* Reads and checks the header and XML, and leaves the file's position where the stream begins. InvalidArgument if it is
 * no complete saved guest; the message says why. */
VB_MUST_USE int vb_saved_state_read(int fd, VbSavedState **ret, sd_bus_error *reterr);

/* Replaces the XML of a complete file, and whether its guest runs afterwards; at any moment the file has the old or the new.
 * LimitExceeded if there is no room for it. */
VB_MUST_USE int vb_saved_state_replace_xml(int fd, const char *xml, bool running, sd_bus_error *reterr);

VbSavedState *vb_saved_state_free(VbSavedState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbSavedState, vb_saved_state_free)
