/* test_data.c - the built-in digits, and IDX files good and bad. */
#include "data_files.h"
#include "lab/read.h"

#define TRAIN_X "train-images-idx3-ubyte"
#define TRAIN_Y "train-labels-idx1-ubyte"
#define TEST_X  "t10k-images-idx3-ubyte"
#define TEST_Y  "t10k-labels-idx1-ubyte"

/* 3 training and 2 test images of 2 x 3. */
static unsigned char train_x[16 + 18] = { 0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3,
                                          0, 51, 255, 1, 2, 3, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 1 };
static unsigned char train_y[8 + 3] = { 0, 0, 8, 1, 0, 0, 0, 3, 4, 0, 9 };
static unsigned char test_x[16 + 12] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3,
                                         255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255 };
static unsigned char test_y[8 + 2] = { 0, 0, 8, 1, 0, 0, 0, 2, 9, 1 };

static void put_all(void)
{
    empty_folder();
    put(TRAIN_X, train_x, sizeof train_x);
    put(TRAIN_Y, train_y, sizeof train_y);
    put(TEST_X, test_x, sizeof test_x);
    put(TEST_Y, test_y, sizeof test_y);
}

static eden_status load(lab_data *data, eden_error *error)
{
    memset(data, 0x55, sizeof *data);
    return lab_data_idx(data, folder, error);
}

static uint64_t load_well(void)
{
    lab_data data;
    eden_error error = { 0, "" };
    if (load(&data, &error)) fail_msg("%s", error.text);
    check_sound(&data);
    assert_true(data.train.x[1] == 51.0f / 255 && data.train.x[2] == 1 && data.test.x[11] == 1);
    assert_true(data.train.label[0] == 4 && data.test.label[1] == 1);
    assert_true(data.channels == 1 && data.height == 2 && data.width == 3 && data.classes == 10);
    assert_true(data.train.count == 3 && data.test.count == 2);
    const uint64_t hash = data.hash;
    lab_data_free(&data);
    assert_null(data.train.x);
    return hash;
}

static void load_badly(eden_status want, const char *part)
{
    lab_data data;
    eden_error error = { 0, "" };
    refused(load(&data, &error), want, &data, &error, part);
    assert_int_equal(lab_data_idx(&data, folder, NULL), want);
}

/* ---- digits -------------------------------------------------------------------------- */

static void test_digits(void **state)
{
    lab_data data, again;
    eden_error error = { 0, "" };
    int seen[10] = { 0 };
    (void)state;
    if (lab_data_digits(&data, &error)) fail_msg("%s", error.text);
    check_sound(&data);
    assert_string_equal(data.name, "digits");
    assert_true(data.train.count == 1438 && data.test.count == 359 && data.classes == 10);
    assert_true(data.channels == 1 && data.height == 8 && data.width == 8);
    double sum = 0;
    for (int s = 0; s < 2; s++) {
        const lab_split *split = s ? &data.test : &data.train;
        for (uint64_t i = 0; i < split->count * 64; i++) {
            assert_true(split->x[i] >= 0 && split->x[i] <= 1);
            sum += (double)split->x[i] * 16;
        }
        for (uint64_t i = 0; i < split->count; i++) seen[split->label[i]]++;
    }
    /* Sums over the file, which no split changes. */
    assert_true(sum == 561718);
    const int want[10] = { 178, 182, 177, 183, 181, 182, 181, 179, 174, 180 };
    assert_memory_equal(seen, want, sizeof want);
    assert_int_equal(lab_data_digits(&again, NULL), EDEN_OK);
    assert_true(again.hash == data.hash && data.hash != 0);
    lab_data_free(&again);
    lab_data_free(&data);
    lab_data_free(&data);
    lab_data_free(NULL);
    assert_int_equal(lab_data_digits(NULL, &error), EDEN_E_ARGUMENT);
}

/* ---- IDX ------------------------------------------------------------------------------- */

