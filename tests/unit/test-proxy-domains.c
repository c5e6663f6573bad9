/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/domains.h"

#include "base/error.h"
#include "base/uuid.h"
#include "proxy/constants.h"
#include "test-proxy-driver.h"

#define PATH(letter) DRIVER_ROOT "/domain/_" letter
#define UUID_OF(digit) "00000000-0000-4000-8000-00000000000" digit

/* What the driver says of a domain. */
typedef struct Said {
        const char *path, *name, *uuid; /* name, uuid NULL: nothing */
        int id;
        const char *state, *reason;
        bool odd_name; /* is a number */
} Said;

#define WEB { .path = PATH("a"), .name = "web", .uuid = UUID_OF("1"), .id = 3, .state = "running", .reason = "booted" }
#define DB { .path = PATH("b"), .name = "db", .uuid = UUID_OF("2"), .id = -1, .state = "shutoff", .reason = "saved" }

static void append_properties(sd_bus_message *m, const Said *said) {
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        if (said->odd_name)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Name", "u", 5), >=, 0);
        else if (said->name)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Name", "s", said->name), >=, 0);
        if (said->uuid)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "UUID", "s", said->uuid), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Unheard", "as", 1, "of"), >=, 0);
        /* The reason before the state that it belongs to. */
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "StateReason", "s", said->reason), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "State", "s", said->state), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Id", "i", said->id), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

