/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"

#include <fcntl.h>
#include <string.h>

#include "test-util.h"

static void test_write_and_read(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *path = g_build_filename(folder, "file", NULL), *data = NULL;
        g_autoptr(GDir) listing = NULL;
        struct stat st;
        size_t size;

        (void) umask(0077);
        g_assert_cmpint(vb_file_write(path, "old", 3, 0600), ==, 0);
        g_assert_cmpint(vb_file_write(path, "a\0b", 3, 0644), ==, 0);
        g_assert_cmpint(vb_file_read(AT_FDCWD, path, 100, &data, &size), ==, 0);
        g_assert_cmpmem(data, size, "a\0b", 3);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0644);

        listing = g_dir_open(folder, 0, NULL);
        g_assert_cmpstr(g_dir_read_name(listing), ==, "file");
        g_assert_null(g_dir_read_name(listing));
}

static void test_write_keeps_link_target(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *target = g_build_filename(folder, "target", NULL);
        g_autofree char *path = g_build_filename(folder, "link", NULL), *data = NULL;

        g_assert_cmpint(vb_file_write(target, "precious", 8, 0600), ==, 0);
        g_assert_cmpint(symlink(target, path), ==, 0);
        g_assert_cmpint(vb_file_write(path, "new", 3, 0600), ==, 0);
        g_assert_cmpint(vb_file_read(AT_FDCWD, target, 100, &data, NULL), ==, 0);
        g_assert_cmpstr(data, ==, "precious");
}

static void test_write_failure(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *path = g_build_filename(folder, "no", "such", NULL);
        g_autofree char *occupied = g_build_filename(folder, "occupied", NULL);
        g_autofree char *inside = g_build_filename(occupied, "x", NULL);
        g_autoptr(GDir) listing = NULL;

        g_assert_cmpint(vb_file_write(path, "x", 1, 0600), ==, -ENOENT);
        g_assert_cmpint(vb_mkdir(inside, 0700), ==, 0);
        g_assert_cmpint(vb_file_write(occupied, "x", 1, 0600), ==, -EISDIR);
        listing = g_dir_open(folder, 0, NULL);
        g_assert_cmpstr(g_dir_read_name(listing), ==, "occupied");
        g_assert_null(g_dir_read_name(listing));
}

static void test_longest_name(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *name = g_strnfill(255, 'n'), *path = g_build_filename(folder, name, NULL);

        g_assert_cmpint(vb_file_write(path, "x", 1, 0600), ==, 0);
}

static void test_read_bounds(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *path = g_build_filename(folder, "file", NULL), *link = g_build_filename(folder, "link", NULL);
        g_autofree char *fifo = g_build_filename(folder, "fifo", NULL), *data = NULL;

        g_assert_cmpint(vb_file_write(path, "12345", 5, 0600), ==, 0);
        g_assert_cmpint(vb_file_read(AT_FDCWD, path, 4, &data, NULL), ==, -EFBIG);
        g_assert_cmpint(vb_file_read(AT_FDCWD, path, 5, &data, NULL), ==, 0);
        g_assert_cmpstr(data, ==, "12345");
        g_clear_pointer(&data, g_free);

        g_assert_cmpint(symlink("file", link), ==, 0);
        g_assert_cmpint(vb_file_read(AT_FDCWD, link, 5, &data, NULL), ==, -ELOOP);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        g_assert_cmpint(vb_file_read(AT_FDCWD, fifo, 5, &data, NULL), ==, -ENOTSUP);
        g_assert_cmpint(vb_file_read(AT_FDCWD, folder, 5, &data, NULL), ==, -ENOTSUP);

        /* Files that tell no size, and more than was bargained for. */
        g_assert_cmpint(vb_file_read(AT_FDCWD, "/proc/self/status", 65536, &data, NULL), ==, 0);
        g_assert_nonnull(strstr(data, "Pid:"));
        g_clear_pointer(&data, g_free);
        g_assert_cmpint(vb_file_read(AT_FDCWD, "/proc/self/status", 100, &data, NULL), ==, -EFBIG);
}

static void test_temporary_names(void) {
        g_assert_true(vb_file_is_temporary(".#web.xml0b3d790c"));
        g_assert_false(vb_file_is_temporary("web.xml0b3d790c"));
        g_assert_false(vb_file_is_temporary(".#web.xml"));      /* an editor's lock */
        g_assert_false(vb_file_is_temporary(".#0b3d790c"));     /* of no name */
        g_assert_false(vb_file_is_temporary(".#web.xml0B3D790C"));
        g_assert_false(vb_file_is_temporary(""));
}

static void test_mkdir(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *path = g_build_filename(folder, "a", "b", "c", NULL);
        g_autofree char *parent = g_build_filename(folder, "a", NULL), *link = g_build_filename(folder, "l", NULL);
        struct stat st;

        (void) umask(0077);
        g_assert_cmpint(vb_mkdir(path, 0711), ==, 0);
        g_assert_cmpint(vb_mkdir(path, 0700), ==, 0);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0711);
        g_assert_cmpint(stat(parent, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0755);

        g_assert_cmpint(symlink(path, link), ==, 0);
        g_assert_cmpint(vb_mkdir(link, 0700), ==, -ENOTDIR);
}

static void test_remove_tree(void) {
        g_autoptr(TestFolder) folder = test_folder_new();
        g_autofree char *outside = g_build_filename(folder, "outside", NULL);
        g_autofree char *tree = g_build_filename(folder, "tree", NULL);
        g_autofree char *deep = g_build_filename(tree, "a", "b", NULL);
        g_autofree char *file = g_build_filename(deep, "f", NULL), *link = g_build_filename(deep, "l", NULL);
        g_autofree char *sideways = g_build_filename(tree, "s", NULL);
        g_autofree char *precious = g_build_filename(outside, "precious", NULL);
        vb_autofd fd = -EBADF, tree_fd = -EBADF;

        g_assert_cmpint(vb_mkdir(deep, 0700), ==, 0);
        g_assert_cmpint(vb_mkdir(outside, 0700), ==, 0);
        g_assert_cmpint(vb_file_write(file, "", 0, 0600), ==, 0);
        g_assert_cmpint(vb_file_write(precious, "", 0, 0600), ==, 0);
        g_assert_cmpint(symlink(outside, link), ==, 0);
        g_assert_cmpint(symlink(outside, sideways), ==, 0);

        fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        tree_fd = open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(vb_remove_tree(tree_fd, "../outside"), ==, -EXDEV);
        g_assert_cmpint(vb_remove_tree(tree_fd, outside), ==, -EXDEV);
        g_assert_cmpint(vb_remove_tree(tree_fd, "s/precious"), ==, -ELOOP);
        g_assert_cmpint(vb_remove_tree(tree_fd, ".."), ==, -EINVAL);
        g_assert_cmpint(vb_remove_tree(fd, "tree"), ==, 0);
        g_assert_cmpint(vb_remove_tree(fd, "tree"), ==, 0);
        g_assert_false(g_file_test(tree, G_FILE_TEST_EXISTS));
        g_assert_true(g_file_test(precious, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/file/write-and-read", test_write_and_read);
        g_test_add_func("/file/write-keeps-link-target", test_write_keeps_link_target);
        g_test_add_func("/file/write-failure", test_write_failure);
        g_test_add_func("/file/longest-name", test_longest_name);
        g_test_add_func("/file/read-bounds", test_read_bounds);
        g_test_add_func("/file/temporary-names", test_temporary_names);
        g_test_add_func("/file/mkdir", test_mkdir);
        g_test_add_func("/file/remove-tree", test_remove_tree);
        return g_test_run();
}