static void test_idx_names(void **state)
{
    (void)state;
    put_all();
    const uint64_t hash = load_well();
    assert_int_equal(remove(in_folder(TRAIN_X)), 0);
    put_zipped(TRAIN_X ".gz", train_x, sizeof train_x);
    assert_true(load_well() == hash);
    assert_int_equal(rename(in_folder(TEST_Y), in_folder("t10k-labels.idx1-ubyte")), 0);
    assert_true(load_well() == hash);
    assert_int_equal(remove(in_folder(TRAIN_X ".gz")), 0);
    put_zipped("train-images.idx3-ubyte.gz", train_x, sizeof train_x);
    assert_true(load_well() == hash);
    /* A file may be gzipped without saying so, and in several members. */
    unsigned char zipped[400];
    size_t size = zip(train_x, 10, zipped, 200);
    size += zip(train_x + 10, sizeof train_x - 10, zipped + size, 200);
    put(TRAIN_X, zipped, size);
    assert_true(load_well() == hash);
    assert_int_equal(remove(in_folder("train-images.idx3-ubyte.gz")), 0);
    assert_int_equal(remove(in_folder(TRAIN_X)), 0);
    load_badly(EDEN_E_IO, "has none of train-images-idx3-ubyte, train-images-idx3-ubyte.gz, "
                          "train-images.idx3-ubyte and train-images.idx3-ubyte.gz");
    assert_int_equal(mkdir(in_folder(TRAIN_X), 0777), 0);
    load_badly(EDEN_E_IO, "is a directory where a file is expected");
    assert_int_equal(rmdir(in_folder(TRAIN_X)), 0);
    assert_int_equal(mkfifo(in_folder(TRAIN_X), 0600), 0);
    load_badly(EDEN_E_IO, "is no regular file");
}

static void test_idx_directory(void **state)
{
    lab_data data;
    eden_error error;
    (void)state;
    put_all();
    refused(lab_data_idx(&data, in_folder("no"), &error), EDEN_E_IO, &data, &error, "/no': No such file");
    refused(lab_data_idx(&data, in_folder(TEST_X), &error), EDEN_E_IO, &data, &error,
            "is not a directory");
    assert_int_equal(lab_data_idx(&data, NULL, &error), EDEN_E_ARGUMENT);
    assert_int_equal(lab_data_idx(NULL, folder, &error), EDEN_E_ARGUMENT);
}

/* A file with `size` bytes of `bytes` and a change at one place. */
static void with(const char *name, const unsigned char *bytes, size_t size, size_t at, int value,
                 eden_status want, const char *part)
{
    unsigned char copy[64];
    memcpy(copy, bytes, size);
    copy[at] = (unsigned char)value;
    put_all();
    put(name, copy, size);
    load_badly(want, part);
}

static void test_idx_header(void **state)
{
    (void)state;
    const size_t n = sizeof train_x;
    with(TRAIN_X, train_x, n, 0, 7, EDEN_E_FORMAT, "bytes 07 00 08 03 instead of 00 00 08 03");
    with(TRAIN_X, train_x, n, 2, 0x0d, EDEN_E_FORMAT, "only unsigned bytes (08) are read");
    with(TRAIN_X, train_x, n, 3, 2, EDEN_E_FORMAT, "00 00 08 02 instead of 00 00 08 03");
    with(TRAIN_X, train_x, n, 3, 1, EDEN_E_FORMAT, "are the files swapped?");
    with(TRAIN_Y, train_y, sizeof train_y, 3, 3, EDEN_E_FORMAT, "are the files swapped?");
    with(TRAIN_X, train_x, n, 7, 0, EDEN_E_FORMAT, "says that it has 0 examples");
    with(TRAIN_X, train_x, n, 11, 0, EDEN_E_FORMAT, "says that it has images without pixels");
    with(TRAIN_X, train_x, n, 15, 0, EDEN_E_FORMAT, "says that it has images without pixels");
    with(TRAIN_X, train_x, n, 7, 4, EDEN_E_FORMAT, "is cut short: its header promises 40 bytes");
    with(TRAIN_X, train_x, n, 7, 2, EDEN_E_FORMAT, "has 2 images, and '");
    with(TRAIN_X, train_x, n, 8, 255, EDEN_E_FORMAT, "above the limit of 2^32");
    with(TRAIN_X, train_x, n, 11, 1, EDEN_E_FORMAT, "the training images are 1 x 3");
    put_all();
    unsigned char longer[sizeof test_x + 1];
    memcpy(longer, test_x, sizeof test_x);
    with(TEST_X, longer, sizeof longer, sizeof test_x, 1, EDEN_E_FORMAT,
         "goes on behind the 12 bytes");
    unsigned char more[sizeof test_y + 1];
    memcpy(more, test_y, sizeof test_y);
    with(TEST_Y, more, sizeof more, sizeof test_y, 1, EDEN_E_FORMAT, "goes on behind the 2 bytes");
    with(TRAIN_Y, train_y, sizeof train_y, 7, 2, EDEN_E_FORMAT,
         "has 3 images, and '");
    with(TEST_Y, test_y, sizeof test_y, 9, 200, EDEN_E_FORMAT,
         "label 200 of example 1 (from 0) is above 9");
    unsigned char other[] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1 };
    with(TEST_X, other, sizeof other, 16, 1, EDEN_E_FORMAT,
         "the training images are 2 x 3, and the test images 1 x 1");
    unsigned char backwards[] = { 3, 8, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1 };
    with(TRAIN_X, backwards, sizeof backwards, 16, 1, EDEN_E_FORMAT, "low byte first");
    for (size_t i = 4; i < 16; i++) backwards[i] = 255;
    memcpy(backwards, train_x, 4);
    with(TRAIN_X, backwards, sizeof backwards, 16, 1, EDEN_E_FORMAT, "above the limit of 2^32");
    put_all();
    put(TRAIN_X, test_y, sizeof test_y);
    load_badly(EDEN_E_FORMAT, "labels where images belong");
}

