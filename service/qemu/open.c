/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/open.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/process.h"
#include "base/string-table.h"
#include "qemu/monitor-stream.h"
#include "qemu/open-packet.h"

#define TIMEOUT_DEFAULT_USEC (30 * G_USEC_PER_SEC)
#define REPLIES_PER_TURN 64

static const char *opener_program = VB_LIBEXECDIR "/virtbus-opener";

typedef struct RequestFile {
        char *id;
        char *path; /* NULL: fd */
        int fd;
        OpenerRequest header;
} RequestFile;

struct VbOpenRequest {
        /* configured */
        uid_t uid;
        gid_t gid;
        GPtrArray *files; /* RequestFile */
        GHashTable *ids;  /* borrowed */
        VbOpenCallback callback;
        void *userdata;
        uint64_t timeout_usec;

        /* runtime */
        unsigned n_ref; /* one for the owner, one while the callback runs */
        bool freed;
        int fd;
        size_t n_sent;     /* packets: one per file, and the end */
        size_t n_answered; /* files */
        VbProcess *process;
        VbOpenResult *result;

        sd_event *event;
        sd_event_source *io;
        sd_event_source *timer;
};

static const char *const format_words[_VB_IMAGE_FORMAT_MAX] = {
        [VB_IMAGE_RAW] = "raw",
        [VB_IMAGE_QCOW2] = "qcow2",
};
static const VbStringTable format_table = { format_words, _VB_IMAGE_FORMAT_MAX };

const char *vb_image_format_to_string(VbImageFormat format) {
        return vb_string_table_get(&format_table, (int) format);
}

VbImageFormat vb_image_format_from_string(const char *word) {
        return (VbImageFormat) vb_string_table_find(&format_table, word);
}

void vb_open_set_program(const char *path) {
        opener_program = path;
}

/* Results */

static void chain_done(VbOpenChain *chain) {
        for (size_t i = 0; i < chain->n_images; i++) {
                vb_close(chain->images[i].fd);
                g_free(chain->images[i].path);
                g_free(chain->images[i].backing_name);
        }
        g_free(chain->images);
        g_free(chain->id);
}

VbOpenResult *vb_open_result_free(VbOpenResult *result) {
        if (!result)
                return NULL;
        for (size_t i = 0; i < result->n_chains; i++)
                chain_done(&result->chains[i]);
        g_free(result->chains);
        g_free(result);
        return NULL;
}

VbOpenChain *vb_open_result_find(VbOpenResult *result, const char *id) {
        for (size_t i = 0; i < result->n_chains; i++)
                if (strcmp(result->chains[i].id, id) == 0)
                        return &result->chains[i];
        return NULL;
}

static VbOpenResult *result_new(GPtrArray *files) {
        VbOpenResult *result = g_new0(VbOpenResult, 1);

        result->n_chains = files->len;
        result->chains = g_new0(VbOpenChain, files->len);
        for (size_t i = 0; i < files->len; i++)
                result->chains[i].id = g_strdup(((RequestFile *) files->pdata[i])->id);
        return result;
}

/* Requests */

static void request_file_free(void *data) {
        RequestFile *file = data;

        vb_close(file->fd);
        g_free(file->id);
        g_free(file->path);
        g_free(file);
}

/* Nothing is under way any more. */
static void stop(VbOpenRequest *request) {
        request->io = sd_event_source_disable_unref(request->io);
        request->timer = sd_event_source_disable_unref(request->timer);
        request->process = vb_process_free(request->process);
        request->fd = vb_close(request->fd);
}

static VbOpenRequest *request_unref(VbOpenRequest *request) {
        if (--request->n_ref > 0)
                return NULL;
        stop(request);
        vb_open_result_free(request->result);
        g_hash_table_unref(request->ids);
        g_ptr_array_unref(request->files);
        sd_event_unref(request->event);
        g_free(request);
        return NULL;
}
typedef VbOpenRequest OpenRequestRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OpenRequestRef, request_unref)

int vb_open_request_new(VbOpenRequest **ret, sd_event *event, uid_t uid, gid_t gid) {
        VbOpenRequest *request = g_new0(VbOpenRequest, 1);

        vb_error_init();
        request->n_ref = 1;
        request->uid = uid;
        request->gid = gid;
        request->fd = -EBADF;
        request->files = g_ptr_array_new_with_free_func(request_file_free);
        request->ids = g_hash_table_new(g_str_hash, g_str_equal);
        request->event = sd_event_ref(event);
        *ret = request;
        return 0;
}

VbOpenRequest *vb_open_request_free(VbOpenRequest *request) {
        if (!request || request->freed)
                return NULL;
        request->freed = true;
        stop(request);
        return request_unref(request);
}

