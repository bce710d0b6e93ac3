/* test_system_looks.c - calls of the system that only look or lock fail, are interrupted
 * or give odd answers, and two writers meet: a save says so, or finds its way. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/scratch.h"
#include "tests/sample_file.h"

/* ---- a system with moods ---------------------------------------------------------------
 * These stand before the C library's. The next call of the name in `mood` fails with
 * `code`, or does what `code` 0 means for it. */

static const char *mood = "";
static int code, met, all_busy;
static char opened[64];

static int is(const char *name)
{
    if (strcmp(mood, name)) return 0;
    mood = "";
    met++;
    errno = code;
    return 1;
}

int stat(const char *path, struct stat *s)
{
    return is("stat") ? -1 : (int)syscall(SYS_newfstatat, AT_FDCWD, path, s, 0);
}
int stat64(const char *path, struct stat64 *s) { return stat(path, (struct stat *)(void *)s); }

int fstat(int fd, struct stat *s) { return is("fstat") ? -1 : (int)syscall(SYS_fstat, fd, s); }
int fstat64(int fd, struct stat64 *s) { return fstat(fd, (struct stat *)(void *)s); }

int fstatat(int folder, const char *name, struct stat *s, int flags)
{
    return is("fstatat") ? -1 : (int)syscall(SYS_newfstatat, folder, name, s, flags);
}
int fstatat64(int folder, const char *name, struct stat64 *s, int flags)
{
    return fstatat(folder, name, (struct stat *)(void *)s, flags);
}

int access(const char *path, int mode) { return is("access") ? -1 : (int)syscall(SYS_access, path, mode); }

static int open_in(const char *name, int folder, const char *path, int flags, mode_t mode)
{
    snprintf(opened, sizeof opened, "%s", path);
    return is(name) ? -1 : (int)syscall(SYS_openat, folder, path, flags, mode);
}
int open(const char *path, int flags, ...) { return open_in("open", AT_FDCWD, path, flags, 0666); }
int open64(const char *path, int flags, ...) { return open_in("open", AT_FDCWD, path, flags, 0666); }
int openat(int folder, const char *path, int flags, ...) { return open_in("openat", folder, path, flags, 0666); }
int openat64(int folder, const char *path, int flags, ...) { return open_in("openat", folder, path, flags, 0666); }

static void meet(void);

int flock(int fd, int operation)
{
    if (is("meet")) meet();
    if (is("flock")) return -1;
    if (all_busy) errno = EWOULDBLOCK;
    return all_busy ? -1 : (int)syscall(SYS_flock, fd, operation);
}

ssize_t write(int fd, const void *data, size_t count)
{
    if (!is("write")) return syscall(SYS_write, fd, data, count);
    return code ? -1 : 0;
}

static int is_folder(int fd)
{
    struct stat s;
    return syscall(SYS_fstat, fd, &s) == 0 && S_ISDIR(s.st_mode);
}

int fsync(int fd) { return is_folder(fd) && is("fsync folder") ? -1 : 0; }

static eden_status save_in(const char *which, int with, eden_error *e)
{
    *e = (eden_error){ 0, "" };
    mood = which, code = with, met = 0;
    const eden_status status = save(at("p"), "new", 0, e);
    mood = "";
    assert_int_equal(met, 1);
    return status;
}

static void refused(const char *which, int with, const char *part)
{
    eden_error e;
    save_well(at("p"), "old", 0);
    const int files = open_files();
    assert_int_equal(save_in(which, with, &e), EDEN_E_IO);
    if (!strstr(e.text, part)) fail_msg("%s: '%s' does not contain '%s'", which, e.text, part);
    assert_string_equal(note_of(at("p")), "old");
    assert_int_equal(count_files(".eden-tmp"), 0);
    assert_int_equal(open_files(), files);
}

