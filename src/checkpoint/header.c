/* header.c - the header of a safetensors file as tables. */
#include "checkpoint/header.h"

#include <stdlib.h>
#include <string.h>

#include "checkpoint/format.h"
#include "optimizer/text.h"

/* The shortest entry is "a":{"dtype":"U8","shape":[],"data_offsets":[0,1]} and the
 * shortest pair of metadata "":"", with a comma: so a header's length bounds the
 * tables, which together with the header take at most four times that length. */
#define ENTRY_BYTES 50
#define PAIR_BYTES  6

typedef struct {
    eden_header *header;
    eden_json json;
    const char *tensor;     /* whose entry is being read, or NULL              */
    int has_metadata, no_memory;
    size_t room, pair_room, sums; /* sums stand at the end of the pairs        */
} reader;

const char *eden_header_text(const eden_header *h, uint32_t place)
{
    return (const char *)h->text + place;
}

static const char *entry_name(const void *h, uint32_t i)
{
    const eden_header *header = h;
    return eden_header_text(header, header->entries[i].name);
}

static const char *pair_key(const void *h, uint32_t i)
{
    const eden_header *header = h;
    return eden_header_text(header, header->pairs[i].key);
}

static uint32_t place_of(const eden_header *h, const char *text)
{
    return (uint32_t)((const unsigned char *)text - h->text);
}

void eden_header_free(eden_header *h)
{
    eden_names_free(&h->names);
    eden_names_free(&h->keys);
    free(h->entries);
    free(h->pairs);
    free(h->text);
}

/* ---- one entry ------------------------------------------------------------------- */

/* Read [n, n, ...] into at most `room` numbers; returns how many there are. */
static uint32_t read_list(eden_json *j, uint64_t *list, uint32_t room, const char *missing,
                          const char *too_many)
{
    uint32_t n = 0;
    if (!eden_json_open(j, '[', ']', missing)) return 0;
    do {
        if (n == room) return eden_json_fail(j, too_many), 0u;
        if (!eden_json_integer(j, &list[n])) return 0;
        n++;
    } while (eden_json_more(j, ']'));
    return n;
}

void eden_header_shape(const eden_header *h, const eden_header_entry *entry, uint64_t *shape)
{
    eden_json j = { h->text, h->length, entry->shape, NULL, 0, 0 };
    read_list(&j, shape, entry->ndim, "", "");
}

enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = 7 };

/* One of the three fields of an entry. Returns which, or 0. */
static int read_field(reader *r, eden_header_entry *entry, uint64_t *shape)
{
    eden_json *j = &r->json;
    const char *key = eden_json_string(j);
    uint64_t offsets[2];
    if (!key || !eden_json_take(j, ':', "':' is missing")) return 0;
    if (strcmp(key, "dtype") == 0) {
        const char *dtype = eden_json_string(j);
        if (!dtype) return 0;
        const unsigned format = eden_format_find(dtype);
        if (format == EDEN_NO_FORMAT) return eden_json_fail(j, "an unknown dtype");
        entry->format = (uint8_t)format;
        return DTYPE;
    }
    if (strcmp(key, "shape") == 0) {
        entry->shape = (uint32_t)j->at;
        entry->ndim = (uint8_t)read_list(j, shape, EDEN_NDIM_MOST, "shape must be a list",
                                         "a shape of more than 64 dimensions");
        return SHAPE;
    }
    if (strcmp(key, "data_offsets") == 0) {
        const char *two = "data_offsets must be a list of two numbers";
        if (read_list(j, offsets, 2, two, two) != 2) return eden_json_fail(j, two);
        entry->begin = offsets[0];
        entry->end = offsets[1];
        return OFFSETS;
    }
    return eden_json_fail(j, "a key other than dtype, shape and data_offsets");
}