static void append_object(sd_bus_message *m, const Said *said) {
        g_assert_cmpint(sd_bus_message_append(m, "o", said->path), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sa{sv}}"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sa{sv}}", "org.virtbus.Other1", 1, "Name", "s", "other"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sa{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", VB_INTERFACE_DOMAIN1), >=, 0);
        append_properties(m, said);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

/* Answers GetManagedObjects: with these domains, and one object that is none. */
static void serve_domains(Driver *d, End *end, const Said *said, size_t n) {
        g_autoptr(sd_bus_message) call = end_next_call(d, end, "GetManagedObjects"), reply = NULL;

        g_assert_cmpstr(sd_bus_message_get_path(call), ==, DRIVER_ROOT);
        g_assert_cmpint(sd_bus_message_new_method_return(call, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(reply, 'a', "{oa{sa{sv}}}"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(reply, "{oa{sa{sv}}}", DRIVER_ROOT, 1, "org.virtbus.Other1", 0), >=, 0);
        for (size_t i = 0; i < n; i++) {
                g_assert_cmpint(sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}"), >=, 0);
                append_object(reply, &said[i]);
                g_assert_cmpint(sd_bus_message_close_container(reply), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_close_container(reply), >=, 0);
        end_send(end, reply);
}

static sd_bus_message *new_signal(End *end, const char *path, const char *interface, const char *member) {
        sd_bus_message *signal = NULL;

        g_assert_cmpint(sd_bus_message_new_signal(end->bus, &signal, path, interface, member), >=, 0);
        return signal;
}

static void signal_changed(End *end, const Said *said) {
        g_autoptr(sd_bus_message) signal = new_signal(end, said->path, VB_DBUS_PROPERTIES_INTERFACE, "PropertiesChanged");

        g_assert_cmpint(sd_bus_message_append(signal, "s", VB_INTERFACE_DOMAIN1), >=, 0);
        append_properties(signal, said);
        g_assert_cmpint(sd_bus_message_append(signal, "as", 0), >=, 0);
        end_send(end, signal);
}

static void signal_added(End *end, const Said *said) {
        g_autoptr(sd_bus_message) signal = new_signal(end, DRIVER_ROOT, VB_DBUS_OBJECT_MANAGER_INTERFACE, "InterfacesAdded");

        append_object(signal, said);
        end_send(end, signal);
}

static void signal_removed(End *end, const char *path, const char *interface) {
        g_autoptr(sd_bus_message) signal = new_signal(end, DRIVER_ROOT, VB_DBUS_OBJECT_MANAGER_INTERFACE, "InterfacesRemoved");

        g_assert_cmpint(sd_bus_message_append(signal, "oas", path, 1, interface), >=, 0);
        end_send(end, signal);
}

/* Who asked for the records. */
typedef struct Reader {
        unsigned n;
        int r;
        char *text;
} Reader;

static void on_ready(int r, const sd_bus_error *error, void *userdata) {
        Reader *reader = userdata;

        reader->n++;
        reader->r = r;
        g_free(reader->text);
        reader->text = error ? g_strdup(error->message) : NULL;
}

static void reader_clear(Reader *reader) {
        g_free(reader->text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reader, reader_clear)

/* The records, which must be there already. */
static ProxyDomains *now(Driver *d) {
        ProxyDomains *domains = NULL;

        g_assert_cmpint(proxy_backend_domains(d->backend, &domains, on_ready, NULL, NULL), ==, 1);
        return domains;
}

static void ask(Driver *d, Reader *reader) {
        ProxyDomains *domains = NULL;

        g_assert_cmpint(proxy_backend_domains(d->backend, &domains, on_ready, reader, NULL), ==, 0);
        g_assert_null(domains);
}

static End *load(Driver *d, const Said *said, size_t n) {
        g_auto(Reader) reader = {};
        End *end;

        ask(d, &reader);
        end = driver_accept(d, /* client= */ 0);
        serve_domains(d, end, said, n);
        TEST_RUN_UNTIL(d->event, reader.n > 0);
        g_assert_cmpint(reader.r, ==, 0);
        g_assert_cmpuint(reader.n, ==, 1);
        return end;
}

static const ProxyDomain *by_uuid(ProxyDomains *domains, const char *text) {
        VbUuid uuid;

        g_assert_cmpint(vb_uuid_parse(text, &uuid), ==, 0);
        return proxy_domains_by_uuid(domains, uuid.bytes);
}

/* This domain, by whatever it is looked up. */
static void assert_known(ProxyDomains *domains, const Said *said) {
        const ProxyDomain *domain = proxy_domains_by_path(domains, said->path);

        g_assert_nonnull(domain);
        g_assert_cmpstr(domain->name, ==, said->name);
        g_assert_cmpstr(domain->uuid_text, ==, said->uuid);
        g_assert_cmpint(domain->id, ==, said->id);
        g_assert_true(proxy_domains_by_name(domains, said->name) == domain);
        g_assert_true(by_uuid(domains, said->uuid) == domain);
        g_assert_true(proxy_domains_by_id(domains, said->id) == (said->id < 0 ? NULL : domain));
}

static void assert_number(ProxyDomains *domains, size_t expected) {
        const ProxyDomain *const *all;
        size_t n;

        all = proxy_domains_all(domains, &n);
        g_assert_cmpuint(n, ==, expected);
        for (size_t i = 1; i < n; i++)
                g_assert_cmpstr(all[i - 1]->name, <, all[i]->name);
}

/* What a watcher was told, as text: "web>shop;" a change, ">db;" new, "db>;" gone, "web!Rebooted;" a signal. At each, the indexes are
 * as after it. */
typedef struct Watcher {
        ProxyDomains *domains;
        ProxyDomainsWatch *watch;
        GString *told;
} Watcher;

static void on_news(const ProxyDomainNews *news, void *userdata) {
        Watcher *watcher = userdata;

        if (news->signal) {
                g_assert_true(news->before == news->after);
                g_assert_nonnull(news->message);
                g_string_append_printf(watcher->told, "%s!%s;", news->after->name, news->signal);
                return;
        }
        g_assert_null(news->message);
        if (news->after)
                g_assert_true(proxy_domains_by_name(watcher->domains, news->after->name) == news->after);
        else
                g_assert_null(proxy_domains_by_path(watcher->domains, news->before->path));
        g_string_append_printf(watcher->told, "%s>%s;", news->before ? news->before->name : "",
                               news->after ? news->after->name : "");
}

static void watcher_begin(Watcher *watcher, Driver *d) {
        watcher->domains = now(d);
        watcher->told = g_string_new(NULL);
        watcher->watch = proxy_domains_watch(watcher->domains, on_news, watcher);
}

static void watcher_clear(Watcher *watcher) {
        (void) proxy_domains_unwatch(watcher->watch);
        (void) g_string_free(watcher->told, true);
}

static void assert_told(Watcher *watcher, const char *expected) {
        g_assert_cmpstr(watcher->told->str, ==, expected);
        g_string_truncate(watcher->told, 0);
}

static void test_load(void) {
        static const Said said[] = { WEB, DB };
        g_auto(Reader) first = {}, second = {};
        const ProxyDomain *domain;
        Driver d;

        driver_begin(&d);
        ask(&d, &first);
        ask(&d, &second);
        {
                g_autoptr(End) end = driver_accept(&d, 0);

                serve_domains(&d, end, said, 2);
                TEST_RUN_UNTIL(d.event, first.n && second.n);
                g_assert_cmpint(first.r, ==, 0);
                g_assert_cmpint(second.r, ==, 0);
                g_assert_cmpuint(end->calls->len, ==, 0); /* one reading for both */
                assert_known(now(&d), &said[0]);
                assert_known(now(&d), &said[1]);
                assert_number(now(&d), 2);
                domain = proxy_domains_by_name(now(&d), "web");
                g_assert_cmpint(domain->state, ==, VIR_DOMAIN_RUNNING);
                g_assert_cmpint(domain->reason, ==, VIR_DOMAIN_RUNNING_BOOTED);
                domain = proxy_domains_by_name(now(&d), "db");
                g_assert_cmpint(domain->reason, ==, VIR_DOMAIN_SHUTOFF_SAVED);
                g_assert_null(proxy_domains_by_name(now(&d), "other"));
                g_assert_null(proxy_domains_by_id(now(&d), 4));
                g_assert_null(by_uuid(now(&d), UUID_OF("9")));
                g_assert_null(proxy_domains_by_path(now(&d), DRIVER_ROOT));
                driver_end(&d);
        }
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpuint(second.n, ==, 1);
}

/* Nothing in here turns the loop: what has arrived is seen by who asks. */
static void test_signals(void) {
        static const Said said[] = { WEB }, db = DB;
        static const Said shop = { PATH("a"), "shop", UUID_OF("1"), 4, "paused", "user", false };
        g_autoptr(End) end = NULL;
        g_autoptr(sd_bus_message) rebooted = NULL;
        const ProxyDomain *domain;
        Watcher watcher;
        Driver d;

        driver_begin(&d);
        end = load(&d, said, 1);
        watcher_begin(&watcher, &d);

        signal_added(end, &db);
        assert_known(now(&d), &db);
        assert_told(&watcher, ">db;");

        signal_changed(end, &shop);
        assert_known(now(&d), &shop);
        domain = proxy_domains_by_name(now(&d), "shop");
        g_assert_cmpint(domain->state, ==, VIR_DOMAIN_PAUSED);
        g_assert_cmpint(domain->reason, ==, VIR_DOMAIN_PAUSED_USER);
        g_assert_null(proxy_domains_by_name(now(&d), "web"));
        g_assert_null(proxy_domains_by_id(now(&d), 3));
        assert_told(&watcher, "web>shop;");

        rebooted = new_signal(end, shop.path, VB_INTERFACE_DOMAIN1, "Rebooted");
        end_send(end, rebooted);
        signal_removed(end, shop.path, "org.virtbus.Other1"); /* it still is a domain */
        assert_known(now(&d), &shop);
        assert_told(&watcher, "shop!Rebooted;");

        signal_removed(end, shop.path, VB_INTERFACE_DOMAIN1);
        g_assert_null(proxy_domains_by_path(now(&d), shop.path));
        g_assert_null(proxy_domains_by_name(now(&d), "shop"));
        g_assert_null(proxy_domains_by_id(now(&d), 4));
        g_assert_null(by_uuid(now(&d), shop.uuid));
        assert_number(now(&d), 1);
        assert_told(&watcher, "shop>;");

        watcher_clear(&watcher);
        driver_end(&d);
}

/* While somebody watches, the records come back by themselves, and tell the difference. */
static void test_restart(void) {
        static const Said before[] = {
                WEB, DB,
                { PATH("c"), "old", UUID_OF("3"), 5, "running", "booted", false },
        };
        static const Said after[] = {
                DB,
                { PATH("a"), "shop", UUID_OF("1"), 3, "running", "booted", false },
                { PATH("d"), "old", UUID_OF("4"), 5, "running", "booted", false }, /* another, with its name and id */
        };
        Watcher watcher;
        Driver d;

        driver_begin(&d);
        end_free(load(&d, before, 3));
        /* Still there for who has them; nobody watches, so nobody asks. */
        test_run_idle(d.event);
        g_assert_cmpuint(d.n_asked, ==, 1);
        {
                g_autoptr(End) end = load(&d, before, 3);

                watcher_begin(&watcher, &d);
        }
        {
                g_autoptr(End) end = driver_accept(&d, 0);

                g_assert_cmpuint(watcher.told->len, ==, 0);
                serve_domains(&d, end, after, 3);
                TEST_RUN_UNTIL(d.event, strstr(watcher.told->str, "web>shop;"));
                assert_told(&watcher, "old>;>old;web>shop;");
                for (size_t i = 0; i < G_N_ELEMENTS(after); i++)
                        assert_known(now(&d), &after[i]);
                assert_number(now(&d), 3);
                g_assert_null(proxy_domains_by_name(now(&d), "web"));
                watcher_clear(&watcher);
                driver_end(&d);
        }
}

/* The driver has ended and nobody knows yet: who asks now does not get what was. */
static void test_ended_unseen(void) {
        static const Said said[] = { WEB, DB };
        g_auto(Reader) reader = {};
        Driver d;

        driver_begin(&d);
        end_free(load(&d, said, 2));
        ask(&d, &reader);
        {
                g_autoptr(End) end = driver_accept(&d, 0);

                serve_domains(&d, end, said, 1);
                TEST_RUN_UNTIL(d.event, reader.n > 0);
                g_assert_cmpint(reader.r, ==, 0);
                assert_number(now(&d), 1);
                driver_end(&d);
        }
}

static const struct {
        const char *what;
        Said said;
} odd[] = {
        { "a name that is a number", { PATH("c"), NULL, UUID_OF("3"), 5, "running", "booted", true } },
        { "no name", { PATH("c"), NULL, UUID_OF("3"), 5, "running", "booted", false } },
        { "an empty name", { PATH("c"), "", UUID_OF("3"), 5, "running", "booted", false } },
        { "no UUID", { PATH("c"), "odd", NULL, 5, "running", "booted", false } },
        { "a UUID that is none", { PATH("c"), "odd", "many", 5, "running", "booted", false } },
        { "another's name", { PATH("c"), "web", UUID_OF("3"), 5, "running", "booted", false } },
        { "another's UUID", { PATH("c"), "odd", UUID_OF("1"), 5, "running", "booted", false } },
        { "another's id", { PATH("c"), "odd", UUID_OF("3"), 3, "running", "booted", false } },
};

static void test_odd_signals(void) {
        static const Said said[] = { WEB, DB };
        g_autoptr(End) end = NULL;
        g_autoptr(sd_bus_message) nonsense = NULL, added = NULL, removed = NULL;
        Watcher watcher;
        Driver d;

        driver_begin(&d);
        end = load(&d, said, 2);
        watcher_begin(&watcher, &d);
        for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
                g_test_message("%s", odd[i].what);
                signal_added(end, &odd[i].said);
                assert_number(now(&d), 2);
        }
        signal_changed(end, &(Said){ PATH("b"), "web", UUID_OF("2"), -1, "shutoff", "saved", false });
        signal_changed(end, &(Said){ PATH("b"), NULL, NULL, 3, "running", "booted", false });
        signal_changed(end, &(Said){ PATH("b"), NULL, "many", -1, "running", "booted", false });
        signal_changed(end, &(Said){ PATH("b"), NULL, NULL, -1, "running", "booted", true });
        signal_changed(end, &(Said){ PATH("z"), "z", UUID_OF("9"), -1, "running", "booted", false }); /* of nobody */
        nonsense = new_signal(end, PATH("a"), VB_DBUS_PROPERTIES_INTERFACE, "PropertiesChanged");
        g_assert_cmpint(sd_bus_message_append(nonsense, "u", 1), >=, 0);
        end_send(end, nonsense);
        added = new_signal(end, DRIVER_ROOT, VB_DBUS_OBJECT_MANAGER_INTERFACE, "InterfacesAdded");
        g_assert_cmpint(sd_bus_message_append(added, "s", "web"), >=, 0);
        end_send(end, added);
        removed = new_signal(end, DRIVER_ROOT, VB_DBUS_OBJECT_MANAGER_INTERFACE, "InterfacesRemoved");
        end_send(end, removed);

        assert_number(now(&d), 2);
        assert_known(now(&d), &said[0]);
        assert_known(now(&d), &said[1]);
        assert_told(&watcher, "");
        watcher_clear(&watcher);

        /* A word nobody knows is no reason to know less of the rest. */
        signal_changed(end, &(Said){ PATH("a"), "web", UUID_OF("1"), 3, "dancing", "why-not", false });
        g_assert_cmpint(proxy_domains_by_name(now(&d), "web")->state, ==, VIR_DOMAIN_NOSTATE);
        g_assert_cmpint(proxy_domains_by_name(now(&d), "web")->reason, ==, 0);
        driver_end(&d);
}

/* What was known stays as it was, and the next reading is another try. */
static void test_odd_load(void) {
        static const Said web = WEB, said[] = { WEB };
        Driver d;

        driver_begin(&d);
        for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
                const Said all[] = { web, odd[i].said };
                g_auto(Reader) reader = {};

                g_test_message("%s", odd[i].what);
                ask(&d, &reader);
                {
                        g_autoptr(End) end = driver_accept(&d, 0);
                        g_auto(Reader) again = {};

                        serve_domains(&d, end, all, 2);
                        TEST_RUN_UNTIL(d.event, reader.n > 0);
                        g_assert_cmpint(reader.r, <, 0);
                        g_assert_nonnull(strstr(reader.text, "cannot understand what it says of its domains"));
                        ask(&d, &again);
                        serve_domains(&d, end, said, 1);
                        TEST_RUN_UNTIL(d.event, again.n > 0);
                        g_assert_cmpint(again.r, ==, 0);
                        assert_number(now(&d), 1);
                        assert_known(now(&d), &web);
                }
                test_run_idle(d.event);
        }
        driver_end(&d);
}

/* All other shapes of an answer, among them an error and the same object twice. */
static void test_odd_answers(void) {
        static const Said twice[] = { WEB, WEB };
        g_auto(Reader) text = {}, error = {}, again = {};
        Driver d;

        driver_begin(&d);
        ask(&d, &text);
        {
                g_autoptr(End) end = driver_accept(&d, 0);
                g_autoptr(sd_bus_message) first = end_next_call(&d, end, "GetManagedObjects"), second = NULL;

                g_assert_cmpint(sd_bus_reply_method_return(first, "s", "none"), >=, 0);
                TEST_RUN_UNTIL(d.event, text.n > 0);
                g_assert_cmpint(text.r, <, 0);
                g_assert_nonnull(strstr(text.text, "cannot understand"));

                ask(&d, &error);
                second = end_next_call(&d, end, "GetManagedObjects");
                g_assert_cmpint(sd_bus_reply_method_errorf(second, VB_ERROR_INVALID_STATE, "not now"), >=, 0);
                TEST_RUN_UNTIL(d.event, error.n > 0);
                g_assert_cmpint(error.r, <, 0);
                g_assert_cmpstr(error.text, ==, "not now");

                ask(&d, &again);
                serve_domains(&d, end, twice, 2);
                TEST_RUN_UNTIL(d.event, again.n > 0);
                g_assert_cmpint(again.r, ==, -EEXIST);
                driver_end(&d);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/domains/load", test_load);
        g_test_add_func("/domains/signals", test_signals);
        g_test_add_func("/domains/restart", test_restart);
        g_test_add_func("/domains/ended-unseen", test_ended_unseen);
        g_test_add_func("/domains/odd-signals", test_odd_signals);
        g_test_add_func("/domains/odd-load", test_odd_load);
        g_test_add_func("/domains/odd-answers", test_odd_answers);
        return g_test_run();
}
