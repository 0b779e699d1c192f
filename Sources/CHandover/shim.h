// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

/// Descriptors that one message can carry: a device and a memory.
enum { chandover_descriptors_max = 2 };

/// Sends one message with descriptors; the number of bytes sent, or -1 with errno.
static inline ssize_t chandover_send(int socket, const void *bytes, size_t size, const int *descriptors, int count) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * chandover_descriptors_max)];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0 && count <= chandover_descriptors_max) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        memcpy(CMSG_DATA(head), descriptors, sizeof(int) * (size_t)count);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

/// Receives one message; `descriptors` has room for chandover_descriptors_max, and those not received are -1.
static inline ssize_t chandover_receive(int socket, void *bytes, size_t size, int *descriptors) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * chandover_descriptors_max)];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    for (int i = 0; i < chandover_descriptors_max; i++) descriptors[i] = -1;
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (count < 0) return count;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        size_t bytes_of_descriptors = head->cmsg_len - CMSG_LEN(0);
        if (bytes_of_descriptors > sizeof(int) * chandover_descriptors_max) continue;
        memcpy(descriptors, CMSG_DATA(head), bytes_of_descriptors);
    }
    return count;
}

/// An empty memory file of a size, whose pages cost nothing until they are written; -1 with errno.
static inline int chandover_memory(const char *name, off_t size) {
    int descriptor = (int)syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */);
    if (descriptor < 0) return -1;
    if (ftruncate(descriptor, size) == 0) return descriptor;
    int reason = errno;
    close(descriptor);
    errno = reason;
    return -1;
}

/// The process at the other end, as this one's PID namespace numbers it; 0 where it does not see it.
static inline pid_t chandover_peer(int socket) {
    struct {
        pid_t pid;
        uid_t uid;
        gid_t gid;
    } peer = {0, 0, 0};
    socklen_t size = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

/// Counts the 64 bits at an address up, seen by every process that maps them; the new value.
static inline uint64_t chandover_count_up(void *address) {
    return __atomic_add_fetch((uint64_t *)address, 1, __ATOMIC_SEQ_CST);
}

static inline uint64_t chandover_count(const void *address) {
    return __atomic_load_n((const uint64_t *)address, __ATOMIC_SEQ_CST);
}
