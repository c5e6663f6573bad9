/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From packet to bus and back, between a connection and a driver that are not real. What becomes of
 * procedures here stands in proxy-calls/test.tsv. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/uuid.h"
#include "proxy/backend.h"
#include "proxy/call-private.h"
#include "proxy/error.h"
#include "proxy/rpc.h"
#include "proxy/worker.h"
#include "proxy/xdr.h"

#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"
#define PATH "/org/virtbus/Qemu1/domain/_c7a5fdbd_edaf_9455_926a_d65c16db1809"

/* ---- the connection */

struct ProxyConnection {
        bool is_open, is_read_only, is_admin;
        GQueue sent; /* GByteArray */
        GPtrArray *calls; /* under way */
};

struct ProxyBackend {
        sd_bus *bus;
        sd_bus_message *message; /* that the driver was sent last */
        ProxyBackendAnswered answered;
        void *userdata;
        uint64_t cookie;
        bool are_domains_read, fails_at_once;
        ProxyBackendReady ready;
        void *ready_userdata;
};

struct ProxyDomains {
        ProxyDomain domain;
        bool is_gone;
};

static ProxyBackend backend;
static ProxyDomains domains = {
        .domain = { .path = (char *) PATH, .name = (char *) "vm", .uuid_text = UUID, .id = 5 },
};

void proxy_connection_enter(ProxyConnection *connection, ProxyCall *call) {
        g_ptr_array_add(connection->calls, call);
}

void proxy_connection_leave(ProxyConnection *connection, ProxyCall *call) {
        g_assert_true(g_ptr_array_remove(connection->calls, call));
}

void proxy_connection_send(ProxyConnection *connection, GByteArray *message, const int *fds, unsigned n_fds) {
        g_queue_push_tail(&connection->sent, message);
}

bool proxy_connection_has_program(const ProxyConnection *connection, uint32_t program) {
        return (program == rpc_programs[RPC_PROGRAM_ADMIN].id) == connection->is_admin;
}

bool proxy_connection_is_authenticated(const ProxyConnection *connection) {
        return true;
}

bool proxy_connection_is_open(const ProxyConnection *connection) {
        return connection->is_open;
}

bool proxy_connection_is_read_only(const ProxyConnection *connection) {
        return connection->is_read_only;
}

const char *proxy_connection_driver(const ProxyConnection *connection) {
        return connection->is_open ? "qemu" : NULL;
}

const ProxyClient *proxy_connection_client(const ProxyConnection *connection) {
        static const ProxyClient client = {};

        return &client;
}

ProxyWorker *proxy_connection_worker(ProxyConnection *connection) {
        return NULL;
}

ProxyBackend *proxy_worker_backend(ProxyWorker *worker, const char *driver) {
        g_assert_cmpstr(driver, ==, "qemu");
        return &backend;
}

/* ---- the driver */

int proxy_backend_new_method(ProxyBackend *b, sd_bus_message **ret, const char *path, const char *interface,
                             const char *member) {
        return sd_bus_message_new_method_call(b->bus, ret, NULL, path ?: "/org/virtbus/Qemu1", interface,
                                              member);
}

int proxy_backend_call(ProxyBackendCall **ret, ProxyBackend *b, const ProxyClient *client, bool read_only,
                       sd_bus_message *message, ProxyBackendAnswered answered, void *userdata,
                       sd_bus_error *reterr) {
        g_assert_null(b->message);
        g_assert_cmpint(sd_bus_message_seal(message, ++b->cookie, 0), >=, 0);
        b->message = sd_bus_message_ref(message);
        b->answered = answered;
        b->userdata = userdata;
        *ret = NULL;
        return 0;
}

ProxyBackendCall *proxy_backend_call_cancel(ProxyBackendCall *call) {
        return NULL;
}

int proxy_backend_domains(ProxyBackend *b, ProxyDomains **ret, ProxyBackendReady ready, void *userdata,
                          sd_bus_error *reterr) {
        if (b->fails_at_once) {
                ready(-ECONNREFUSED, &SD_BUS_ERROR_MAKE_CONST(VB_ERROR_OPERATION_FAILED, "nobody is there"), userdata);
                return 0;
        }
        if (!b->are_domains_read) {
                b->ready = ready;
                b->ready_userdata = userdata;
                return 0;
        }
        *ret = &domains;
        return 1;
}

const ProxyDomain *proxy_domains_by_uuid(ProxyDomains *d, const uint8_t uuid[static 16]) {
        return !d->is_gone && memcmp(uuid, d->domain.uuid, 16) == 0 ? &d->domain : NULL;
}

