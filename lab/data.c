/* data.c - the built-in digits, and what all data sets share. */
#include "lab/data.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/data_parts.h"
#include "lab/read.h"

/* ---- errors ---------------------------------------------------------------------- */

/* Bytes of the well-formed UTF-8 character at `at`, or 0. */
static size_t character(const unsigned char *at)
{
    const unsigned c = at[0];
    const size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    const int overlong = (c == 0xe0 && at[1] < 0xa0) || (c == 0xf0 && at[1] < 0x90);
    const int outside = (c == 0xed && at[1] > 0x9f) || (c == 0xf4 && at[1] > 0x8f);
    return overlong || outside ? 0 : n;
}

eden_status data_fail(eden_error *error, eden_status status, const char *format, ...)
{
    if (!error) return status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    error->status = (uint32_t)status;
    for (unsigned char *at = (unsigned char *)error->text; *at;) {
        const size_t n = character(at);
        if (n == 0 || *at < 0x20 || *at == 0x7f) *at = '?';
        at += n ? n : 1;
    }
    return status;
}

eden_status data_no_memory(eden_error *error, const char *what)
{
    return data_fail(error, EDEN_E_MEMORY, "'%.200s': there is not enough memory", what);
}

/* ---- memory ---------------------------------------------------------------------- */

void *data_alloc(uint64_t count, size_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(count, (uint64_t)size, &bytes) || bytes > PTRDIFF_MAX) return NULL;
    return bytes ? calloc((size_t)count, size) : NULL;
}

