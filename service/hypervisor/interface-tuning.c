/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/interface-tuning.h"

#include <string.h>

#include "base/error.h"
#include "hypervisor/values.h"

#define RATE(direction, field) \
        VB_VALUE_ROW(#direction "-" #field, VB_VALUE_U32, VbDomain1SetInterfaceTuningArgs, direction##_##field, VbBandwidthRate, field)

static const VbValueRow inbound_rows[] = {
        RATE(inbound, average),
        RATE(inbound, peak),
        RATE(inbound, burst),
        RATE(inbound, floor),
        {},
};

static const VbValueRow outbound_rows[] = {
        RATE(outbound, average),
        RATE(outbound, peak),
        RATE(outbound, burst),
        {},
};

int vb_interface_find(const VbDomainDefinition *definition, const char *name, sd_bus_error *reterr) {
        VbMac mac = { 0 };
        bool is_mac = vb_mac_parse(name, &mac) >= 0;

        for (size_t i = 0; i < definition->interfaces.n; i++) {
                const VbInterface *interface = definition->interfaces.items[i];

                if (g_strcmp0(interface->target, name) == 0 ||
                    (is_mac && memcmp(interface->mac.bytes, mac.bytes, sizeof(mac.bytes)) == 0))
                        return (int) i;
        }
        return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s' has no network card '%s'", definition->name, name);
}

static int check_rate(const char *direction, const VbBandwidthRate *rate, sd_bus_error *reterr) {
        if (rate->floor > 0)
                return sd_bus_error_set(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                        "value 'inbound-floor': floor attribute is supported only for interfaces of type network");
        if (rate->average == 0 && (rate->peak > 0 || rate->burst > 0))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "values '%1$s-peak' and '%1$s-burst': they need '%1$s-average'", direction);
        return 0;
}

/* Puts what was given of a direction in the place of what was there. Returns how many values that is. */
static int take_rate(const VbValueRow *rows, const char *direction, const VbDomain1SetInterfaceTuningArgs *args,
                     VbBandwidthRate **rate, sd_bus_error *reterr) {
        VbBandwidthRate given = { 0 };
        int n, r;

        n = vb_values_take(rows, args, &given, reterr);
        if (n <= 0)
                return n;
        r = check_rate(direction, &given, reterr);
        if (r < 0)
                return r;
        g_free(*rate);
        *rate = g_memdup2(&given, sizeof(given));
        return n;
}

int vb_interface_tuning_set(VbDomainDefinition *definition, const VbDomain1SetInterfaceTuningArgs *args, sd_bus_error *reterr) {
        VbInterface *interface;
        int index, in, out;

        index = vb_interface_find(definition, args->interface, reterr);
        if (index < 0)
                return index;
        interface = definition->interfaces.items[index];
        if (!interface->bandwidth)
                interface->bandwidth = g_new0(VbBandwidth, 1);
        in = take_rate(inbound_rows, "inbound", args, &interface->bandwidth->inbound, reterr);
        if (in < 0)
                return in;
        out = take_rate(outbound_rows, "outbound", args, &interface->bandwidth->outbound, reterr);
        if (out < 0)
                return out;
        if (in + out == 0)
                return vb_values_none(reterr);
        vb_domain_definition_tidy(definition);
        return index;
}

int vb_interface_tuning_append(sd_bus_message *m, const VbInterface *interface) {
        const VbBandwidth *bandwidth = interface->bandwidth;
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && bandwidth && bandwidth->inbound)
                r = vb_values_append(m, inbound_rows, bandwidth->inbound);
        if (r >= 0 && bandwidth && bandwidth->outbound)
                r = vb_values_append(m, outbound_rows, bandwidth->outbound);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
