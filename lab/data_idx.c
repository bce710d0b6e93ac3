/* data_idx.c - IDX, the format of MNIST and its kin: yann.lecun.com/exdb/mnist. */
#include "lab/data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/data_parts.h"
#include "lab/read.h"

/* A file's name is STEM and then "-idx3-ubyte" or "-idx1-ubyte". */
typedef struct {
    lab_reader *reader;
    const char *path; /* lives with the reader */
    uint32_t size[3]; /* images: count, rows, columns; labels: count */
    uint64_t bytes;   /* behind the header, as it promises */
} idx;

enum { IMAGES = 3, LABELS = 1, UNSIGNED_BYTE = 8, BLOCK = 65536 };

/* More pixels than this in one file are taken for damage, not for data. */
#define MAX_BYTES ((uint64_t)1 << 32)

static const char *const stems[] = { "train-images", "train-labels", "t10k-images", "t10k-labels" };

char *lab_data_idx_name(const char *directory, unsigned i)
{
    const size_t room = strlen(directory) + sizeof "/train-images-idx3-ubyte.gz";
    char *path = i < LAB_IDX_NAMES ? malloc(room) : NULL;
    if (path)
        snprintf(path, room, "%s/%s%cidx%d-ubyte%s", directory, stems[i / 4], i % 4 < 2 ? '-' : '.',
                 i / 4 % 2 ? LABELS : IMAGES, i % 2 ? ".gz" : "");
    return path;
}

static eden_status open_named(idx *file, const char *directory, unsigned which, int dims,
                              eden_error *error)
{
    const char *stem = stems[which];
    char *path = NULL;
    eden_status status = EDEN_E_IO;
    int found = 0;
    for (unsigned i = 0; i < 4 && !found; i++) {
        struct stat about;
        free(path);
        path = lab_data_idx_name(directory, 4 * which + i);
        if (!path) return data_no_memory(error, directory);
        /* What is there but cannot be opened has its own error. */
        found = stat(path, &about) == 0 || errno != ENOENT;
    }
    if (found)
        status = lab_reader_open(&file->reader, path, UINT64_MAX, error);
    else
        data_fail(error, status,
                  "'%.200s' has none of %s-idx%d-ubyte, %s-idx%d-ubyte.gz, %s.idx%d-ubyte and "
                  "%s.idx%d-ubyte.gz",
                  directory, stem, dims, stem, dims, stem, dims, stem, dims);
    free(path);
    if (!status) file->path = lab_reader_path(file->reader);
    return status;
}

static uint32_t big_endian(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The first four bytes: two zeros, the type of the values, how many sizes follow. */
static eden_status check_magic(const idx *file, const unsigned char *magic, int dims,
                               eden_error *error)
{
    const char *mend = "this is no IDX file; get the right one";
    if (!magic[0] && !magic[1] && magic[2] == UNSIGNED_BYTE) {
        if (magic[3] == dims) return EDEN_OK;
        mend = dims == IMAGES ? "images have 3 sizes: store one grey value for each pixel"
                              : "labels have 1 size: store one number for each image";
        if (magic[3] == LABELS) mend = "these are labels where images belong: are the files swapped?";
        if (magic[3] == IMAGES) mend = "these are images where labels belong: are the files swapped?";
    } else if (!magic[0] && !magic[1] && magic[2] >= 9 && magic[2] <= 14 && magic[2] != 10) {
        mend = "only unsigned bytes (08) are read; convert the values";
    } else if (!magic[2] && !magic[3] && magic[1] == UNSIGNED_BYTE) {
        mend = "these are in the wrong order, low byte first; write the high byte first";
    } else if (magic[0] == 0x1f && magic[1] == 0x8b) {
        mend = "it is gzipped twice; unpack it once";
    }
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.200s' begins with the bytes %02x %02x %02x %02x instead of 00 00 08 %02x: %s",
                     file->path, magic[0], magic[1], magic[2], magic[3], (unsigned)dims, mend);
}

