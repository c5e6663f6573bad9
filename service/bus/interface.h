/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the generator makes of the XML files in interfaces/: tables that say of each member what its arguments
 * are, which polkit action it needs, and how its typed handler is called. Nobody writes these by hand. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct VbCall VbCall;
typedef struct VbBusInterface VbBusInterface;
typedef struct VbDaemon VbDaemon;
typedef struct VbObject VbObject;

/* A polkit action. own is the one that is asked instead when the caller owns the object; NULL where nothing
 * has owners. */
typedef struct VbAction {
        const char *id;
        const char *own;
        bool reads; /* nothing is changed, and nothing secret told: allowed on a read-only link */
} VbAction;

/* Whose rights count, and what polkit is told that it is about. */
typedef enum VbActionFor {
        VB_ACTION_FOR_OBJECT, /* the object that is called: "own" if it belongs to the caller */
        VB_ACTION_FOR_CALLER, /* something new for the caller: always "own" */
        VB_ACTION_FOR_ADMINISTRATOR, /* the daemon itself: never "own" */
        VB_ACTION_FOR_HANDLER, /* objects in the arguments: the handler asks by vb_call_require() */
} VbActionFor;

/* What of an object a call changes, where calls that change the same wait for one another (bus/turn.h). */
typedef enum VbTurns {
        VB_TURN_GUEST = 1 << 0,      /* what runs */
        VB_TURN_DEFINITION = 1 << 1, /* what the disk has of it */
} VbTurns;

/* Words that an argument may be, as an enum: value n is words[n]. Of an array of strings it is a set, with
 * bit 1 << n for words[n]. */
typedef struct VbWords {
        const char *const *words;
        unsigned n_words;
} VbWords;

/* What option or argument becomes which field. Strings, files and arrays point into the message or the call,
 * and live as long as the call does; a file (int) is borrowed: duplicate it to keep it.
 *
 *   y n q i u x t d b    the C type of that size, bool for b
 *   s o                  const char *          with words: the enum (int)
 *   as ao                VbStrings             with words: unsigned, a set
 *   au                   VbNumbers
 *   h                    int
 *   a{sh}                VbFiles
 *   a{sv}                a struct with the options */
typedef struct VbArgument {
        const char *name;
        const char *type;
        size_t offset;
        const VbWords *words; /* what a string may be */
        /* Bytes of a string, entries of an array, value of a number; 0: 64 KiB, 4096, what its type holds. */
        uint64_t max;
        const struct VbOption *options; /* of an a{sv}, ends with a NULL name */
} VbArgument;

typedef struct VbOption {
        VbArgument argument;
        size_t has_offset; /* of the bool that says whether it was given */
        /* Needed beside the method's if the option is given (a bool: if it is true); or NULL. */
        const VbAction *action;
        VbActionFor action_for;
} VbOption;

typedef struct VbStrings {
        const char *const *values; /* ends with NULL */
        size_t n;
} VbStrings;

typedef struct VbNumbers {
        const uint32_t *values;
        size_t n;
} VbNumbers;

typedef struct VbFile {
        const char *name;
        int fd;
} VbFile;

typedef struct VbFiles {
        const VbFile *values;
        size_t n;
} VbFiles;

typedef struct VbMethod {
        const char *name; /* of a property's setter: the property's */
        const VbBusInterface *interface;
        const VbArgument *arguments; /* ends with a NULL name */
        size_t args_size;
        const void *defaults; /* what the args are before the message is read; args_size bytes */
        const VbAction *const *actions; /* all of them are needed, ends with NULL; NULL: public */
        VbActionFor action_for;
        VbTurns turns; /* waited for before the handler runs; 0: none */
        const char *signature; /* of the call; of a property's setter: the property's type */
        const char *result; /* signature of the reply */
        int (*invoke)(VbCall *call, VbObject *object, const void *handlers, const void *args,
                      sd_bus_error *reterr);
} VbMethod;

typedef struct VbProperty {
        const char *name;
        const char *type;
        sd_bus_property_get_t get; /* appends the value; looks at reply and userdata (the VbObject) only */
        const VbMethod *setter; /* NULL: read-only */
        bool announced; /* in PropertiesChanged */
} VbProperty;

struct VbBusInterface {
        const char *name;
        const sd_bus_vtable *vtable; /* for introspection and the errors of sd-bus; calls go by methods and properties */
        const VbMethod *const *methods; /* sorted by name, ends with NULL */
        unsigned n_methods;
        const VbProperty *properties; /* ends with a NULL name; number n is bit 1 << n in marks of change */
        /* One {sa{sv}}: the interface with all its properties. */
        int (*append_all)(sd_bus_message *message, VbObject *object);
};
