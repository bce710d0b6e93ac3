/* writer.c - writing a safetensors file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <eden/safetensors.h>

#include "checkpoint/buffer.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/durable.h"
#include "checkpoint/file.h"
#include "checkpoint/format.h"
#include "checkpoint/names.h"
#include "checkpoint/source.h"
#include "checkpoint/sum.h"
#include "optimizer/text.h"

typedef struct {
    char *name;
    unsigned format;
    uint32_t ndim;
    uint64_t shape[EDEN_MAX_DIMS];
    const void *data;
    eden_source source; /* or without data                                      */
    size_t bytes;
    char sum[EDEN_SUM_ROOM];
} tensor_item;

typedef struct {
    char *key, *value;
} text_item;

struct eden_writer {
    tensor_item *tensors;
    text_item *texts;
    size_t tensor_count, tensor_room, text_count, text_room;
    eden_names names, keys;
    uint32_t older;
    int no_data; /* and no checksums of it */
    eden_sum sum;
};

static const char *name_of(const void *w, uint32_t i)
{
    return ((const eden_writer *)w)->tensors[i].name;
}

static const char *key_of(const void *w, uint32_t i)
{
    return ((const eden_writer *)w)->texts[i].key;
}

static eden_status no_memory(const char *what, eden_error *error)
{
    return eden_fail(error, EDEN_E_MEMORY, "no memory for %s", what);
}

/* ---- collecting --------------------------------------------------------------------- */

eden_status eden_writer_create(eden_writer **writer, eden_error *error)
{
    if (!writer) return eden_fail(error, EDEN_E_ARGUMENT, "eden_writer_create: writer is NULL");
    eden_writer *w = calloc(1, sizeof *w);
    if (!w) return no_memory("a writer", error);
    eden_names_start(&w->names, w, name_of);
    eden_names_start(&w->keys, w, key_of);
    eden_sum_start(&w->sum);
    *writer = w;
    return EDEN_OK;
}

void eden_writer_destroy(eden_writer *w)
{
    if (!w) return;
    for (size_t i = 0; i < w->tensor_count; i++) free(w->tensors[i].name);
    for (size_t i = 0; i < w->text_count; i++) {
        free(w->texts[i].key);
        free(w->texts[i].value);
    }
    free(w->tensors);
    free(w->texts);
    eden_names_free(&w->names);
    eden_names_free(&w->keys);
    free(w);
}

eden_status eden_writer_keep(eden_writer *w, uint32_t older, eden_error *error)
{
    if (!w || older > 1)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_writer_keep: %s",
                         w ? "0 or 1 older files can be kept" : "writer is NULL");
    w->older = older;
    return EDEN_OK;
}

/* Room for one more item. */
static int grow(void **items, size_t *room, size_t count, size_t size)
{
    if (count >= UINT32_MAX / 4) return 0;
    if (count == *room) {
        const size_t more = *room ? *room * 2 : 16;
        void *moved = realloc(*items, more * size);
        if (!moved) return 0;
        *items = moved;
        *room = more;
    }
    return 1;
}

eden_status eden_writer_text(eden_writer *w, const char *key, const char *value, eden_error *error)
{
    if (!w || !key || !value)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_writer_text: a pointer is NULL");
    if (strncmp(key, EDEN_SUM_KEY, strlen(EDEN_SUM_KEY)) == 0)
        return eden_fail(error, EDEN_E_NAME, "metadata '%.99s': keys that begin with %s are Eden's own",
                         key, EDEN_SUM_KEY);
    if (!eden_is_utf8(key) || !eden_is_utf8(value))
        return eden_fail(error, EDEN_E_VALUE, "metadata '%.99s': the text is not UTF-8", key);
    if (eden_names_find(&w->keys, key) != EDEN_NO_NAME)
        return eden_fail(error, EDEN_E_NAME, "metadata '%.99s' was given already", key);
    const text_item item = { eden_copy_text(key), eden_copy_text(value) };
    void *texts = w->texts;
    const int grown = grow(&texts, &w->text_room, w->text_count, sizeof item);
    w->texts = texts; /* before names are hashed again, which reads them there */
    if (!item.key || !item.value || !grown || !eden_names_reserve(&w->keys, w->text_room)) {
        free(item.key);
        free(item.value);
        return no_memory("metadata", error);
    }
    w->texts[w->text_count++] = item;
    eden_names_add(&w->keys, (uint32_t)w->text_count - 1);
    return EDEN_OK;
}