char *data_copy(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

int data_grow(void *memory, uint64_t *room, uint64_t need, size_t size)
{
    void *old, *grown;
    uint64_t bytes, more = *room > UINT64_MAX / 2 ? UINT64_MAX : *room * 2;
    if (need <= *room) return 1;
    if (more < need) more = need;
    if (__builtin_mul_overflow(more, (uint64_t)size, &bytes) || bytes > PTRDIFF_MAX) return 0;
    memcpy(&old, memory, sizeof old);
    grown = realloc(old, (size_t)bytes);
    if (!grown) return 0;
    memcpy(memory, &grown, sizeof grown);
    *room = more;
    return 1;
}

eden_status data_make_splits(lab_data *data, uint64_t train, uint64_t test, const char *path,
                             eden_error *error)
{
    lab_split *splits[] = { &data->train, &data->test };
    const uint64_t counts[] = { train, test };
    for (int i = 0; i < 2; i++) {
        lab_split *split = splits[i];
        uint64_t values;
        split->count = counts[i];
        if (__builtin_mul_overflow(split->count, data->features, &values))
            return data_no_memory(error, path);
        split->x = data_alloc(values, sizeof *split->x);
        if (data->classes)
            split->label = data_alloc(split->count, sizeof *split->label);
        else
            split->target = data_alloc(split->count, sizeof *split->target);
        if (!split->x || !(split->label || split->target)) return data_no_memory(error, path);
    }
    return EDEN_OK;
}

void lab_data_free(lab_data *data)
{
    if (!data) return;
    lab_split *splits[] = { &data->train, &data->test };
    for (int i = 0; i < 2; i++) {
        free(splits[i]->x);
        free(splits[i]->label);
        free(splits[i]->target);
    }
    memset(data, 0, sizeof *data);
}

/* ---- folders, names, test sets, hashes --------------------------------------------- */

eden_status data_check_folder(const char *path, const char *what, eden_error *error)
{
    struct stat about;
    if (stat(path, &about))
        return data_fail(error, EDEN_E_IO, "cannot open the directory '%.200s': %s", path,
                         strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return data_fail(error, EDEN_E_IO, "'%.200s' is not a directory; name the one that holds %s",
                         path, what);
    return EDEN_OK;
}

void data_set_name(lab_data *data, const char *path, const char *otherwise)
{
    size_t end = strlen(path), start;
    while (end > 0 && path[end - 1] == '/') end--;
    for (start = end; start > 0 && path[start - 1] != '/';) start--;
    const char *const endings[] = { ".gz", ".csv" };
    for (int i = 0; i < 2; i++) {
        const size_t n = strlen(endings[i]);
        if (end - start > n && !memcmp(path + end - n, endings[i], n)) end -= n;
    }
    if (end - start == 0 || path[start] == '.') {
        path = otherwise;
        start = 0;
        end = strlen(path);
    }
    if (end - start >= sizeof data->name) {
        end = start + sizeof data->name - 1;
        while (end > start && ((unsigned char)path[end] & 0xc0) == 0x80) end--;
    }
    memset(data->name, 0, sizeof data->name);
    memcpy(data->name, path + start, end - start);
}

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t random_below(uint64_t n, uint64_t *state)
{
    const uint64_t last = UINT64_MAX - UINT64_MAX % n;
    uint64_t drawn;
    do
        drawn = next_random(state);
    while (drawn >= last);
    return drawn % n;
}

void data_draw_test(unsigned char *is_test, uint64_t rows, uint64_t seed)
{
    uint64_t wanted = rows / 5;
    for (uint64_t i = 0; i < rows; i++) {
        is_test[i] = random_below(rows - i, &seed) < wanted;
        wanted -= is_test[i];
    }
}

/* FNV-1a, low byte first. */
static uint64_t hash_number(uint64_t hash, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        hash = (hash ^ (number >> (8 * i) & 0xff)) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_words(uint64_t hash, const void *words, uint64_t count)
{
    for (uint64_t i = 0; words && i < count; i++) {
        uint32_t word;
        memcpy(&word, (const char *)words + i * sizeof word, sizeof word);
        hash = hash_number(hash, word, 4);
    }
    return hash;
}

void data_set_hash(lab_data *data)
{
    const lab_split *splits[] = { &data->train, &data->test };
    const uint64_t sizes[] = { data->channels, data->height, data->width, data->classes };
    uint64_t hash = 0xcbf29ce484222325u, scale;
    for (int i = 0; i < 4; i++) hash = hash_number(hash, sizes[i], 8);
    memcpy(&scale, &data->target_scale, sizeof scale);
    hash = hash_number(hash, scale, 8);
    for (int i = 0; i < 2; i++) {
        hash = hash_number(hash, splits[i]->count, 8);
        hash = hash_words(hash, splits[i]->x, splits[i]->count * data->features);
        hash = hash_words(hash, splits[i]->label, splits[i]->count);
        hash = hash_words(hash, splits[i]->target, splits[i]->count);
    }
    data->hash = hash;
}

/* ---- digits -------------------------------------------------------------------------- */

enum { DIGITS = 1797, DIGITS_TEST = DIGITS / 5, SIDE = 8, PIXELS = SIDE * SIDE, DIGITS_SEED = 1 };

/* A number of at most two digits and the comma or line feed behind it. */
static int read_small(const char **at, const char *end, char stop, int most)
{
    int value = 0, digits = 0;
    for (; *at < end && **at >= '0' && **at <= '9' && digits < 2; digits++)
        value = value * 10 + (*(*at)++ - '0');
    if (digits == 0 || value > most || *at == end || *(*at)++ != stop) return -1;
    return value;
}

static int parse_digits(lab_data *data, const char *text, size_t length)
{
    const char *at = text, *end = text + length;
    unsigned char is_test[DIGITS];
    uint64_t filled[2] = { 0, 0 };
    lab_split *splits[] = { &data->train, &data->test };
    data_draw_test(is_test, DIGITS, DIGITS_SEED);
    for (int row = 0; row < DIGITS; row++) {
        lab_split *split = splits[is_test[row]];
        const uint64_t to = filled[is_test[row]]++;
        for (int i = 0; i < PIXELS; i++) {
            const int value = read_small(&at, end, ',', 16);
            if (value < 0) return 0;
            split->x[to * PIXELS + (uint64_t)i] = (float)value / 16;
        }
        split->label[to] = read_small(&at, end, '\n', 9);
        if (split->label[to] < 0) return 0;
    }
    return at == end;
}

static eden_status load_digits(lab_data *data, eden_error *error)
{
    static const char name[] = "the built-in digits";
    lab_reader *reader;
    const size_t room = DIGITS * (PIXELS * 3 + 3);
    size_t length = 0;
    char *text = data_alloc(room, 1);
    if (!text) return data_no_memory(error, name);
    eden_status status =
        lab_reader_memory(&reader, name, data_digits_gz, data_digits_gz_size, error);
    if (!status) status = lab_read(reader, text, room, &length, error);
    lab_reader_close(reader);
    data->channels = 1;
    data->height = data->width = SIDE;
    data->features = PIXELS;
    data->classes = 10;
    data->target_scale = 1;
    if (!status) status = data_make_splits(data, DIGITS - DIGITS_TEST, DIGITS_TEST, name, error);
    if (!status && !parse_digits(data, text, length))
        status = data_fail(error, EDEN_E_FORMAT, "%s are damaged; install Eden again", name);
    free(text);
    return status;
}

eden_status lab_data_digits(lab_data *data, eden_error *error)
{
    if (!data) return data_fail(error, EDEN_E_ARGUMENT, "lab_data_digits: data is NULL");
    memset(data, 0, sizeof *data);
    const eden_status status = load_digits(data, error);
    if (status) {
        lab_data_free(data);
        return status;
    }
    data_set_name(data, "digits", "digits");
    data_set_hash(data);
    return EDEN_OK;
}
