// SPDX-License-Identifier: Apache-2.0
// What glibc declares only for _GNU_SOURCE, which Swift's own Glibc module is built without.
#ifndef LARDER_CSPAWN_H
#define LARDER_CSPAWN_H

#include <spawn.h>

int pipe2(int descriptors[2], int flags);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

#endif
