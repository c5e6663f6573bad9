/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The field types that the structs behind XML tables are made of. Everywhere a struct of zeros means "nothing
 * was given": enumerations begin with an unnamed 0, strings are NULL, and numbers for which 0 has a meaning
 * of its own are optional ones. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* on/off and yes/no. What was not given is neither. */
typedef enum __attribute__((packed)) VbTristate {
        VB_TRISTATE_ABSENT,
        VB_TRISTATE_YES,
        VB_TRISTATE_NO,
} VbTristate;

static inline bool vb_tristate_or(VbTristate value, bool fallback) {
        return value == VB_TRISTATE_ABSENT ? fallback : value == VB_TRISTATE_YES;
}

static inline VbTristate vb_tristate(bool value) {
        return value ? VB_TRISTATE_YES : VB_TRISTATE_NO;
}

/* Numbers that may be absent where 0 is a value like any other. */
typedef struct VbOptUint {
        uint32_t value;
        bool set;
} VbOptUint;

typedef struct VbOptInt {
        int32_t value;
        bool set;
} VbOptInt;

#define VB_OPT(v)        \
        {                \
                (v), true \
        }

/* A growing array of pointers to structs that it owns: VB_LIST(VbDisk) disks; … disks.items[i], disks.n. */
#define VB_LIST(Type)         \
        struct {              \
                Type **items; \
                size_t n;     \
        }

/* The same with the type forgotten, for code that works on any list. */
typedef struct VbList {
        void **items;
        size_t n;
} VbList;

/* Appends item, which the list owns from now on. */
void vb_list_append(VbList *list, void *item);
/* Inserts item so that it stands at index; index may be the list's length. */
void vb_list_insert(VbList *list, size_t index, void *item);
/* Takes the item at index out of the list and returns it; the caller owns it. */
void *vb_list_steal(VbList *list, size_t index);

#define VB_LIST_APPEND(list, item) vb_list_append((VbList *) (list), (item))
#define VB_LIST_INSERT(list, index, item) vb_list_insert((VbList *) (list), (index), (item))
#define VB_LIST_STEAL(list, index) vb_list_steal((VbList *) (list), (index))

/* A MAC address; all zeros is none. */
typedef struct VbMac {
        uint8_t bytes[6];
} VbMac;

/* "52:54:00:12:34:56" and its end. */
#define VB_MAC_STRING_MAX 18

bool vb_mac_is_set(const VbMac *mac);
/* Writes the usual notation into buffer and returns it. */
const char *vb_mac_format(const VbMac *mac, char buffer[static VB_MAC_STRING_MAX]);
/* -EINVAL if text is not six two-digit hexadecimal numbers with colons between. */
int vb_mac_parse(const char *text, VbMac *ret);
