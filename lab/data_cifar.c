/* data_cifar.c - the binary version of CIFAR-10: www.cs.toronto.edu/~kriz/cifar.html.
 *
 * A file is records and nothing else: a label, then 1,024 bytes each of red, green and
 * blue, line by line. */
#include "lab/data.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/data_parts.h"
#include "lab/read.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, CHANNELS = 3, PIXELS = CHANNELS * PLANE, RECORD = 1 + PIXELS,
       RECORDS = 32, CLASSES = 10, FILES = 6 };

/* A file of CIFAR-10 has 30,730,000 bytes. */
#define MAX_BYTES ((uint64_t)1 << 30)

/* A set as it is read: pixels from 0 to 255, and how often each channel has each. */
typedef struct {
    lab_split *split;
    uint64_t room, label_room;
    uint64_t seen[CHANNELS][256];
} growing;

/* ---- finding files -------------------------------------------------------------------- */

/* What lies there instead, for people who took another download or another folder. */
static const char *mend(const char *directory, char *path, size_t room)
{
    struct stat about;
    snprintf(path, room, "%s/cifar-10-batches-bin", directory);
    if (!stat(path, &about)) return "name the folder cifar-10-batches-bin in it";
    snprintf(path, room, "%s/data_batch_1", directory);
    if (!stat(path, &about)) return "it has the version for Python; get the binary version";
    return "get the binary version of CIFAR-10, and name the folder with its six files";
}

static const char *const stems[FILES] = { "data_batch_1", "data_batch_2", "data_batch_3",
                                          "data_batch_4", "data_batch_5", "test_batch" };

char *lab_data_cifar10_name(const char *directory, unsigned i)
{
    const size_t room = strlen(directory) + sizeof "/data_batch_1.bin.gz";
    char *path = i < LAB_CIFAR10_NAMES ? malloc(room) : NULL;
    if (path) snprintf(path, room, "%s/%s.bin%s", directory, stems[i / 2], i % 2 ? ".gz" : "");
    return path;
}

static eden_status open_named(lab_reader **reader, const char *directory, const char *stem,
                              eden_error *error)
{
    const size_t room = strlen(directory) + sizeof "/cifar-10-batches-bin";
    char *path = data_alloc(room, 1);
    struct stat about = { .st_size = 0 };
    eden_status status = EDEN_E_IO;
    int found = 0;
    if (!path) return data_no_memory(error, directory);
    for (int zipped = 0; zipped < 2 && !found; zipped++) {
        snprintf(path, room, "%s/%s.bin%s", directory, stem, zipped ? ".gz" : "");
        /* What is there but cannot be opened has its own error. */
        found = stat(path, &about) == 0 || errno != ENOENT;
    }
    if (!found)
        data_fail(error, status, "'%.200s' has neither %s.bin nor %s.bin.gz; %s", directory, stem, stem,
                  mend(directory, path, room));
    else if (S_ISREG(about.st_mode) && (uint64_t)about.st_size > MAX_BYTES)
        status = data_fail(error, EDEN_E_FORMAT, "'%.200s' has %llu bytes, and at most %llu are read; "
                           "take a part of it", path, (unsigned long long)about.st_size,
                           (unsigned long long)MAX_BYTES);
    else
        status = lab_reader_open(reader, path, MAX_BYTES, error);
    free(path);
    return status;
}

/* ---- reading -------------------------------------------------------------------------- */

static eden_status take(growing *g, const unsigned char *block, uint64_t records, const char *path,
                        uint64_t before, eden_error *error)
{
    lab_split *split = g->split;
    const uint64_t need = split->count + records;
    if (!data_grow(&split->x, &g->room, need, PIXELS * sizeof *split->x)
        || !data_grow(&split->label, &g->label_room, need, sizeof *split->label))
        return data_no_memory(error, path);
    for (uint64_t r = 0; r < records; r++, block += RECORD) {
        float *x = split->x + split->count * PIXELS;
        if (block[0] >= CLASSES)
            return data_fail(error, EDEN_E_FORMAT, "'%.200s': label %d of image %llu (from 0) is above 9; "
                             "get the file again", path, block[0], (unsigned long long)(before + r));
        split->label[split->count++] = block[0];
        for (int i = 0; i < PIXELS; i++) {
            x[i] = (float)block[1 + i];
            g->seen[i / PLANE][block[1 + i]]++;
        }
    }
    return EDEN_OK;
}

