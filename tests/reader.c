/* reader.c - judge files that arrive on standard input; for test_reader.py.
 *
 * A request is a letter, a length in 8 bytes, little-endian, and a file of that length:
 *
 *   f   open it and read all of it    a line: "STATUS SENTENCE", 0 if all is well
 *   p   every shorter beginning       a line of one digit for each: was it accepted?
 *   b   every other value of every    255 digits for each byte of the header
 *       byte up to the data
 *   r   100,000 single bits flipped   the same, for bits that a fixed seed chooses
 *
 * Or, with a file and a number of bytes as arguments, open that file within them.
 *
 * What was read must be the bytes behind the header, in order. */
#define _GNU_SOURCE
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/bits.h"

static char path[64];
static int fd;
static unsigned char *data;
static size_t size;

/* All tensors behind one another are the data behind the header. */
static eden_status read_all(eden_file *file, eden_error *e)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | data[i];
    unsigned char *room = malloc(size + 1), *want = data + 8 + length;
    eden_status status = room ? EDEN_OK : EDEN_E_MEMORY;
    for (size_t i = 0; i < eden_file_count(file) && !status; i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        if (eden_file_at(file, i, &t, e)) break; /* more dimensions than Eden has */
        status = eden_file_read(file, i, room, t.bytes, e);
        if (!status && memcmp(room, want, (size_t)t.bytes)) status = EDEN_E_ARGUMENT;
        want += t.bytes;
    }
    free(room);
    return status;
}

static eden_status judge(eden_error *e)
{
    eden_file *file = NULL;
    eden_status status = eden_file_open(&file, path, e);
    if (!status) status = read_all(file, e);
    eden_file_close(file);
    return status;
}

static void put(size_t at, unsigned char byte)
{
    if (pwrite(fd, &byte, 1, (off_t)at) != 1) _exit(3);
}

static void digit(void)
{
    eden_error e = { 0, "" };
    putchar(judge(&e) ? '0' : '1');
}

static void every_beginning(void)
{
    for (size_t cut = size; cut-- > 0;) {
        if (ftruncate(fd, (off_t)cut)) _exit(3);
        digit();
    }
    putchar('\n');
}

static void every_byte(void)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | data[i];
    for (size_t at = 0; at < 8 + length; at++) {
        for (unsigned step = 1; step < 256; step++) {
            put(at, (unsigned char)(data[at] + step));
            digit();
        }
        put(at, data[at]);
    }
    putchar('\n');
}

static void random_bits(void)
{
    for (uint64_t i = 0; i < 100000; i++) {
        const uint64_t bit = mix(i) % (size * 8);
        put((size_t)(bit / 8), (unsigned char)(data[bit / 8] ^ 1u << bit % 8));
        digit();
        put((size_t)(bit / 8), data[bit / 8]);
    }
    putchar('\n');
}

static int answer(int letter)
{
    eden_error e = { 0, "" };
    switch (letter) {
    case 'f': {
        const eden_status status = judge(&e);
        printf("%d %s\n", status, status ? e.text : "");
        return 1;
    }
    case 'p': return every_beginning(), 1;
    case 'b': return every_byte(), 1;
    case 'r': return random_bits(), 1;
    default: return 0;
    }
}

/* Open a file with so many bytes of address space more than now; prints the status and
 * the processor's seconds. */
static int open_within(const char *name, unsigned long long bytes)
{
    eden_file *file = NULL;
    eden_error e = { 0, "" };
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || fscanf(statm, "%lu", &pages) != 1 || fclose(statm)) return 3;
    const rlim_t most = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
    if (setrlimit(RLIMIT_AS, &(struct rlimit){ most, most })) return 3;
    const clock_t start = clock();
    const eden_status status = eden_file_open(&file, name, &e);
    printf("%d %.3f %zu %s\n", status, (double)(clock() - start) / CLOCKS_PER_SEC,
           eden_file_find(file, "t777777"), status ? e.text : "");
    eden_file_close(file);
    return fflush(stdout) ? 3 : 0;
}

int main(int count, char **words)
{
    int letter;
    if (count == 3) return open_within(words[1], strtoull(words[2], NULL, 10));
    while ((letter = getchar()) != EOF) {
        unsigned char length[8];
        if (fread(length, 1, 8, stdin) != 8) return 2;
        size = 0;
        for (int i = 7; i >= 0; i--) size = size << 8 | length[i];
        data = malloc(size + 9);
        fd = memfd_create("reader", 0);
        if (!data || fd < 0 || fread(data, 1, size, stdin) != size) return 2;
        if (write(fd, data, size) != (ssize_t)size) return 3;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (!answer(letter)) return 2;
        close(fd);
        free(data);
    }
    return fflush(stdout) ? 3 : 0;
}
