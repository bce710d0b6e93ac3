/* read.c - bytes of a file, gzipped or not, that may come from anywhere. */
#include "lab/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define ZLIB_CONST
#include <zlib.h>

#include "lab/data_parts.h"

#define BLOCK          65536
#define PIECE          ((size_t)1 << 30) /* zlib counts in unsigned ints */
#define DEFLATE_RATIO  1032              /* deflate makes no byte of more than that */
/* A few bytes can unpack to gigabytes: above BOMB_FREE bytes of content, more than
 * BOMB_RATIO times what is stored is refused. Tables and images pack 3 to 50 times. */
#define BOMB_FREE      ((uint64_t)128 << 20)
#define BOMB_RATIO     200
#define GZIP_OR_NOTHING (15 + 16)

struct lab_reader {
    int file; /* -1: everything is in `stored` already */
    char *path;
    uint64_t size, limit, given;
    int gzipped, inside; /* inside: a gzip member has begun and not ended */
    int input_ended;
    z_stream stream;
    unsigned char block[BLOCK];
};

static eden_status refill(lab_reader *reader, eden_error *error)
{
    if (reader->stream.avail_in > 0 || reader->input_ended) return EDEN_OK;
    ssize_t got = 0;
    if (reader->file >= 0) do
            got = read(reader->file, reader->block, BLOCK);
        while (got < 0 && errno == EINTR);
    if (got < 0)
        return data_fail(error, EDEN_E_IO, "cannot read '%.200s': %s", reader->path,
                         strerror(errno));
    reader->input_ended = got == 0;
    reader->stream.next_in = reader->block;
    reader->stream.avail_in = (uInt)got;
    return EDEN_OK;
}

/* Look at the first block: is it gzip? */
static eden_status begin(lab_reader *reader, eden_error *error)
{
    const eden_status status = refill(reader, error);
    if (status) return status;
    const unsigned char *first = reader->stream.next_in;
    reader->gzipped = reader->stream.avail_in >= 2 && first[0] == 0x1f && first[1] == 0x8b;
    if (!reader->gzipped) return EDEN_OK;
    if (inflateInit2(&reader->stream, GZIP_OR_NOTHING) != Z_OK) {
        reader->gzipped = 0;
        return data_no_memory(error, reader->path);
    }
    reader->inside = 1;
    return EDEN_OK;
}

static eden_status create(lab_reader **reader, const char *path, eden_error *error)
{
    lab_reader *made = data_alloc(1, sizeof *made);
    if (made) made->path = data_copy(path);
    if (!made || !made->path) {
        free(made);
        return data_no_memory(error, path);
    }
    made->file = -1;
    made->limit = UINT64_MAX;
    *reader = made;
    return EDEN_OK;
}

static eden_status open_regular(lab_reader *reader, eden_error *error)
{
    struct stat about;
    /* Without O_NONBLOCK a pipe that nobody writes to would be waited for. */
    reader->file = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (reader->file < 0 || fstat(reader->file, &about))
        return data_fail(error, EDEN_E_IO, "cannot open '%.200s': %s", reader->path,
                         strerror(errno));
    if (!S_ISREG(about.st_mode))
        return data_fail(error, EDEN_E_IO, "'%.200s' is %s", reader->path,
                         S_ISDIR(about.st_mode) ? "a directory where a file is expected"
                                                : "no regular file; copy its content to one");
    reader->size = (uint64_t)about.st_size;
    return EDEN_OK;
}

eden_status lab_reader_open(lab_reader **reader, const char *path, uint64_t limit,
                            eden_error *error)
{
    *reader = NULL;
    eden_status status = create(reader, path, error);
    if (status) return status;
    (*reader)->limit = limit;
    status = open_regular(*reader, error);
    if (!status) status = begin(*reader, error);
    if (!status) return EDEN_OK;
    lab_reader_close(*reader);
    *reader = NULL;
    return status;
}

