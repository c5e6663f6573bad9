/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/object.h"

/* LockManager1, with its handlers. */
extern const VbObjectInterface lock_manager_root_interface;
