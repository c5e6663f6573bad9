/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/agent.h"

#include "proxy/params.h"

#define JSON_DEPTH_MAX 32

typedef struct Question {
        ProxyAgentAnswered answered;
        void *userdata;
} Question;

/* {"return": …}: the daemon has made an error of all else. */
static int on_answer(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
        g_autoptr(VbJson) json = NULL;
        const Question *question = userdata;
        const char *text;
        int r;

        r = sd_bus_message_read(answer, "s", &text);
        if (r >= 0)
                json = json_tokener_parse_ex(tokener, text, -1);
        json_tokener_free(tokener);
        if (r < 0)
                return r;
        if (!json_object_is_type(json, json_type_object))
                return proxy_error_set(reterr, VIR_ERR_INTERNAL_ERROR, 0, "the guest agent's answer makes no sense");
        return question->answered(call, json_object_object_get(json, "return"), question->userdata, reterr);
}

int proxy_agent_ask(ProxyCall *call, const RpcDomain *dom, const char *command, VbJson *arguments, ProxyAgentAnswered answered,
                    void *userdata, sd_bus_error *reterr) {
        Question *question = proxy_call_alloc(call, sizeof(*question));
        g_autoptr(VbJson) request = json_object_new_object();
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        (void) json_object_object_add(request, "execute", json_object_new_string(command));
        if (arguments)
                (void) json_object_object_add(request, "arguments", arguments);
        r = proxy_call_new_domain_method(call, &message, dom, "GuestAgentCommand", reterr);
        if (r <= 0)
                return r;
        *question = (Question){ answered, userdata };
        r = sd_bus_message_append(message, "sa{sv}", json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN), 0);
        return r < 0 ? r : proxy_call_send(call, message, on_answer, question, reterr);
}

static int on_told(ProxyCall *call, VbJson *result, void *userdata, sd_bus_error *reterr) {
        return proxy_call_reply(call, NULL);
}

int proxy_agent_tell(ProxyCall *call, const RpcDomain *dom, const char *command, VbJson *arguments, sd_bus_error *reterr) {
        return proxy_agent_ask(call, dom, command, arguments, on_told, NULL, reterr);
}
