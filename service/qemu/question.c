/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/question.h"

#include "qemu/capabilities-probe.h"

struct QemuQuestion {
        QemuDriver *driver;
        VbCall *call;
        QemuQuestionSpec spec; /* without its query */
        QemuChoiceRequest *choosing;
        QemuChoice choice; /* made; its capabilities are ours */
        QemuProbe *learning;
};

void qemu_question_free(QemuQuestion *question) {
        (void) g_ptr_array_remove_fast(question->driver->questions, question);
        (void) qemu_choice_request_free(question->choosing);
        (void) qemu_probe_free(question->learning);
        (void) qemu_capabilities_unref(question->choice.capabilities);
        (void) vb_call_unref(question->call);
        g_free(question);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuQuestion, qemu_question_free)

void qemu_questions_forget(QemuDriver *driver) {
        while (driver->questions->len > 0)
                qemu_question_free(g_ptr_array_index(driver->questions, 0));
}

static void answer(QemuQuestion *question) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        r = question->spec.answer(question->call, &question->choice, question->spec.args, &error);
        if (r < 0)
                (void) vb_call_fail(question->call, r, &error);
}

static void on_learned(QemuProbe *probe, QemuCapabilities *unused, const sd_bus_error *error, void *userdata) {
        g_autoptr(QemuQuestion) question = userdata;

        if (error)
                (void) vb_call_fail(question->call, -sd_bus_error_get_errno(error), error);
        else
                answer(question);
}

static void on_chosen(const QemuChoice *choice, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        g_autoptr(QemuQuestion) question = userdata;
        int r;

        if (!choice) {
                (void) vb_call_fail(question->call, -sd_bus_error_get_errno(error), error);
                return;
        }
        question->choice = *choice;
        (void) qemu_capabilities_ref(choice->capabilities);
        r = question->spec.learn_models ? qemu_capabilities_learn_models(question->driver->capabilities,
                                                                         choice->capabilities, choice->accel, on_learned,
                                                                         question, &question->learning, &own) :
                                          1;
        if (r < 0)
                (void) vb_call_fail(question->call, r, &own);
        else if (r > 0)
                answer(question);
        else
                (void) g_steal_pointer(&question);
}

int qemu_question_ask(VbCall *call, VbObject *root, const QemuQuestionSpec *spec, sd_bus_error *reterr) {
        g_autoptr(QemuQuestion) question = g_new(QemuQuestion, 1);
        int r;

        *question = (QemuQuestion){
                .driver = qemu_driver_of(vb_hypervisor_of(root)),
                .call = vb_call_ref(call),
                .spec = *spec,
        };
        g_ptr_array_add(question->driver->questions, question);
        r = qemu_choose(question->driver->capabilities, &spec->query, on_chosen, question, &question->choosing, reterr);
        if (r < 0)
                return r;
        (void) g_steal_pointer(&question);
        return 0;
}
