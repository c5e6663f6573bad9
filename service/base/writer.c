/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/writer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/file-private.h"
#include "base/log.h"
#include "base/writer-batch.h"

/* Who may touch what: the loop owns `all` and the callbacks in it; the thread owns a change's work part between taking
 * it from `queue` and counting it in `n_done`; the mutex guards queue, n_done and stop. Changes are done in the order
 * of `all`, so that a number is enough to say which. */

struct VbWriter {
        GQueue all; /* Change, as asked for, until its callback was called */
        bool calling;

        GMutex mutex;
        GCond work_there; /* for the thread */
        GCond work_done;  /* for flush() */
        GQueue queue;     /* Change, not taken by the thread yet; links into those of `all` */
        size_t n_done;    /* changes at the head of `all` whose callbacks are due */
        bool stop;

        GThread *thread;
        int eventfd;
        sd_event_source *source;
};

static void change_free(Change *change) {
        g_free(change->path);
        g_free(change->target);
        g_clear_pointer(&change->bytes, g_bytes_unref);
        g_free(change);
}

/* The longest run of changes that may be done together. A tree's removal stands alone: the others' new files must neither go
 * with it nor miss its folder. Called with the mutex held. */
static GPtrArray *take_batch(VbWriter *writer) {
        GPtrArray *batch = g_ptr_array_new();
        Change *change;

        while (batch->len < WRITER_BATCH_MAX && (change = g_queue_peek_head(&writer->queue))) {
                if (change->kind == CHANGE_REMOVE_TREE && batch->len > 0)
                        break;
                g_ptr_array_add(batch, g_queue_pop_head(&writer->queue));
                if (change->kind == CHANGE_REMOVE_TREE)
                        break;
        }
        return batch;
}

static void *writer_thread(void *userdata) {
        VbWriter *writer = userdata;

        g_mutex_lock(&writer->mutex);
        for (;;) {
                g_autoptr(GPtrArray) batch = NULL;
                uint64_t one = 1;

                while (g_queue_is_empty(&writer->queue) && !writer->stop)
                        g_cond_wait(&writer->work_there, &writer->mutex);
                if (g_queue_is_empty(&writer->queue))
                        break;

                batch = take_batch(writer);
                g_mutex_unlock(&writer->mutex);
                writer_batch_run((Change **) batch->pdata, batch->len);
                g_mutex_lock(&writer->mutex);
                writer->n_done += batch->len;
                g_cond_signal(&writer->work_done);
                (void) !write(writer->eventfd, &one, sizeof one); /* full means that it is readable anyway */
        }
        g_mutex_unlock(&writer->mutex);
        return NULL;
}

static void log_failure(const Change *change) {
        if (change->r < 0)
                (void) vb_log_error_errno(change->r, "cannot %s '%s': %m", change_kind_to_verb(change->kind),
                                          change->path);
}

static void call_back(VbWriter *writer) {
        size_t n;

        g_mutex_lock(&writer->mutex);
        n = writer->n_done;
        writer->n_done = 0;
        g_mutex_unlock(&writer->mutex);

        writer->calling = true;
        for (; n > 0; n--) {
                Change *change = g_queue_pop_head(&writer->all);

                if (change->callback)
                        change->callback(change->r, change->userdata);
                else
                        log_failure(change);
                change_free(change);
        }
        writer->calling = false;
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        uint64_t count;

        (void) !read(fd, &count, sizeof count);
        call_back(userdata);
        return 0;
}

int vb_writer_new(VbWriter **ret, sd_event *event) {
        VbWriter *writer;
        sigset_t all, before;
        int r;

        writer = g_new0(VbWriter, 1);
        g_queue_init(&writer->all);
        g_queue_init(&writer->queue);
        g_mutex_init(&writer->mutex);
        g_cond_init(&writer->work_there);
        g_cond_init(&writer->work_done);
        writer->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = writer->eventfd < 0 ? -errno : 0;
        if (r >= 0)
                r = sd_event_add_io(event, &writer->source, writer->eventfd, EPOLLIN, on_done, writer);
        if (r < 0) {
                vb_writer_free(writer);
                return r;
        }
        (void) sd_event_source_set_description(writer->source, "writer");

        /* Signals are the loop's. */
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        writer->thread = g_thread_new("writer", writer_thread, writer);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        *ret = writer;
        return 0;
}

