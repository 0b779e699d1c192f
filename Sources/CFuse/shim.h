// SPDX-License-Identifier: Apache-2.0
#pragma once
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

/// One thread that serves a session. Its memory is the owner's, who frees `request.mem` and `reply` after joining.
struct cfuse_worker {
    struct fuse_session *session;
    pthread_t thread;
    /// The thread finds this struct again under it.
    pthread_key_t key;
    /// What the kernel sends; libfuse allocates `mem` once.
    struct fuse_buf request;
    /// What reads and directory listings are answered from.
    void *reply;
    size_t reply_size;
    /// The owner's listing over `reply`.
    void *directory;
    /// Set within a request by the callback for INIT.
    int initialised;
    void *context;
    /// Called once the kernel has the reply to INIT.
    void (*on_initialised)(void *context);
    /// Called when the connection ended, not when the thread was cancelled.
    void (*on_end)(void *context);
};

/// The thread. It is in C because a thread that waits for the kernel can only be ended by cancelling it while the
/// mount lives on in another mount namespace, and cancelling unwinds the stack: no Swift frame may be on it.
static inline void *cfuse_worker_run(void *argument) {
    struct cfuse_worker *worker = (struct cfuse_worker *)argument;
    // The process's signals are for its own threads.
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_setspecific(worker->key, worker);
    while (!fuse_session_exited(worker->session)) {
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        int count = fuse_session_receive_buf(worker->session, &worker->request);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        if (count == -EINTR || count == -EAGAIN) continue;
        if (count <= 0) break;
        fuse_session_process_buf(worker->session, &worker->request);
        if (worker->initialised) {
            worker->initialised = 0;
            worker->on_initialised(worker->context);
        }
    }
    worker->on_end(worker->context);
    return NULL;
}
