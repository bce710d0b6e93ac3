/* data_files.h - small files in a folder of their own, for the tests of readers. */
#ifndef DATA_FILES_H
#define DATA_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lab/data.h"

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void put(const char *name, const void *bytes, size_t size)
{
    remove(in_folder(name)); /* some file systems wait for the disk at a truncation */
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

/* gzip in memory; returns the size. */
static size_t zip(const void *bytes, size_t size, unsigned char *to, size_t room)
{
    z_stream stream = { 0 };
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = to;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    const size_t made = room - stream.avail_out;
    deflateEnd(&stream);
    return made;
}

static inline void put_zipped(const char *name, const void *bytes, size_t size)
{
    const size_t room = size + size / 10 + 1000;
    unsigned char *zipped = malloc(room);
    assert_non_null(zipped);
    put(name, zipped, zip(bytes, size, zipped, room));
    free(zipped);
}

static void empty_folder(void)
{
    DIR *open = opendir(folder);
    assert_non_null(open);
    for (struct dirent *entry; (entry = readdir(open));)
        if (entry->d_name[0] != '.') remove(in_folder(entry->d_name));
    closedir(open);
}

static int make_folder(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/eden-data-XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

/* A refused load leaves all of *data zero and says why. */
static void check_refused(const lab_data *data, eden_status status, const eden_error *error)
{
    static const lab_data zero;
    if (memcmp(data, &zero, sizeof zero)) fail_msg("not all zero after '%s'", error->text);
    assert_int_equal(error->status, status);
    assert_true(strlen(error->text) > 10);
}

static void refused(eden_status status, eden_status want, const lab_data *data,
                    const eden_error *error, const char *part)
{
    if (status != want) fail_msg("status %d instead of %d: '%s'", status, want, error->text);
    if (!strstr(error->text, part)) fail_msg("'%s' does not contain '%s'", error->text, part);
    check_refused(data, status, error);
}

/* What every data set that was accepted must be. */
static void check_sound(const lab_data *data)
{
    const lab_split *splits[] = { &data->train, &data->test };
    assert_int_equal(data->features, (uint64_t)data->channels * data->height * data->width);
    for (int s = 0; s < 2; s++) {
        const lab_split *split = splits[s];
        assert_true(split->count > 0 && (split->label != NULL) == (data->classes > 0));
        assert_true((split->target != NULL) == (data->classes == 0));
        for (uint64_t i = 0; i < split->count * data->features; i++)
            assert_true(isfinite(split->x[i]));
        for (uint64_t i = 0; i < split->count; i++) {
            if (split->label) assert_true(split->label[i] >= 0 && split->label[i] < (int64_t)data->classes);
            if (split->target) assert_true(isfinite(split->target[i]));
        }
    }
}

static inline uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* One to three changes: a byte, a bit, a cut, an insertion. Returns the size. */
static inline size_t mutate(unsigned char *bytes, size_t size, uint64_t *state)
{
    for (uint64_t changes = 1 + draw(state) % 3; changes > 0 && size > 0; changes--) {
        const size_t at = draw(state) % size;
        switch (draw(state) % 5) {
        case 0: bytes[at] = (unsigned char)draw(state); break;
        case 1: bytes[at] ^= (unsigned char)(1 << draw(state) % 8); break;
        case 2: bytes[at] = (unsigned char)"\0\377\"\n,"[draw(state) % 5]; break;
        case 3:
            memmove(bytes + at, bytes + at + 1, size - at - 1);
            size--;
            break;
        default:
            memmove(bytes + at + 1, bytes + at, size - at);
            bytes[at] = (unsigned char)draw(state);
            size++;
        }
    }
    return size;
}

/* ---- CSV --------------------------------------------------------------------------- */

#define NAME "t.csv"

static inline eden_status load_text(lab_data *data, const char *text, const char *label, const char *kind,
                             eden_error *error)
{
    put_text(NAME, text);
    memset(data, 0x55, sizeof *data);
    return lab_data_csv(data, in_folder(NAME), label, kind, 1, error);
}

static inline void accept(lab_data *data, const char *text, const char *kind)
{
    eden_error error = { 0, "" };
    if (load_text(data, text, "y", kind, &error)) fail_msg("%s\n%s", error.text, text);
    check_sound(data);
}

static inline uint64_t hash_of(const char *text, const char *kind)
{
    lab_data data;
    accept(&data, text, kind);
    const uint64_t hash = data.hash;
    lab_data_free(&data);
    return hash;
}

static inline void refuse_as(const char *text, const char *kind, eden_status want, const char *part)
{
    lab_data data;
    eden_error error = { 0, "" };
    refused(load_text(&data, text, "y", kind, &error), want, &data, &error, part);
}

static inline void refuse(const char *text, const char *part)
{
    refuse_as(text, NULL, EDEN_E_FORMAT, part);
}

#endif
