// SPDX-License-Identifier: Apache-2.0
#pragma once
// Header-only: nothing to link, and the call inlines into the reader of a record.
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <sys/types.h>

static inline uint64_t larder_xxh3_64(const void *bytes, size_t count) {
    return XXH3_64bits(bytes, count);
}

static inline uint64_t larder_xxh3_64_seeded(const void *bytes, size_t count, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, count, seed);
}

// Linux's fallocate(2), which glibc's header hides from Swift (it asks for _GNU_SOURCE).
extern int fallocate(int fd, int mode, off_t offset, off_t count);

// Gives the whole blocks of a range back to the disk and leaves zeros: PUNCH_HOLE (2) with KEEP_SIZE (1).
static inline int larder_punch(int fd, off_t offset, off_t count) {
    return fallocate(fd, 3, offset, count);
}