int vb_open_request_add(VbOpenRequest *request, const VbOpenFile *file, sd_bus_error *reterr) {
        RequestFile *copy;
        vb_autofd fd = -EBADF;

        g_assert(!request->callback);
        if (request->files->len >= VB_OPEN_FILES_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_LIMIT_EXCEEDED, "%s: more than %u files in one definition",
                                         file->id, VB_OPEN_FILES_MAX);
        if (g_hash_table_contains(request->ids, file->id))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%s: is there twice", file->id);
        if (file->fd > 0) {
                fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
                if (fd < 0)
                        return sd_bus_error_set_errnof(reterr, errno, "%s: cannot keep its descriptor: %s", file->id,
                                                       g_strerror(errno));
        } else if (!file->path || file->path[0] != '/' || strlen(file->path) >= PATH_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "%s: '%.100s' is not an absolute path of at most %d bytes", file->id,
                                         file->path ?: "", PATH_MAX - 1);

        copy = g_new0(RequestFile, 1);
        copy->id = g_strdup(file->id);
        copy->path = fd >= 0 ? NULL : g_strdup(file->path);
        copy->fd = vb_steal_fd(&fd);
        copy->header = (OpenerRequest) {
                .index = request->files->len,
                .access = file->access,
                .kinds = file->kind,
                .format = file->format,
                .flags = (file->follow_chain ? OPENER_FOLLOW_CHAIN : 0u) |
                         (file->writable_chain ? OPENER_WRITABLE_CHAIN : 0u) | (file->optional ? OPENER_OPTIONAL : 0u),
        };
        g_ptr_array_add(request->files, copy);
        (void) g_hash_table_add(request->ids, copy->id);
        return 0;
}

/* The end: the callback, once. */
static void finish(VbOpenRequest *request, int r, const sd_bus_error *error) {
        VbOpenCallback callback = g_steal_pointer(&request->callback);
        VbOpenResult *result = r >= 0 ? g_steal_pointer(&request->result) : NULL;

        stop(request);
        if (callback)
                callback(request, r, result, error, request->userdata);
        else
                vb_open_result_free(result);
}

static void __attribute__((format(printf, 3, 4))) finish_error(VbOpenRequest *request, const char *error_name,
                                                               const char *format, ...) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = sd_bus_error_setfv(&error, error_name, format, arguments);
        va_end(arguments);
        finish(request, r, &error);
}

/* What the child is at. */
static const RequestFile *current_file(const VbOpenRequest *request) {
        size_t i = MIN(request->n_answered, request->files->len - 1);

        return request->files->pdata[i];
}

static void finish_broken(VbOpenRequest *request, const char *what) {
        finish_error(request, VB_ERROR_OPERATION_FAILED, "%s: %s %s", current_file(request)->id, opener_program, what);
}

static const char *error_name_of(int error) {
        switch (error) {
        case ENOENT:
        case ENOTDIR:
        case ENXIO:
        case ENODEV: return VB_ERROR_NO_FILE;
        case EACCES:
        case EPERM: return VB_ERROR_NO_PERMISSION;
        case ETXTBSY:
        case EBUSY: return VB_ERROR_RESOURCE_BUSY;
        case EOPNOTSUPP: return VB_ERROR_UNSUPPORTED_CONFIGURATION;
        default: return VB_ERROR_STORAGE_FAILED;
        }
}

/* Replies. The child ran with its user's rights, so it is believed no more than that user is. */

static bool take_image(VbOpenRequest *request, OpenerPacket *packet) {
        const RequestFile *file = current_file(request);
        VbOpenChain *chain = &request->result->chains[request->n_answered];
        unsigned kinds = packet->header.position == 0 ? file->header.kinds : (unsigned) VB_OPEN_IMAGE;
        VbOpenImage image;

        if (request->n_answered == request->files->len || packet->header.position != chain->n_images ||
            chain->n_images == VB_OPEN_CHAIN_MAX || packet->header.format >= _VB_IMAGE_FORMAT_MAX)
                return false;
        if (!opener_packet_to_image(packet, kinds, &image))
                return false;
        chain->images = g_renew(VbOpenImage, chain->images, chain->n_images + 1);
        chain->images[chain->n_images++] = image;
        if (packet->header.flags & OPENER_IS_LAST)
                request->n_answered++;
        return true;
}

/* false: a reply that must not be. */
static bool handle_reply(VbOpenRequest *request, OpenerPacket *packet) {
        bool is_current = packet->header.index == request->n_answered;

        if (!is_current)
                return false;
        switch (packet->header.kind) {
        case OPENER_IMAGE: return take_image(request, packet);
        case OPENER_MISSING:
                if (request->n_answered == request->files->len || !(current_file(request)->header.flags & OPENER_OPTIONAL) ||
                    request->result->chains[request->n_answered].n_images > 0)
                        return false;
                request->n_answered++;
                return true;
        case OPENER_FAILED: {
                g_autofree char *sentence = json_peer_text(packet->path);

                finish_error(request, error_name_of(packet->header.error), "%s: %s", current_file(request)->id, sentence);
                return true;
        }
        case OPENER_DONE:
                if (request->n_answered != request->files->len)
                        return false;
                finish(request, 0, NULL);
                return true;
        default: return false;
        }
}

