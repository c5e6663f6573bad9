/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "bus/daemon-private.h"
#include "bus/managed.h"
#include "bus/names.h"

/* Finding members */

static int compare_method(const void *name, const void *row) {
        return strcmp(name, (*(const VbMethod *const *) row)->name);
}

static const VbMethod *find_method_of(const VbBusInterface *interface, const char *member) {
        const VbMethod *const *found =
                bsearch(member, interface->methods, interface->n_methods, sizeof(*found), compare_method);

        return found ? *found : NULL;
}

/* A call need not name an interface. */
static const VbMethod *find_method(const VbObject *object, const char *interface, const char *member) {
        for (const VbObjectInterface *i = object->kind->interfaces; i->interface; i++)
                if (!interface || strcmp(i->interface->name, interface) == 0) {
                        const VbMethod *method = find_method_of(i->interface, member);

                        if (method || interface)
                                return method;
                }
        return NULL;
}

static const VbBusInterface *find_interface(const VbObject *object, const char *name) {
        for (const VbObjectInterface *i = object->kind->interfaces; i->interface; i++)
                if (strcmp(i->interface->name, name) == 0)
                        return i->interface;
        return NULL;
}

static const VbProperty *find_property(const VbObject *object, const char *interface, const char *name) {
        const VbBusInterface *found = find_interface(object, interface);

        for (const VbProperty *property = found ? found->properties : NULL; property && property->name; property++)
                if (strcmp(property->name, name) == 0)
                        return property;
        return NULL;
}

/* To sd-bus, which knows what to say of it. */
static int leave_alone(sd_bus_message *message) {
        int r;

        r = sd_bus_message_rewind(message, /* complete= */ true);
        return MIN(r, 0);
}

/* Reading properties. Like every reply: who has it has been told before of what it shows. */

static int on_get(VbObject *object, sd_bus_message *message) {
        g_autoptr(sd_bus_message) reply = NULL;
        const char *interface, *name;
        const VbProperty *property;
        int r;

        r = sd_bus_message_read(message, "ss", &interface, &name);
        if (r < 0)
                return r;
        property = find_property(object, interface, name);
        if (!property)
                return leave_alone(message);

        vb_objects_flush(object->objects);
        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = vb_managed_append_value(reply, object, property);
        if (r >= 0)
                r = sd_bus_send(/* bus= */ NULL, reply, /* ret_cookie= */ NULL);
        return r < 0 ? r : 1;
}

static int on_get_all(VbObject *object, sd_bus_message *message) {
        g_autoptr(sd_bus_message) reply = NULL;
        const VbBusInterface *interface;
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        interface = find_interface(object, name);
        if (!interface)
                return leave_alone(message);

        vb_objects_flush(object->objects);
        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (const VbProperty *property = interface->properties; r >= 0 && property->name; property++)
                r = vb_managed_append_property(reply, object, property);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_send(/* bus= */ NULL, reply, /* ret_cookie= */ NULL);
        return r < 0 ? r : 1;
}

/* Setting them. sd-bus's own setters cannot wait for polkit. */
static int on_set(VbObject *object, sd_bus_message *message, VbPeer *peer, sd_bus_error *reterr) {
        const char *interface, *name, *contents;
        const VbProperty *property;
        char type;
        int r;

        r = sd_bus_message_read(message, "ss", &interface, &name);
        if (r < 0)
                return r;
        property = find_property(object, interface, name);
        if (!property || !property->setter)
                return leave_alone(message);

        r = sd_bus_message_peek_type(message, &type, &contents);
        if (r < 0)
                return r;
        if (strcmp(contents, property->type) != 0)
                return sd_bus_reply_method_errorf(message, VB_ERROR_INVALID_ARGUMENT, "%s: has type '%s' and not '%s'",
                                                  name, contents, property->type);
        r = sd_bus_message_enter_container(message, 'v', contents);
        if (r < 0)
                return r;
        return vb_call_dispatch(message, object, property->setter, peer, reterr);
}

static int on_properties(VbObject *object, sd_bus_message *message, const char *member, VbPeer *peer,
                         sd_bus_error *reterr) {
        if (strcmp(member, "Get") == 0 && sd_bus_message_has_signature(message, "ss"))
                return on_get(object, message);
        if (strcmp(member, "GetAll") == 0 && sd_bus_message_has_signature(message, "s"))
                return on_get_all(object, message);
        if (strcmp(member, "Set") == 0 && sd_bus_message_has_signature(message, "ssv"))
                return on_set(object, message, peer, reterr);
        return 0;
}

/* The whole */

int vb_dispatch(VbObjects *objects, sd_bus_message *message, VbPeer *peer, sd_bus_error *reterr) {
        const char *path = sd_bus_message_get_path(message);
        const char *interface = sd_bus_message_get_interface(message);
        const char *member = sd_bus_message_get_member(message);
        const VbMethod *method;
        VbObject *object;

        object = vb_objects_find(objects, /* kind= */ NULL, path);
        if (!object)
                return 0;
        if (interface && strcmp(interface, VB_DBUS_PROPERTIES_INTERFACE) == 0)
                return on_properties(object, message, member, peer, reterr);
        if (interface && !object->kind->prefix && strcmp(interface, VB_DBUS_OBJECT_MANAGER_INTERFACE) == 0)
                return strcmp(member, "GetManagedObjects") == 0 && sd_bus_message_has_signature(message, "")
                               ? vb_managed_reply(objects, message)
                               : 0;

        method = find_method(object, interface, member);
        if (!method || !sd_bus_message_has_signature(message, method->signature))
                return 0;
        return vb_call_dispatch(message, object, method, peer, reterr);
}

int vb_dispatch_unreached(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        vb_log_error("%s.%s: came by where no call should", sd_bus_message_get_interface(message),
                     sd_bus_message_get_member(message));
        return sd_bus_error_setf(reterr, VB_ERROR_NOT_SUPPORTED, "%s: cannot be called like this",
                                 sd_bus_message_get_member(message));
}