VbWriter *vb_writer_free(VbWriter *writer) {
        if (!writer)
                return NULL;
        g_assert(!writer->calling);
        if (writer->thread) {
                vb_writer_flush(writer);
                g_mutex_lock(&writer->mutex);
                writer->stop = true;
                g_cond_signal(&writer->work_there);
                g_mutex_unlock(&writer->mutex);
                g_thread_join(writer->thread);
        }
        g_assert(g_queue_is_empty(&writer->all));
        sd_event_source_disable_unref(writer->source);
        vb_close(writer->eventfd);
        g_mutex_clear(&writer->mutex);
        g_cond_clear(&writer->work_there);
        g_cond_clear(&writer->work_done);
        g_free(writer);
        return NULL;
}

void vb_writer_flush(VbWriter *writer) {
        g_assert(!writer->calling);
        /* Callbacks may ask for more. */
        while (!g_queue_is_empty(&writer->all)) {
                g_mutex_lock(&writer->mutex);
                while (writer->n_done == 0)
                        g_cond_wait(&writer->work_done, &writer->mutex);
                g_mutex_unlock(&writer->mutex);
                call_back(writer);
        }
}

static void ask(VbWriter *writer, ChangeKind kind, const char *path, const char *target, GBytes *bytes, mode_t mode,
                VbWriterCallback callback, void *userdata) {
        Change *change = g_new(Change, 1);

        *change = (Change) {
                .kind = kind,
                .path = g_strdup(path),
                .target = g_strdup(target),
                .bytes = bytes ? g_bytes_ref(bytes) : NULL,
                .mode = mode,
                .callback = callback,
                .userdata = userdata,
                .fd = -EBADF,
        };
        g_queue_push_tail(&writer->all, change);
        g_mutex_lock(&writer->mutex);
        g_queue_push_tail(&writer->queue, change);
        g_cond_signal(&writer->work_there);
        g_mutex_unlock(&writer->mutex);
}

void vb_writer_write(VbWriter *writer, const char *path, GBytes *bytes, mode_t mode, VbWriterCallback callback,
                     void *userdata) {
        ask(writer, CHANGE_WRITE, path, NULL, bytes, mode, callback, userdata);
}

void vb_writer_unlink(VbWriter *writer, const char *path, VbWriterCallback callback, void *userdata) {
        ask(writer, CHANGE_UNLINK, path, NULL, NULL, 0, callback, userdata);
}

void vb_writer_link(VbWriter *writer, const char *target, const char *path, VbWriterCallback callback,
                    void *userdata) {
        ask(writer, CHANGE_LINK, path, target, NULL, 0, callback, userdata);
}

void vb_writer_rename(VbWriter *writer, const char *from, const char *to, VbWriterCallback callback,
                      void *userdata) {
        ask(writer, CHANGE_RENAME, from, to, NULL, 0, callback, userdata);
}

void vb_writer_remove_tree(VbWriter *writer, const char *path, VbWriterCallback callback, void *userdata) {
        ask(writer, CHANGE_REMOVE_TREE, path, NULL, NULL, 0, callback, userdata);
}

void vb_writer_forget(VbWriter *writer, void *userdata) {
        for (GList *link = writer->all.head; link; link = link->next) {
                Change *change = link->data;

                if (change->userdata == userdata)
                        change->callback = NULL;
        }
}

size_t vb_writer_get_pending(const VbWriter *writer) {
        return g_queue_get_length((GQueue *) &writer->all);
}
