/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/driver.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "bus/names.h"
#include "bus/settings.h"
#include "hypervisor/host-sleep.h"
#include "qemu/apply.h"
#include "qemu/ask.h"
#include "qemu/complete.h"
#include "qemu/domain.h"
#include "qemu/guest-clock.h"
#include "qemu/handlers.h"
#include "qemu/image-open.h"
#include "qemu/leave.h"
#include "qemu/nvram.h"
#include "qemu/power.h"
#include "qemu/question.h"
#include "qemu/resource-limits.h"
#include "qemu/save.h"
#include "qemu/start.h"
#include "qemu/state-file.h"
#include "qemu/stop.h"
#include "qemu/tpm.h"

#define SETTING(k, kind_, field, ...) \
        { .key = (k), .kind = (kind_), .offset = offsetof(QemuSettings, field), __VA_ARGS__ }

VB_STRING_TABLE(qemu_stdio_handler, QemuStdioHandler, _QEMU_STDIO_MAX,
                [QEMU_STDIO_DEFAULT] = "default",
                [QEMU_STDIO_LOGD] = "logd",
                [QEMU_STDIO_FILE] = "file")

static const VbSetting settings_table[] = {
        SETTING("user", VB_SETTING_STRING, user, .fallback = "virtbus-qemu",
                .help = "The user as whom root's guests run."),
        SETTING("emulators", VB_SETTING_LIST, emulators,
                .help = "Full paths of emulators outside the standard folders that definitions may name."),
        SETTING("kvm", VB_SETTING_BOOL, kvm, .fallback = "yes",
                .help = "Whether guests may use KVM; with no, /dev/kvm is never opened to see what it can do."),
        SETTING("stdio_handler", VB_SETTING_WORD, stdio_handler, .fallback = "default", .words = &qemu_stdio_handler_table,
                .help = "Who writes what emulators say: logd (virtlogd, with bounds and rotation), file (they themselves), or default: logd in the system, file in a session."),
        SETTING("log_consoles", VB_SETTING_BOOL, log_consoles, .fallback = "no",
                .help = "Whether virtlogd also logs the serial ports and consoles of guests whose definition says nothing of a log."),
        SETTING("domains_per_user", VB_SETTING_NUMBER, domains_per_user, .fallback = "64", .max = 100000,
                .help = "How many domains a user other than root may have; 0 for no limit."),
        SETTING("turn_timeout", VB_SETTING_NUMBER, turn_timeout, .fallback = "30", .max = 3600,
                .help = "How many seconds a call waits for others that change the same domain; 0: it is refused at once."),
        SETTING("unplug_timeout", VB_SETTING_DURATION, unplug_timeout_usec, .fallback = "20s", .min = 1000, .max = 3600 * UINT64_C(1000000),
                .help = "How long a call waits for a guest to let go of each vCPU: 20s, 500ms, 2min."),
        VB_LOCK_SETTING_ROWS(offsetof(QemuSettings, locks)),
        { .key = NULL },
};

/* root's guests are not root's: they run as a user that owns nothing. */
static void find_guest_user(QemuDriver *driver) {
        const struct passwd *user;

        if (qemu_driver_is_session(driver))
                return;
        errno = 0;
        user = getpwnam(driver->settings.user);
        if (!user || user->pw_uid == 0) {
                vb_log_warning("user '%s' %s: guests of root cannot be started", driver->settings.user,
                               user ? "is root" : "does not exist");
                return;
        }
        driver->guest_uid = user->pw_uid;
        driver->guest_gid = user->pw_gid;
}

static void use_settings(QemuDriver *driver) {
        driver->hypervisor->domains_per_user =
                qemu_driver_is_session(driver) ? 0 : (unsigned) driver->settings.domains_per_user;
        driver->hypervisor->host = driver->settings.host;
        driver->hypervisor->turn_timeout_usec = driver->settings.turn_timeout * UINT64_C(1000000);
        driver->hypervisor->locks = &driver->settings.locks;
        find_guest_user(driver);
}

