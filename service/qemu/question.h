/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A call that asks what emulators can do, which may have to be asked of them first. */

#include "bus/call.h"
#include "qemu/choice.h"
#include "qemu/driver.h"

typedef struct QemuQuestion QemuQuestion;

/* The choice was made; see QemuQuestionSpec. Replies, or fails with reterr filled. */
typedef int (*QemuAnswer)(VbCall *call, const QemuChoice *choice, const void *args, sd_bus_error *reterr);

typedef struct QemuQuestionSpec {
        QemuEmulatorQuery query;
        const void *args;  /* the call's */
        bool learn_models; /* all of the emulator's CPU models must be known for the answer */
        QemuAnswer answer;
} QemuQuestionSpec;

/* From a call's options, which are of the same words in each call; of their virttypes, KVM is that one. */
#define QEMU_EMULATOR_QUERY(options, KVM)                                                             \
        ((QemuEmulatorQuery){ (options).emulator, (options).arch, (options).machine,                  \
                              !(options).has_virttype ? NULL : (options).virttype == (KVM) ? "kvm" : "qemu" })

/* Chooses the emulator and answers, now or later. Returns 0, so that a handler can return it. */
VB_MUST_USE int qemu_question_ask(VbCall *call, VbObject *root, const QemuQuestionSpec *spec, sd_bus_error *reterr);

/* At the daemon's end: those that still wait. */
void qemu_questions_forget(QemuDriver *driver);
void qemu_question_free(QemuQuestion *question);
