/* pieces.h - how the passes over a tensor are cut into pieces, from its shape alone. */
#ifndef EDEN_PIECES_H
#define EDEN_PIECES_H

#include "engine/driver.h"

/* How a domain is cut: each matrix into parts, or so many small matrices to a piece. */
typedef struct {
    size_t matrices, length, parts, together; /* length: of the domain in one matrix */
} eden_cutting;

eden_cutting eden_cut(const eden_job *job, uint32_t domain);

/* Groups of whole rows in which sums of each column are kept, for each matrix. */
size_t eden_panels_of(const eden_job *job);

/* The rows x cols elements of a part of a matrix, and where they begin. `nth` counts
 * the parts of all matrices. */
typedef struct {
    size_t nth, matrix, panel, row, at, rows, cols;
} eden_area;

eden_area eden_area_of(const eden_job *job, uint32_t domain, const eden_cutting *c, size_t nth);

EDEN_INLINE size_t eden_at_most(size_t a, size_t b) { return a < b ? a : b; }

#endif