static int load_settings(QemuDriver *driver, sd_bus_error *reterr) {
        const VbSettingsPart parts[] = {
                { settings_table, &driver->settings },
                { vb_host_settings_table(qemu_driver_is_session(driver)), &driver->settings.host },
                { NULL },
        };

        return vb_daemon_load_settings(driver->daemon, parts, reterr);
}

int qemu_driver_reload(QemuDriver *driver, sd_bus_error *reterr) {
        int r;

        r = load_settings(driver, reterr);
        if (r < 0)
                return r;
        use_settings(driver);
        vb_host_sleep_update(driver->hypervisor->sleep);
        return 0;
}

static int make_folders(QemuDriver *driver, sd_bus_error *reterr) {
        const char *state_dir = driver->hypervisor->state_dir;
        int r;

        driver->log_dir = g_build_filename(vb_daemon_log_dir(driver->daemon), "qemu", NULL);
        driver->nvram_dir = g_build_filename(state_dir, "nvram", NULL);

        r = vb_mkdir(driver->log_dir, 0700);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot make folder '%s': %s", driver->log_dir,
                                         g_strerror(-r));
        /* Owners must get through to their own, and see nobody else's. */
        r = vb_mkdir(state_dir, 0711);
        if (r >= 0)
                r = vb_mkdir(driver->nvram_dir, 0711);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot make folder '%s': %s", driver->nvram_dir,
                                         g_strerror(-r));
        return 0;
}

static int make_capabilities(QemuDriver *driver) {
        g_autofree char *cache = g_build_filename(vb_daemon_cache_dir(driver->daemon), "qemu", "capabilities", NULL);
        bool session = qemu_driver_is_session(driver);
        const QemuCapabilitiesOptions options = {
                .cache_directory = cache,
                .writer = driver->hypervisor->writer,
                .emulators = (const char *const *) driver->settings.emulators,
                .uid = session || driver->guest_uid == 0 ? (uid_t) -1 : driver->guest_uid,
                .gid = driver->guest_gid,
                .no_kvm = !driver->settings.kvm,
                .session = session,
        };

        return qemu_capabilities_manager_new(&driver->capabilities, qemu_driver_event(driver), &options);
}

/* Whether somebody makes scopes here. In a session without a service manager of the user's own, guests live beside the
 * daemon. */
static void find_manager(QemuDriver *driver) {
        sd_bus *bus = vb_daemon_bus(driver->daemon);
        g_autoptr(sd_bus_message) reply = NULL;
        int has = 0;

        driver->has_manager = true;
        if (!qemu_driver_is_session(driver))
                return;
        if (sd_bus_call_method(bus, VB_DBUS_NAME, VB_DBUS_PATH, VB_DBUS_INTERFACE, "NameHasOwner", NULL, &reply, "s",
                               VB_SYSTEMD_NAME) < 0 ||
            sd_bus_message_read(reply, "b", &has) < 0)
                return;
        driver->has_manager = has;
        if (!has)
                vb_log_info("there is no service manager in this session: guests get no scopes of their own");
}

int qemu_driver_new(QemuDriver **ret, VbDaemon *daemon, sd_bus_error *reterr) {
        g_autoptr(QemuDriver) driver = g_new(QemuDriver, 1);
        int r;

        *driver = (QemuDriver){
                .daemon = daemon,
                .completions = g_ptr_array_new(),
                .questions = g_ptr_array_new(),
                .leaves = qemu_leaves_new(),
                .host_questions = g_ptr_array_new(),
                .image_opens = g_ptr_array_new(),
        };
        r = load_settings(driver, reterr);
        if (r < 0)
                return r;
        r = vb_hypervisor_new(&driver->hypervisor, daemon, &qemu_driver_operations, driver, reterr);
        if (r < 0)
                return r;
        use_settings(driver);
        r = make_folders(driver, reterr);
        if (r < 0)
                return r;
        r = make_capabilities(driver);
        if (r < 0)
                return r;
        find_manager(driver);

        *ret = g_steal_pointer(&driver);
        return 0;
}

