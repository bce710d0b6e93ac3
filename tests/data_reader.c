/* data_reader.c - read data sets that arrive on standard input; for test_data_formats.py.
 *
 * A request, all numbers in 4 bytes, little-endian:
 *
 *   what: 0 a table, 1 a folder of images, 2 one of CIFAR-10
 *   kind of label: 0 none, 1 class, 2 value
 *   seed    number of files    then of each file: its name's size, its size, both
 *
 * An answer: the status; of a failure the sentence's size and the sentence, else channels,
 * height, width, classes, training and test rows, then of each set the features and
 * the labels or targets, then the hash and the unit of the targets, 8 bytes each.
 *
 * Or, with a path, the label's column (or "-" for a folder, "+" for one of CIFAR-10) and a number of MiB as
 * arguments, read that with so much address space; prints the status, seconds, sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lab/data.h"

static char folder[64];
static char path[400];

static uint32_t number(void)
{
    unsigned char b[4];
    if (fread(b, 1, 4, stdin) != 4) _exit(3);
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void say(const void *bytes, size_t size) { fwrite(bytes, 1, size, stdout); }

static void say_number(uint64_t n) { say(&(uint32_t){ (uint32_t)n }, 4); }

/* The file's path stays in `path`. */
static void take_file(void)
{
    char name[64];
    const uint32_t length = number(), size = number();
    unsigned char *bytes = malloc(size + 1u);
    if (length >= sizeof name || !bytes) _exit(3);
    if (fread(name, 1, length, stdin) != length || fread(bytes, 1, size, stdin) != size) _exit(3);
    name[length] = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    remove(path);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) _exit(3);
    free(bytes);
}

static void say_split(const lab_data *data, const lab_split *split)
{
    say(split->x, (size_t)(split->count * data->features) * 4);
    say(split->label ? (const void *)split->label : split->target, (size_t)split->count * 4);
}

static void answer(uint32_t what)
{
    static const char *const kinds[] = { NULL, "class", "value" };
    const char *kind = kinds[number() % 3];
    const uint64_t seed = number();
    lab_data data;
    eden_error error = { 0, "" };
    for (uint32_t files = number(); files > 0; files--) take_file();
    const eden_status status = what == 2 ? lab_data_cifar10(&data, folder, &error)
                               : what    ? lab_data_idx(&data, folder, &error)
                                         : lab_data_csv(&data, path, "y", kind, seed, &error);
    say_number(status);
    if (status) {
        say_number(strlen(error.text));
        say(error.text, strlen(error.text));
        return;
    }
    const uint64_t sizes[] = { data.channels, data.height, data.width, data.classes,
                               data.train.count, data.test.count };
    for (int i = 0; i < 6; i++) say_number(sizes[i]);
    say_split(&data, &data.train);
    say_split(&data, &data.test);
    say(&data.hash, 8);
    say(&data.target_scale, 8);
    lab_data_free(&data);
}

static int bounded(const char *from, const char *label, const char *mebibytes)
{
    const rlim_t bytes = (rlim_t)strtoull(mebibytes, NULL, 10) << 20;
    const struct rlimit limit = { bytes, bytes };
    lab_data data;
    eden_error error = { 0, "" };
    if (bytes && setrlimit(RLIMIT_AS, &limit)) return 3;
    const eden_status status = !strcmp(label, "+")   ? lab_data_cifar10(&data, from, &error)
                               : !strcmp(label, "-") ? lab_data_idx(&data, from, &error)
                                                     : lab_data_csv(&data, from, label, NULL, 1, &error);
    printf("%d %.3f %s\n", status, (double)clock() / CLOCKS_PER_SEC, error.text);
    lab_data_free(&data);
    return 0;
}

int main(int count, char **words)
{
    if (count == 4) return bounded(words[1], words[2], words[3]);
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/eden-data-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(folder)) return 3;
    for (uint32_t requests = number(); requests > 0; requests--) answer(number());
    return 0; /* the caller removes what TMPDIR names */
}
