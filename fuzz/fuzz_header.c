/* fuzz_header.c - any bytes as a safetensors file: open it, list it, read all of it.
 *
 * An input is a whole file; or, if its first byte is odd, a header up to a zero byte and
 * the data behind it, to which the right length is put. */
#include "fuzz/fuzz.h"

#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *make_file(const uint8_t *data, size_t size)
{
    static uint8_t made[1 << 20];
    if (size == 0 || data[0] % 2 == 0) return fuzz_file(0, size ? data + 1 : data, size ? size - 1 : 0);
    const uint8_t *zero = memchr(data + 1, 0, size - 1);
    const size_t length = zero ? (size_t)(zero - data) - 1 : size - 1;
    const size_t rest = zero ? size - length - 2 : 0;
    if (8 + length + rest > sizeof made) return NULL;
    for (int i = 0; i < 8; i++) made[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(made + 8, data + 1, length);
    if (rest) memcpy(made + 8 + length, zero + 1, rest);
    return fuzz_file(0, made, 8 + length + rest);
}

static void look(eden_file *file)
{
    eden_error error = { 0 };
    for (size_t i = 0; i < eden_file_count(file); i++) {
        eden_file_tensor tensor = EDEN_FILE_TENSOR_INIT;
        if (eden_file_at(file, i, &tensor, &error)) {
            fuzz_check(error.status != EDEN_OK && error.text[0], "a failure has a sentence");
            continue;
        }
        fuzz_check(tensor.ndim <= EDEN_MAX_DIMS, "a tensor has at most 8 dimensions");
        fuzz_check(eden_file_find(file, tensor.name) == i, "a tensor is found by its name");
        fuzz_check(tensor.bytes <= 1 << 20, "a tensor lies within its file");
        void *room = malloc(tensor.bytes ? (size_t)tensor.bytes : 1);
        fuzz_check(room != NULL, "there is memory");
        const eden_status status = eden_file_read(file, i, room, tensor.bytes, &error);
        fuzz_check(status == EDEN_OK || status == EDEN_E_FORMAT, "data is there or damaged");
        fuzz_check(eden_file_read(file, i, room, tensor.bytes + 1, &error) == EDEN_E_ARGUMENT,
                   "a wrong size is refused");
        free(room);
    }
    for (size_t i = 0; eden_file_key(file, i); i++)
        fuzz_check(eden_file_value(file, eden_file_key(file, i)) != NULL, "a key has a value");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    eden_file *file = NULL;
    eden_error error = { 0 };
    const char *path = make_file(data, size);
    if (!path) return 0;
    if (eden_file_open(&file, path, &error) == EDEN_OK) {
        look(file);
    } else {
        fuzz_check(file == NULL, "no file after a failure");
        fuzz_check(error.status == EDEN_E_FORMAT && memchr(error.text, 0, sizeof error.text),
                   "what is malformed is called so");
    }
    eden_file_close(file);
    return 0;
}

static size_t seed_of_writer(uint8_t *room)
{
    static const float values[6] = { 1, 2, 3, 4, 5, 6 };
    const uint64_t shape[] = { 2, 3 };
    char path[200];
    eden_writer *writer = NULL;
    snprintf(path, sizeof path, "%s/seed", fuzz_folder());
    fuzz_check(!eden_writer_create(&writer, NULL) && !eden_writer_text(writer, "key", "text", NULL)
                   && !eden_writer_tensor(writer, "w", "F32", 2, shape, values, NULL)
                   && !eden_writer_tensor(writer, "b", "BF16", 1, shape, values, NULL)
                   && !eden_writer_tensor(writer, "n", "U8", 0, NULL, values, NULL)
                   && !eden_writer_write(writer, path, NULL),
               "a seed can be written");
    eden_writer_destroy(writer);
    room[0] = 0;
    return 1 + fuzz_file_content(path, room + 1, FUZZ_SEED_ROOM - 1);
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    /* The first byte, '1', is odd; \001 stands for the zero before the data. */
    static const char *const headers[] = {
        "1{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}\001abcdefgh",
        "1{\"__metadata__\":{\"k\":\"v\",\"\\u00e9\\n\":\"\\ud83d\\ude00\"},\"a\":{\"dtype\":\"I8\","
        "\"shape\":[2,2],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F64\",\"shape\":[],"
        "\"data_offsets\":[4,12]}}  \001abcdefghijkl",
        "1{\"e\":{\"dtype\":\"U16\",\"shape\":[0,18446744073709551615],\"data_offsets\":[0,0]},"
        "\"f\":{\"dtype\":\"F4\",\"shape\":[1,2,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}\001a",
        "1{\"a\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[1,2],\"more\":[{\"x\":[null,true,"
        "-1.5e-3]}]},\"b\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}\001ab",
        "1{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},\"c\":{\"dtype\":\"I8\","
        "\"shape\":[1],\"data_offsets\":[1,2]},\"__metadata__\":{\"k\":\"\",\"j\":\"\"}}\001ab",
        "1{}", "1{\"__metadata__\":{}}",
    };
    if (i == 0) return seed_of_writer(room);
    if (i > sizeof headers / sizeof headers[0]) return 0;
    const size_t size = fuzz_seed_text(headers[i - 1], room);
    uint8_t *mark = memchr(room, 1, size);
    if (mark) *mark = 0;
    return size;
}
