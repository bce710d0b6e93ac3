#include "lab/text.h"

#include <stdlib.h>
#include <string.h>

#include "lab/data_parts.h"
#include "lab/read.h"

static const uint64_t LEAST = 20, MOST = (uint64_t)1 << 30;

static eden_status read_all(lab_text *text, lab_reader *reader, eden_error *error)
{
    uint64_t room = 0;
    for (;;) {
        size_t got = 0;
        if (!data_grow(&text->bytes, &room, text->count + 65536, 1))
            return data_no_memory(error, lab_reader_path(reader));
        const size_t left = (size_t)(room - text->count);
        const eden_status status = lab_read(reader, text->bytes + text->count, left, &got, error);
        if (status) return status;
        text->count += got;
        if (got < left) return EDEN_OK;
    }
}

static void set_hash(lab_text *text)
{
    text->hash = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < text->count; i++)
        text->hash = (text->hash ^ text->bytes[i]) * 0x100000001b3u;
}

eden_status lab_text_load(lab_text *text, const char *path, eden_error *error)
{
    lab_data named;
    lab_reader *reader = NULL;
    *text = (lab_text){ .count = 0 };
    eden_status status =
        path ? lab_reader_open(&reader, path, MOST, error)
             : lab_reader_memory(&reader, "the built-in text", data_corpus_gz, data_corpus_gz_size,
                                 error);
    if (!status) status = read_all(text, reader, error);
    lab_reader_close(reader);
    if (!status && text->count < LEAST)
        status = data_fail(error, EDEN_E_SHAPE, "'%.200s' has %llu bytes; a text to learn from needs "
                           "at least %llu", path, (unsigned long long)text->count,
                           (unsigned long long)LEAST);
    if (status) {
        lab_text_free(text);
        return status;
    }
    data_set_name(&named, path ? path : "eden-sources", "text");
    memcpy(text->name, named.name, sizeof text->name);
    text->train = text->count - text->count / 10;
    set_hash(text);
    return EDEN_OK;
}

void lab_text_free(lab_text *text)
{
    free(text->bytes);
    *text = (lab_text){ .count = 0 };
}