const ProxyDomain *proxy_domains_by_path(ProxyDomains *d, const char *path) {
        return !d->is_gone && strcmp(path, d->domain.path) == 0 ? &d->domain : NULL;
}

/* ---- what is seen of both */

typedef struct Fixture {
        ProxyConnection connection;
        int far_end;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused) {
        int pair[2];
        VbUuid uuid;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
        f->far_end = pair[1];
        backend = (ProxyBackend){ .are_domains_read = true };
        g_assert_cmpint(sd_bus_new(&backend.bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(backend.bus, pair[0], pair[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(backend.bus), >=, 0);

        f->connection = (ProxyConnection){ .is_open = true, .calls = g_ptr_array_new() };
        g_queue_init(&f->connection.sent);
        g_assert_cmpint(vb_uuid_parse(UUID, &uuid), ==, 0);
        memcpy(domains.domain.uuid, uuid.bytes, 16);
        domains.is_gone = false;
}

static void tear_down(Fixture *f, gconstpointer unused) {
        g_assert_cmpuint(f->connection.calls->len, ==, 0);
        g_assert_true(g_queue_is_empty(&f->connection.sent));
        g_assert_null(backend.message);
        g_ptr_array_unref(f->connection.calls);
        sd_bus_close_unref(backend.bus);
        (void) vb_close(f->far_end);
}

static RpcDomain vm(void) {
        RpcDomain domain = { .name = "vm", .id = -1 };

        memcpy(domain.uuid, domains.domain.uuid, 16);
        return domain;
}

static ProxyPacket *packet_of(const ProxyPacketHeader *header, const void *body, size_t size) {
        ProxyPacket *packet = g_new0(ProxyPacket, 1);

        packet->header = *header;
        packet->body = g_memdup2(body, size);
        packet->size = size;
        return packet;
}

static void call_with(Fixture *f, unsigned number, const void *args) {
        const RpcProcedure *procedure = &rpc_programs[RPC_PROGRAM_REMOTE].procedures[number];
        g_autoptr(GByteArray) body = g_byte_array_new();
        XdrProblem problem;

        g_assert_cmpint(xdr_encode(procedure->args, args, body, &problem), ==, 0);
        proxy_call_dispatch(&f->connection,
                            packet_of(&(ProxyPacketHeader){ rpc_programs[RPC_PROGRAM_REMOTE].id, 1,
                                                            (int) number, 0, 77, 0 },
                                      body->data, body->len));
}

static void append_body(GString *out, sd_bus_message *m) {
        const char *contents, *text;
        uint64_t number;
        char type;

        while (sd_bus_message_peek_type(m, &type, &contents) > 0)
                if (type == 'a' || type == 'e' || type == 'v') {
                        g_assert_cmpint(sd_bus_message_enter_container(m, type, contents), >, 0);
                        g_string_append(out, type == 'a' ? "[ " : type == 'e' ? "" : "= ");
                        append_body(out, m);
                        g_string_append(out, type == 'a' ? "] " : "");
                        g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
                } else if (type == 's' || type == 'o') {
                        g_assert_cmpint(sd_bus_message_read_basic(m, type, &text), >, 0);
                        g_string_append_printf(out, "'%s' ", text);
                } else {
                        number = 0;
                        g_assert_cmpint(sd_bus_message_read_basic(m, type, &number), >, 0);
                        g_string_append_printf(out, "%c:%" G_GUINT64_FORMAT " ", type, number);
                }
}

static void assert_called(const char *path, const char *interface, const char *member, const char *body) {
        g_autoptr(GString) text = g_string_new(NULL);

        g_assert_nonnull(backend.message);
        g_assert_cmpstr(sd_bus_message_get_path(backend.message), ==, path);
        g_assert_cmpstr(sd_bus_message_get_interface(backend.message), ==, interface);
        g_assert_cmpstr(sd_bus_message_get_member(backend.message), ==, member);
        g_assert_true(sd_bus_message_get_allow_interactive_authorization(backend.message));
        append_body(text, backend.message);
        g_assert_cmpstr(text->str, ==, body);
}

static void answer_with(sd_bus_message *answer) {
        g_autoptr(sd_bus_message) asked = g_steal_pointer(&backend.message);

        g_assert_cmpint(sd_bus_message_seal(answer, ++backend.cookie, 0), >=, 0);
        backend.answered(answer, 0, NULL, backend.userdata);
}

static void answer(const char *types, ...) {
        g_autoptr(sd_bus_message) m = NULL;
        va_list arguments;

        g_assert_cmpint(sd_bus_message_new_method_return(backend.message, &m), >=, 0);
        va_start(arguments, types);
        if (types[0])
                g_assert_cmpint(sd_bus_message_appendv(m, types, arguments), >=, 0);
        va_end(arguments);
        answer_with(m);
}

static void answer_error(const char *name, const char *text) {
        g_autoptr(sd_bus_message) m = NULL;
        sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, text);

        g_assert_cmpint(sd_bus_message_new_method_error(backend.message, &m, &error), >=, 0);
        answer_with(m);
}

/* The oldest message sent, in the test's own arena. */
static ProxyArena arena;

static const void *sent(Fixture *f, const RpcType *type, uint32_t status) {
        g_autoptr(GByteArray) message = g_queue_pop_head(&f->connection.sent);
        void *value = proxy_arena_alloc(&arena, type->size);
        uint32_t words[7];
        XdrProblem problem;

        g_assert_nonnull(message);
        memcpy(words, message->data, sizeof(words));
        g_assert_cmpuint(GUINT32_FROM_BE(words[0]), ==, message->len);
        g_assert_cmpuint(GUINT32_FROM_BE(words[4]), ==, PROXY_PACKET_REPLY);
        g_assert_cmpuint(GUINT32_FROM_BE(words[5]), ==, 77);
        g_assert_cmpuint(GUINT32_FROM_BE(words[6]), ==, status);
        g_assert_cmpint(xdr_decode(type, message->data + 28, message->len - 28, &arena, value, &problem), ==,
                        message->len - 28);
        return value;
}

static const void *reply_of(Fixture *f, unsigned number) {
        return sent(f, rpc_programs[RPC_PROGRAM_REMOTE].procedures[number].ret, PROXY_PACKET_OK);
}

static void assert_error(Fixture *f, int code, int domain, const char *message) {
        const RpcError *error = sent(f, &rpc_type_error, PROXY_PACKET_ERROR);

        g_assert_cmpint(error->code, ==, code);
        g_assert_cmpint(error->domain, ==, domain);
        g_assert_cmpint(error->level, ==, VIR_ERR_ERROR);
        g_assert_cmpstr(error->message, ==, message);
}

/* ---- routes */

static void test_plain(Fixture *f, gconstpointer unused) {
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        assert_called(PATH, "org.virtbus.Domain1", "Suspend", "[ ] ");
        g_assert_cmpuint(f->connection.calls->len, ==, 1);
        answer("");
        (void) reply_of(f, RPC_REMOTE_DOMAIN_SUSPEND);
}

/* The first call of all waits for the domains to be read. */
static void test_domains_are_read_first(Fixture *f, gconstpointer unused) {
        backend.are_domains_read = false;
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        g_assert_null(backend.message);
        backend.are_domains_read = true;
        backend.ready(0, NULL, backend.ready_userdata);
        assert_called(PATH, "org.virtbus.Domain1", "Suspend", "[ ] ");

        /* When they must be read again for the reply, the method is not called a second time. */
        answer("");
        (void) reply_of(f, RPC_REMOTE_DOMAIN_SUSPEND);
        call_with(f, RPC_REMOTE_DOMAIN_CREATE_WITH_FLAGS, &(RpcRemoteDomainCreateWithFlagsArgs){ vm(), 0 });
        backend.are_domains_read = false;
        answer("");
        g_assert_true(g_queue_is_empty(&f->connection.sent));
        backend.are_domains_read = true;
        backend.ready(0, NULL, backend.ready_userdata);
        g_assert_null(backend.message);
        (void) reply_of(f, RPC_REMOTE_DOMAIN_CREATE_WITH_FLAGS);
}

static void test_flags(Fixture *f, gconstpointer unused) {
        static const struct {
                unsigned flags;
                const char *body;
        } cases[] = {
                { 0, "[ ] " },
                { VIR_DOMAIN_START_PAUSED, "[ 'paused' = b:1 ] " },
                { VIR_DOMAIN_START_VALIDATE, "[ ] " },
                { VIR_DOMAIN_START_FORCE_BOOT | VIR_DOMAIN_START_PAUSED,
                  "[ 'paused' = b:1 'force-boot' = b:1 ] " },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const RpcRemoteDomainCreateWithFlagsRet *ret;

                call_with(f, RPC_REMOTE_DOMAIN_CREATE_WITH_FLAGS,
                          &(RpcRemoteDomainCreateWithFlagsArgs){ vm(), cases[i].flags });
                assert_called(PATH, "org.virtbus.Domain1", "Start", cases[i].body);
                answer("");
                ret = reply_of(f, RPC_REMOTE_DOMAIN_CREATE_WITH_FLAGS);
                g_assert_cmpint(ret->dom.id, ==, 5);
        }
        call_with(f, RPC_REMOTE_DOMAIN_CREATE_WITH_FLAGS,
                  &(RpcRemoteDomainCreateWithFlagsArgs){ vm(), 0x8001 });
        assert_error(f, VIR_ERR_INVALID_ARG, VIR_FROM_QEMU,
                     "unsupported flags (0x8000) in function virDomainCreateWithFlags");
        call_with(f, RPC_REMOTE_DOMAIN_SEND_KEY, &(RpcRemoteDomainSendKeyArgs){ vm(), .flags = 1 });
        assert_error(f, VIR_ERR_INVALID_ARG, VIR_FROM_QEMU,
                     "unsupported flags (0x1) in function virDomainSendKey");
}

static void test_flags_with_words(Fixture *f, gconstpointer unused) {
        static const struct {
                unsigned flags;
                const char *mode;
        } cases[] = {
                { 0, "" },
                { VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN, "'mode' = 'acpi' " },
                { VIR_DOMAIN_SHUTDOWN_GUEST_AGENT, "'mode' = 'agent' " },
                { VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN | VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
                  "'mode' = 'default' " },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *body =
                        g_strdup_printf("[ 'then' = 'none' 'timeout-usec' = t:5 %s] ", cases[i].mode);

                call_with(f, RPC_REMOTE_DOMAIN_SHUTDOWN_FLAGS,
                          &(RpcRemoteDomainShutdownFlagsArgs){ vm(), cases[i].flags });
                assert_called(PATH, "org.virtbus.Domain1", "Shutdown", body);
                answer("");
                (void) reply_of(f, RPC_REMOTE_DOMAIN_SHUTDOWN_FLAGS);
        }
}

static void test_path_becomes_domain(Fixture *f, gconstpointer unused) {
        const RpcRemoteDomainDefineXmlFlagsRet *ret;
        g_autoptr(sd_bus_message) m = NULL;

        call_with(f, RPC_REMOTE_DOMAIN_DEFINE_XML_FLAGS,
                  &(RpcRemoteDomainDefineXmlFlagsArgs){ "<domain/>", VIR_DOMAIN_DEFINE_VALIDATE });
        assert_called("/org/virtbus/Qemu1", "org.virtbus.Hypervisor1", "Define",
                      "'<domain/>' [ 'validate' = b:0 ] ");
        answer("o", PATH);
        ret = reply_of(f, RPC_REMOTE_DOMAIN_DEFINE_XML_FLAGS);
        g_assert_cmpstr(ret->dom.name, ==, "vm");
        g_assert_cmpint(ret->dom.id, ==, 5);

        /* One that is not in the records is asked for itself. */
        domains.is_gone = true;
        call_with(f, RPC_REMOTE_DOMAIN_CREATE_XML, &(RpcRemoteDomainCreateXmlArgs){ "<domain/>", 0 });
        assert_called("/org/virtbus/Qemu1", "org.virtbus.Hypervisor1", "Create", "'<domain/>' [ ] [ ] ");
        answer("o", PATH);
        assert_called(PATH, "org.freedesktop.DBus.Properties", "GetAll", "'org.virtbus.Domain1' ");
        g_assert_cmpint(sd_bus_message_new_method_return(backend.message, &m), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 4, "Id", "i", 9, "Other", "as", 1, "x", "UUID", "s",
                                              UUID, "Name", "s", "new"),
                        >=, 0);
        answer_with(m);
        ret = reply_of(f, RPC_REMOTE_DOMAIN_CREATE_XML);
        g_assert_cmpstr(ret->dom.name, ==, "new");
        g_assert_cmpint(ret->dom.id, ==, 9);
        g_assert_cmpmem(ret->dom.uuid, 16, domains.domain.uuid, 16);
}

static void test_values(Fixture *f, gconstpointer unused) {
        static const uint32_t keys[] = { 30, 48 };

        call_with(f, RPC_REMOTE_DOMAIN_SEND_KEY,
                  &(RpcRemoteDomainSendKeyArgs){ vm(), VIR_KEYCODE_SET_QNUM, 200, { 2, keys }, 0 });
        assert_called(PATH, "org.virtbus.Domain1", "SendKeys",
                      "[ u:30 u:48 ] [ 'codeset' = 'qnum' 'hold-usec' = t:200000 ] ");
        answer("");
        (void) reply_of(f, RPC_REMOTE_DOMAIN_SEND_KEY);

        call_with(f, RPC_REMOTE_DOMAIN_SEND_KEY,
                  &(RpcRemoteDomainSendKeyArgs){ vm(), VIR_KEYCODE_SET_USB, 0, { 2, keys }, 0 });
        assert_error(f, VIR_ERR_INVALID_ARG, VIR_FROM_DOMAIN, "invalid argument: codeset: 7 is not known");

        /* A text that is left out is empty where it must stand, and left out where it need not. */
        call_with(f, RPC_REMOTE_DOMAIN_SET_METADATA,
                  &(RpcRemoteDomainSetMetadataArgs){ vm(), VIR_DOMAIN_METADATA_TITLE, "t", NULL, NULL,
                                                     VIR_DOMAIN_AFFECT_LIVE });
        assert_called(PATH, "org.virtbus.Domain1", "SetMetadata", "'title' '' '' 't' [ 'live' = b:1 ] ");
        answer("");
        (void) reply_of(f, RPC_REMOTE_DOMAIN_SET_METADATA);
        call_with(f, RPC_REMOTE_CONNECT_GET_DOMAIN_CAPABILITIES,
                  &(RpcRemoteConnectGetDomainCapabilitiesArgs){ .arch = "x86_64" });
        assert_called("/org/virtbus/Qemu1", "org.virtbus.Hypervisor1", "GetDomainCapabilities",
                      "[ 'arch' = 'x86_64' ] ");
        answer("s", "<c/>");
        g_assert_cmpstr(((const RpcRemoteConnectGetDomainCapabilitiesRet *) reply_of(
                                 f, RPC_REMOTE_CONNECT_GET_DOMAIN_CAPABILITIES))
                                ->capabilities,
                        ==, "<c/>");

        /* The bus carries UTF-8 only. */
        call_with(f, RPC_REMOTE_DOMAIN_DEFINE_XML_FLAGS, &(RpcRemoteDomainDefineXmlFlagsArgs){ "<\xff>", 0 });
        assert_error(f, VIR_ERR_INVALID_ARG, VIR_FROM_DOMAIN, "invalid argument: xml: the text is not UTF-8");
}

static void test_properties(Fixture *f, gconstpointer unused) {
        call_with(f, RPC_REMOTE_DOMAIN_SET_AUTOSTART, &(RpcRemoteDomainSetAutostartArgs){ vm(), 7 });
        assert_called(PATH, "org.freedesktop.DBus.Properties", "Set",
                      "'org.virtbus.Domain1' 'Autostart' = b:1 ");
        answer("");
        (void) reply_of(f, RPC_REMOTE_DOMAIN_SET_AUTOSTART);

        call_with(f, RPC_REMOTE_DOMAIN_GET_AUTOSTART, &(RpcRemoteDomainGetAutostartArgs){ vm() });
        assert_called(PATH, "org.freedesktop.DBus.Properties", "Get", "'org.virtbus.Domain1' 'Autostart' ");
        answer("v", "b", 1);
        g_assert_cmpint(
                ((const RpcRemoteDomainGetAutostartRet *) reply_of(f, RPC_REMOTE_DOMAIN_GET_AUTOSTART))
                        ->autostart,
                ==, 1);

        call_with(f, RPC_REMOTE_DOMAIN_GET_MAX_MEMORY, &(RpcRemoteDomainGetMaxMemoryArgs){ vm() });
        assert_called(PATH, "org.freedesktop.DBus.Properties", "Get", "'org.virtbus.Domain1' 'MaxMemory' ");
        answer("v", "t", UINT64_MAX);
        g_assert_cmpuint(
                ((const RpcRemoteDomainGetMaxMemoryRet *) reply_of(f, RPC_REMOTE_DOMAIN_GET_MAX_MEMORY))
                        ->memory,
                ==, UINT64_MAX / 1024);

        /* What does not fit into the old field is an error, not another number. */
        call_with(f, RPC_REMOTE_DOMAIN_GET_MAX_VCPUS, &(RpcRemoteDomainGetMaxVcpusArgs){ vm() });
        assert_called(PATH, "org.freedesktop.DBus.Properties", "Get", "'org.virtbus.Domain1' 'VCPUs' ");
        answer("v", "u", UINT32_C(0x80000000));
        assert_error(f, VIR_ERR_OVERFLOW, VIR_FROM_DOMAIN,
                     "numerical overflow: num is too large for the classic protocol");
        call_with(f, RPC_REMOTE_DOMAIN_GET_MAX_VCPUS, &(RpcRemoteDomainGetMaxVcpusArgs){ vm() });
        assert_called(PATH, "org.freedesktop.DBus.Properties", "Get", "'org.virtbus.Domain1' 'VCPUs' ");
        answer("v", "s", "many");
        assert_error(f, VIR_ERR_SYSTEM_ERROR, VIR_FROM_DOMAIN, g_strerror(ENXIO));

        call_with(f, RPC_REMOTE_DOMAIN_IS_ACTIVE, &(RpcRemoteDomainIsActiveArgs){ vm() });
        g_assert_cmpint(
                ((const RpcRemoteDomainIsActiveRet *) reply_of(f, RPC_REMOTE_DOMAIN_IS_ACTIVE))->active, ==,
                1);
}

/* ---- errors */

static void test_errors_of_the_bus(Fixture *f, gconstpointer unused) {
        static const struct {
                const char *name, *text;
                int code, domain;
                const char *message;
        } cases[] = {
                { VB_ERROR_INVALID_STATE, "domain 'vm': it is off", VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU,
                  "Requested operation is not valid: domain 'vm': it is off" },
                { VB_ERROR_INVALID_XML, "line 1", VIR_ERR_XML_ERROR, VIR_FROM_XML, "XML error: line 1" },
                { SD_BUS_ERROR_ACCESS_DENIED, "no", VIR_ERR_ACCESS_DENIED, VIR_FROM_ACCESS,
                  "access denied: no" },
                { SD_BUS_ERROR_UNKNOWN_METHOD, "what?", VIR_ERR_NO_SUPPORT, VIR_FROM_QEMU,
                  "this function is not supported by the connection driver: what?" },
                { VB_ERROR_NO_FILE, "no 'disk.img'", VIR_ERR_SYSTEM_ERROR, VIR_FROM_QEMU, "no 'disk.img'" },
                { "org.example.Odd", "odd", VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU,
                  "operation failed: odd" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
                answer_error(cases[i].name, cases[i].text);
                assert_error(f, cases[i].code, cases[i].domain, cases[i].message);
        }
        /* The link ended. */
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        g_clear_pointer(&backend.message, sd_bus_message_unref);
        backend.answered(NULL, -ECONNRESET, &SD_BUS_ERROR_MAKE_CONST(SD_BUS_ERROR_NO_REPLY, "gone"),
                         backend.userdata);
        assert_error(f, VIR_ERR_OPERATION_TIMEOUT, VIR_FROM_QEMU, "Timed out during operation: gone");
}

static void test_no_domain(Fixture *f, gconstpointer unused) {
        domains.is_gone = true;
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        assert_error(f, VIR_ERR_NO_DOMAIN, VIR_FROM_QEMU,
                     "Domain not found: no domain with matching uuid '" UUID "' (vm)");
}

static void test_not_supported(Fixture *f, gconstpointer unused) {
        call_with(f, RPC_REMOTE_NETWORK_DESTROY, &(RpcRemoteNetworkDestroyArgs){ { "default" } });
        assert_error(f, VIR_ERR_NO_SUPPORT, VIR_FROM_NETWORK,
                     "this function is not supported by the connection driver: virNetworkDestroy");
}

static void test_refused_packets(Fixture *f, gconstpointer unused) {
        const uint32_t remote = rpc_programs[RPC_PROGRAM_REMOTE].id;
        const struct {
                ProxyPacketHeader header;
                const char *message;
        } cases[] = {
                { { 0x1234, 1, 1, 0, 77, 0 }, "there is no program 0x1234 here" },
                { { rpc_programs[RPC_PROGRAM_KEEPALIVE].id, 1, 1, 0, 77, 0 },
                  "there is no program 0x6b656570 here" },
                { { rpc_programs[RPC_PROGRAM_ADMIN].id, 1, 1, 0, 77, 0 },
                  "there is no program 0x6900690 here" },
                { { remote, 2, 1, 0, 77, 0 }, "program remote has version 1, not 2" },
                { { remote, 1, 0, 0, 77, 0 }, "program remote has no procedure 0" },
                { { remote, 1, -1, 0, 77, 0 }, "program remote has no procedure -1" },
                { { remote, 1, 454, 0, 77, 0 }, "program remote has no procedure 454" },
                { { remote, 1, RPC_REMOTE_DOMAIN_EVENT_LIFECYCLE, 0, 77, 0 },
                  "program remote has no procedure 107" },
                { { remote, 1, RPC_REMOTE_DOMAIN_SUSPEND, 0, 77, 2 }, "a call has status 0, not 2" },
                { { remote, 1, RPC_REMOTE_DOMAIN_SUSPEND, 0, 77, 0 },
                  "virDomainSuspend: argument 'dom.name' ends early" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                proxy_call_dispatch(&f->connection, packet_of(&cases[i].header, NULL, 0));
                assert_error(f, VIR_ERR_RPC, VIR_FROM_RPC, cases[i].message);
        }
}

static void test_not_open(Fixture *f, gconstpointer unused) {
        f->connection.is_open = false;
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        assert_error(f, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC,
                     "internal error: virDomainSuspend: the connection is not open");
}

static void test_read_only(Fixture *f, gconstpointer unused) {
        f->connection.is_read_only = true;
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        assert_error(f, VIR_ERR_OPERATION_DENIED, VIR_FROM_DOMAIN,
                     "operation forbidden: read only access prevents virDomainSuspend");
        call_with(f, RPC_REMOTE_DOMAIN_GET_XML_DESC,
                  &(RpcRemoteDomainGetXmlDescArgs){ vm(), VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE });
        assert_error(f, VIR_ERR_OPERATION_DENIED, VIR_FROM_DOMAIN,
                     "operation forbidden: read only access prevents virDomainGetXMLDesc");
        call_with(f, RPC_REMOTE_DOMAIN_GET_XML_DESC,
                  &(RpcRemoteDomainGetXmlDescArgs){ vm(), VIR_DOMAIN_XML_INACTIVE });
        assert_called(PATH, "org.virtbus.Domain1", "GetXML", "[ 'inactive' = b:1 ] ");
        answer("s", "<domain/>");
        (void) reply_of(f, RPC_REMOTE_DOMAIN_GET_XML_DESC);
}

/* Nobody that could write is let through by a table that forgot to say so. */
static void test_read_only_table(Fixture *f, gconstpointer unused) {
        static const char *const writers[] = { "create", "destroy", "set_",   "define",  "undefine", "delete",
                                               "attach", "detach",  "save",   "restore", "migrate",  "inject",
                                               "reset",  "suspend", "resume", "abort",   "update" };

        for (uint32_t i = 0; i < rpc_programs[RPC_PROGRAM_REMOTE].n_procedures; i++) {
                const RpcProcedure *procedure = &rpc_programs[RPC_PROGRAM_REMOTE].procedures[i];

                for (size_t w = 0;
                     procedure->name && !(procedure->flags & RPC_EVENT) && w < G_N_ELEMENTS(writers); w++) {
                        const char *verb = strchr(procedure->name, '_') + 1;

                        if (!g_str_has_prefix(verb, writers[w]) || strstr(verb, "_get_") ||
                            g_str_equal(procedure->name, "connect_set_identity"))
                                continue;
                        g_test_message("%s", procedure->name);
                        g_assert_cmpuint(procedure->read_only, ==, RPC_READ_ONLY_REFUSED);
                }
        }
}

/* ---- ends */

static void test_client_leaves(Fixture *f, gconstpointer unused) {
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        proxy_call_orphan(f->connection.calls->pdata[0]);
        g_ptr_array_set_size(f->connection.calls, 0);
        answer("");
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        proxy_call_orphan(f->connection.calls->pdata[0]);
        g_ptr_array_set_size(f->connection.calls, 0);
        answer_error(VB_ERROR_INVALID_STATE, "off");

        backend.are_domains_read = false;
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        proxy_call_orphan(f->connection.calls->pdata[0]);
        g_ptr_array_set_size(f->connection.calls, 0);
        backend.are_domains_read = true;
        backend.ready(0, NULL, backend.ready_userdata);
        g_assert_null(backend.message);
}

/* What waits for the records is the call's answer, once, and nothing of it stays: the sanitizer tells. */
static void test_domains_cannot_be_read(Fixture *f, gconstpointer unused) {
        const sd_bus_error ended = SD_BUS_ERROR_MAKE_CONST(VB_ERROR_OPERATION_FAILED, "its daemon has ended");
        const RpcRemoteDomainCreateWithFlagsArgs args = { vm(), 0 };

        /* Before the call is sent: the driver goes while they are read, or cannot be reached at all. */
        backend.are_domains_read = false;
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        backend.ready(-ECONNRESET, &ended, backend.ready_userdata);
        assert_error(f, VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU, "operation failed: its daemon has ended");
        backend.fails_at_once = true;
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        assert_error(f, VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU, "operation failed: nobody is there");
        g_assert_null(backend.message);

        /* After it: with the answer in hand. */
        for (unsigned i = 0; i < 2; i++) {
                backend.are_domains_read = true;
                backend.fails_at_once = false;
                call_with(f, RPC_REMOTE_DOMAIN_CREATE_WITH_FLAGS, &args);
                backend.are_domains_read = false;
                backend.fails_at_once = i == 1;
                answer("");
                if (i == 0)
                        backend.ready(-ECONNRESET, &ended, backend.ready_userdata);
                assert_error(f, VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU,
                             i == 0 ? "operation failed: its daemon has ended" : "operation failed: nobody is there");
        }

        /* The client has left by then, and is not waited for any more. */
        backend.are_domains_read = true;
        backend.fails_at_once = false;
        call_with(f, RPC_REMOTE_DOMAIN_CREATE_WITH_FLAGS, &args);
        backend.are_domains_read = false;
        answer("");
        proxy_call_orphan(f->connection.calls->pdata[0]);
        g_ptr_array_set_size(f->connection.calls, 0);
        backend.ready(-ECANCELED, &ended, backend.ready_userdata);
        g_assert_true(g_queue_is_empty(&f->connection.sent));
        g_assert_cmpuint(f->connection.calls->len, ==, 0);
}

static unsigned n_undone;

static int undo(ProxyCall *call, void *userdata, int r, const sd_bus_error *error) {
        g_assert_true(userdata == &n_undone);
        n_undone++;
        return proxy_call_fail(call, r, error);
}

static void fail_without_answer(int r) {
        g_autoptr(sd_bus_message) asked = g_steal_pointer(&backend.message);

        backend.answered(NULL, r, &SD_BUS_ERROR_MAKE_CONST(VB_ERROR_OPERATION_FAILED, "no answer"), backend.userdata);
}

static void begin_undoable(Fixture *f) {
        n_undone = 0;
        call_with(f, RPC_REMOTE_DOMAIN_SUSPEND, &(RpcRemoteDomainSuspendArgs){ vm() });
        proxy_call_set_undo(f->connection.calls->pdata[0], undo, &n_undone);
}

static void test_undo(Fixture *f, gconstpointer unused) {
        begin_undoable(f);
        answer_error(VB_ERROR_INVALID_STATE, "off");
        assert_error(f, VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU, "Requested operation is not valid: off");
        g_assert_cmpuint(n_undone, ==, 1);

        /* It could not be sent. */
        begin_undoable(f);
        fail_without_answer(-ECONNREFUSED);
        assert_error(f, VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU, "operation failed: no answer");
        g_assert_cmpuint(n_undone, ==, 1);

        begin_undoable(f);
        answer("");
        (void) reply_of(f, RPC_REMOTE_DOMAIN_SUSPEND);
        g_assert_cmpuint(n_undone, ==, 0);

        /* It may have been done, or be done yet. */
        begin_undoable(f);
        fail_without_answer(-ECONNRESET);
        assert_error(f, VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU, "operation failed: no answer");
        g_assert_cmpuint(n_undone, ==, 0);
        begin_undoable(f);
        proxy_call_orphan(f->connection.calls->pdata[0]);
        g_ptr_array_set_size(f->connection.calls, 0);
        fail_without_answer(-ECANCELED);
        g_assert_cmpuint(n_undone, ==, 0);
}

#define TEST(name, function) g_test_add("/proxy/call/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        TEST("plain", test_plain);
        TEST("domains-are-read-first", test_domains_are_read_first);
        TEST("domains-cannot-be-read", test_domains_cannot_be_read);
        TEST("undo", test_undo);
        TEST("flags", test_flags);
        TEST("flags-with-words", test_flags_with_words);
        TEST("path-becomes-domain", test_path_becomes_domain);
        TEST("values", test_values);
        TEST("properties", test_properties);
        TEST("errors-of-the-bus", test_errors_of_the_bus);
        TEST("no-domain", test_no_domain);
        TEST("not-supported", test_not_supported);
        TEST("refused-packets", test_refused_packets);
        TEST("not-open", test_not_open);
        TEST("read-only", test_read_only);
        TEST("read-only-table", test_read_only_table);
        TEST("client-leaves", test_client_leaves);
        r = g_test_run();
        proxy_arena_done(&arena);
        return r;
}
