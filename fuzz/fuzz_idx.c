/* fuzz_idx.c - any bytes as the four files of a set of images.
 *
 * An input is four times two bytes of size and the file; what is left belongs to the
 * last. */
#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/data.h"

static const char *const names[] = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                     "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" };

/* Files stay open and are rewritten, because making them costs more than reading them. */
static void store(int i, const uint8_t *data, size_t size)
{
    static int open_files[4];
    if (!open_files[i]) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", fuzz_folder(), names[i]);
        open_files[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        fuzz_check(open_files[i] > 0, "a file can be made");
    }
    fuzz_check(ftruncate(open_files[i], 0) == 0
                   && pwrite(open_files[i], data, size, 0) == (ssize_t)size,
               "a file can be written");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lab_data first;
    eden_error error = { 0 };
    fuzz_input input = { data, size };
    for (int i = 0; i < 4; i++) {
        size_t n = (size_t)fuzz_byte(&input) << 8;
        n |= fuzz_byte(&input);
        if (n > input.size || i == 3) n = input.size;
        store(i, input.data, n);
        input.data += n;
        input.size -= n;
    }
    const eden_status status = lab_data_idx(&first, fuzz_folder(), &error);
    fuzz_data_is_sound(&first, &error, status);
    lab_data_free(&first);
    return 0;
}

static size_t put(uint8_t *room, const uint8_t *file, size_t size)
{
    room[0] = (uint8_t)(size >> 8);
    room[1] = (uint8_t)size;
    memcpy(room + 2, file, size);
    return 2 + size;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    size_t n = 0;
    if (i > 2) return 0;
    for (int k = 0; k < 2; k++) {
        /* 3 images of 2 x 2 (seed 1: of 1 x 5), and their labels. */
        uint8_t images[16 + 15] = { 0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, 9, 255, 0, 1 };
        uint8_t labels[8 + 3] = { 0, 0, 8, 1, 0, 0, 0, 3, 0, 9, 5 };
        if (i == 1) images[11] = 1, images[15] = 5;
        if (i == 2) labels[9] = 200; /* more classes than ten */
        n += put(room + n, images, i == 1 ? 31 : 28);
        n += put(room + n, labels, 11);
    }
    return n;
}