static void read_entry(reader *r)
{
    eden_header *h = r->header;
    eden_json *j = &r->json;
    uint64_t shape[EDEN_NDIM_MOST], bytes = 0;
    eden_header_entry entry = { 0, 0, place_of(h, r->tensor), 0, 0, 0, 0 };
    int have = 0;
    if (eden_json_open(j, '{', '}', "an entry must be an object in braces")) {
        do {
            const int field = read_field(r, &entry, shape);
            if (j->wrong) return;
            if (have & field) {
                eden_json_fail(j, "a key stands twice");
                return;
            }
            have |= field;
        } while (eden_json_more(j, '}'));
    }
    if (j->wrong) return;
    if (have != ALL) {
        eden_json_fail(j, !(have & DTYPE)   ? "dtype is missing"
                          : !(have & SHAPE) ? "shape is missing"
                                            : "data_offsets is missing");
        return;
    }
    const char *wrong = eden_format_bytes(entry.format, entry.ndim, shape, &bytes);
    if (!wrong && entry.end < entry.begin) wrong = "its data ends before it begins";
    if (!wrong && entry.end - entry.begin != bytes)
        wrong = "its data_offsets do not fit its dtype and shape";
    if (wrong || h->count == r->room) {
        eden_json_fail(j, wrong ? wrong : "too many entries");
        return;
    }
    h->entries[h->count++] = entry;
}

/* ---- metadata ---------------------------------------------------------------------- */

/* Visible pairs fill the table from its start, Eden's sums from its end. */
static void read_pair(reader *r)
{
    eden_header *h = r->header;
    const char *key = eden_json_string(&r->json);
    if (!key || !eden_json_take(&r->json, ':', "':' is missing")) return;
    const char *value = eden_json_string(&r->json);
    if (!value) return;
    if (h->visible + r->sums == r->pair_room && !eden_json_fail(&r->json, "too many pairs")) return;
    const eden_pair pair = { place_of(h, key), place_of(h, value) };
    if (strncmp(key, EDEN_SUM_KEY, strlen(EDEN_SUM_KEY)) == 0)
        h->pairs[r->pair_room - ++r->sums] = pair;
    else
        h->pairs[h->visible++] = pair;
}

static void read_metadata(reader *r)
{
    eden_header *h = r->header;
    eden_json *j = &r->json;
    if (r->has_metadata++) {
        eden_json_fail(j, "__metadata__ stands twice");
        return;
    }
    r->pair_room = (j->length - j->at) / PAIR_BYTES + 1;
    h->pairs = malloc(r->pair_room * sizeof *h->pairs);
    if (!h->pairs) {
        r->no_memory = 1;
        eden_json_fail(j, "");
        return;
    }
    if (eden_json_open(j, '{', '}', "__metadata__ must be an object in braces"))
        do read_pair(r);
        while (eden_json_more(j, '}'));
    memmove(h->pairs + h->visible, h->pairs + r->pair_room - r->sums, r->sums * sizeof *h->pairs);
    h->pair_count = h->visible + r->sums;
    eden_pair *fitted = realloc(h->pairs, (h->pair_count + 1) * sizeof *fitted);
    if (fitted) h->pairs = fitted;
}

/* ---- the whole ------------------------------------------------------------------------ */

static void read_member(reader *r)
{
    eden_json *j = &r->json;
    r->tensor = NULL;
    const char *name = eden_json_string(j);
    if (!name) return;
    const size_t length = strlen(name);
    if (length == 0 || length > EDEN_NAME_MOST) {
        eden_json_fail(j, length ? "a name of more than 65535 bytes" : "an empty name");
        return;
    }
    if (!eden_json_take(j, ':', "':' is missing")) return;
    if (strcmp(name, EDEN_METADATA) == 0) {
        read_metadata(r);
        return;
    }
    r->tensor = name;
    read_entry(r);
}

