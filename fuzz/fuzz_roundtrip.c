/* fuzz_roundtrip.c - any tensors and texts: what is written is read back byte for byte,
 * and written again it is the same file. */
#include "fuzz/fuzz.h"

#include <eden/safetensors.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 12, DATA = 4096, ROOM = 300 };

typedef struct {
    char name[ROOM], dtype[16];
    uint32_t ndim;
    uint64_t shape[EDEN_MAX_DIMS];
} tensor;

static tensor tensors[MOST];
static char keys[MOST][ROOM], values[MOST][ROOM];
static size_t tensor_count, text_count;
static const uint8_t *bytes; /* DATA of them, the data of every tensor */

/* Offer what the input holds to the writer, and remember what it took. */
static void collect(eden_writer *writer, fuzz_input *input)
{
    static const char *const dtypes[] = { "F32", "BF16", "F16", "U8", "I64", "F64", "BOOL", "C64" };
    eden_error error = { 0 };
    tensor_count = text_count = 0;
    while (input->size > 0 && tensor_count < MOST && text_count < MOST) {
        tensor *t = &tensors[tensor_count];
        const uint8_t kind = fuzz_byte(input);
        uint64_t count = 1;
        if (kind % 3 == 0) {
            fuzz_line(input, keys[text_count], ROOM);
            fuzz_line(input, values[text_count], ROOM);
            text_count += !eden_writer_text(writer, keys[text_count], values[text_count], &error);
            continue;
        }
        t->ndim = fuzz_below(input, EDEN_MAX_DIMS + 1);
        for (uint32_t i = 0; i < t->ndim; i++) {
            t->shape[i] = fuzz_below(input, 5);
            count *= t->shape[i];
        }
        if (count * 8 > DATA) continue;
        const char *known = dtypes[kind / 3 % 8];
        if (kind < 250) snprintf(t->dtype, sizeof t->dtype, "%s", known);
        else fuzz_line(input, t->dtype, sizeof t->dtype);
        fuzz_line(input, t->name, ROOM);
        tensor_count += !eden_writer_tensor(writer, t->name, t->dtype, t->ndim, t->shape, bytes, &error);
    }
}

static void compare(const char *path)
{
    uint8_t room[DATA];
    eden_file *file = NULL;
    eden_error error = { 0 };
    fuzz_check(!eden_file_open(&file, path, &error), "what was written can be opened");
    fuzz_check(eden_file_count(file) == tensor_count, "all tensors are there");
    for (size_t k = 0; k < tensor_count; k++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        const size_t i = eden_file_find(file, tensors[k].name);
        fuzz_check(i != SIZE_MAX && !eden_file_at(file, i, &t, &error), "a tensor is found");
        fuzz_check(!strcmp(t.dtype, tensors[k].dtype) && t.ndim == tensors[k].ndim
                       && !memcmp(t.shape, tensors[k].shape, t.ndim * sizeof t.shape[0]),
                   "a tensor has its dtype and shape");
        fuzz_check(t.bytes <= DATA && !eden_file_read(file, i, room, t.bytes, &error)
                       && !memcmp(room, bytes, (size_t)t.bytes),
                   "a tensor has its bytes");
    }
    for (size_t k = 0; k < text_count; k++) {
        const char *value = eden_file_value(file, keys[k]);
        fuzz_check(value && !strcmp(value, values[k]), "a text is what was written");
    }
    eden_file_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t all[DATA], one[1 << 17], two[1 << 17];
    char path[200];
    eden_writer *writer = NULL;
    eden_error error = { 0 };
    fuzz_input input = { data, size };
    memset(all, 0, sizeof all);
    memcpy(all, data, size < sizeof all ? size : sizeof all);
    bytes = all;
    snprintf(path, sizeof path, "%s/file", fuzz_folder());
    fuzz_check(!eden_writer_create(&writer, &error), "a writer can be made");
    collect(writer, &input);
    fuzz_check(!eden_writer_write(writer, path, &error), "what was collected can be written");
    compare(path);
    const size_t length = fuzz_file_content(path, one, sizeof one);
    fuzz_check(!eden_writer_write(writer, path, &error)
                   && fuzz_file_content(path, two, sizeof two) == length
                   && !memcmp(one, two, length < sizeof one ? length : sizeof one),
               "the same input makes the same bytes");
    eden_writer_destroy(writer);
    return 0;
}

#define SEED(text) { text, sizeof(text) - 1 } /* it may hold zeros */

size_t fuzz_seed(size_t i, uint8_t *room)
{
    static const struct { const char *text; size_t size; } texts[] = {
        SEED("0key\nvalue\n1\002\002\003weights\n4\001\004bias\n7\000scalar\n"), SEED("0a\n\n0a\nb\n"),
        SEED("\372\001\002F8_E4M3\nodd\n\001\001\002twice\n\001\001\002twice\n"),
        SEED("1\010\001\001\002\001\001\001\001\002deep\n0\xc3\xa9\"\\\n\t\x7f\n"),
        SEED("1\002\000\003empty\n0eden.sum\nx\n0__metadata__\ny\n1\001\001__metadata__\n"),
    };
    if (i >= sizeof texts / sizeof texts[0]) return 0;
    memcpy(room, texts[i].text, texts[i].size);
    return texts[i].size;
}
