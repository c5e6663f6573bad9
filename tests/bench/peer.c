/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An empty service of plain sd-bus vtables: the limit that the bus and its library set. It serves as many objects as
 * asked for, each with as many properties as a domain has, and links what every daemon here links (glib, libxml2,
 * json-c), so that its memory is that of a daemon that does nothing. */

#include <errno.h>
#include <glib.h>
#include <json-c/json.h>
#include <libxml/parser.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"

#define PEER_NAME "org.virtbus.bench.Peer"
#define PEER_PATH "/org/virtbus/bench"
#define PEER_OBJECT "org.virtbus.bench.Object"

typedef struct Object {
        char *name;
        char *uuid;
        const char *state;
        const char *reason;
        int id;
        uint32_t owner;
        uint32_t vcpus;
        uint64_t memory;
        uint64_t max_memory;
        int yes; /* what sd-bus reads a "b" from */
        int no;
} Object;

static Object *objects;
static unsigned n_objects;

static int get_state(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        Object *object = userdata;

        return sd_bus_reply_method_return(message, "ss", object->state, object->reason);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetState", NULL, "ss", get_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Name", "s", NULL, offsetof(Object, name), 0),
        SD_BUS_PROPERTY("UUID", "s", NULL, offsetof(Object, uuid), 0),
        SD_BUS_PROPERTY("Id", "i", NULL, offsetof(Object, id), 0),
        SD_BUS_PROPERTY("State", "s", NULL, offsetof(Object, state), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StateReason", "s", NULL, offsetof(Object, reason), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Persistent", "b", NULL, offsetof(Object, yes), 0),
        SD_BUS_PROPERTY("Autostart", "b", NULL, offsetof(Object, no), 0),
        SD_BUS_PROPERTY("AutostartOnce", "b", NULL, offsetof(Object, no), 0),
        SD_BUS_PROPERTY("Owner", "u", NULL, offsetof(Object, owner), 0),
        SD_BUS_PROPERTY("VCPUs", "u", NULL, offsetof(Object, vcpus), 0),
        SD_BUS_PROPERTY("Memory", "t", NULL, offsetof(Object, memory), 0),
        SD_BUS_PROPERTY("MaxMemory", "t", NULL, offsetof(Object, max_memory), 0),
        SD_BUS_PROPERTY("HasManagedSave", "b", NULL, offsetof(Object, no), 0),
        SD_BUS_PROPERTY("Title", "s", NULL, offsetof(Object, name), 0),
        SD_BUS_VTABLE_END,
};

static int find_object(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                       sd_bus_error *reterr) {
        char *end;
        unsigned long index;

        if (!g_str_has_prefix(path, PEER_PATH "/"))
                return 0;
        index = strtoul(path + strlen(PEER_PATH "/"), &end, 10);
        if (*end != '\0' || index >= n_objects)
                return 0;
        *ret_found = &objects[index];
        return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *reterr) {
        char **nodes = calloc(n_objects + 1, sizeof(char *));

        if (!nodes)
                return -ENOMEM;
        for (unsigned i = 0; i < n_objects; i++)
                if (asprintf(&nodes[i], PEER_PATH "/%u", i) < 0)
                        return -ENOMEM;
        *ret_nodes = nodes;
        return 1;
}

static void make_objects(unsigned n) {
        n_objects = n;
        objects = g_new0(Object, n);
        for (unsigned i = 0; i < n; i++)
                objects[i] = (Object) {
                        .name = g_strdup_printf("bench-%05u", i),
                        .uuid = g_strdup_printf("be9c0000-0000-4000-8000-%012u", i),
                        .state = "shutoff",
                        .reason = "unknown",
                        .id = -1,
                        .vcpus = 2,
                        .memory = UINT64_C(512) << 20,
                        .max_memory = UINT64_C(512) << 20,
                        .yes = 1,
                };
}

/* Without a use the linker would leave the libraries out. */
static void load_libraries(void) {
        xmlInitParser();
        json_object_put(json_object_new_object());
}

static int serve(sd_bus *bus, sd_event *event) {
        int r;

        r = sd_bus_add_fallback_vtable(bus, NULL, PEER_PATH, PEER_OBJECT, vtable, find_object, NULL);
        if (r < 0)
                return r;
        r = sd_bus_add_node_enumerator(bus, NULL, PEER_PATH, enumerate, NULL);
        if (r < 0)
                return r;
        r = sd_bus_add_object_manager(bus, NULL, PEER_PATH);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus, event, 0);
        if (r < 0)
                return r;
        r = sd_bus_request_name(bus, PEER_NAME, 0);
        if (r < 0)
                return r;
        (void) sd_notify(false, "READY=1");
        return sd_event_loop(event);
}

int main(int argc, char **argv) {
        g_autoptr(sd_event) event = NULL;
        g_autoptr(sd_bus) bus = NULL;
        const char *objects_wanted = getenv("OBJECTS");
        int r;

        load_libraries();
        make_objects(objects_wanted ? (unsigned) atoi(objects_wanted) : 1);

        r = sd_event_default(&event);
        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = serve(bus, event);
        if (r < 0)
                fprintf(stderr, "bench-peer: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