static eden_status read_text(eden_header *h, const char *path, int *upper_hex, eden_error *error)
{
    reader r = { h, { h->text, h->length, 0, NULL, 0, 0 }, NULL, 0, 0, 0, 0, 0 };
    eden_json *j = &r.json;
    r.room = h->length / ENTRY_BYTES + 1;
    h->entries = malloc(r.room * sizeof *h->entries);
    if (!h->entries)
        return eden_fail(error, EDEN_E_MEMORY, "'%s': no memory for its header", path);
    if (eden_json_open(j, '{', '}', ""))
        do read_member(&r);
        while (eden_json_more(j, '}'));
    if (!j->wrong) r.tensor = NULL;
    while (!j->wrong && j->at < j->length) {
        if (h->text[j->at] != ' ') eden_json_fail(j, "only spaces may follow the last '}'");
        j->at++;
    }
    *upper_hex = j->upper_hex;
    if (r.no_memory)
        return eden_fail(error, EDEN_E_MEMORY, "'%s': no memory for its metadata", path);
    if (j->wrong && r.tensor)
        return eden_fail(error, EDEN_E_FORMAT, "'%s': tensor '%.99s': %s (byte %zu of the header)",
                         path, r.tensor, j->wrong, j->wrong_at);
    if (j->wrong)
        return eden_fail(error, EDEN_E_FORMAT, "'%s': %s (byte %zu of the header)", path, j->wrong,
                         j->wrong_at);
    eden_header_entry *fitted = realloc(h->entries, (h->count + 1) * sizeof *fitted);
    if (fitted) h->entries = fitted;
    return EDEN_OK;
}

static eden_status find_twins(eden_header *h, const char *path, eden_error *error)
{
    eden_names_start(&h->names, h, entry_name);
    eden_names_start(&h->keys, h, pair_key);
    if (!eden_names_reserve(&h->keys, h->pair_count) || !eden_names_reserve(&h->names, h->count))
        return eden_fail(error, EDEN_E_MEMORY, "'%s': no memory for its names", path);
    for (uint32_t i = 0; i < h->pair_count; i++)
        if (eden_names_add(&h->keys, i) != i)
            return eden_fail(error, EDEN_E_FORMAT, "'%s': the key '%.99s' is twice in the metadata",
                             path, pair_key(h, i));
    for (uint32_t i = 0; i < h->count; i++)
        if (eden_names_add(&h->names, i) != i)
            return eden_fail(error, EDEN_E_FORMAT, "'%s': two tensors are called '%.99s'", path,
                             entry_name(h, i));
    return EDEN_OK;
}

/* By data, and where several are empty at one place, as they stand in the header. */
static int compare(const void *a, const void *b)
{
    const eden_header_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return (x->name > y->name) - (x->name < y->name);
}

static eden_status check_order(eden_header *h, const char *path, uint64_t data_bytes,
                               eden_error *error)
{
    uint64_t end = 0;
    int sorted = 1;
    for (size_t i = 1; i < h->count; i++) sorted &= compare(&h->entries[i - 1], &h->entries[i]) < 0;
    if (!sorted) qsort(h->entries, h->count, sizeof *h->entries, compare);
    for (uint32_t i = 0; i < h->count; i++) {
        const eden_header_entry *e = &h->entries[i];
        if (e->begin != end || e->end > data_bytes)
            return eden_fail(error, EDEN_E_FORMAT, "'%s': tensor '%.99s': its data begins %s", path,
                             entry_name(h, i),
                             e->begin < end   ? "inside another tensor's"
                             : e->begin > end ? "after a hole"
                                              : "in the file and ends after it");
        end = e->end;
    }
    if (end != data_bytes)
        return eden_fail(error, EDEN_E_FORMAT, "'%s': %llu bytes after the last tensor's data", path,
                         (unsigned long long)(data_bytes - end));
    return EDEN_OK;
}

