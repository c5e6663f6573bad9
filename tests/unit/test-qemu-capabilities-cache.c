/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Asking emulators and remembering: with one that only plays what was recorded, and with the real one where
 * it is installed. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "base/writer.h"
#include "qemu/capabilities-private.h"
#include "qemu/capabilities-probe.h"
#include "test-util.h"

typedef struct Place {
        char *root, *emulator, *cache, *runs;
        const char *folders[2];
        sd_event *event;
        VbWriter *writer;
        QemuCapabilitiesManager *manager;
} Place;

static void put(const Place *place, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(place->root, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void copy(const Place *place, const char *from_folder, const char *from, const char *to, int mode) {
        g_autofree char *source = g_build_filename(from_folder, from, NULL), *text = NULL;
        g_autofree char *target = g_build_filename(place->root, to, NULL);
        gsize size;

        g_assert_true(g_file_get_contents(source, &text, &size, NULL));
        g_assert_true(g_file_set_contents(target, text, (gssize) size, NULL));
        g_assert_cmpint(g_chmod(target, mode), ==, 0);
}

static void manager_make(Place *place) {
        QemuCapabilitiesOptions options = {
                .cache_directory = place->cache,
                .emulator_folders = place->folders,
                .uid = (uid_t) -1,
                .gid = (gid_t) -1,
                .no_kvm = true,
                .session = true, /* the fake belongs to who runs the test */
        };

        g_assert_cmpint(vb_writer_new(&place->writer, place->event), ==, 0);
        options.writer = place->writer;
        g_assert_cmpint(qemu_capabilities_manager_new(&place->manager, place->event, &options), ==, 0);
}

static void manager_end(Place *place) {
        place->manager = qemu_capabilities_manager_free(place->manager);
        place->writer = vb_writer_free(place->writer);
}

static void place_make(Place *place, gconstpointer mode) {
        const char *fixtures = g_getenv("VIRTBUS_TEST_FIXTURES");
        g_autofree char *tests = g_path_get_dirname(fixtures);

        place->root = test_folder_new();
        place->emulator = g_build_filename(place->root, "qemu-system-x86_64", NULL);
        place->cache = g_build_filename(place->root, "cache", "capabilities", NULL);
        place->runs = g_build_filename(place->root, "runs", NULL);
        place->folders[0] = place->root;
        g_assert_cmpint(g_mkdir(place->runs, 0700), ==, 0);
        copy(place, tests, "fake-emulator.py", "qemu-system-x86_64", 0755);
        copy(place, fixtures, "qemu-7.2-x86_64.json", "answers.json", 0644);
        put(place, "mode", mode ?: "plays");
        place->event = test_event_new();
        manager_make(place);
}

static void place_remove(Place *place, gconstpointer mode) {
        manager_end(place);
        sd_event_unref(place->event);
        test_folder_free(place->root);
        g_free(place->emulator);
        g_free(place->cache);
        g_free(place->runs);
}

static unsigned count_files(const char *path) {
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        while (folder && g_dir_read_name(folder))
                n++;
        return n;
}

typedef struct Answer {
        unsigned n;
        QemuCapabilities *capabilities;
        sd_bus_error error;
        QemuCapabilitiesRequest *request;
        Place *place;
} Answer;

static void on_answer(QemuCapabilities *capabilities, const sd_bus_error *error, void *userdata) {
        Answer *answer = userdata;

        answer->n++;
        g_assert_true(!capabilities != !error);
        if (capabilities)
                answer->capabilities = qemu_capabilities_ref(capabilities);
        else
                (void) sd_bus_error_copy(&answer->error, error);
        answer->request = qemu_capabilities_request_free(answer->request);
}

static void answer_done(Answer *answer) {
        qemu_capabilities_request_free(answer->request);
        qemu_capabilities_unref(answer->capabilities);
        sd_bus_error_free(&answer->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_done)

static void ask(Place *place, Answer *answer) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (qemu_capabilities_get(place->manager, place->emulator, on_answer, answer, &answer->request,
                                  &error) < 0)
                g_error("%s", error.message);
        g_assert_cmpuint(answer->n, ==, 0); /* never from within the call */
}

static void wait_for(Place *place, const Answer *answer) {
        TEST_RUN_UNTIL(place->event, answer->n > 0);
        g_assert_cmpuint(answer->n, ==, 1);
}

static void ask_and_check(Place *place, unsigned runs) {
        g_auto(Answer) answer = { 0 };
        unsigned before = count_files(place->runs);

        ask(place, &answer);
        wait_for(place, &answer);
        if (!answer.capabilities)
                g_error("%s", answer.error.message);
        g_assert_cmpstr(qemu_capabilities_arch(answer.capabilities), ==, "x86_64");
        g_assert_cmpstr(qemu_capabilities_path(answer.capabilities), ==, place->emulator);
        g_assert_true(qemu_capabilities_offers(answer.capabilities, QEMU_SET_TYPE, "virtio-blk-pci"));
        g_assert_cmpstr(
                qemu_cpu_table_host_model(qemu_capabilities_cpus(answer.capabilities, QEMU_ACCEL_TCG))->name,
                ==, "EPYC-v1");
        g_assert_cmpuint(count_files(place->runs) - before, ==, runs);
        vb_writer_flush(place->writer);
}

/* A probe starts the binary twice: for its facts, and for its CPUs. */
#define PROBE_RUNS 2u

static void test_remembers(Place *place, gconstpointer mode) {
        struct stat st;

        g_assert_null(qemu_capabilities_find(place->manager, place->emulator));
        ask_and_check(place, PROBE_RUNS);
        g_assert_nonnull(qemu_capabilities_find(place->manager, place->emulator));
        ask_and_check(place, 0); /* from memory */

        g_assert_cmpint(stat(place->cache, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
        g_assert_cmpuint(count_files(place->cache), ==, 1);
        manager_end(place);
        manager_make(place);
        g_assert_null(qemu_capabilities_find(place->manager, place->emulator));
        ask_and_check(place, 0); /* from disk */
}

static void test_replaced_binary(Place *place, gconstpointer mode) {
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000000000, .tv_nsec = 1 } };

        ask_and_check(place, PROBE_RUNS);
        g_assert_cmpint(utimensat(AT_FDCWD, place->emulator, times, 0), ==, 0);
        g_assert_null(qemu_capabilities_find(place->manager, place->emulator));
        ask_and_check(place, PROBE_RUNS);
        ask_and_check(place, 0);
        manager_end(place);
        manager_make(place);
        ask_and_check(place, 0);
        g_assert_cmpuint(count_files(place->cache), ==, 1); /* and what was of the old one is gone */
}

static void test_shared(Place *place, gconstpointer mode) {
        g_auto(Answer) first = { 0 }, second = { 0 }, third = { 0 };

        ask(place, &first);
        ask(place, &second);
        ask(place, &third);
        second.request = qemu_capabilities_request_free(second.request);
        wait_for(place, &first);
        wait_for(place, &third);
        g_assert_true(first.capabilities == third.capabilities);
        g_assert_cmpuint(second.n, ==, 0);
        g_assert_cmpuint(count_files(place->runs), ==, PROBE_RUNS);
}

/* Nobody waits any more; the probe goes on, and its result serves the next one. */
static void test_cancelled(Place *place, gconstpointer mode) {
        g_auto(Answer) answer = { 0 };

        ask(place, &answer);
        answer.request = qemu_capabilities_request_free(answer.request);
        TEST_RUN_UNTIL(place->event, qemu_capabilities_find(place->manager, place->emulator));
        g_assert_cmpuint(answer.n, ==, 0);
        ask_and_check(place, 0);
}

/* The manager ends while it asks: nothing is left behind. */
static void test_ends_while_asking(Place *place, gconstpointer mode) {
        g_auto(Answer) answer = { 0 };

        ask(place, &answer);
        g_assert_cmpint(sd_event_run(place->event, 10000), >=, 0);
        answer.request = qemu_capabilities_request_free(answer.request);
}

static char *cache_file(const Place *place) {
        g_autoptr(GDir) folder = g_dir_open(place->cache, 0, NULL);

        return g_build_filename(place->cache, g_dir_read_name(folder), NULL);
}

/* Whatever is in the cache folder: the emulator is asked, and a good file stands there again. */
static void test_hostile_cache(Place *place, gconstpointer mode) {
        static const char *const contents[] = { "", "{", "null", "[]", "{\"format\":1}", "\377\376\375" };
        g_autofree char *file = NULL, *good = NULL, *deep = g_strnfill(1000000, '['), *elsewhere = NULL;
        gsize size;

        ask_and_check(place, PROBE_RUNS);
        file = cache_file(place);
        g_assert_true(g_file_get_contents(file, &good, &size, NULL));

        for (size_t i = 0; i <= G_N_ELEMENTS(contents); i++) {
                const char *text = i < G_N_ELEMENTS(contents) ? contents[i] : deep;

                g_assert_true(g_file_set_contents(file, text, -1, NULL));
                g_assert_cmpint(g_chmod(file, 0600), ==, 0);
                manager_end(place);
                manager_make(place);
                ask_and_check(place, PROBE_RUNS);
        }

        /* A good file that others may write to is not good. */
        g_assert_cmpint(g_chmod(file, 0666), ==, 0);
        manager_end(place);
        manager_make(place);
        ask_and_check(place, PROBE_RUNS);

        /* Nor is one that is only linked to. */
        elsewhere = g_build_filename(place->root, "elsewhere", NULL);
        g_assert_cmpint(g_rename(file, elsewhere), ==, 0);
        g_assert_cmpint(symlink(elsewhere, file), ==, 0);
        manager_end(place);
        manager_make(place);
        ask_and_check(place, PROBE_RUNS);
        g_assert_false(g_file_test(file, G_FILE_TEST_IS_SYMLINK));
        manager_end(place);
        manager_make(place);
        ask_and_check(place, 0);
}

static void check_failure(Place *place, const char *name, const char *words) {
        g_auto(Answer) answer = { 0 };

        ask(place, &answer);
        wait_for(place, &answer);
        g_assert_null(answer.capabilities);
        if (!sd_bus_error_has_name(&answer.error, name) || !strstr(answer.error.message, words) ||
            !strstr(answer.error.message, place->emulator))
                g_error("%s: %s", answer.error.name, answer.error.message);
        g_assert_false(g_file_test(place->cache, G_FILE_TEST_EXISTS));
}

static void test_exits(Place *place, gconstpointer mode) {
        check_failure(place, VB_ERROR_EMULATOR_FAILED, "status 1: fake: cannot find my own head");
        /* It is tried again, as the cause may have gone. */
        put(place, "mode", "plays");
        ask_and_check(place, PROBE_RUNS);
}

static void test_dies(Place *place, gconstpointer mode) {
        check_failure(place, VB_ERROR_EMULATOR_FAILED, "status 3: fake: out of luck");
}

static void test_wrong(Place *place, gconstpointer mode) {
        check_failure(place, VB_ERROR_EMULATOR_FAILED, "query-machines");
}

static void test_old(Place *place, gconstpointer mode) {
        check_failure(place, VB_ERROR_UNSUPPORTED_CONFIGURATION, "6.2.0");
}

/* An accelerator that does not work is missing, and all else is there. */
static void test_no_tcg(Place *place, gconstpointer mode) {
        g_auto(Answer) answer = { 0 };

        ask(place, &answer);
        wait_for(place, &answer);
        g_assert_nonnull(answer.capabilities);
        g_assert_false(qemu_capabilities_has_accel(answer.capabilities, QEMU_ACCEL_TCG));
        g_assert_false(qemu_capabilities_has_accel(answer.capabilities, QEMU_ACCEL_KVM));
        g_assert_true(qemu_capabilities_offers(answer.capabilities, QEMU_SET_TYPE, "virtio-blk-pci"));
}

static void on_probe(QemuProbe *probe, QemuCapabilities *capabilities, const sd_bus_error *error,
                     void *userdata) {
        g_assert_null(capabilities);
        g_assert_cmpstr(error->name, ==, VB_ERROR_TIMEOUT);
        *(bool *) userdata = true;
}

static void test_hangs(Place *place, gconstpointer mode) {
        QemuProbeSpec spec = { .path = place->emulator, .uid = (uid_t) -1, .timeout_usec = 300000 };
        g_autoptr(QemuProbe) probe = NULL;
        bool done = false;

        g_assert_cmpint(qemu_probe_new(&probe, place->event, &spec, on_probe, &done, NULL), ==, 0);
        TEST_RUN_UNTIL(place->event, done);
}

static void refuse(Place *place, const char *path, const char *words) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuCapabilitiesRequest *request = NULL;

        g_assert_cmpint(qemu_capabilities_get(place->manager, path, on_answer, NULL, &request, &error), ==,
                        -EOPNOTSUPP);
        g_assert_null(request);
        if (!strstr(error.message, words) || !strstr(error.message, path))
                g_error("'%s': %s", path, error.message);
}

/* A path names a program: no caller may choose just any. */
static void test_which_may_run(Place *place, gconstpointer mode) {
        g_autofree char *answers = g_build_filename(place->root, "answers.json", NULL);
        g_autofree char *twin = g_build_filename(place->root, ".", "qemu-system-x86_64", NULL);
        g_autofree char *detour = g_strconcat(place->root, "/runs/../qemu-system-x86_64", NULL);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuCapabilitiesOptions options = { .emulator_folders = place->folders, .no_kvm = true };
        const char *const allowed[] = { twin, NULL };

        refuse(place, "qemu-system-x86_64", "absolute");
        refuse(place, "/nonexistent/qemu-system-x86_64", "No such file");
        refuse(place, place->root, "not a program");
        refuse(place, answers, "not a program");
        g_assert_cmpint(g_chmod(place->emulator, 0775), ==, 0);
        refuse(place, place->emulator, "must not be writable");
        g_assert_cmpint(g_chmod(place->emulator, 0755), ==, 0);

        /* The system's daemon: only what stands in the folders by its name. */
        place->manager = qemu_capabilities_manager_free(place->manager);
        g_assert_cmpint(qemu_capabilities_manager_new(&place->manager, place->event, &options), ==, 0);
        refuse(place, "/bin/sh", "no emulator of this host");
        refuse(place, "/usr/bin/env", "no emulator of this host");
        refuse(place, detour, "no emulator of this host");
        refuse(place, twin, "no emulator of this host");
        if (geteuid() != 0) {
                refuse(place, place->emulator, "must belong to root");
                return;
        }
        g_assert_cmpint(qemu_capabilities_check_emulator(place->manager, place->emulator, &error), ==, 0);
        g_assert_cmpint(chown(place->emulator, 12345, 0), ==, 0);
        refuse(place, place->emulator, "must belong to root");
        g_assert_cmpint(chown(place->emulator, 0, 0), ==, 0);

        /* And what the administrator names. */
        place->manager = qemu_capabilities_manager_free(place->manager);
        options.emulators = allowed;
        g_assert_cmpint(qemu_capabilities_manager_new(&place->manager, place->event, &options), ==, 0);
        g_assert_cmpint(qemu_capabilities_check_emulator(place->manager, twin, &error), ==, 0);
}

static void test_emulators(Place *place, gconstpointer mode) {
        g_autoptr(GPtrArray) emulators = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *path = NULL, *path32 = NULL,
                        *arm = g_build_filename(place->root, "qemu-system-arm", NULL);

        copy(place, place->root, "qemu-system-x86_64", "qemu-system-arm", 0755);
        copy(place, place->root, "qemu-system-x86_64", "qemu-system-nonsense", 0755);
        copy(place, place->root, "qemu-system-x86_64", "qemu-system-ppc", 0644);
        emulators = qemu_capabilities_list_emulators(place->manager);
        g_assert_cmpuint(emulators->len, ==, 3);
        g_assert_cmpstr(((QemuEmulator *) emulators->pdata[0])->arch, ==, "armv7l");
        g_assert_cmpstr(((QemuEmulator *) emulators->pdata[0])->path, ==, arm);
        g_assert_cmpstr(((QemuEmulator *) emulators->pdata[1])->arch, ==, "i686");
        g_assert_cmpuint(((QemuEmulator *) emulators->pdata[1])->word_size, ==, 32);
        g_assert_cmpstr(((QemuEmulator *) emulators->pdata[2])->arch, ==, "x86_64");

        g_assert_cmpint(qemu_capabilities_find_emulator(place->manager, "x86_64", &path, &error), ==, 0);
        g_assert_cmpstr(path, ==, place->emulator);
        g_assert_cmpint(qemu_capabilities_find_emulator(place->manager, "i686", &path32, &error), ==, 0);
        g_assert_cmpstr(path32, ==, place->emulator);
        path = (g_free(path), NULL);
        g_assert_cmpint(qemu_capabilities_find_emulator(place->manager, "ppc", &path, &error), ==,
                        -EOPNOTSUPP);
        g_assert_nonnull(strstr(error.message, "qemu-system-ppc is not installed"));
        sd_bus_error_free(&error);
        g_assert_cmpint(qemu_capabilities_find_emulator(place->manager, "../../bin/sh", &path, &error), ==,
                        -EOPNOTSUPP);
}

/* The real one, under TCG. */
static void test_real(Place *place, gconstpointer mode) {
        QemuCapabilitiesOptions options = { .cache_directory = place->cache, .no_kvm = true };
        g_auto(Answer) answer = { 0 };
        const QemuCapabilities *capabilities;
        const QemuCpuTable *cpus;

        options.uid = geteuid() == 0 ? 65534 : (uid_t) -1;
        options.gid = geteuid() == 0 ? 65534 : (gid_t) -1;
        g_free(place->emulator);
        place->emulator = g_strdup("/usr/bin/qemu-system-x86_64");
        if (access(place->emulator, X_OK) < 0) {
                g_test_skip("qemu-system-x86_64 is not installed");
                return;
        }
        manager_end(place);
        g_assert_cmpint(vb_writer_new(&place->writer, place->event), ==, 0);
        options.writer = place->writer;
        g_assert_cmpint(qemu_capabilities_manager_new(&place->manager, place->event, &options), ==, 0);

        ask(place, &answer);
        wait_for(place, &answer);
        if (!answer.capabilities)
                g_error("%s", answer.error.message);
        capabilities = answer.capabilities;
        g_assert_cmpuint(qemu_capabilities_version(capabilities), >=, QEMU_VERSION_MINIMUM);
        g_assert_cmpstr(qemu_capabilities_arch(capabilities), ==, "x86_64");
        g_assert_true(qemu_capabilities_has_accel(capabilities, QEMU_ACCEL_TCG));
        g_assert_false(qemu_capabilities_has_accel(capabilities, QEMU_ACCEL_KVM));
        g_assert_nonnull(qemu_capabilities_find_machine(capabilities, "q35"));
        g_assert_nonnull(qemu_capabilities_find_machine(capabilities, NULL));
        g_assert_true(qemu_capabilities_offers(capabilities, QEMU_SET_TYPE, "virtio-net-pci"));
        g_assert_true(qemu_capabilities_offers(capabilities, QEMU_SET_COMMAND, "blockdev-add"));
        g_assert_true(qemu_capabilities_offers(capabilities, QEMU_SET_EVENT, "SHUTDOWN"));
        g_assert_true(qemu_capabilities_offers(capabilities, QEMU_SET_NETDEV, "tap"));
        g_assert_true(qemu_capabilities_offers(capabilities, QEMU_SET_BLOCK_DRIVER, "qcow2"));
        g_assert_true(qemu_capabilities_offers(capabilities, QEMU_SET_PROPERTY, "virtio-blk-pci.drive"));
        cpus = qemu_capabilities_cpus(capabilities, QEMU_ACCEL_TCG);
        g_assert_cmpint(qemu_cpu_table_find(cpus, "qemu64")->usable, ==, QEMU_CPU_USABLE_YES);
        g_assert_nonnull(qemu_cpu_table_find(cpus, "max"));
        g_assert_nonnull(qemu_cpu_table_host_model(cpus));
        g_assert_true(g_strv_contains(qemu_cpu_table_host_features(cpus), "sse2"));
}

#define ADD(name, mode, test) \
        g_test_add("/qemu/capabilities-cache/" name, Place, mode, place_make, test, place_remove)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        ADD("remembers", NULL, test_remembers);
        ADD("replaced-binary", NULL, test_replaced_binary);
        ADD("shared", NULL, test_shared);
        ADD("cancelled", NULL, test_cancelled);
        ADD("ends-while-asking", NULL, test_ends_while_asking);
        ADD("hostile-cache", NULL, test_hostile_cache);
        ADD("exits", "exits", test_exits);
        ADD("dies", "dies", test_dies);
        ADD("wrong", "wrong", test_wrong);
        ADD("old", "old", test_old);
        ADD("no-tcg", "no-tcg", test_no_tcg);
        ADD("hangs", "hangs", test_hangs);
        ADD("which-may-run", NULL, test_which_may_run);
        ADD("emulators", NULL, test_emulators);
        ADD("real", NULL, test_real);
        return g_test_run();
}