eden_status lab_reader_memory(lab_reader **reader, const char *name, const void *bytes,
                              size_t size, eden_error *error)
{
    *reader = NULL;
    if (size > PIECE) return data_fail(error, EDEN_E_ARGUMENT, "%s: %zu bytes are too many", name, size);
    eden_status status = create(reader, name, error);
    if (status) return status;
    (*reader)->size = size;
    (*reader)->stream.next_in = bytes;
    (*reader)->stream.avail_in = (uInt)size;
    status = begin(*reader, error);
    if (!status) return EDEN_OK;
    lab_reader_close(*reader);
    *reader = NULL;
    return status;
}

void lab_reader_close(lab_reader *reader)
{
    if (!reader) return;
    if (reader->gzipped) inflateEnd(&reader->stream);
    if (reader->file >= 0) close(reader->file);
    free(reader->path);
    free(reader);
}

static uint64_t times(uint64_t size, uint64_t ratio)
{
    uint64_t product;
    return __builtin_mul_overflow(size, ratio, &product) ? UINT64_MAX : product;
}

uint64_t lab_reader_most(const lab_reader *reader)
{
    if (!reader->gzipped) return reader->size;
    const uint64_t possible = times(reader->size, DEFLATE_RATIO);
    const uint64_t allowed = times(reader->size, BOMB_RATIO);
    const uint64_t most = allowed > BOMB_FREE ? allowed : BOMB_FREE;
    return possible < most ? possible : most;
}

const char *lab_reader_path(const lab_reader *reader) { return reader->path; }

static eden_status read_plain(lab_reader *reader, unsigned char *buffer, size_t room, size_t *got)
{
    z_stream *stream = &reader->stream;
    const size_t n = stream->avail_in < room ? stream->avail_in : room;
    if (n) memcpy(buffer, stream->next_in, n);
    stream->next_in += n;
    stream->avail_in -= (uInt)n;
    *got = n;
    return EDEN_OK;
}

static eden_status read_gzip(lab_reader *reader, unsigned char *buffer, size_t room, size_t *got,
                             eden_error *error)
{
    z_stream *stream = &reader->stream;
    if (!reader->inside) {
        inflateReset(stream); /* bytes behind a member: another one, or damage */
        reader->inside = 1;
    }
    const uInt piece = (uInt)(room < PIECE ? room : PIECE);
    stream->next_out = buffer;
    stream->avail_out = piece;
    const int code = inflate(stream, Z_NO_FLUSH);
    *got = piece - stream->avail_out;
    if (code == Z_STREAM_END) {
        reader->inside = 0;
        return EDEN_OK;
    }
    if (code == Z_OK || code == Z_BUF_ERROR) return EDEN_OK;
    if (code == Z_MEM_ERROR) return data_no_memory(error, reader->path);
    return data_fail(error, EDEN_E_FORMAT, "'%.200s' is damaged: its gzip data has an %s; get it again",
                     reader->path, stream->msg ? stream->msg : "unknown fault");
}

eden_status lab_read(lab_reader *reader, void *buffer, size_t room, size_t *got,
                     eden_error *error)
{
    eden_status status = EDEN_OK;
    *got = 0;
    while (*got < room) {
        size_t n = 0;
        status = refill(reader, error);
        if (status) return status;
        const int ended = reader->input_ended && reader->stream.avail_in == 0;
        if (ended && !reader->inside) break;
        unsigned char *at = (unsigned char *)buffer + *got;
        status = reader->gzipped ? read_gzip(reader, at, room - *got, &n, error)
                                 : read_plain(reader, at, room - *got, &n);
        if (status) return status;
        /* zlib may still have held output when its input ended. */
        if (ended && n == 0 && reader->inside)
            return data_fail(error, EDEN_E_FORMAT,
                             "'%.200s' ends in the middle of its gzip data; get it again",
                             reader->path);
        *got += n;
    }
    reader->given += *got;
    if (reader->given > reader->limit)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s' holds more than %llu bytes, the most that is read; take a part of it",
                         reader->path, (unsigned long long)reader->limit);
    /* Of a file that grows, only what was there at first may be judged by its size. */
    if (reader->gzipped && reader->given > lab_reader_most(reader))
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s' holds more than %d times its %llu bytes, as no data does; if it is "
                         "to be trusted, unpack it first",
                         reader->path, BOMB_RATIO, (unsigned long long)reader->size);
    return EDEN_OK;
}