int eden_writer_text_at(const eden_writer *w, size_t i, const char **key, const char **value)
{
    if (i >= w->text_count) return 0;
    *key = w->texts[i].key;
    *value = w->texts[i].value;
    return 1;
}

static eden_status check_tensor(const eden_writer *w, const char *name, const char *dtype,
                                uint32_t ndim, const uint64_t *shape, eden_error *error)
{
    if (!w || !name || !dtype || (ndim && !shape))
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_writer_tensor: a pointer is NULL");
    const size_t length = strlen(name);
    if (length < 1 || length > EDEN_NAME_MOST || !eden_is_utf8(name) || strcmp(name, EDEN_METADATA) == 0)
        return eden_fail(error, EDEN_E_NAME,
                         "'%.99s' cannot name a tensor: it must be 1 to %u bytes of UTF-8 and not %s",
                         name, EDEN_NAME_MOST, EDEN_METADATA);
    if (eden_names_find(&w->names, name) != EDEN_NO_NAME)
        return eden_fail(error, EDEN_E_NAME, "tensor '%.99s' was given already", name);
    if (eden_format_find(dtype) == EDEN_NO_FORMAT)
        return eden_fail(error, EDEN_E_DTYPE, "tensor '%.99s': '%.20s' is no dtype of safetensors", name,
                         dtype);
    if (ndim > EDEN_MAX_DIMS)
        return eden_fail(error, EDEN_E_SHAPE, "tensor '%.99s' has %u dimensions; at most %d fit", name,
                         ndim, EDEN_MAX_DIMS);
    return EDEN_OK;
}

static eden_status add_item(eden_writer *w, const char *name, const char *dtype, uint32_t ndim, const uint64_t *shape,
                            const void *data, eden_source source, eden_error *error)
{
    uint64_t bytes = 0;
    eden_status status = check_tensor(w, name, dtype, ndim, shape, error);
    if (status) return status;
    tensor_item item = { NULL, eden_format_find(dtype), ndim, { 0 }, data, source, 0, "" };
    const char *wrong = eden_format_bytes(item.format, ndim, shape, &bytes);
    if (!wrong && bytes > SIZE_MAX / 2) wrong = "it is larger than memory";
    if (wrong) return eden_fail(error, EDEN_E_SHAPE, "tensor '%.99s': %s", name, wrong);
    if (source.file && (status = eden_source_check(&source, name, bytes, error))) return status;
    if (bytes && !data && !source.file && !w->no_data) return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%.99s': data is NULL", name);
    item.bytes = (size_t)bytes;
    for (uint32_t d = 0; d < ndim; d++) item.shape[d] = shape[d];
    item.name = eden_copy_text(name);
    void *tensors = w->tensors;
    const int grown = grow(&tensors, &w->tensor_room, w->tensor_count, sizeof item);
    w->tensors = tensors;
    if (!item.name || !grown || !eden_names_reserve(&w->names, w->tensor_room)) {
        free(item.name);
        return no_memory("a tensor's entry", error);
    }
    w->tensors[w->tensor_count++] = item;
    eden_names_add(&w->names, (uint32_t)w->tensor_count - 1);
    return EDEN_OK;
}

eden_status eden_writer_tensor(eden_writer *w, const char *name, const char *dtype, uint32_t ndim,
                               const uint64_t *shape, const void *data, eden_error *error)
{
    return add_item(w, name, dtype, ndim, shape, data, (eden_source){ NULL, 0, 0 }, error);
}