/* More classes than ten, and labels that only training or only the test has. */
static void test_idx_classes(void **state)
{
    lab_data data;
    eden_error error;
    unsigned char labels[sizeof train_y], tests[sizeof test_y];
    (void)state;
    memcpy(labels, train_y, sizeof labels);
    labels[8] = 255;
    put_all();
    put(TRAIN_Y, labels, sizeof labels);
    load_badly(EDEN_E_FORMAT, "label 255 of example 0 (from 0) is above 9");
    memcpy(tests, test_y, sizeof tests);
    tests[8] = 255;
    put(TEST_Y, tests, sizeof tests);
    if (load(&data, &error)) fail_msg("%s", error.text);
    assert_int_equal(data.classes, 256);
    lab_data_free(&data);
    put(TEST_Y, test_y, sizeof test_y);
    labels[8] = labels[10] = 3;
    put(TRAIN_Y, labels, sizeof labels);
    load_badly(EDEN_E_FORMAT, "label 9 of example 0 (from 0) is above 3");
}

/* A change of any value of any file changes the hash. */
static void test_idx_hash(void **state)
{
    static const struct {
        const char *name;
        unsigned char *bytes;
        size_t header, size;
    } files[] = { { TRAIN_X, train_x, 16, sizeof train_x }, { TRAIN_Y, train_y, 8, sizeof train_y },
                  { TEST_X, test_x, 16, sizeof test_x }, { TEST_Y, test_y, 8, sizeof test_y } };
    lab_data data;
    (void)state;
    put_all();
    const uint64_t hash = load_well();
    for (size_t f = 0; f < 4; f++)
        for (size_t i = files[f].header; i < files[f].size; i++) {
            unsigned char copy[64];
            memcpy(copy, files[f].bytes, files[f].size);
            /* The largest label in training, a 9, has to stay the largest of all. */
            if (f == 1 && copy[i] == 9) continue;
            copy[i] ^= 1;
            put(files[f].name, copy, files[f].size);
            if (load(&data, NULL)) fail_msg("%s, byte %zu", files[f].name, i);
            assert_true(data.hash != hash);
            lab_data_free(&data);
            put(files[f].name, files[f].bytes, files[f].size);
        }
    assert_true(load_well() == hash);
}

/* ---- damage ------------------------------------------------------------------------------ */

