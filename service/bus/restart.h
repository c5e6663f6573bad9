/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A daemon replaces itself by a new run of its program, in the same process, and nothing that it holds open is closed meanwhile: SIGUSR1,
 * for packages that bring a new version. What it knows goes into a state file, RUN_DIR/DRIVER/restart-exec.json; descriptors stay open over
 * exec, and stand in that file by their numbers. A daemon takes part by two functions of its VbDaemonInfo:
 *
 *     static int save(VbDaemon *daemon, VbRestart *restart, sd_bus_error *reterr) {
 *             VbJson *resource = json_object_new_object();
 *
 *             (void) json_object_object_add(vb_restart_root(restart), "resource", resource);
 *             vb_restart_put_string(resource, "name", lease->name);
 *             return vb_restart_put_fd(restart, resource, "fd", lease->fd);
 *     }
 *
 *     static int start(VbDaemon *daemon, sd_bus_error *reterr) {
 *             VbRestart *restart = vb_daemon_restart(daemon);        NULL: this is no restart
 *
 *             r = vb_restart_get_object(vb_restart_root(restart), "resource", &resource, reterr);
 *             if (r >= 0)
 *                     r = vb_restart_get_string(resource, "name", NAME_MAX, &name, reterr);
 *             if (r >= 0)
 *                     r = vb_restart_take_fd(restart, resource, "fd", S_IFREG, &fd, reterr);
 *
 * The bus connection with its name, links, listening sockets and the daemon's lock are taken along by the daemon itself (bus/daemon-restart.c).
 * What is read is checked: that the file is this process's, each type, and that a descriptor is open, was inherited, and is the very file
 * it was. A daemon that cannot use its state says why in the log and then goes on with what it finds in vb_daemon_descriptors(), as after a crash:
 * what it inherited is there, too, and stays open until start() has returned. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

typedef struct VbRestart VbRestart;

/* Writing */

VbRestart *vb_restart_new(void);
VbRestart *vb_restart_free(VbRestart *restart);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbRestart, vb_restart_free)

/* The object that all is in; the restart's own. */
VbJson *vb_restart_root(VbRestart *restart);

void vb_restart_put_string(VbJson *object, const char *key, const char *value); /* NULL: left out */
void vb_restart_put_number(VbJson *object, const char *key, uint64_t value);
void vb_restart_put_bool(VbJson *object, const char *key, bool value);

/* Puts the descriptor's number, and what tells whether it is still that file. It is the caller's, and stays open over exec. */
VB_MUST_USE int vb_restart_put_fd(VbRestart *restart, VbJson *object, const char *key, int fd);

VB_MUST_USE int vb_restart_write(VbRestart *restart, const char *path);
/* Lets what was put be inherited, or not any more. */
VB_MUST_USE int vb_restart_set_inherited(VbRestart *restart, bool inherited);

/* Reading. Errors name the key, and what would be right there. */

/* -ENOENT: there is none. -EBADMSG: it is not to be used, and reterr says why. */
VB_MUST_USE int vb_restart_read(VbRestart **ret, const char *path, sd_bus_error *reterr);
/* The same of a text. */
VB_MUST_USE int vb_restart_parse(VbRestart **ret, const char *text, size_t size, sd_bus_error *reterr);

VB_MUST_USE int vb_restart_get_string(VbJson *object, const char *key, size_t max, const char **ret, sd_bus_error *reterr);
VB_MUST_USE int vb_restart_get_number(VbJson *object, const char *key, uint64_t max, uint64_t *ret, sd_bus_error *reterr);
VB_MUST_USE int vb_restart_get_bool(VbJson *object, const char *key, bool *ret, sd_bus_error *reterr);
/* The results belong to the object. An entry of an array is got by vb_restart_get_entry(). */
VB_MUST_USE int vb_restart_get_object(VbJson *object, const char *key, VbJson **ret, sd_bus_error *reterr);
VB_MUST_USE int vb_restart_get_array(VbJson *object, const char *key, size_t max, VbJson **ret, sd_bus_error *reterr);
VB_MUST_USE int vb_restart_get_entry(VbJson *array, const char *key, size_t i, VbJson **ret, sd_bus_error *reterr);

/* A duplicate of the descriptor, close-on-exec; the inherited one stays open until the daemon has started, so that nothing is lost if the rest of
 * the state is bad. type is S_IFREG and so on, 0 for any. Each number can be taken once. */
VB_MUST_USE int vb_restart_take_fd(VbRestart *restart, VbJson *object, const char *key, mode_t type, int *ret, sd_bus_error *reterr);