eden_status eden_writer_from(eden_writer *w, const char *name, const char *dtype, uint32_t ndim,
                             const uint64_t *shape, eden_file *file, size_t i, uint64_t from, eden_error *error)
{
    if (!file) return eden_fail(error, EDEN_E_ARGUMENT, "eden_writer_from: file is NULL");
    return add_item(w, name, dtype, ndim, shape, NULL, (eden_source){ file, i, from }, error);
}

/* ---- the header ------------------------------------------------------------------------ */

static void add_pair(buffer *b, const char *prefix, const char *key, const char *value)
{
    add(b, "\"");
    add_escaped(b, prefix);
    add_escaped(b, key);
    add(b, "\":\"");
    add_escaped(b, value);
    add(b, "\"");
}

static void add_tensor(buffer *b, const tensor_item *t, uint64_t begin)
{
    add(b, ",\"");
    add_escaped(b, t->name);
    add(b, "\":{\"dtype\":\"");
    add(b, eden_format_name(t->format));
    add(b, "\",\"shape\":[");
    for (uint32_t d = 0; d < t->ndim; d++) {
        if (d) add(b, ",");
        add_number(b, t->shape[d]);
    }
    add(b, "],\"data_offsets\":[");
    add_number(b, begin);
    add(b, ",");
    add_number(b, begin + t->bytes);
    add(b, "]}");
}

/* As the reference writer sorts, so that every tensor is aligned. */
static int by_format(const void *a, const void *b)
{
    const tensor_item *x = *(const tensor_item *const *)a, *y = *(const tensor_item *const *)b;
    if (x->format != y->format) return x->format > y->format ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const text_item *const *)a)->key, (*(const text_item *const *)b)->key);
}

/* Everything in the order of the file. */
typedef struct {
    tensor_item **tensors;
    text_item **texts;
    buffer header;
} layout;

static int sort_all(const eden_writer *w, layout *l)
{
    l->tensors = eden_alloc(w->tensor_count, sizeof *l->tensors);
    l->texts = eden_alloc(w->text_count, sizeof *l->texts);
    if (!l->tensors || !l->texts) return 0;
    for (size_t i = 0; i < w->tensor_count; i++) l->tensors[i] = &w->tensors[i];
    for (size_t i = 0; i < w->text_count; i++) l->texts[i] = &w->texts[i];
    qsort(l->tensors, w->tensor_count, sizeof *l->tensors, by_format);
    qsort(l->texts, w->text_count, sizeof *l->texts, by_key);
    return 1;
}

/* Metadata: the caller's by key, then the sums. */
static void add_metadata(const eden_writer *w, layout *l)
{
    buffer *b = &l->header;
    char text[EDEN_SUM_ROOM];
    uint64_t sum = eden_sum_pair(&w->sum, "", EDEN_SUM_KIND_KEY, EDEN_SUM_KIND);
    add(b, "\"" EDEN_METADATA "\":{");
    for (size_t i = 0; i < w->text_count; i++) {
        add_pair(b, "", l->texts[i]->key, l->texts[i]->value);
        add(b, ",");
        sum += eden_sum_pair(&w->sum, "", l->texts[i]->key, l->texts[i]->value);
    }
    for (size_t i = 0; i < w->tensor_count; i++) {
        tensor_item *t = l->tensors[i];
        sum += eden_sum_entry(&w->sum, t->name, eden_format_name(t->format), t->ndim, t->shape);
        if (w->no_data) continue;
        add_pair(b, EDEN_SUM_TENSOR, t->name, t->sum);
        add(b, ",");
        sum += eden_sum_pair(&w->sum, EDEN_SUM_TENSOR, t->name, t->sum);
    }
    add_pair(b, "", EDEN_SUM_KIND_KEY, EDEN_SUM_KIND);
    add(b, ",");
    eden_sum_print(sum, text);
    add_pair(b, "", EDEN_SUM_KEY, text);
    add(b, "}");
}

