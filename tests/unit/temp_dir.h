/* SPDX-License-Identifier: MIT */
/*
 * temp_dir.h - a folder for one test, which goes with everything in it.
 */
#ifndef TEST_TEMP_DIR_H
#define TEST_TEMP_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static int temp_dir_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* @dir: room for some 64 bytes; its name. 0 or -1. */
static inline int temp_dir_new(char *dir, size_t size, const char *what)
{
	snprintf(dir, size, "/tmp/%s_XXXXXX", what);
	return mkdtemp(dir) ? 0 : -1;
}

static inline int temp_dir_remove(const char *dir)
{
	return nftw(dir, temp_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
