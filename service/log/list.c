/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/list.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

#define SUFFIX ".log"

typedef struct Walk {
        LogManager *manager;
        const LogFilter *filter;
        LogEach each;
        void *userdata;
        unsigned n;

        /* where it is */
        const char *driver, *domain;
        uid_t owner;
} Walk;

typedef int (*EachEntry)(Walk *walk, int dir, const char *name);

static int walk_folder(Walk *walk, int parent, const char *name, EachEntry each) {
        int fd = vb_openat2(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        struct dirent *entry;
        int r = 0;
        DIR *dir;

        if (fd < 0)
                return 0; /* a file, or gone by now */
        dir = fdopendir(fd);
        if (!dir) {
                (void) vb_close(fd);
                return -errno;
        }
        while (r >= 0 && walk->n < LOG_LIST_MAX && (entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        r = each(walk, fd, entry->d_name);
        (void) closedir(dir);
        return r;
}

/* Of NAME.log, NAME.log.0, … the first that is there stands for all: backups alone are a log, too. */
static char *stem_of(int dir, const char *file) {
        g_autofree char *stem = g_strdup(file), *newest = NULL;
        char *suffix = g_strrstr(stem, SUFFIX);

        if (!suffix)
                return NULL;
        if (suffix[strlen(SUFFIX)] != '\0') {
                if (strcmp(suffix + strlen(SUFFIX), ".0") != 0)
                        return NULL;
                suffix[strlen(SUFFIX)] = '\0';
                newest = g_strdup(stem);
                if (faccessat(dir, newest, F_OK, AT_SYMLINK_NOFOLLOW) >= 0)
                        return NULL;
        }
        *suffix = '\0';
        return g_steal_pointer(&stem);
}

static int visit(Walk *walk, const char *domain, const char *log) {
        g_auto(LogName) name = { 0 };

        if (walk->filter->domain && strcmp(walk->filter->domain, domain) != 0)
                return 0;
        if (log_name_init(&name, walk->driver, walk->owner, domain, log, /* reterr= */ NULL) < 0)
                return 0;
        walk->n++;
        return walk->each(walk->manager, &name, walk->userdata);
}

static int visit_console(Walk *walk, int dir, const char *entry) {
        g_autofree char *stem = stem_of(dir, entry);

        return stem ? visit(walk, walk->domain, stem) : 0;
}

static int visit_consoles(Walk *walk, int dir, const char *entry) {
        walk->domain = entry;
        return walk_folder(walk, dir, entry, visit_console);
}

static int visit_owners(Walk *walk, int dir, const char *entry) {
        g_autofree char *stem = stem_of(dir, entry);

        if (stem)
                return visit(walk, stem, walk->driver);
        return strcmp(entry, "console") == 0 ? walk_folder(walk, dir, entry, visit_consoles) : 0;
}

static bool wants_owner(const Walk *walk, uid_t owner) {
        return !walk->filter->has_owner || walk->filter->owner == owner;
}

/* Below a driver's folder: what is ours, and folders of other owners. */
static int visit_driver(Walk *walk, int dir, const char *entry) {
        uint64_t owner;

        if (g_ascii_string_to_unsigned(entry, 10, 0, UINT32_MAX - 1, &owner, NULL)) {
                walk->owner = (uid_t) owner;
                return wants_owner(walk, walk->owner) ? walk_folder(walk, dir, entry, visit_owners) : 0;
        }
        walk->owner = geteuid();
        return wants_owner(walk, walk->owner) ? visit_owners(walk, dir, entry) : 0;
}

static int visit_root(Walk *walk, int dir, const char *entry) {
        walk->driver = entry;
        if (walk->filter->driver && strcmp(walk->filter->driver, entry) != 0)
                return 0;
        return walk_folder(walk, dir, entry, visit_driver);
}

int log_list_walk(LogManager *manager, const LogFilter *filter, LogEach each, void *userdata) {
        Walk walk = { .manager = manager, .filter = filter, .each = each, .userdata = userdata };

        return walk_folder(&walk, manager->context.root_fd, ".", visit_root);
}

/* --- For ListLogs --- */

typedef struct Listing {
        const LogFilter *filter;
        sd_bus_message *reply;
} Listing;

static int append_open(sd_bus_message *reply, const Log *log) {
        const LogSpec *spec = log_get_spec(log);

        return sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}", "uuid", "s", spec->uuid, "max-size", "t", spec->max_size, "max-backups", "u",
                                     spec->max_backups, "flood", "s", spec->wait ? "wait" : "drop", "written", "t", spec->written, "dropped", "t",
                                     spec->dropped);
}

static int append_one(LogManager *manager, const LogName *name, void *userdata) {
        const Listing *listing = userdata;
        const Log *log = log_manager_find(manager, name);
        g_autofree char *below = log_name_path(name), *path = g_build_filename(manager->directory, below, NULL);
        g_auto(LogFiles) files = { .fd = -EBADF };
        sd_bus_message *reply = listing->reply;
        unsigned backups = 0;
        uint64_t size = 0;
        int r;

        if (listing->filter->has_open && listing->filter->open != (log != NULL))
                return 0;
        log_manager_init_files(manager, &files, name);
        r = log_files_stat(&files, &size, &backups);
        if (r < 0)
                return 0;
        r = sd_bus_message_open_container(reply, 'r', "sussa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "suss", name->driver, (uint32_t) name->owner, name->domain, name->log);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "path", "s", path, "open", "b", (int) (log != NULL), "size", "t", size, "backups", "u",
                                          backups);
        if (r >= 0 && log)
                r = append_open(reply, log);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int log_list_append(LogManager *manager, const LogFilter *filter, sd_bus_message *reply) {
        Listing listing = { .filter = filter, .reply = reply };
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sussa{sv})");
        if (r >= 0)
                r = log_list_walk(manager, filter, append_one, &listing);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
