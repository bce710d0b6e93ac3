/* fuzz_gzip.c - any bytes as gzipped data: in pieces of any size, what comes is the same.
 *
 * The first byte is the size of the pieces. */
#include "fuzz/fuzz.h"

#include <string.h>
#include <zlib.h>

#include "lab/read.h"

enum { ROOM = 1 << 16, LIMIT = 1 << 20 };

/* Read it all; the hash of what came and the status. */
static eden_status read_all(const uint8_t *data, size_t size, size_t piece,
                            uint64_t *hash, uint64_t *total)
{
    static uint8_t room[ROOM];
    lab_reader *reader = NULL;
    eden_error error = { 0 };
    size_t got = 0;
    *hash = *total = 0;
    eden_status status = lab_reader_memory(&reader, "a file", data, size, &error);
    fuzz_check(!status == (reader != NULL), "a reader comes with success alone");
    uint64_t chain = 0;
    const uint64_t most = reader ? lab_reader_most(reader) : 0;
    while (!status && *total < LIMIT) {
        status = lab_read(reader, room, piece, &got, &error);
        if (status) break;
        for (size_t i = 0; i < got; i++) chain = (chain ^ room[i]) * 0x100000001b3u;
        *total += got;
        if (got < piece) break;
    }
    fuzz_check(!status || error.text[0], "a failure has a sentence");
    fuzz_check(status || *total <= most, "no more comes than can");
    lab_reader_close(reader);
    *hash = chain;
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t hash, other, total, other_total;
    if (size == 0) return 0;
    const size_t piece = 1 + data[0];
    const eden_status status = read_all(data + 1, size - 1, ROOM, &hash, &total);
    const eden_status again = read_all(data + 1, size - 1, piece, &other, &other_total);
    if (total >= LIMIT || other_total >= LIMIT) return 0;
    fuzz_check(status == again, "pieces do not decide whether data is whole");
    fuzz_check(status || (total == other_total && hash == other), "pieces do not change data");
    return 0;
}

static size_t pack(const char *text, int wrap, uint8_t *room, size_t most)
{
    z_stream stream = { 0 };
    uint8_t copy[4096];
    const size_t size = strlen(text);
    memcpy(copy, text, size);
    fuzz_check(deflateInit2(&stream, 9, Z_DEFLATED, wrap, 8, Z_DEFAULT_STRATEGY) == Z_OK,
               "zlib works");
    stream.next_in = copy;
    stream.avail_in = (uInt)size;
    stream.next_out = room;
    stream.avail_out = (uInt)most;
    fuzz_check(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib works");
    deflateEnd(&stream);
    return most - stream.avail_out;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    static const char *const texts[] = { "a,b\n1,2\n", "",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "The quick brown fox jumps over the lazy dog, 0123456789 times." };
    room[0] = (uint8_t)(7 * i);
    if (i < 4) return 1 + pack(texts[i], 31, room + 1, FUZZ_SEED_ROOM - 1);
    if (i == 4) { /* two members */
        const size_t n = 1 + pack(texts[0], 31, room + 1, 4096);
        return n + pack(texts[3], 31, room + n, 4096);
    }
    if (i == 5) return fuzz_seed_text("\003plain bytes, not packed", room);
    return 0;
}
