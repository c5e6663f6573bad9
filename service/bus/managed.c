/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/managed.h"

int vb_managed_append_value(sd_bus_message *message, VbObject *object, const VbProperty *property) {
        int r;

        r = sd_bus_message_open_container(message, 'v', property->type);
        if (r >= 0)
                r = property->get(/* bus= */ NULL, object->path, /* interface= */ NULL, property->name, message, object,
                                  /* reterr= */ NULL);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int vb_managed_append_property(sd_bus_message *message, VbObject *object, const VbProperty *property) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(message, 's', property->name);
        if (r >= 0)
                r = vb_managed_append_value(message, object, property);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int vb_managed_append(sd_bus_message *message, VbObject *object) {
        int r;

        r = sd_bus_message_append_basic(message, 'o', object->path);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(message, 'a', "{sa{sv}}");
        if (r < 0)
                return r;
        for (const VbObjectInterface *i = object->kind->interfaces; i->interface; i++) {
                r = i->interface->append_all(message, object);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(message);
}

static int append_objects(sd_bus_message *reply, VbObjects *objects) {
        GHashTableIter iterator;
        VbObject *object;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{oa{sa{sv}}}");
        if (r < 0)
                return r;
        g_hash_table_iter_init(&iterator, vb_objects_all(objects));
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &object)) {
                if (!object->kind->prefix)
                        continue;
                r = sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}");
                if (r < 0)
                        return r;
                r = vb_managed_append(reply, object);
                if (r < 0)
                        return r;
                r = sd_bus_message_close_container(reply);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

int vb_managed_reply(VbObjects *objects, sd_bus_message *message) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        /* Like every reply: who has it has been told before of what it shows. */
        vb_objects_flush(objects);
        r = sd_bus_message_new_method_return(message, &reply);
        if (r < 0)
                return r;
        r = append_objects(reply, objects);
        if (r < 0)
                return r;
        r = sd_bus_send(/* bus= */ NULL, reply, /* ret_cookie= */ NULL);
        return r < 0 ? r : 1;
}