/* No memory is taken on the header's word alone. */
static eden_status check_sizes(idx *file, int dims, eden_error *error)
{
    file->bytes = 1;
    for (int i = 0; i < dims; i++) {
        if (file->size[i] == 0)
            return data_fail(error, EDEN_E_FORMAT, "'%.200s' says that it has %s; get it again", file->path,
                             i == 0 ? "0 examples" : "images without pixels");
        if (__builtin_mul_overflow(file->bytes, (uint64_t)file->size[i], &file->bytes) ||
            file->bytes > MAX_BYTES)
            return data_fail(error, EDEN_E_FORMAT,
                             "'%.200s' says that it has %u x %u x %u bytes, above the limit of 2^32; get "
                             "it again, or take a part of it",
                             file->path, file->size[0], dims == IMAGES ? file->size[1] : 1,
                             dims == IMAGES ? file->size[2] : 1);
    }
    const uint64_t header = 4 + 4 * (uint64_t)dims, most = lab_reader_most(file->reader);
    if (most < header + file->bytes)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s' is cut short: its header promises %llu bytes, and it cannot hold "
                         "more than %llu; get it again, or unpack it",
                         file->path, (unsigned long long)(header + file->bytes),
                         (unsigned long long)most);
    return EDEN_OK;
}

static eden_status open_idx(idx *file, const char *directory, unsigned which, int dims,
                            eden_error *error)
{
    unsigned char header[4 + 4 * IMAGES];
    const size_t size = 4 + 4 * (size_t)dims;
    size_t got;
    eden_status status = open_named(file, directory, which, dims, error);
    if (!status) status = lab_read(file->reader, header, size, &got, error);
    if (status) return status;
    if (got >= 4) status = check_magic(file, header, dims, error);
    if (status) return status;
    if (got < size)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s' is cut short: it has %zu bytes, and its header alone takes %zu; "
                         "get it again",
                         file->path, got, size);
    for (int i = 0; i < dims; i++) file->size[i] = big_endian(header + 4 + 4 * i);
    return check_sizes(file, dims, error);
}

/* The next bytes, which the header has promised. */
static eden_status read_promised(idx *file, unsigned char *block, size_t size, uint64_t before,
                                 eden_error *error)
{
    size_t got;
    const eden_status status = lab_read(file->reader, block, size, &got, error);
    if (status || got == size) return status;
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.200s' is cut short: its header promises %llu bytes, and %llu are there; get it again",
                     file->path, (unsigned long long)file->bytes,
                     (unsigned long long)(before + got));
}

static eden_status expect_end(idx *file, eden_error *error)
{
    unsigned char extra;
    size_t got;
    const eden_status status = lab_read(file->reader, &extra, 1, &got, error);
    if (status || got == 0) return status;
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.200s' goes on behind the %llu bytes that its header promises; get it again", file->path,
                     (unsigned long long)file->bytes);
}

static eden_status read_images(idx *file, float *x, eden_error *error)
{
    unsigned char block[BLOCK];
    float shade[256];
    for (int i = 0; i < 256; i++) shade[i] = (float)i / 255;
    for (uint64_t at = 0; at < file->bytes;) {
        const uint64_t left = file->bytes - at;
        const size_t n = left < BLOCK ? (size_t)left : BLOCK;
        const eden_status status = read_promised(file, block, n, at, error);
        if (status) return status;
        for (size_t i = 0; i < n; i++) x[at + i] = shade[block[i]];
        at += n;
    }
    return expect_end(file, error);
}