static void test_idx_prefixes(void **state)
{
    unsigned char zipped[200];
    const size_t size = zip(train_x, sizeof train_x, zipped, sizeof zipped);
    (void)state;
    put_all();
    for (size_t n = 0; n < sizeof train_x; n++) {
        put(TRAIN_X, train_x, n);
        load_badly(EDEN_E_FORMAT, "is cut short");
    }
    for (size_t n = 0; n < sizeof train_y; n++) {
        put(TRAIN_Y, train_y, n);
        put(TRAIN_X, train_x, sizeof train_x);
        load_badly(EDEN_E_FORMAT, "is cut short");
    }
    put_all();
    for (size_t n = 0; n < size; n++) {
        put(TRAIN_X, zipped, n);
        load_badly(EDEN_E_FORMAT, n < 2 ? "is cut short" : "in the middle of its gzip data");
    }
    zipped[size] = 'x';
    put(TRAIN_X, zipped, size + 1);
    load_badly(EDEN_E_FORMAT, "gzip data");
    zipped[size - 8] ^= 1;
    put(TRAIN_X, zipped, size);
    load_badly(EDEN_E_FORMAT, "is damaged: its gzip data has an incorrect data check");
}

/* Content that grows without end stops where the header's promise does. */
static void test_idx_bomb(void **state)
{
    const size_t size = (size_t)64 << 20;
    unsigned char *bomb = calloc(size, 1);
    (void)state;
    assert_non_null(bomb);
    memcpy(bomb, train_x, 16);
    put_all();
    put_zipped(TRAIN_X, bomb, size);
    load_badly(EDEN_E_FORMAT, "goes on behind the 18 bytes");
    /* And no header may ask for more than so small a file can hold. */
    memset(bomb + 5, 255, 2);
    put_zipped(TRAIN_X, bomb, 34);
    load_badly(EDEN_E_FORMAT, "and it cannot hold more than");
    free(bomb);
}

static void test_idx_mutations(void **state)
{
    static const char *const names[] = { TRAIN_X, TRAIN_Y, TEST_X, TEST_Y };
    const unsigned char *const contents[] = { train_x, train_y, test_x, test_y };
    const size_t sizes[] = { sizeof train_x, sizeof train_y, sizeof test_x, sizeof test_y };
    uint64_t random = 1, accepted = 0;
    (void)state;
    put_all();
    for (int i = 0; i < 2000; i++) {
        unsigned char bytes[300];
        lab_data data;
        eden_error error;
        const int which = i % 4, zipped = i >= 1000;
        size_t size = sizes[which];
        memcpy(bytes, contents[which], size);
        if (zipped) size = zip(contents[which], size, bytes, 250);
        size = mutate(bytes, size, &random);
        put(names[which], bytes, size);
        const eden_status status = load(&data, &error);
        if (status) {
            check_refused(&data, status, &error);
        } else {
            check_sound(&data);
            lab_data_free(&data);
            accepted++;
        }
        put(names[which], contents[which], sizes[which]);
    }
    assert_true(accepted > 100 && accepted < 1900);
}

/* ---- the reader by itself -------------------------------------------------------------------- */

static void test_reader_limit(void **state)
{
    lab_reader *reader;
    eden_error error;
    char buffer[20];
    size_t got;
    (void)state;
    put_zipped("ten", "0123456789", 10);
    assert_int_equal(lab_reader_open(&reader, in_folder("ten"), 10, &error), EDEN_OK);
    assert_int_equal(lab_read(reader, buffer, 4, &got, &error), EDEN_OK);
    assert_int_equal(lab_read(reader, buffer, sizeof buffer, &got, &error), EDEN_OK);
    assert_true(got == 6 && !memcmp(buffer, "456789", 6));
    lab_reader_close(reader);
    assert_int_equal(lab_reader_open(&reader, in_folder("ten"), 9, &error), EDEN_OK);
    assert_int_equal(lab_read(reader, buffer, sizeof buffer, &got, &error), EDEN_E_FORMAT);
    assert_non_null(strstr(error.text, "more than 9 bytes"));
    lab_reader_close(reader);
    assert_int_equal(lab_reader_open(&reader, in_folder("none"), 9, &error), EDEN_E_IO);
    assert_null(reader);
    lab_reader_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),        cmocka_unit_test(test_idx_names),
        cmocka_unit_test(test_idx_directory), cmocka_unit_test(test_idx_header),
        cmocka_unit_test(test_idx_classes),   cmocka_unit_test(test_idx_prefixes),
        cmocka_unit_test(test_idx_bomb),      cmocka_unit_test(test_idx_mutations),
        cmocka_unit_test(test_reader_limit),
        cmocka_unit_test(test_idx_hash),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
