/* test_safetensors_faults.c - a failure at any call of the system leaves the old file or
 * the new one. */
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

/* ---- a system that fails --------------------------------------------------------------
 * These stand before the C library's. While armed, call number `fail_at` fails, and with
 * `fail_on` every later one; `short_by` makes reads and writes of at most that length. */

static int armed, calls, fail_at, fail_on, fail_code, failed_early;
static int no_locks, intrude, intruded;
static size_t short_by;
static char failed_call[16];
static char trace[4096];

static int fails(const char *name)
{
    if (!armed) return 0;
    calls++;
    if (strlen(trace) + strlen(name) + 2 < sizeof trace) strcat(strcat(trace, name), " ");
    if (calls != fail_at && !(fail_on && calls > fail_at && fail_at)) return 0;
    if (calls == fail_at) {
        snprintf(failed_call, sizeof failed_call, "%s", name);
        failed_early = !strstr(trace, "renameat"); /* before anything was replaced */
    }
    errno = fail_code;
    return 1;
}

static size_t shorter(size_t count) { return armed && short_by && count > short_by ? short_by : count; }

ssize_t write(int fd, const void *data, size_t count)
{
    return fails("write") ? -1 : syscall(SYS_write, fd, data, shorter(count));
}

ssize_t pread(int fd, void *data, size_t count, off_t offset)
{
    return fails("pread") ? -1 : syscall(SYS_pread64, fd, data, shorter(count), offset);
}

ssize_t pread64(int fd, void *data, size_t count, off64_t offset)
{
    return pread(fd, data, count, offset);
}

/* A lock that cannot be had is no failure, so only its place is noted. */
int flock(int fd, int operation)
{
    if (armed && strlen(trace) + 7 < sizeof trace) strcat(trace, "flock ");
    if (no_locks) errno = ENOLCK;
    return no_locks ? -1 : (int)syscall(SYS_flock, fd, operation);
}

int fsync(int fd) { return fails("fsync") ? -1 : (int)syscall(SYS_fsync, fd); }

int fchmod(int fd, mode_t mode) { return fails("fchmod") ? -1 : (int)syscall(SYS_fchmod, fd, mode); }

int renameat(int a, const char *from, int b, const char *to)
{
    if (intrude && !strstr(from, ".old")) { /* another save of the same path comes between */
        intrude = 0;
        save_well(at("p"), "between", 1);
        intruded++;
    }
    return fails("renameat") ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, 0);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    return fails("linkat") ? -1 : (int)syscall(SYS_linkat, a, from, b, to, flags);
}

int openat(int folder, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails("openat") ? -1 : (int)syscall(SYS_openat, folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return openat(folder, path, flags, mode);
}

/* Closed even when it fails, as on Linux. */
int close(int fd)
{
    const int failing = fails("close"), code = errno, result = (int)syscall(SYS_close, fd);
    if (failing) errno = code;
    return failing ? -1 : result;
}

static void arm(int at_call, int on, int code)
{
    trace[0] = failed_call[0] = 0;
    calls = 0;
    fail_at = at_call;
    fail_on = on;
    fail_code = code;
    armed = 1;
}

/* ---- failures of the system ---------------------------------------------------------------- */

/* Fail call number n of a save in every way. Returns 0 when there is no call n. */
static int fail_one_save(int n, uint32_t older, int on, int code)
{
    eden_error e = { 0, "" };
    const int files = open_files();
    save_well(at("p"), "old", 0);
    assert_int_equal(chmod(at("p"), 0600), 0); /* which the new one takes over */
    arm(n, on, code);
    const eden_status status = save(at("p"), "new", older, &e);
    armed = 0;
    if (calls < n) return ok(status, &e), 0;
    const char *note = note_of(at("p"));
    const int is_new = note && strcmp(note, "new") == 0;
    if (!note || (!is_new && strcmp(note, "old") != 0)) fail_msg("call %d, error %d: torn", n, code);
    if (status && (status != EDEN_E_IO || e.status != EDEN_E_IO || !strstr(e.text, at("p"))))
        fail_msg("call %d (%s): status %d, '%s'", n, failed_call, status, e.text);
    if (!status && !is_new) fail_msg("call %d (%s): success without a new file", n, failed_call);
    if (status && is_new && !strstr(e.text, "the new file is in place"))
        fail_msg("call %d (%s): '%s'", n, failed_call, e.text);
    const int never_again = !strcmp(failed_call, "renameat") || !strcmp(failed_call, "linkat") ||
                            !strcmp(failed_call, "fsync") || !strcmp(failed_call, "fchmod");
    if (code == EINTR && !never_again && status)
        fail_msg("call %d (%s) is not tried again: %s", n, failed_call, e.text);
    const int may_succeed = (code == EINTR && !never_again) || (code == EPERM && !strcmp(failed_call, "linkat")) ||
                            (!failed_early && !strcmp(failed_call, "close"));
    if (!status && !may_succeed) fail_msg("call %d (%s), error %d: success", n, failed_call, code);
    /* Where files cannot have two names, the older one is not kept and that is all. */
    if (status && !on && code == EPERM && !strcmp(failed_call, "linkat")) fail_msg("%s", e.text);
    /* A file that could not be forced to the disk is given up at once. */
    if (!is_new && !strcmp(failed_call, "fsync") && strstr(strstr(trace, "fsync") + 5, "fsync"))
        fail_msg("after %s", trace);
    assert_int_equal(count_files(".eden-tmp"), 0);
    assert_int_equal(open_files(), files);
    return 1;
}

static void test_failing_saves(void **state)
{
    static const int codes[] = { EIO, ENOSPC, EDQUOT, EFBIG, EACCES, EPERM, EROFS, EINTR };
    int tried = 0;
    (void)state;
    for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++)
        for (int on = 0; on <= (codes[c] != EINTR); on++)
            for (uint32_t older = 0; older < 2; older++) {
                int n = 1;
                while (fail_one_save(n, older, on, codes[c])) n++;
                assert_true(n > 10);
                tried += n - 1;
            }
    print_message("%d failures of the system\n", tried);
}