QemuDriver *qemu_driver_free(QemuDriver *driver) {
        if (!driver)
                return NULL;

        qemu_complete_cancel_all(driver);
        qemu_questions_forget(driver);
        qemu_host_questions_forget(driver);
        qemu_image_open_cancel_all(driver);
        if (driver->hypervisor)
                vb_hypervisor_clear(driver->hypervisor);
        (void) qemu_capabilities_manager_free(driver->capabilities);
        (void) vb_hypervisor_free(driver->hypervisor);
        g_ptr_array_free(driver->leaves, TRUE);
        g_ptr_array_free(driver->completions, TRUE);
        g_ptr_array_free(driver->questions, TRUE);
        g_ptr_array_free(driver->host_questions, TRUE);
        g_ptr_array_free(driver->image_opens, TRUE);
        vb_settings_done(settings_table, &driver->settings);
        g_free(driver->log_dir);
        g_free(driver->nvram_dir);
        g_free(driver);
        return NULL;
}

static void forget(VbDomain *domain) {
        if (domain->config && domain->config->tpms.n > 0)
                qemu_tpm_forget(domain);
}

static void live_changed(VbDomain *domain) {
        qemu_state_file_save(qemu_domain_of(domain));
        qemu_state_file_save_live(qemu_domain_of(domain));
}

static const VbDomain1Handlers domain_handlers = {
        .open_console = qemu_on_open_console,
        .open_channel = qemu_on_open_channel,
        .open_display = qemu_on_open_display,
        .connect_display = qemu_on_connect_display,
        .get_display_client = qemu_on_get_display_client,
        .screenshot = qemu_on_screenshot,
        .set_block_threshold = qemu_on_set_block_threshold,
        .send_keys = qemu_on_send_keys,
        .guest_agent_command = qemu_on_guest_agent_command,
        .monitor_command = qemu_on_monitor_command,
        .watch_monitor = qemu_on_watch_monitor,
        .save = qemu_on_save,
        .managed_save = qemu_on_managed_save,
        .remove_managed_save = qemu_on_remove_managed_save,
        .core_dump = qemu_on_core_dump,
        .get_disk_info = qemu_on_get_disk_info,
        .get_disk_errors = qemu_on_get_disk_errors,
        .resize_disk = qemu_on_resize_disk,
        .read_disk = qemu_on_read_disk,
        .read_memory = qemu_on_read_memory,
        .get_host_addresses = qemu_on_get_host_addresses,
        .inject_nmi = qemu_on_inject_nmi,
        .sleep = qemu_on_sleep,
        .get_control_state = qemu_on_get_control_state,
        .get_messages = qemu_on_get_messages,
};

static const char *get_hypervisor_type(VbObject *root) {
        return "QEMU";
}

static const VbHypervisor1Handlers hypervisor_handlers = {
        .get_hypervisor_type = get_hypervisor_type,
        .get_capabilities = qemu_on_get_capabilities,
        .get_domain_capabilities = qemu_on_get_domain_capabilities,
        .get_hypervisor_info = qemu_on_get_hypervisor_info,
        .get_command_line = qemu_on_get_command_line,
        .compare_cpu = qemu_on_compare_cpu,
        .baseline_cpu = qemu_on_baseline_cpu,
};

const VbDriver qemu_driver_operations = {
        .name = "qemu",
        .program = "virtqemud",
        .domain_handlers = &domain_handlers,
        .hypervisor_handlers = &hypervisor_handlers,
        .attach = qemu_domain_attach,
        .detach = qemu_domain_detach,
        .complete = qemu_complete,
        .check = qemu_limits_check,
        .start = qemu_start,
        .is_ready = qemu_ask_is_ready,
        .shutdown = qemu_shutdown,
        .reboot = qemu_reboot,
        .reset = qemu_reset,
        .suspend = qemu_suspend,
        .resume = qemu_resume,
        .catch_up = qemu_catch_up,
        .destroy = qemu_destroy,
        .managed_save = qemu_managed_save,
        .apply = qemu_apply,
        .live_changed = live_changed,
        .find_nvram = qemu_nvram_find,
        .forget = forget,
        .collect = qemu_stats_collect,
        .append_stats = qemu_stats_append,
        .append_vcpu = qemu_stats_append_vcpu,
};
