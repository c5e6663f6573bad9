/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images with all that stands behind them. */
#include "qemu/open.h"

#include "qemu-open-fixture.h"

/* A qcow2 image with all that stands behind it. */
static void add_chain(Fixture *f, const char *id, const char *path, VbOpenAccess access) {
        add(f, (VbOpenFile) { .id = id, .path = path, .access = access, .kind = VB_OPEN_IMAGE, .format = VB_IMAGE_QCOW2,
                              .follow_chain = true });
}

static void test_chain(void) {
        g_autofree char *base = NULL, *middle = NULL, *top = NULL, *sub = NULL, *absolute = NULL;
        VbOpenChain *chain;
        Fixture f;

        begin(&f);
        sub = path_of(&f, "sub");
        g_assert_cmpint(vb_mkdir(sub, 0755), ==, 0);
        base = make_file(&f, "base.raw", "0123456789", 10);
        absolute = g_strdup_printf("file:%s", base);
        middle = make_qcow2(&f, "sub/middle.qcow2", absolute, "raw", 0);
        top = make_qcow2(&f, "top.qcow2", "sub/middle.qcow2", "qcow2", 0);
        add_chain(&f, "disk vda", top, VB_OPEN_WRITE);
        add(&f, (VbOpenFile) { .id = "disk vdb", .path = top, .access = VB_OPEN_WRITE, .kind = VB_OPEN_IMAGE,
                               .format = VB_IMAGE_QCOW2 });
        add(&f, (VbOpenFile) { .id = "disk vdc", .path = top, .access = VB_OPEN_WRITE, .kind = VB_OPEN_IMAGE,
                               .format = VB_IMAGE_QCOW2, .follow_chain = true, .writable_chain = true });
        run(&f);
        g_assert_cmpint(f.r, ==, 0);
        chain = vb_open_result_find(f.result, "disk vda");
        g_assert_cmpuint(chain->n_images, ==, 3);
        g_assert_cmpint(chain->images[0].format, ==, VB_IMAGE_QCOW2);
        g_assert_cmpuint(chain->images[0].virtual_size, ==, 1048576);
        g_assert_cmpstr(chain->images[0].backing_name, ==, "sub/middle.qcow2");
        g_assert_true(chain->images[0].writable);
        g_assert_cmpint(chain->images[1].format, ==, VB_IMAGE_QCOW2);
        g_assert_false(chain->images[1].writable);
        g_assert_cmpint(chain->images[2].format, ==, VB_IMAGE_RAW);
        g_assert_cmpstr(chain->images[2].path, ==, base);
        g_assert_cmpuint(chain->images[2].size, ==, 10);
        g_assert_null(chain->images[2].backing_name);

        chain = vb_open_result_find(f.result, "disk vdb");
        g_assert_cmpuint(chain->n_images, ==, 1);
        g_assert_cmpstr(chain->images[0].backing_name, ==, "sub/middle.qcow2");
        chain = vb_open_result_find(f.result, "disk vdc");
        g_assert_true(chain->images[2].writable);
        end(&f);
}