/* The checksum of everything but itself, which is pair `own`. */
static uint64_t sum_of(const eden_header *h, uint32_t own)
{
    uint64_t sum = 0, shape[EDEN_NDIM_MOST];
    for (uint32_t i = 0; i < h->pair_count; i++)
        if (i != own)
            sum += eden_sum_pair(&h->sum, "", pair_key(h, i), eden_header_text(h, h->pairs[i].value));
    for (uint32_t i = 0; i < h->count; i++) {
        const eden_header_entry *entry = &h->entries[i];
        eden_header_shape(h, entry, shape);
        sum += eden_sum_entry(&h->sum, entry_name(h, i), eden_format_name(entry->format), entry->ndim,
                              shape);
    }
    return sum;
}

/* Give each tensor the sum of its data. A file has sums for all or for none. */
static eden_status share_sums(eden_header *h, const char *path, eden_error *error)
{
    const size_t prefix = strlen(EDEN_SUM_TENSOR);
    for (size_t i = h->visible; i < h->pair_count; i++) {
        const char *key = pair_key(h, (uint32_t)i);
        if (strncmp(key, EDEN_SUM_TENSOR, prefix) != 0) continue;
        const uint32_t t = eden_names_find(&h->names, key + prefix);
        if (t == EDEN_NO_NAME)
            return eden_fail(error, EDEN_E_FORMAT, "'%s': a checksum of '%.99s', which is not in the file",
                             path, key + prefix);
        h->entries[t].sum = h->pairs[i].value;
    }
    for (uint32_t i = 0; i < h->count; i++)
        if (!h->entries[i].sum)
            return eden_fail(error, EDEN_E_FORMAT, "'%s': tensor '%.99s' has no checksum, and others have",
                             path, entry_name(h, i));
    return EDEN_OK;
}

/* Compare the sum of metadata and entries. Other programs' files have none. */
static eden_status check_sums(eden_header *h, const char *path, int upper_hex, eden_error *error)
{
    const uint32_t own = eden_names_find(&h->keys, EDEN_SUM_KEY);
    const uint32_t kind = eden_names_find(&h->keys, EDEN_SUM_KIND_KEY);
    uint64_t want = 0;
    if (h->visible == h->pair_count) {
        if (eden_names_find(&h->keys, EDEN_OWN_KEY) == EDEN_NO_NAME) return EDEN_OK;
        return eden_fail(error, EDEN_E_FORMAT, "'%s' says that Eden wrote it and has no checksums: another "
                         "program changed it, and nothing tells how", path);
    }
    if (kind == EDEN_NO_NAME)
        return eden_fail(error, EDEN_E_FORMAT, "'%s': the header is damaged: it has checksums and does not say of "
                         "what kind, " EDEN_SUM_KIND_KEY, path);
    if (strcmp(eden_header_text(h, h->pairs[kind].value), EDEN_SUM_KIND) != 0)
        return eden_fail(error, EDEN_E_FORMAT, "'%s': the header is damaged, or its checksums are of a kind "
                         "that Eden %s does not know: '%.40s'", path, eden_version(),
                         eden_header_text(h, h->pairs[kind].value));
    /* Files with sums were written in lower case; 'F' for 'f' would change no text. */
    if (own == EDEN_NO_NAME || upper_hex ||
        !eden_sum_parse(eden_header_text(h, h->pairs[own].value), &want) || want != sum_of(h, own))
        return eden_fail(error, EDEN_E_FORMAT,
                         "'%s': the header is damaged: it does not have the checksum %s", path,
                         EDEN_SUM_KEY);
    return h->joined ? EDEN_OK : share_sums(h, path, error);
}

eden_status eden_header_read(eden_header *h, const char *path, uint64_t data_bytes,
                             eden_error *error)
{
    int upper_hex = 0;
    eden_sum_start(&h->sum);
    eden_status status = read_text(h, path, &upper_hex, error);
    if (!status) status = check_order(h, path, data_bytes, error);
    if (!status) status = find_twins(h, path, error);
    if (!status) status = check_sums(h, path, upper_hex, error);
    return status;
}
