/* scratch.h - a folder for a test's files, and safetensors files made by hand. Include
 * after cmocka.h. */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include <dirent.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[256];

/* The path of a name in the folder, good until the eighth next call. */
static inline const char *at(const char *name)
{
    static char paths[8][600];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline int scratch_make(void **state)
{
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(scratch, sizeof scratch, "%s/eden-test-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

/* How many files of the folder begin so. */
static inline int count_files(const char *prefix)
{
    int count = 0;
    DIR *folder = opendir(scratch);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    closedir(folder);
    return count;
}

static inline int scratch_remove(void **state)
{
    (void)state;
    DIR *folder = opendir(scratch);
    if (!folder) return -1;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        chmod(at(entry->d_name), 0700);
        if (unlink(at(entry->d_name)) != 0) rmdir(at(entry->d_name));
    }
    closedir(folder);
    return rmdir(scratch);
}

static inline int open_files(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        struct stat s;
        count += fstat(fd, &s) == 0;
    }
    return count;
}

static inline void store_raw(const char *path, const void *bytes, size_t count)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

/* A length, a header and some data: the bytes 0, 1, 2, ... */
static inline void store(const char *path, const char *header, size_t length, size_t data)
{
    unsigned char *all = malloc(8 + length + data);
    assert_non_null(all);
    for (int i = 0; i < 8; i++) all[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(all + 8, header, length);
    for (size_t i = 0; i < data; i++) all[8 + length + i] = (unsigned char)i;
    store_raw(path, all, 8 + length + data);
    free(all);
}

/* All of a file, and how many bytes it has. */
static inline unsigned char *fetch(const char *path, size_t *count)
{
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    unsigned char *bytes = malloc((size_t)s.st_size + 1);
    FILE *f = fopen(path, "rb");
    assert_true(bytes && f);
    *count = fread(bytes, 1, (size_t)s.st_size, f);
    fclose(f);
    assert_int_equal(*count, s.st_size);
    return bytes;
}

static inline eden_file *open_file(const char *path)
{
    eden_error e = { 0, "" };
    eden_file *file = NULL;
    if (eden_file_open(&file, path, &e)) fail_msg("%s", e.text);
    return file;
}

static inline void refuse_file(const char *path, eden_status want, const char *part)
{
    eden_error e = { 0, "" };
    eden_file *file = NULL;
    const int files = open_files();
    const eden_status status = eden_file_open(&file, path, &e);
    if (status != want || e.status != want || file) fail_msg("%s: status %d, '%s'", path, status, e.text);
    if (!strstr(e.text, part)) fail_msg("'%s' does not contain '%s'", e.text, part);
    assert_int_equal(open_files(), files);
}

#endif
