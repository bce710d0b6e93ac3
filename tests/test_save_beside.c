/* test_save_beside.c - what a save leaves beside its file, and under which permissions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/scratch.h"
#include "tests/sample_file.h"

/* A file that a save to "p" makes beside it. */
static const char *beside(const char *end)
{
    char name[64];
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a of "p" */
    hash = (hash ^ 'p') * 0x100000001b3;
    snprintf(name, sizeof name, ".eden-tmp.%016llx.%s", (unsigned long long)hash, end);
    return at(name);
}

static int is_there(const char *path) { return access(path, F_OK) == 0; }

static int locked(const char *path)
{
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    return fd;
}

/* Of several writers that were killed nothing remains after one save, wherever they were;
 * what a living one holds stays, and its second name. */
static void test_several_killed(void **state)
{
    static const char *const left[] = { "1", "1.old", "2", "3", "3.old", "5", "9", "9.old", "12.old" };
    (void)state;
    save_well(at("p"), "old", 1);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) store_raw(beside(left[i]), "left", 4);
    store_raw(beside("4"), "alive", 5);
    store_raw(beside("4.old"), "alive", 5);
    const int fd = locked(beside("4"));
    save_well(at("p"), "new", 1);
    assert_int_equal(count_files(".eden-tmp"), 2);
    assert_true(is_there(beside("4")) && is_there(beside("4.old")));
    close(fd);
    save_well(at("p"), "new", 1);
    assert_int_equal(count_files(".eden-tmp"), 0);
}

/* Between its two renames a writer has a second name alone, and holds the target. */
static void test_between_renames(void **state)
{
    (void)state;
    save_well(at("p"), "old", 1);
    store_raw(beside("1.old"), "older", 5);
    const int fd = locked(at("p"));
    save_well(at("p"), "new", 1);
    assert_true(is_there(beside("1.old")));
    close(fd);
    save_well(at("p"), "newer", 1);
    assert_int_equal(count_files(".eden-tmp"), 0);
}

static unsigned mode_of(const char *path)
{
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    return (unsigned)(s.st_mode & 07777);
}

/* Who may read a checkpoint may read the next one, and nobody else. */
static void test_permissions(void **state)
{
    static const mode_t modes[] = { 0600, 0640, 0666, 0755 };
    (void)state;
    const mode_t mask = umask(022);
    unlink(at("p"));
    save_well(at("p"), "x", 1);
    assert_int_equal(mode_of(at("p")), 0644);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        for (uint32_t older = 0; older < 2; older++) {
            assert_int_equal(chmod(at("p"), modes[i]), 0);
            save_well(at("p"), "x", older);
            assert_int_equal(mode_of(at("p")), modes[i]);
            if (older) assert_int_equal(mode_of(at("p.old")), modes[i]);
        }
    umask(mask);
}

/* A name that leaves no room for ".old" is refused at once, not when there is a first file. */
static void test_long_names(void **state)
{
    char name[257];
    (void)state;
    for (size_t length = 249; length < 257; length++) {
        eden_error e = { 0, "" };
        memset(name, 'n', length);
        name[length] = 0;
        for (int again = 0; again < 2; again++) {
            const eden_status status = save(at(name), "x", 1, &e);
            assert_int_equal(status, length < 252 ? EDEN_OK : EDEN_E_IO);
            assert_int_equal(is_there(at(name)), length < 252);
            if (status) assert_non_null(strstr(e.text, "File name too long"));
        }
        if (length == 252) assert_int_equal(save(at(name), "x", 0, &e), EDEN_OK);
    }
    assert_int_equal(count_files(".eden-tmp"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_killed),
        cmocka_unit_test(test_between_renames),
        cmocka_unit_test(test_permissions),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