static eden_status read_file(growing *g, lab_reader *reader, eden_error *error)
{
    unsigned char block[RECORDS * RECORD];
    const char *path = lab_reader_path(reader);
    uint64_t bytes = 0;
    size_t got;
    do {
        eden_status status = lab_read(reader, block, sizeof block, &got, error);
        if (!status && got) status = take(g, block, got / RECORD, path, bytes / RECORD, error);
        if (status) return status;
        bytes += got;
    } while (got == sizeof block);
    if (bytes && bytes % RECORD == 0) return EDEN_OK;
    return data_fail(error, EDEN_E_FORMAT, "'%.200s' has %llu bytes, and images of CIFAR-10 are 3,073 bytes "
                     "each, a label and 3 x 32 x 32 of colour; get it again", path,
                     (unsigned long long)bytes);
}

/* ---- scaling -------------------------------------------------------------------------- */

/* What each byte of a channel becomes, so that the training set has mean 0 and deviation
 * 1 there. A channel that is the same everywhere says nothing, and becomes 0. */
static void measure(const growing *train, float scaled[CHANNELS][256])
{
    const double n = (double)(train->split->count * PLANE);
    for (int c = 0; c < CHANNELS; c++) {
        double mean = 0, squares = 0;
        for (int v = 0; v < 256; v++) mean += (double)train->seen[c][v] * v / n;
        for (int v = 0; v < 256; v++) squares += (double)train->seen[c][v] * (v - mean) * (v - mean);
        int different = 0;
        for (int v = 0; v < 256; v++) different += train->seen[c][v] > 0;
        for (int v = 0; v < 256; v++)
            scaled[c][v] = different > 1 ? (float)((v - mean) / sqrt(squares / n)) : 0;
    }
}

static void scale(const lab_split *split, float scaled[CHANNELS][256])
{
    for (uint64_t at = 0; at < split->count * CHANNELS; at++) {
        float *plane = split->x + at * PLANE;
        for (int i = 0; i < PLANE; i++) plane[i] = scaled[at % CHANNELS][(int)plane[i]];
    }
}

/* All six are there before the first is read to its end. */
static eden_status read_all(lab_data *data, const char *directory, eden_error *error)
{
    lab_reader *readers[FILES] = { NULL };
    growing *sets = data_alloc(2, sizeof *sets);
    float scaled[CHANNELS][256];
    eden_status status = sets ? EDEN_OK : data_no_memory(error, directory);
    for (int i = 0; !status && i < FILES; i++)
        status = open_named(&readers[i], directory, stems[i], error);
    if (!status) sets[0].split = &data->train, sets[1].split = &data->test;
    for (int i = 0; !status && i < FILES; i++)
        status = read_file(&sets[i == FILES - 1], readers[i], error);
    for (int i = 0; i < FILES; i++) lab_reader_close(readers[i]);
    if (!status) {
        measure(&sets[0], scaled);
        scale(&data->train, scaled);
        scale(&data->test, scaled);
    }
    free(sets);
    return status;
}

eden_status lab_data_cifar10(lab_data *data, const char *directory, eden_error *error)
{
    if (!data || !directory)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_data_cifar10: data or directory is NULL");
    memset(data, 0, sizeof *data);
    data->channels = CHANNELS;
    data->height = data->width = SIDE;
    data->features = PIXELS;
    data->classes = CLASSES;
    data->target_scale = 1;
    eden_status status = data_check_folder(directory, "the six files of CIFAR-10", error);
    if (!status) status = read_all(data, directory, error);
    if (status) {
        lab_data_free(data);
        return status;
    }
    data_set_name(data, directory, "images");
    data_set_hash(data);
    return EDEN_OK;
}