/* Writes and reads that stop early go on where they stopped. */
static void test_pieces(void **state)
{
    size_t n, m;
    (void)state;
    save_well(at("whole"), "x", 0);
    short_by = 5;
    arm(0, 0, 0);
    save_well(at("pieces"), "x", 0);
    assert_true(calls > 100);
    assert_string_equal(note_of(at("pieces")), "x");
    armed = 0;
    short_by = 0;
    unsigned char *whole = fetch(at("whole"), &n), *pieces = fetch(at("pieces"), &m);
    assert_int_equal(n, m);
    assert_memory_equal(whole, pieces, n);
    free(whole);
    free(pieces);
}

/* The file that a save makes beside "p", and its second name for the older one. */
static const char *beside(const char *end)
{
    static char name[64];
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a of "p" */
    hash = (hash ^ 'p') * 0x100000001b3;
    snprintf(name, sizeof name, ".eden-tmp.%016llx.%s", (unsigned long long)hash, end);
    return at(name);
}

/* What a killed save left is taken away; what another writer holds, or is not a file, stays. */
static void test_stale(void **state)
{
    size_t n;
    (void)state;
    save_well(at("p"), "old", 0);
    store_raw(beside("0"), "mine", 4);
    const int fd = open(beside("0"), O_WRONLY);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    store_raw(beside("1"), "left", 4);
    store_raw(beside("1.old"), "left", 4);
    assert_int_equal(mkfifo(beside("2"), 0600), 0);
    save_well(at("p"), "new", 1);
    assert_string_equal(note_of(at("p")), "new");
    assert_string_equal(note_of(at("p.old")), "old");
    assert_int_equal(count_files(".eden-tmp"), 2);
    unsigned char *left = fetch(beside("0"), &n);
    assert_true(n == 4 && memcmp(left, "mine", 4) == 0);
    free(left);
    close(fd); /* and with it the lock */
    save_well(at("p"), "newer", 1);
    assert_string_equal(note_of(at("p.old")), "new");
    assert_int_equal(count_files(".eden-tmp"), 1);
    assert_int_equal(unlink(beside("2")), 0);
}

/* The lock lasts until the file has its name: no other save can take the file away. */
static void test_lock(void **state)
{
    (void)state;
    save_well(at("p"), "old", 0);
    intrude = 1;
    save_well(at("p"), "new", 1);
    intrude = 0;
    assert_int_equal(intruded, 1);
    assert_string_equal(note_of(at("p")), "new");
    assert_int_equal(count_files(".eden-tmp"), 0);
}

/* Without locks a save still works, and touches no file that is there. */
static void test_no_locks(void **state)
{
    (void)state;
    no_locks = 1;
    store_raw(beside("0"), "mine", 4);
    save_well(at("p"), "new", 1);
    no_locks = 0;
    assert_string_equal(note_of(at("p")), "new");
    assert_int_equal(count_files(".eden-tmp"), 1);
    assert_int_equal(unlink(beside("0")), 0);
}

/* The order of the calls is the protocol. */
static void test_protocol(void **state)
{
    eden_error e = { 0, "" };
    (void)state;
    save_well(at("p"), "old", 0);
    arm(0, 0, 0);
    ok(save(at("p"), "new", 1, &e), &e);
    armed = 0;
    const char *order[] = { "openat ", "flock ", "write ", "fsync ", "close ", "linkat ", "renameat ",
                            "fsync ", "renameat ", "fsync ", "close " };
    const char *after = trace;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        after = after ? strstr(after, order[i]) : NULL;
        if (after) after += strlen(order[i]);
    }
    if (!after || strcmp(after, "close ")) fail_msg("%s", trace);
}

static void test_failing_reads(void **state)
{
    eden_error e;
    (void)state;
    save_well(at("p"), "old", 0);
    const int files = open_files();
    for (int i = 0; i < 20; i++) {
        eden_file *file = NULL;
        unsigned char data[32];
        const int n = i / 2 + 1, code = i % 2 ? EIO : EINTR;
        arm(n, 0, code);
        eden_status status = eden_file_open(&file, at("p"), &e);
        if (!status) status = eden_file_read(file, eden_file_find(file, "scalar"), data, 8, &e);
        const int seen = calls >= n;
        armed = 0;
        assert_int_equal(status, seen && code == EIO ? EDEN_E_IO : EDEN_OK);
        if (status) assert_non_null(strstr(e.text, "cannot read it: Input/output error"));
        eden_file_close(file);
        assert_int_equal(open_files(), files);
        if (seen) continue;
        assert_int_equal(n, 4); /* the length, the header, the data */
        return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_saves),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_no_locks),
        cmocka_unit_test(test_protocol),
        cmocka_unit_test(test_failing_reads),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
