// SPDX-License-Identifier: Apache-2.0
#pragma once
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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
    /// For a mount that a holder keeps: the device, and the place in shared memory that `request.mem` is part of.
    int device;
    size_t slot;
    size_t capacity;
    /// The request that is being processed is answered later: its place is given back by the answer.
    int deferred;
    /// It was another agent's, who may have begun it.
    int inherited;
    /// Since when it is at the request that it is at, by cfuse_now(); 0: it waits for one.
    uint64_t busy_since;
    /// Called once before the first read.
    void (*on_begin)(struct cfuse_worker *worker);
    /// Processes the request that was read.
    void (*serve)(struct cfuse_worker *worker);
};

/// Nanoseconds of a clock that costs next to nothing and is right to some milliseconds.
static inline uint64_t cfuse_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void cfuse_set_busy(struct cfuse_worker *worker, uint64_t since) {
    __atomic_store_n(&worker->busy_since, since, __ATOMIC_RELAXED);
}

static inline uint64_t cfuse_busy_since(const struct cfuse_worker *worker) {
    return __atomic_load_n(&worker->busy_since, __ATOMIC_RELAXED);
}

/// What every thread does first. The threads are in C because a thread that waits for the kernel can only be ended by cancelling it while the
/// mount lives on in another mount namespace, and cancelling unwinds the stack: no Swift frame may be on it.
static inline void cfuse_worker_begin(struct cfuse_worker *worker) {
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
}

static inline void *cfuse_worker_run(void *argument) {
    struct cfuse_worker *worker = (struct cfuse_worker *)argument;
    cfuse_worker_begin(worker);
    while (!fuse_session_exited(worker->session)) {
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        int count = fuse_session_receive_buf(worker->session, &worker->request);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        if (count == -EINTR || count == -EAGAIN) continue;
        if (count <= 0) break;
        cfuse_set_busy(worker, cfuse_now());
        fuse_session_process_buf(worker->session, &worker->request);
        cfuse_set_busy(worker, 0);
        if (worker->initialised) {
            worker->initialised = 0;
            worker->on_initialised(worker->context);
        }
    }
    worker->on_end(worker->context);
    return NULL;
}

/// The same for a mount that a holder keeps. A request is read straight into shared memory, where a successor finds it:
/// the kernel has given it away by then. The thread may be cancelled within read(2) and nowhere else.
static inline void *cfuse_held_worker_run(void *argument) {
    struct cfuse_worker *worker = (struct cfuse_worker *)argument;
    cfuse_worker_begin(worker);
    cfuse_set_busy(worker, cfuse_now());
    worker->on_begin(worker);
    cfuse_set_busy(worker, 0);
    while (!fuse_session_exited(worker->session)) {
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        ssize_t count = read(worker->device, worker->request.mem, worker->capacity);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        if (count < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
        if (count <= 0) break;
        worker->request.size = (size_t)count;
        cfuse_set_busy(worker, cfuse_now());
        worker->serve(worker);
        cfuse_set_busy(worker, 0);
        if (worker->initialised) {
            worker->initialised = 0;
            worker->on_initialised(worker->context);
        }
    }
    worker->on_end(worker->context);
    return NULL;
}

static inline uint64_t cfuse_load(const void *address) {
    return __atomic_load_n((const uint64_t *)address, __ATOMIC_ACQUIRE);
}

/// What was written before is seen by whoever sees this, also after this process was killed right behind it.
static inline void cfuse_store(void *address, uint64_t value) {
    __atomic_store_n((uint64_t *)address, value, __ATOMIC_RELEASE);
}

/// Gives the thread that calls a table of descriptors of its own, with nothing in it but one. A thread that the kernel
/// does not let go while it dies then keeps no lock, socket or pipe of its process. False where that cannot be.
static inline int cfuse_keep_only(int descriptor) {
    unsigned kept = (unsigned)descriptor;
    if (syscall(SYS_unshare, 0x400 /* CLONE_FILES */) != 0) return 0;
    if (kept > 0 && syscall(436 /* close_range */, 0u, kept - 1, 0u) != 0) return 0;
    return syscall(436, kept + 1, ~0u, 0u) == 0;
}