static eden_status sum_data(const eden_writer *w, const layout *l, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < w->tensor_count && !w->no_data && !status; i++) {
        tensor_item *t = l->tensors[i];
        uint64_t sum = 0;
        if (t->source.file) status = eden_source_sum(&t->source, t->bytes, &w->sum, &sum, error);
        else sum = eden_sum_bytes(&w->sum, 0, t->data, t->bytes);
        eden_sum_print(sum, t->sum);
    }
    return status;
}

static eden_status make_header(const eden_writer *w, layout *l, eden_error *error)
{
    buffer *b = &l->header;
    uint64_t at = 0;
    if (!sort_all(w, l)) return no_memory("the file's header", error);
    const eden_status status = sum_data(w, l, error);
    if (status) return status;
    add(b, "12345678{"); /* room for the length */
    add_metadata(w, l);
    for (size_t i = 0; i < w->tensor_count; i++) {
        add_tensor(b, l->tensors[i], at);
        if (__builtin_add_overflow(at, (uint64_t)l->tensors[i]->bytes, &at) || at > INT64_MAX)
            return eden_fail(error, EDEN_E_SHAPE, "the tensors together are larger than a file can be");
    }
    add(b, "}");
    while (!b->failed && b->length % 8) add(b, " ");
    if (b->failed) return no_memory("the file's header", error);
    const uint64_t length = b->length - 8;
    if (length > EDEN_HEADER_MOST)
        return eden_fail(error, EDEN_E_VALUE,
                         "a header of %llu bytes for %zu tensors; the format allows %u",
                         (unsigned long long)length, w->tensor_count, EDEN_HEADER_MOST);
    for (int i = 0; i < 8; i++) b->text[i] = (char)(length >> 8 * i);
    return EDEN_OK;
}

/* ---- the file ---------------------------------------------------------------------------- */

eden_status eden_writer_write(eden_writer *w, const char *path, eden_error *error)
{
    layout l = { NULL, NULL, { NULL, 0, 0, 0 } };
    if (!w || !path) return eden_fail(error, EDEN_E_ARGUMENT, "eden_writer_write: a pointer is NULL");
    eden_status status = make_header(w, &l, error);
    if (!status) {
        eden_durable d;
        status = eden_durable_begin(&d, path, w->older, error);
        if (!status) status = eden_durable_write(&d, l.header.text, l.header.length, error);
        for (size_t i = 0; i < w->tensor_count && !status; i++) {
            const tensor_item *t = l.tensors[i];
            status = t->source.file ? eden_source_write(&t->source, t->bytes, &w->sum, t->sum, &d, error)
                                    : eden_durable_write(&d, t->data, t->bytes, error);
        }
        if (!status) status = eden_durable_commit(&d, error);
        eden_durable_end(&d);
    }
    free(l.tensors);
    free(l.texts);
    free(l.header.text);
    return status;
}

void eden_writer_leave_data(eden_writer *w) { w->no_data = 1; }

eden_status eden_writer_header(eden_writer *w, unsigned char **text, size_t *length, uint64_t *data_bytes,
                               eden_error *error)
{
    layout l = { NULL, NULL, { NULL, 0, 0, 0 } };
    const eden_status status = make_header(w, &l, error);
    if (!status) add_bytes(&l.header, "", 1);
    const int failed = l.header.failed;
    *data_bytes = 0;
    for (size_t i = 0; i < w->tensor_count; i++) *data_bytes += w->tensors[i].bytes;
    if (!status && !failed) {
        *length = l.header.length - 9;
        memmove(l.header.text, l.header.text + 8, *length + 1);
        *text = (unsigned char *)l.header.text;
        l.header.text = NULL;
    }
    free(l.tensors);
    free(l.texts);
    free(l.header.text);
    return status ? status : failed ? no_memory("a header", error) : EDEN_OK;
}