/* Images that must not be opened, each with its sentence; %s is the folder. */
static void test_refused_images(void) {
        static const struct {
                const char *what, *backing, *format;
                uint64_t incompatible;
                const char *name, *message;
        } rows[] = {
                { "no backing format", "base", NULL, 0, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: format of backing image 'base' of image '%s/top' was not specified in the image metadata; "
                  "set it with: qemu-img rebase -u -F FORMAT -b 'base' '%s/top'" },
                { "another backing format", "base", "vmdk", 0, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: %s/top: the format 'vmdk' of its backing image is not supported; use raw or qcow2" },
                { "json", "json:{\"driver\":\"nbd\"}", "raw", 0, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: %s/top: its backing image 'json:{\"driver\":\"nbd\"}' is not a file, which is not supported" },
                { "protocol", "nbd://example.org/x", "raw", 0, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: %s/top: its backing image 'nbd://example.org/x' is not a file, which is not supported" },
                { "missing", "nothing", "raw", 0, VB_ERROR_NO_FILE, "disk vda: %s/nothing: no such file" },
                { "itself", "top", "qcow2", 0, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: %s/top: the backing chain leads back to this image" },
                { "itself in other words", "link", "qcow2", 0, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: %s/link: the backing chain leads back to this image" },
                { "external data", NULL, NULL, 4, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: %s/top: the image keeps its data in an external file, which is not supported" },
                { "not what it is said to be", "base", "qcow2", 0, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: %s/base: the image is not in qcow2 format" },
                { "device for an image", "/dev/null", "raw", 0, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                  "disk vda: /dev/null: is a character device, but must be a regular file or a block device" },
                { "another's open files", "/proc/self/fd/0", "raw", 0, VB_ERROR_STORAGE_FAILED,
                  "disk vda: /proc/self/fd/0: leads through too many links, or through one that is not followed" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *base = NULL, *top = NULL, *link = NULL;
                g_auto(GStrv) parts = g_strsplit(rows[i].message, "%s", -1);
                g_autofree char *expected = NULL;
                Fixture f;

                g_test_message("%s", rows[i].what);
                begin(&f);
                expected = g_strjoinv(f.folder, parts);
                link = path_of(&f, "link");
                g_assert_cmpint(symlink("top", link), ==, 0);
                base = make_file(&f, "base", "x", 1);
                top = make_qcow2(&f, "top", rows[i].backing, rows[i].format, rows[i].incompatible);
                add_chain(&f, "disk vda", top, VB_OPEN_WRITE);
                run(&f);
                g_assert_cmpstr(f.message, ==, expected);
                g_assert_cmpstr(f.name, ==, rows[i].name);
                end(&f);
        }
}

/* What a guest writes into its raw disk must never be taken for a header. */
static void test_raw_that_looks_like_qcow2(void) {
        g_autofree char *trap = NULL, *top = NULL;
        Fixture f;

        begin(&f);
        trap = make_qcow2(&f, "trap", "/etc/passwd", "raw", 0);
        top = make_qcow2(&f, "top", "trap", "raw", 0);
        add(&f, (VbOpenFile) { .id = "vda", .path = trap, .access = VB_OPEN_WRITE, .kind = VB_OPEN_IMAGE,
                               .format = VB_IMAGE_RAW, .follow_chain = true });
        add_chain(&f, "vdb", top, VB_OPEN_WRITE);
        run(&f);
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpuint(vb_open_result_find(f.result, "vda")->n_images, ==, 1);
        g_assert_cmpuint(vb_open_result_find(f.result, "vdb")->n_images, ==, 2);
        g_assert_cmpint(vb_open_result_find(f.result, "vdb")->images[1].format, ==, VB_IMAGE_RAW);
        end(&f);
}

/* What QEMU's own tool writes, in both versions of the format. */
static void test_real_images(void) {
        static const char *const options[] = { "compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=2M" };
        g_autofree char *tool = g_find_program_in_path("qemu-img");

        if (!tool) {
                g_test_skip("no qemu-img");
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
                g_autofree char *base = NULL, *top = NULL;
                VbOpenChain *chain;
                Fixture f;

                g_test_message("%s", options[i]);
                begin(&f);
                base = make_file(&f, "base", "x", 1);
                top = path_of(&f, "top");
                {
                        const char *argv[] = { tool, "create", "-q", "-f", "qcow2", "-o", options[i], "-F", "raw", "-b",
                                               "base", top, "12345K", NULL };
                        int status = -1;

                        g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
                        g_assert_cmpint(status, ==, 0);
                }
                if (geteuid() == 0)
                        g_assert_cmpint(chown(top, OWNER, OWNER), ==, 0);
                add_chain(&f, "vda", top, VB_OPEN_WRITE);
                run(&f);
                g_assert_cmpint(f.r, ==, 0);
                chain = vb_open_result_find(f.result, "vda");
                g_assert_cmpuint(chain->n_images, ==, 2);
                g_assert_cmpuint(chain->images[0].virtual_size, ==, 12345 * 1024);
                g_assert_cmpstr(chain->images[0].backing_name, ==, "base");
                g_assert_cmpint(chain->images[1].format, ==, VB_IMAGE_RAW);
                end(&f);
        }
}

static void test_deep_chain(void) {
        g_autofree char *top = NULL;
        Fixture f;

        begin(&f);
        for (unsigned i = 0; i < 80; i++) {
                g_autofree char *name = g_strdup_printf("i%u", i), *backing = g_strdup_printf("i%u", i + 1);
                g_autofree char *path = make_qcow2(&f, name, i < 79 ? backing : NULL, "qcow2", 0);
        }
        top = path_of(&f, "i16"); /* exactly the longest chain */
        add_chain(&f, "vda", top, VB_OPEN_READ);
        run(&f);
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpuint(f.result->chains[0].n_images, ==, VB_OPEN_CHAIN_MAX);

        again(&f);
        g_free(top);
        top = path_of(&f, "i15");
        add_chain(&f, "vda", top, VB_OPEN_READ);
        run(&f);
        g_assert_true(g_str_has_suffix(f.message, "/i15: the backing chain has more than 64 images"));
        end(&f);
}

static void add_tests(void) {
        g_test_add_func("/open/chain", test_chain);
        g_test_add_func("/open/refused-images", test_refused_images);
        g_test_add_func("/open/raw-that-looks-like-qcow2", test_raw_that_looks_like_qcow2);
        g_test_add_func("/open/real-images", test_real_images);
        g_test_add_func("/open/deep-chain", test_deep_chain);
}

int main(int argc, char **argv) {
        return run_open_tests(argc, argv, add_tests);
}
