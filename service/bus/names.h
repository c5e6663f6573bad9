/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Fixed names of others on the bus that virtbus calls, and of its own daemons that call one another. Its interface names are generated
 * (interfaces/NAME.h). */

#define VB_PATH_PREFIX "/org/virtbus"

#define VB_LOG_NAME "org.virtbus.Log1"
#define VB_LOG_PATH VB_PATH_PREFIX "/Log1"

#define VB_DBUS_NAME "org.freedesktop.DBus"
#define VB_DBUS_PATH "/org/freedesktop/DBus"
#define VB_DBUS_INTERFACE "org.freedesktop.DBus"
#define VB_DBUS_PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"
#define VB_DBUS_OBJECT_MANAGER_INTERFACE "org.freedesktop.DBus.ObjectManager"
#define VB_DBUS_PEER_INTERFACE "org.freedesktop.DBus.Peer"

#define VB_POLKIT_NAME "org.freedesktop.PolicyKit1"
#define VB_POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define VB_POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

#define VB_LOGIN_NAME "org.freedesktop.login1"
#define VB_LOGIN_PATH "/org/freedesktop/login1"
#define VB_LOGIN_INTERFACE "org.freedesktop.login1.Manager"
#define VB_LOGIN_ERROR_SLEEP_VERB_NOT_SUPPORTED "org.freedesktop.login1.SleepVerbNotSupported"

#define VB_MACHINED_NAME "org.freedesktop.machine1"
#define VB_MACHINED_PATH "/org/freedesktop/machine1"
#define VB_MACHINED_INTERFACE "org.freedesktop.machine1.Manager"

#define VB_SYSTEMD_NAME "org.freedesktop.systemd1"
#define VB_SYSTEMD_PATH "/org/freedesktop/systemd1"
#define VB_SYSTEMD_INTERFACE "org.freedesktop.systemd1.Manager"

/* virtbus's own, to daemons that call others. */
#define VB_LOCK_NAME "org.virtbus.Lock1"
#define VB_LOCK_PATH "/org/virtbus/Lock1"

/* Refusals are given in the bus's own words, so that clients know what to do without knowing virtbus. */
#define VB_ERROR_ACCESS_DENIED SD_BUS_ERROR_ACCESS_DENIED
#define VB_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