/* Up to n packets; ends when there is no more for now, or with the request. */
static void read_replies(VbOpenRequest *request, unsigned n) {
        while (n-- > 0 && request->callback && !request->freed) {
                OpenerPacket packet;
                int r;

                r = opener_packet_receive(request->fd, &packet);
                if (r == -EAGAIN || r == 0)
                        return; /* at the end of file, its exit tells why */
                if (r < 0 || !handle_reply(request, &packet))
                        finish_broken(request, "sent an answer that it must not");
                opener_packet_done(&packet);
        }
}

static void send_requests(VbOpenRequest *request) {
        while (request->n_sent <= request->files->len) {
                RequestFile *file = request->n_sent < request->files->len ? request->files->pdata[request->n_sent] : NULL;
                OpenerRequest end = { .index = request->files->len, .flags = OPENER_END };
                int r;

                r = opener_packet_send(request->fd, file ? &file->header : &end, file ? file->path : NULL,
                                       file ? file->fd : -EBADF);
                if (r < 0)
                        break; /* full, or over: then its exit tells why */
                if (file)
                        file->fd = vb_close(file->fd);
                request->n_sent++;
        }
        (void) sd_event_source_set_io_events(request->io,
                                             EPOLLIN | (request->n_sent <= request->files->len ? EPOLLOUT : 0));
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        g_autoptr(OpenRequestRef) request = userdata;

        request->n_ref++;
        if (events & EPOLLOUT)
                send_requests(request);
        read_replies(request, REPLIES_PER_TURN);
        /* Closed on the other side: nothing more will come, and on_exited() does the rest. */
        if (!request->freed && request->io && (events & (EPOLLHUP | EPOLLERR)))
                (void) sd_event_source_set_enabled(request->io, SD_EVENT_OFF);
        return 0;
}

static void on_started(VbProcess *process, int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(OpenRequestRef) request = userdata;

        request->n_ref++;
        if (r < 0)
                finish(request, r, error);
}

static void on_exited(VbProcess *process, const VbProcessExit *exit, void *userdata) {
        g_autoptr(OpenRequestRef) request = userdata;

        request->n_ref++;
        read_replies(request, UINT_MAX); /* what it said last; bounded by what its socket holds */
        if (request->callback && !request->freed) {
                g_autofree char *how = vb_process_exit_to_string(exit);
                g_autofree char *errors = json_peer_text(vb_process_get_errors(process));
                g_autofree char *what = g_strdup_printf("%s%s%s", how, errors[0] ? ": " : "", errors);

                finish_broken(request, what);
        }
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        g_autoptr(OpenRequestRef) request = userdata;
        const RequestFile *file = current_file(request);

        request->n_ref++;
        finish_error(request, VB_ERROR_TIMEOUT, "%s: %s: could not be opened within %.4g s", file->id,
                     file->path ?: "its backing images", (double) request->timeout_usec / G_USEC_PER_SEC);
        return 0;
}

static int spawn(VbOpenRequest *request, int child_end, sd_bus_error *reterr) {
        const char *argv[] = { "virtbus-opener", NULL };
        VbProcessLimit limits[] = { { RLIMIT_CORE, { 0, 0 } }, { RLIMIT_NOFILE, { 4096, 4096 } } };
        VbProcessSpec spec = {
                .path = opener_program,
                .argv = (char **) argv,
                .in = { VB_STREAM_FD, child_end },
                .err = { VB_STREAM_CAPTURE },
                .change_user = request->uid != (uid_t) -1,
                .uid = request->uid,
                .gid = request->gid,
                .drop_capabilities = true,
                .no_new_privileges = true,
                .die_with_parent = true,
                .kill_on_free = true,
                .new_session = true, /* no terminal to be gained by opening one */
                .limits = limits,
                .n_limits = geteuid() == 0 ? G_N_ELEMENTS(limits) : 1,
                .started = on_started,
                .exited = on_exited,
                .userdata = request,
        };

        return vb_process_spawn(&request->process, request->event, &spec, reterr);
}

static int begin(VbOpenRequest *request, sd_bus_error *reterr) {
        vb_autofd child_end = -EBADF;
        int ends[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return sd_bus_error_set_errnof(reterr, errno, "cannot make a socket pair: %s", g_strerror(errno));
        request->fd = ends[0];
        child_end = ends[1];
        r = sd_event_add_io(request->event, &request->io, request->fd, EPOLLIN | EPOLLOUT, on_io, request);
        if (r >= 0)
                r = sd_event_add_time_relative(request->event, &request->timer, CLOCK_MONOTONIC, request->timeout_usec,
                                               50000, on_timeout, request);
        if (r < 0)
                return sd_bus_error_set_errnof(reterr, r, "cannot watch a child: %s", g_strerror(-r));
        return spawn(request, child_end, reterr);
}

int vb_open_request_send(VbOpenRequest *request, VbOpenCallback callback, void *userdata, uint64_t timeout_usec,
                         sd_bus_error *reterr) {
        int r;

        g_assert(callback && !request->callback && request->files->len > 0);
        request->timeout_usec = timeout_usec ?: TIMEOUT_DEFAULT_USEC;
        r = begin(request, reterr);
        if (r < 0) {
                stop(request);
                return r;
        }
        request->result = result_new(request->files);
        request->callback = callback;
        request->userdata = userdata;
        return 0;
}
