/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A daemon's settings (base/settings.h): its own, and those that every daemon has in its file, which are about the log. */

#include "base/log.h"
#include "base/settings.h"
#include "bus/object.h"

/* By start() and reload(). parts: the daemon's own, as for vb_settings_load_parts(), or NULL. The settings of the log take force at once; what
 * the files do not say of it stays as it is, and the level of the command line goes first. */
VB_MUST_USE int vb_daemon_load_settings(VbDaemon *daemon, const VbSettingsPart *parts, sd_bus_error *reterr);

/* Daemon1.LogLevel, LogFilters, LogThreshold: sets, announces, and tells the daemon (VbDaemonInfo.log_changed). */
VB_MUST_USE int vb_daemon_set_log_rules(VbDaemon *daemon, const VbLogRules *rules, sd_bus_error *reterr);
