/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/host-plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/metadata.h"
#include "xml/document.h"

#define ELEMENT "shutdown"
#define WAIT_MAX_SEC (24u * 3600)

VB_STRING_TABLE(vb_host_step, VbHostStep, _VB_HOST_STEP_MAX,
                [VB_HOST_STEP_SAVE] = "save",
                [VB_HOST_STEP_SHUTDOWN] = "shutdown",
                [VB_HOST_STEP_POWEROFF] = "poweroff");

static int refuse(const VbDomainDefinition *definition, sd_bus_error *reterr, const char *attribute, const char *value, const char *good) {
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "domain '%s': <metadata>: <virtbus:" ELEMENT " %s='%.64s'>: not %s",
                                 definition->name, attribute, value, good);
}

static int parse_order(const char *text, bool *steps) {
        g_auto(GStrv) words = g_strsplit_set(text, " \t\n", -1);
        bool wanted[_VB_HOST_STEP_MAX] = {};
        int last = -1;

        if (strcmp(text, "none") == 0) {
                memcpy(steps, wanted, sizeof(wanted));
                return 0;
        }
        for (char **word = words; *word; word++) {
                int step = vb_host_step_from_string(*word);

                if (**word == '\0')
                        continue;
                /* Whoever has been powered off cannot be saved. */
                if (step < 0 || step <= last)
                        return -EINVAL;
                wanted[step] = true;
                last = step;
        }
        if (last < 0)
                return -EINVAL;
        memcpy(steps, wanted, sizeof(wanted));
        return 0;
}

static int parse_wait(const char *text, uint64_t *ret_usec) {
        uint64_t seconds;
        char *end;

        if (!g_ascii_isdigit(text[0]))
                return -EINVAL;
        seconds = strtoull(text, &end, 10);
        if (*end != '\0' || seconds == 0 || seconds > WAIT_MAX_SEC)
                return -EINVAL;
        *ret_usec = seconds * G_USEC_PER_SEC;
        return 0;
}

static char *take_attribute(const xmlNode *node, const char *name) {
        xmlChar *value = xmlGetNoNsProp(node, (const xmlChar *) name);
        char *text = g_strdup((const char *) value);

        xmlFree(value);
        return text;
}

/* What is wrong changes nothing. */
static int read_element(const VbDomainDefinition *definition, const char *text, VbHostPlan *plan, sd_bus_error *reterr) {
        g_autoptr(xmlDoc) document = NULL;
        g_autofree char *order = NULL, *wait = NULL;
        VbHostPlan wanted = *plan;
        const xmlNode *root;
        int r;

        r = vb_xml_document_read(&document, text, strlen(text), reterr);
        if (r < 0)
                return r;
        root = xmlDocGetRootElement(document);
        if (!xmlStrEqual(root->name, (const xmlChar *) ELEMENT))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "domain '%s': <metadata>: <virtbus:%.64s>: not <virtbus:" ELEMENT ">",
                                         definition->name, root->name);
        order = take_attribute(root, "order");
        if (order && parse_order(order, wanted.steps) < 0)
                return refuse(definition, reterr, "order", order, "some of save, shutdown, poweroff, in this order, or none");
        wait = take_attribute(root, "wait");
        if (wait && parse_wait(wait, &wanted.wait_usec) < 0)
                return refuse(definition, reterr, "wait", wait, "a number of seconds from 1 to 86400");
        *plan = wanted;
        return 0;
}

static int read_metadata(const VbDomainDefinition *definition, VbHostPlan *plan, sd_bus_error *reterr) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *text = NULL;
        int r;

        /* Most have none, and are not parsed for it. */
        if (!definition->metadata || !strstr(definition->metadata, VB_HOST_PLAN_NAMESPACE))
                return 0;
        r = vb_metadata_get(definition, VB_METADATA_ELEMENT, VB_HOST_PLAN_NAMESPACE, &text, &error);
        if (r < 0)
                return sd_bus_error_has_name(&error, VB_ERROR_NO_METADATA) ? 0 : sd_bus_error_move(reterr, &error);
        return read_element(definition, text, plan, reterr);
}

int vb_host_plan_make(VbHostPlan *ret, const VbHostSettings *settings, const VbDomain *domain, sd_bus_error *reterr) {
        int kind = domain->config ? VB_HOST_SCOPE_PERSISTENT : VB_HOST_SCOPE_TRANSIENT, r;
        bool is_administrators = domain->owner == 0 || vb_daemon_is_session(domain->hypervisor->daemon);

        *ret = (VbHostPlan){
                .steps = {
                        [VB_HOST_STEP_SAVE] = settings->try_save & kind,
                        [VB_HOST_STEP_SHUTDOWN] = settings->try_shutdown & kind,
                        [VB_HOST_STEP_POWEROFF] = settings->poweroff & kind,
                },
                .wait_usec = settings->wait_usec,
        };
        r = read_metadata(vb_domain_definition(domain), ret, reterr);
        if (!is_administrators)
                ret->wait_usec = MIN(ret->wait_usec, settings->wait_usec);
        /* There would be nothing to start again. */
        if (!domain->config)
                ret->steps[VB_HOST_STEP_SAVE] = false;
        return r;
}

int vb_host_plan_check(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        VbHostPlan plan = {};

        return read_metadata(definition, &plan, reterr);
}