static void test_refused(void **state)
{
    (void)state;
    refused("stat", EACCES, "cannot look at it: Permission denied");
    refused("access", EROFS, "cannot write it: Read-only file system");
    refused("write", 0, "cannot write it: Input/output error");
    refused("write", 4321, "cannot write it: system error 4321");
    refused("open", EMFILE, "cannot open its folder: Too many open files");
}

/* Interrupted calls but fsync() are made again; what a folder cannot do, or a lock not tell, is no failure. */
static void test_goes_on(void **state)
{
    static const struct { const char *which; int with; } cases[] = {
        { "open", EINTR }, { "openat", EINTR }, { "flock", EINTR },
        { "fsync folder", EINVAL }, { "fsync folder", ENOTSUP }, { "fstat", EIO }, { "fstatat", EIO },
    };
    eden_error e;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        save_well(at("p"), "old", 0);
        ok(save_in(cases[i].which, cases[i].with, &e), &e);
        assert_string_equal(note_of(at("p")), "new");
        assert_int_equal(count_files(".eden-tmp"), 0);
    }
}

static void test_reads(void **state)
{
    eden_error e = { 0, "" };
    eden_file *file = NULL;
    (void)state;
    save_well(at("p"), "old", 0);
    mood = "open", code = EINTR;
    ok(eden_file_open(&file, at("p"), &e), &e);
    eden_file_close(file);
    const int files = open_files();
    file = NULL, mood = "fstat", code = EOVERFLOW;
    assert_int_equal(eden_file_open(&file, at("p"), &e), EDEN_E_IO);
    assert_non_null(strstr(e.text, "cannot look at it: Value too large"));
    assert_null(file);
    assert_int_equal(open_files(), files);
}

/* The folder of "/name" is "/", and that of "name" is ".". */
static void test_root(void **state)
{
    eden_error e;
    (void)state;
    mood = "open", code = EACCES;
    assert_int_equal(save("/eden-no-such-file", "new", 0, &e), EDEN_E_IO);
    assert_string_equal(opened, "/");
    mood = "open";
    assert_int_equal(save("eden-no-such-file", "new", 0, &e), EDEN_E_IO);
    assert_string_equal(opened, ".");
}

/* ---- two writers ----------------------------------------------------------------------- */

static int thief = -1, take_its_place;

/* Between the making of a file and its lock, another save took it for a stale one; and
 * perhaps made its own there and holds it. */
static void meet(void)
{
    char name[64];
    snprintf(name, sizeof name, "%s", opened);
    assert_int_equal(unlink(at(name)), 0);
    if (!take_its_place) return;
    thief = (int)syscall(SYS_openat, AT_FDCWD, at(name), O_CREAT | O_WRONLY, 0600);
    assert_true(thief >= 0 && syscall(SYS_flock, thief, LOCK_EX) == 0);
}

static void test_two_writers(void **state)
{
    eden_error e;
    (void)state;
    for (take_its_place = 0; take_its_place < 2; take_its_place++) {
        save_well(at("p"), "old", 0);
        ok(save_in("meet", 0, &e), &e);
        assert_string_equal(note_of(at("p")), "new");
        assert_int_equal(count_files(".eden-tmp"), take_its_place); /* the other's, which stays */
    }
    close(thief);
    save_well(at("p"), "newer", 0);
    assert_int_equal(count_files(".eden-tmp"), 0);
}

/* As many writers as there may be: one more is refused, and touches nothing of theirs. */
static void test_all_busy(void **state)
{
    eden_error e = { 0, "" };
    (void)state;
    save_well(at("p"), "old", 0);
    all_busy = 1;
    assert_int_equal(save(at("p"), "new", 0, &e), EDEN_E_IO);
    all_busy = 0;
    assert_non_null(strstr(e.text, "cannot create a file beside it: File exists"));
    assert_string_equal(note_of(at("p")), "old");
    assert_int_equal(count_files(".eden-tmp"), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_goes_on),     cmocka_unit_test(test_reads),
        cmocka_unit_test(test_root),    cmocka_unit_test(test_two_writers), cmocka_unit_test(test_all_busy),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
