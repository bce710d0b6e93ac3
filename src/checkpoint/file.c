/* file.c - reading a safetensors file. */
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <eden/safetensors.h>

#include "checkpoint/durable.h"
#include "checkpoint/file.h"
#include "checkpoint/format.h"
#include "checkpoint/guess.h"
#include "checkpoint/header.h"
#include "optimizer/text.h"

#define READ_MOST ((size_t)1 << 30) /* bytes in one call; systems have limits near 2^31 */
#define LENGTH    8                 /* bytes of the header's length                     */

static eden_status read_all(const eden_file *f, void *data, uint64_t bytes, uint64_t at,
                            eden_error *error)
{
    unsigned char *out = data;
    while (bytes > 0) {
        const ssize_t n = pread(f->fd, out, bytes < READ_MOST ? (size_t)bytes : READ_MOST, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return eden_io_fail(error, f->path, "cannot read it", errno);
        if (n == 0)
            return eden_fail(error, EDEN_E_FORMAT, "'%s': it was cut while it was being read", f->path);
        out += n;
        at += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return EDEN_OK;
}

/* ---- opening ---------------------------------------------------------------------- */

/* Open a regular file and nothing else; a pipe without a writer must not hold us up. */
static eden_status open_regular(eden_file *f, uint64_t *size, eden_error *error)
{
    struct stat s;
    do f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (f->fd < 0 && errno == EINTR);
    if (f->fd < 0) return eden_io_fail(error, f->path, "cannot open it", errno);
    if (fstat(f->fd, &s) != 0) return eden_io_fail(error, f->path, "cannot look at it", errno);
    if (!S_ISREG(s.st_mode))
        return eden_fail(error, EDEN_E_IO, "'%s': cannot read it: it is %s", f->path,
                         S_ISDIR(s.st_mode) ? "a folder" : "a device or a pipe, not a file");
    *size = (uint64_t)s.st_size;
    return EDEN_OK;
}

/* The header's length, if it can be that and what follows can be a header: only then
 * is it good enough to ask for memory. */
static eden_status read_length(const eden_file *f, uint64_t size, uint64_t *length, eden_error *error)
{
    unsigned char first[EDEN_GUESS_ROOM];
    const size_t known = size < sizeof first ? (size_t)size : sizeof first;
    const eden_status status = read_all(f, first, known, 0, error);
    if (status) return status;
    if (size < LENGTH)
        return eden_fail(error, EDEN_E_FORMAT, "'%s': %llu bytes are too short for a safetensors file%s",
                         f->path, (unsigned long long)size, eden_guess(first, known));
    *length = 0;
    for (int i = LENGTH - 1; i >= 0; i--) *length = *length << 8 | first[i];
    if (*length > EDEN_HEADER_MOST)
        return eden_fail(error, EDEN_E_FORMAT,
                         "'%s' is no safetensors file: its header would have %llu bytes, and at "
                         "most %u are allowed%s", f->path,
                         (unsigned long long)*length, EDEN_HEADER_MOST, eden_guess(first, known));
    if (*length > size - LENGTH)
        return eden_fail(error, EDEN_E_FORMAT,
                         "'%s': a header of %llu bytes in a file of %llu: it was cut, or is no "
                         "safetensors file%s", f->path, (unsigned long long)*length,
                         (unsigned long long)size, eden_guess(first, known));
    if (*length == 0 || first[LENGTH] != '{')
        return eden_fail(error, EDEN_E_FORMAT, "'%s': the header must begin with '{'%s", f->path,
                         eden_guess(first, known));
    return EDEN_OK;
}

static eden_status read_header(eden_file *f, uint64_t size, eden_error *error)
{
    eden_header *h = &f->header;
    uint64_t length = 0;
    eden_status status = read_length(f, size, &length, error);
    if (status) return status;
    h->length = (size_t)length;
    h->text = malloc(h->length + 1);
    if (!h->text) return eden_io_fail(error, f->path, "cannot read its header", ENOMEM);
    status = read_all(f, h->text, length, LENGTH, error);
    if (status) return status;
    h->text[h->length] = 0;
    return eden_header_read(h, f->path, size - LENGTH - length, error);
}

eden_status eden_file_open(eden_file **file, const char *path, eden_error *error)
{
    uint64_t size = 0;
    if (!file || !path) return eden_fail(error, EDEN_E_ARGUMENT, "eden_file_open: a pointer is NULL");
    eden_file *f = calloc(1, sizeof *f);
    if (!f) return eden_io_fail(error, path, "cannot open it", ENOMEM);
    f->fd = -1;
    f->path = eden_copy_text(path);
    eden_status status = f->path ? EDEN_OK : eden_io_fail(error, path, "cannot open it", ENOMEM);
    if (!status && eden_is_sharded(path)) {
        status = eden_file_join(f, error);
    } else if (!status) {
        status = open_regular(f, &size, error);
        if (!status) status = read_header(f, size, error);
    }
    if (status)
        eden_file_close(f);
    else
        *file = f;
    return status;
}

void eden_file_close(eden_file *f)
{
    if (!f) return;
    if (f->fd >= 0) close(f->fd);
    for (uint32_t r = 0; r < f->part_count; r++) eden_file_close(f->parts[r]);
    free(f->parts);
    eden_header_free(&f->header);
    free(f->path);
    free(f);
}

/* ---- looking and reading ------------------------------------------------------------- */

size_t eden_file_count(const eden_file *f) { return f ? f->header.count : 0; }

static eden_status check_number(const eden_file *f, size_t i, eden_error *error)
{
    if (!f) return eden_fail(error, EDEN_E_ARGUMENT, "the file is NULL");
    if (i < f->header.count) return EDEN_OK;
    return eden_fail(error, EDEN_E_ARGUMENT, "'%s': no tensor has the number %zu; there are %zu",
                     f->path, i, f->header.count);
}

eden_status eden_file_at(const eden_file *f, size_t i, eden_file_tensor *tensor, eden_error *error)
{
    eden_status status = check_number(f, i, error);
    if (status) return status;
    if (!tensor)
        return eden_fail(error, EDEN_E_ARGUMENT,
                         "eden_file_at: tensor is NULL; start it from EDEN_FILE_TENSOR_INIT");
    status = eden_check_struct(tensor, sizeof *tensor, "eden_file_at: tensor", "EDEN_FILE_TENSOR_INIT", error);
    if (status) return status;
    const eden_header *h = &f->header;
    const eden_header_entry *entry = &h->entries[i];
    if (entry->ndim > EDEN_MAX_DIMS)
        return eden_fail(error, EDEN_E_FORMAT, "'%s': tensor '%.99s' has %u dimensions; at most %d fit",
                         f->path, eden_header_text(h, entry->name), entry->ndim, EDEN_MAX_DIMS);
    memset(tensor->shape, 0, sizeof tensor->shape);
    eden_file_look(f, i, tensor, tensor->shape);
    return EDEN_OK;
}

void eden_file_look(const eden_file *f, size_t i, eden_file_tensor *tensor, uint64_t *shape)
{
    const eden_header *h = &f->header;
    const eden_header_entry *entry = &h->entries[i];
    tensor->name = eden_header_text(h, entry->name);
    tensor->dtype = eden_format_name(entry->format);
    tensor->ndim = entry->ndim;
    tensor->reserved = 0;
    tensor->bytes = entry->end - entry->begin;
    eden_header_shape(h, entry, shape);
}

size_t eden_file_find(const eden_file *f, const char *name)
{
    const uint32_t i = f && name ? eden_names_find(&f->header.names, name) : EDEN_NO_NAME;
    return i == EDEN_NO_NAME ? SIZE_MAX : i;
}

/* Nothing if a tensor has no checksum, or the one that its data has. */
static eden_status compare_sum(const eden_file *f, const eden_header_entry *entry, uint64_t have,
                               eden_error *error)
{
    const eden_header *h = &f->header;
    uint64_t sum = 0;
    if (!entry->sum || (eden_sum_parse(eden_header_text(h, entry->sum), &sum) && sum == have))
        return EDEN_OK;
    return eden_fail(error, EDEN_E_FORMAT,
                     "'%s': tensor '%.99s' is damaged: its data does not have the checksum %s", f->path,
                     eden_header_text(h, entry->name), eden_header_text(h, entry->sum));
}

eden_status eden_file_read(eden_file *f, size_t i, void *data, uint64_t bytes, eden_error *error)
{
    eden_status status = check_number(f, i, error);
    if (status) return status;
    const eden_header *h = &f->header;
    const eden_header_entry *entry = &h->entries[i];
    if (bytes != entry->end - entry->begin || (bytes > 0 && !data) || bytes > SIZE_MAX)
        return eden_fail(error, EDEN_E_ARGUMENT, "'%s': tensor '%.99s' has %llu bytes, not %llu", f->path,
                         eden_header_text(h, entry->name),
                         (unsigned long long)(entry->end - entry->begin),
                         (unsigned long long)(data ? bytes : 0));
    if (f->parts) return eden_file_read_range(f, i, 0, bytes, data, error);
    status = read_all(f, data, bytes, LENGTH + h->length + entry->begin, error);
    if (status || !entry->sum) return status;
    return compare_sum(f, entry, eden_sum_bytes(&h->sum, 0, data, (size_t)bytes), error);
}

/* A file's own bytes. */
static eden_status range_of_file(eden_file *f, const eden_header_entry *entry, uint64_t from, uint64_t bytes,
                                 eden_file_take take, void *context, eden_error *error)
{
    const eden_header *h = &f->header;
    const uint64_t begin = entry->begin + from, end = begin + bytes;
    const int whole = begin == entry->begin && end == entry->end;
    eden_status status = EDEN_OK;
    uint64_t sum = 0;
    unsigned char *piece = malloc(EDEN_FILE_PIECE);
    if (!piece) return eden_io_fail(error, f->path, "cannot read it", ENOMEM);
    for (uint64_t at = begin; at < end && !status;) {
        const size_t n = end - at < EDEN_FILE_PIECE ? (size_t)(end - at) : EDEN_FILE_PIECE;
        status = read_all(f, piece, n, LENGTH + h->length + at, error);
        if (!status && whole && entry->sum) sum = eden_sum_bytes(&h->sum, sum, piece, n);
        if (!status) status = take(context, piece, n, error);
        at += n;
    }
    free(piece);
    return status || !whole ? status : compare_sum(f, entry, sum, error);
}

eden_status eden_file_range(eden_file *f, size_t i, uint64_t from, uint64_t bytes, eden_file_take take,
                            void *context, eden_error *error)
{
    const eden_header_entry *entry = &f->header.entries[i];
    eden_status status = EDEN_OK;
    uint64_t at = 0;
    if (!f->parts) return range_of_file(f, entry, from, bytes, take, context, error);
    for (uint32_t r = 0; r < f->part_count && !status; r++) {
        const size_t k = eden_file_find(f->parts[r], eden_header_text(&f->header, entry->name));
        if (k == SIZE_MAX) continue;
        const uint64_t n = f->parts[r]->header.entries[k].end - f->parts[r]->header.entries[k].begin;
        const uint64_t begin = from > at ? from - at : 0, end = from + bytes < at ? 0 : from + bytes - at;
        if (begin < n && begin < end)
            status = eden_file_range(f->parts[r], k, begin, (end < n ? end : n) - begin, take, context, error);
        at += n;
    }
    return status;
}

typedef struct { eden_file_see see; void *context; } seeing;

static eden_status let_see(void *context, const void *piece, size_t bytes, eden_error *error)
{
    const seeing *s = context;
    (void)error;
    if (s->see) s->see(s->context, piece, bytes);
    return EDEN_OK;
}

eden_status eden_file_visit(eden_file *f, size_t i, eden_file_see see, void *context, eden_error *error)
{
    seeing s = { see, context };
    const eden_status status = check_number(f, i, error);
    if (status) return status;
    const eden_header_entry *entry = &f->header.entries[i];
    return eden_file_range(f, i, 0, entry->end - entry->begin, let_see, &s, error);
}

const char *eden_file_key(const eden_file *f, size_t i)
{
    if (!f || i >= f->header.visible) return NULL;
    return eden_header_text(&f->header, f->header.pairs[i].key);
}

const char *eden_file_value(const eden_file *f, const char *key)
{
    const uint32_t i = f && key ? eden_names_find(&f->header.keys, key) : EDEN_NO_NAME;
    return i == EDEN_NO_NAME ? NULL : eden_header_text(&f->header, f->header.pairs[i].value);
}
