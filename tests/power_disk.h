/* power_disk.h - what a disk may hold after the power failed: the calls of a writer are
 * noted, and any state of the disk that they allow can be made from them.
 *
 * Until a file is forced to the disk, each 512 bytes written to it may be there or not,
 * whatever the order, and so may its length; what is not there reads as zeros or as
 * anything. Until the folder is forced, each name in it leads to any file it led to
 * since. Include after scratch.h. */
#ifndef TEST_POWER_DISK_H
#define TEST_POWER_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { NAMES = 8, FILES = 32, CALLS = 512, SECTOR = 512, NOTHING = -1 };

typedef enum { WRITE, FORCE, FORCE_FOLDER, NAME, SAVED } kind;

typedef struct {
    kind what;
    int file;           /* WRITE, FORCE: which; NAME: what it leads to, or NOTHING */
    int name;
    size_t at, bytes;   /* WRITE */
    unsigned char *data;
} call;

static call calls[CALLS];
static int call_count, recording;
static char *names[NAMES];
static int leads_to[NAMES], file_count, file_of[256];
static size_t length_of[FILES];

static inline void note(call c)
{
    if (call_count == CALLS) fail_msg("more than %d calls", CALLS);
    calls[call_count++] = c;
}

static inline int name_number(const char *name)
{
    int i = 0;
    while (i < NAMES && names[i] && strcmp(names[i], name) != 0) i++;
    assert_true(i < NAMES);
    if (!names[i]) {
        names[i] = strdup(name);
        assert_non_null(names[i]);
        leads_to[i] = NOTHING;
    }
    return i;
}

static inline void name_leads_to(const char *name, int file)
{
    const int i = name_number(name);
    if (leads_to[i] == file) return;
    leads_to[i] = file;
    note((call){ NAME, file, i, 0, 0, NULL });
}

/* ---- the C library's calls, which the writer uses ----------------------------------- */

int openat(int in, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    const int fd = (int)syscall(SYS_openat, in, path, flags, mode);
    if (recording && fd >= 0 && flags & O_CREAT) {
        assert_true(fd < 256 && file_count < FILES);
        file_of[fd] = file_count++;
        name_leads_to(path, file_of[fd]);
    }
    return fd;
}

int openat64(int in, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return openat(in, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t count)
{
    const ssize_t n = syscall(SYS_write, fd, data, count);
    if (recording && n > 0 && fd > 2) {
        const int file = file_of[fd];
        unsigned char *copy = malloc((size_t)n);
        assert_non_null(copy);
        memcpy(copy, data, (size_t)n);
        note((call){ WRITE, file, 0, length_of[file], (size_t)n, copy });
        length_of[file] += (size_t)n;
    }
    return n;
}

/* Nothing here needs a real disk. */
int fsync(int fd)
{
    struct stat s;
    if (recording && fstat(fd, &s) == 0) {
        if (S_ISDIR(s.st_mode))
            note((call){ FORCE_FOLDER, 0, 0, 0, 0, NULL });
        else
            note((call){ FORCE, file_of[fd], 0, 0, 0, NULL });
    }
    return 0;
}

int renameat(int a, const char *from, int b, const char *to)
{
    const int result = (int)syscall(SYS_renameat2, a, from, b, to, 0);
    if (recording && result == 0) {
        name_leads_to(to, leads_to[name_number(from)]);
        name_leads_to(from, NOTHING);
    }
    return result;
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    const int result = (int)syscall(SYS_linkat, a, from, b, to, flags);
    if (recording && result == 0) name_leads_to(to, leads_to[name_number(from)]);
    return result;
}

int unlinkat(int in, const char *path, int flags)
{
    const int result = (int)syscall(SYS_unlinkat, in, path, flags);
    if (recording && result == 0) name_leads_to(path, NOTHING);
    return result;
}

/* ---- a disk after the first calls ------------------------------------------------------ */

static uint64_t chance_state;

static inline uint64_t chance(uint64_t below)
{
    chance_state += 0x9e3779b97f4a7c15;
    uint64_t x = chance_state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return (x ^ x >> 31) % below;
}

/* How much of what was not forced is on the disk. */
typedef enum { NONE, ALL, SOME, EARLY, WAYS } way;

static inline int arrived(way how, size_t i, size_t cut)
{
    return how == ALL || (how == EARLY && i < cut) || (how == SOME && chance(2));
}

typedef struct {
    unsigned char *bytes;
    size_t length;
} content;

/* A file of which calls [0, end) are done; `forced` is the call that forced it last. */
static inline content file_after(int file, int end, int forced)
{
    size_t length = 0, sure = 0;
    for (int i = 0; i < end; i++)
        if (calls[i].what == WRITE && calls[i].file == file) {
            length = calls[i].at + calls[i].bytes;
            if (i < forced) sure = length;
        }
    content c = { malloc(length + 1), length };
    assert_non_null(c.bytes);
    const way how = (way)chance(WAYS), size = (way)chance(WAYS);
    const int garbage = chance(2) != 0;
    const size_t cut = (size_t)chance(length / SECTOR + 2);
    for (size_t i = 0; i < length; i++) c.bytes[i] = garbage ? (unsigned char)chance(256) : 0;
    unsigned char *there = calloc(length / SECTOR + 1, 1);
    assert_non_null(there);
    for (size_t s = 0; s <= length / SECTOR; s++) there[s] = (unsigned char)arrived(how, s, cut);
    for (int i = 0; i < end; i++) {
        if (calls[i].what != WRITE || calls[i].file != file) continue;
        for (size_t j = 0; j < calls[i].bytes; j++)
            if (calls[i].at + j < sure || there[(calls[i].at + j) / SECTOR])
                c.bytes[calls[i].at + j] = calls[i].data[j];
    }
    free(there);
    if (size == NONE) c.length = sure;
    if (size == SOME) c.length = sure + (size_t)chance(length - sure + 1);
    if (size == EARLY && cut * SECTOR < length) c.length = cut * SECTOR > sure ? cut * SECTOR : sure;
    return c;
}

/* Put one possible state of the disk after calls [0, end) into the scratch folder;
 * `blind` is a kind of call that is not believed. */
static inline void crash(int end, kind blind)
{
    int forced[FILES] = { 0 }, folder_forced = 0;
    for (int i = 0; i < end; i++) {
        if (calls[i].what == blind) continue;
        if (calls[i].what == FORCE) forced[calls[i].file] = i;
        if (calls[i].what == FORCE_FOLDER) folder_forced = i;
    }
    const way how = (way)chance(WAYS);
    const size_t cut = (size_t)folder_forced + (size_t)chance((uint64_t)(end - folder_forced) + 1);
    for (int n = 0; n < NAMES && names[n]; n++) {
        int file = NOTHING;
        for (int i = 0; i < end; i++)
            if (calls[i].what == NAME && calls[i].name == n
                && (i < folder_forced || arrived(how, (size_t)i, cut)))
                file = calls[i].file;
        unlink(at(names[n]));
        if (file == NOTHING) continue;
        const content c = file_after(file, end, forced[file]);
        store_raw(at(names[n]), c.bytes, c.length);
        free(c.bytes);
    }
}

#endif
