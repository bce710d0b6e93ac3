/* pieces.c - see pieces.h. */
#include "engine/pieces.h"

static size_t ceil_div(size_t a, size_t b) { return a / b + (a % b != 0); }

static uint64_t matrices_of(eden_extent extent) { return extent.matrices ? extent.matrices : 1; }

uint64_t eden_shape_length(uint32_t shape, eden_extent extent)
{
    switch (shape) {
    case EDEN_FULL: return extent.count;
    case EDEN_ROW: return extent.rows * matrices_of(extent);
    case EDEN_COL: return extent.cols * matrices_of(extent);
    case EDEN_EACH: return matrices_of(extent);
    default: return 1;
    }
}

/* A tensor whose rows matter is cut into panels of whole rows, at least a chunk
 * each and at most EDEN_PANELS a matrix, since each keeps sums of its own for every
 * column. The heights follow from the shape alone, which is not empty. */
static size_t panel_rows(const eden_job *job)
{
    const size_t rows = (size_t)job->extent.rows, cols = (size_t)job->extent.cols;
    const size_t by_count = ceil_div(rows, EDEN_PANELS);
    const size_t by_size = ceil_div(EDEN_CHUNK, cols);
    return by_count > by_size ? by_count : by_size;
}

size_t eden_panels_of(const eden_job *job) { return ceil_div((size_t)job->extent.rows, panel_rows(job)); }

eden_cutting eden_cut(const eden_job *job, uint32_t domain)
{
    if (job->extent.count == 0 && domain != EDEN_ONE) return (eden_cutting){ 1, 0, 0, 1 };
    const size_t matrices = domain != EDEN_ONE && job->shaped ? (size_t)matrices_of(job->extent) : 1;
    const size_t length = (size_t)eden_shape_length(domain, job->extent) / matrices;
    const size_t parts = domain == EDEN_FULL && job->shaped ? eden_panels_of(job) : ceil_div(length, EDEN_CHUNK);
    const size_t together = parts == 1 && EDEN_CHUNK > length ? EDEN_CHUNK / length : 1;
    return (eden_cutting){ matrices, length, parts, together };
}

static size_t pieces_of(const eden_cutting *c)
{
    return c->parts == 1 ? ceil_div(c->matrices, c->together) : c->matrices * c->parts;
}

/* Elements of each part of a matrix but its last. */
static size_t part_length(const eden_job *job)
{
    return job->shaped ? panel_rows(job) * (size_t)job->extent.cols : EDEN_CHUNK;
}

size_t eden_job_pieces(const eden_job *job, size_t pass)
{
    const eden_cutting c = eden_cut(job, job->rule->passes[pass].domain);
    return pieces_of(&c);
}

size_t eden_job_piece_of(const eden_job *job, uint64_t element)
{
    const eden_cutting c = eden_cut(job, EDEN_FULL);
    if (element >= job->extent.count) return pieces_of(&c);
    const size_t matrix = (size_t)element / c.length;
    return c.parts == 1 ? matrix / c.together : matrix * c.parts + (size_t)element % c.length / part_length(job);
}

uint64_t eden_job_piece_at(const eden_job *job, size_t piece)
{
    const eden_cutting c = eden_cut(job, EDEN_FULL);
    if (piece >= pieces_of(&c)) return job->extent.count;
    return c.parts == 1 ? piece * c.together * c.length : piece / c.parts * c.length + piece % c.parts * part_length(job);
}

void eden_job_take(eden_job *job, uint64_t first, uint64_t last)
{
    job->first = first, job->last = last;
}

size_t eden_job_own(const eden_job *job, size_t pass, size_t *first)
{
    *first = 0;
    if (job->rule->passes[pass].domain != EDEN_FULL) return eden_job_pieces(job, pass);
    *first = eden_job_piece_of(job, job->first);
    return eden_job_piece_of(job, job->last) - *first;
}

eden_area eden_area_of(const eden_job *job, uint32_t domain, const eden_cutting *c, size_t nth)
{
    const size_t matrix = nth / c->parts, part = nth % c->parts;
    if (domain == EDEN_FULL && job->shaped) {
        const size_t height = panel_rows(job), row = part * height;
        const size_t rows = (size_t)job->extent.rows, cols = (size_t)job->extent.cols;
        return (eden_area){ nth, matrix, part, matrix * rows + row, matrix * c->length + row * cols,
                            eden_at_most(height, rows - row), cols };
    }
    const size_t at = part * EDEN_CHUNK;
    return (eden_area){ nth, matrix, 0, 0, matrix * c->length + at, 1, eden_at_most(EDEN_CHUNK, c->length - at) };
}
