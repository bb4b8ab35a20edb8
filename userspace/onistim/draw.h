/* SPDX-License-Identifier: MIT */
/* draw.h - the currents of a compiled program as a picture, with cairo. */
#ifndef ONISTIM_DRAW_H
#define ONISTIM_DRAW_H

#include "compile.h"

/* Write @path as PNG. 0, or -1 with a sentence in @err. */
int draw_png(const struct compiled *c, const char *title, const char *path, char *err, size_t len);

#endif
