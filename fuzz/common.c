/* common.c - what the targets share, see fuzz.h. */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void fuzz_check(int holds, const char *promise)
{
    if (holds) return;
    static const char before[] = "fuzz: broken promise: ";
    if (write(2, before, sizeof before - 1) < 0 || write(2, promise, strlen(promise)) < 0
        || write(2, "\n", 1) < 0) {}
    abort();
}

size_t fuzz_seed_text(const char *text, uint8_t *room)
{
    const size_t size = strlen(text);
    fuzz_check(size > 0 && size <= FUZZ_SEED_ROOM, "a seed has a size");
    memcpy(room, text, size);
    return size;
}

/* ---- files ------------------------------------------------------------------------- */

const char *fuzz_file(int number, const void *data, size_t size)
{
    static int descriptors[FUZZ_FILES] = { -1, -1 };
    static char paths[FUZZ_FILES][64];
    int *fd = &descriptors[number];
    if (*fd < 0) {
        *fd = memfd_create("fuzz", MFD_CLOEXEC);
        fuzz_check(*fd >= 0, "a file in memory can be had");
        snprintf(paths[number], sizeof paths[number], "/proc/self/fd/%d", *fd);
    }
    fuzz_check(ftruncate(*fd, 0) == 0, "a file in memory can be emptied");
    fuzz_check(pwrite(*fd, data, size, 0) == (ssize_t)size, "a file in memory can be written");
    return paths[number];
}

size_t fuzz_file_content(const char *path, void *content, size_t room)
{
    struct stat about;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    fuzz_check(fd >= 0 && fstat(fd, &about) == 0, "a file that was written can be opened");
    const size_t size = (size_t)about.st_size, n = size < room ? size : room;
    fuzz_check(read(fd, content, n) == (ssize_t)n, "a file that was written can be read");
    close(fd);
    return size;
}

static char folder[64];
static pid_t folder_owner;

static void remove_folder(void)
{
    char path[400];
    if (getpid() != folder_owner) return;
    DIR *files = opendir(folder);
    for (const struct dirent *entry; files && (entry = readdir(files)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (files) closedir(files);
    rmdir(folder);
}

const char *fuzz_folder(void)
{
    if (folder_owner == getpid()) return folder;
    snprintf(folder, sizeof folder, "%s/eden-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    fuzz_check(mkdtemp(folder) != NULL, "a folder can be made");
    folder_owner = getpid();
    atexit(remove_folder);
    return folder;
}

/* ---- choices ------------------------------------------------------------------------- */

uint8_t fuzz_byte(fuzz_input *input)
{
    if (input->size == 0) return 0;
    input->size--;
    return *input->data++;
}

uint32_t fuzz_below(fuzz_input *input, uint32_t n)
{
    uint32_t drawn = fuzz_byte(input);
    if (n > 256) drawn = drawn << 8 | fuzz_byte(input);
    return drawn % n;
}

uint64_t fuzz_word(fuzz_input *input)
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word = word << 8 | fuzz_byte(input);
    return word;
}

double fuzz_real(fuzz_input *input)
{
    static const double plain[] = { 0, 1, 0.5, 0.1, 0.9, 0.999, 1e-8, 1e-3, 2, 10, -1, 1e300 };
    const uint32_t which = fuzz_below(input, 16);
    if (which < sizeof plain / sizeof plain[0]) return plain[which];
    const uint64_t word = fuzz_word(input);
    double value;
    memcpy(&value, &word, sizeof value);
    return value;
}

char *fuzz_line(fuzz_input *input, char *text, size_t room)
{
    size_t n = 0;
    while (input->size > 0) {
        const uint8_t byte = fuzz_byte(input);
        if (byte == '\n') break;
        if (n + 1 < room) text[n++] = (char)byte;
    }
    text[n] = '\0';
    return text;
}

uint64_t fuzz_hash(uint64_t before, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t hash = before ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}