/* `largest` is the largest label that may come. */
static eden_status read_labels(idx *file, int32_t *label, int32_t largest, eden_error *error)
{
    unsigned char block[BLOCK];
    for (uint64_t at = 0; at < file->bytes;) {
        const uint64_t left = file->bytes - at;
        const size_t n = left < BLOCK ? (size_t)left : BLOCK;
        const eden_status status = read_promised(file, block, n, at, error);
        if (status) return status;
        for (size_t i = 0; i < n; i++) {
            label[at + i] = block[i];
            if (block[i] <= largest) continue;
            return data_fail(error, EDEN_E_FORMAT,
                             "'%.200s': label %d of example %llu (from 0) is above %d, the largest "
                             "to train on; correct it, or get the file again",
                             file->path, block[i], (unsigned long long)(at + i), largest);
        }
        at += n;
    }
    return expect_end(file, error);
}

static uint64_t largest_at(const lab_split *split)
{
    uint64_t at = 0;
    for (uint64_t i = 1; i < split->count; i++)
        if (split->label[i] > split->label[at]) at = i;
    return at;
}

/* One damaged byte would otherwise make classes that nothing belongs to. */
static eden_status check_largest(const idx files[4], const lab_data *data, uint64_t last,
                                 eden_error *error)
{
    const int32_t tested = data->test.label[largest_at(&data->test)];
    if (data->train.label[last] <= 9 || data->train.label[last] <= tested) return EDEN_OK;
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.160s': label %d of example %llu (from 0) is above %d, the largest in '%.160s'; "
                     "correct it, or get the file again",
                     files[1].path, data->train.label[last], (unsigned long long)last, tested,
                     files[3].path);
}

static eden_status check_counts(const idx *images, const idx *labels, eden_error *error)
{
    if (images->size[0] == labels->size[0]) return EDEN_OK;
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.160s' has %u images, and '%.160s' has %u labels: they do not belong together; "
                     "get both again",
                     images->path, images->size[0], labels->path, labels->size[0]);
}

/* files: training images and labels, test images and labels. */
static eden_status read_all(lab_data *data, idx files[4], const char *directory, eden_error *error)
{
    const idx *first = &files[0], *other = &files[2];
    eden_status status = check_counts(&files[0], &files[1], error);
    if (!status) status = check_counts(&files[2], &files[3], error);
    if (status) return status;
    if (first->size[1] != other->size[1] || first->size[2] != other->size[2])
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.150s': the training images are %u x %u, and the test images %u x %u; get "
                         "all from one set",
                         directory, first->size[1], first->size[2], other->size[1], other->size[2]);
    data->channels = 1;
    data->height = first->size[1];
    data->width = first->size[2];
    data->features = (uint64_t)data->height * data->width;
    data->classes = 10;
    data->target_scale = 1;
    status = data_make_splits(data, first->size[0], other->size[0], directory, error);
    if (!status) status = read_labels(&files[1], data->train.label, 255, error);
    if (status) return status;
    const uint64_t last = largest_at(&data->train);
    const int32_t largest = data->train.label[last];
    if (largest >= 10) data->classes = (uint32_t)largest + 1;
    status = read_labels(&files[3], data->test.label, largest, error);
    if (!status) status = check_largest(files, data, last, error);
    if (!status) status = read_images(&files[0], data->train.x, error);
    if (!status) status = read_images(&files[2], data->test.x, error);
    return status;
}

eden_status lab_data_idx(lab_data *data, const char *directory, eden_error *error)
{
    idx files[4] = { 0 };
    if (!data || !directory)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_data_idx: data or directory is NULL");
    memset(data, 0, sizeof *data);
    eden_status status = data_check_folder(directory, "the four IDX files", error);
    for (unsigned i = 0; i < 4 && !status; i++)
        status = open_idx(&files[i], directory, i, i % 2 ? LABELS : IMAGES, error);
    if (!status) status = read_all(data, files, directory, error);
    for (int i = 0; i < 4; i++) lab_reader_close(files[i].reader);
    if (status) {
        lab_data_free(data);
        return status;
    }
    data_set_name(data, directory, "images");
    data_set_hash(data);
    return EDEN_OK;
}
