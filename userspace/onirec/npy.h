/* SPDX-License-Identifier: MIT */
/*
 * npy.h - headers of NumPy .npy files, format version 1.0, of exactly 128 bytes.
 *
 * 128 because a reader of the Open Ephys format skips that many without looking.
 * The count of rows is padded behind the dictionary with spaces, so a header can
 * be rewritten in place by one write of 128 bytes. Pure code, any thread.
 */
#ifndef ONIREC_NPY_H
#define ONIREC_NPY_H

#include <stddef.h>
#include <stdint.h>

#define NPY_HEADER	128

/*
 * One-dimensional array of @rows elements of type @descr ("<i8", "<f8", "|S128").
 * -1 and EINVAL when it does not fit in 128 bytes.
 */
int npy_header(char out[NPY_HEADER], const char *descr, uint64_t rows);

/*
 * Read such a header back: the number of rows, and the type into @descr. -1 and
 * EINVAL when it is not one that npy_header() makes.
 */
int npy_parse(const char in[NPY_HEADER], char *descr, size_t len, uint64_t *rows);

#endif
