/* test_words.c - what errors say to the letter: where a text is cut, which name is meant,
 * where in a file something is wrong, and why a file cannot be written there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimizer/text.h"
#include "tests/scratch.h"

#define SAYS(call, part)                                                                   \
    do {                                                                                   \
        eden_error e_ = { 0, "" };                                                         \
        if ((call) == EDEN_OK) fail_msg("%s is taken", #call);                             \
        if (!strstr(e_.text, part)) fail_msg("'%s' does not contain '%s'", e_.text, part); \
    } while (0)
#define error (&e_)

static eden_optimizer *create(const char *rule)
{
    eden_optimizer *o = NULL;
    assert_int_equal(eden_optimizer_create(&o, rule, NULL, NULL), EDEN_OK);
    return o;
}

/* ---- cut texts ----------------------------------------------------------------------- */

/* "BEFORE xxx AFTER" with `count` times x. */
static const char *around(char *text, const char *before, size_t count, const char *after)
{
    char *at = text + sprintf(text, "%s", before);
    memset(at, 'x', count);
    strcpy(at + count, after);
    return text;
}

/* Of what the caller wrote, 60 letters of a name and 40 of a value are shown. */
static void test_shown(void **state)
{
    char text[200], part[200];
    eden_optimizer *o = create("sgd");
    (void)state;
    for (size_t n = 38; n < 63; n++) {
        const size_t name = n < 60 ? n : 60, value = n < 40 ? n : 40;
        SAYS(eden_set_text(o, NULL, around(text, "", n, ", lr=1"), error),
             around(part, "'", name, "' is not name=value"));
        SAYS(eden_set_text(o, NULL, around(text, "", n, "=1"), error),
             around(part, "sgd has no setting '", name, "'; it has lr, "));
        SAYS(eden_set_text(o, NULL, around(text, "lr=", n, ", lr=1"), error),
             around(part, "sgd: lr = '", value, "' is not a number in [0, infinity)"));
    }
    eden_optimizer_destroy(o);
}

/* An error that is too long ends where a character ends; bytes that begin none are shown
 * as '?', however near to the end. */
static void test_end_of_error(void **state)
{
    enum { ROOM = sizeof((eden_error *)0)->text };
    static const struct { const char *end, *shown; } ends[] = {
        { "\xffz\xc3\xa9", "?z\xc3\xa9" }, { "z\xf0\x9f\x98", "z" }, { "zz\xf0\x9f", "zz" },
        { "zzz\xc3", "zzz" }, { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
    };
    char text[ROOM + 8];
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        eden_error e = { 0, "" };
        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = 0;
        memcpy(text + ROOM - 1 - 4, ends[i].end, 4);
        eden_fail(&e, EDEN_E_VALUE, "%s", text);
        assert_memory_equal(e.text, text, ROOM - 1 - 4);
        assert_string_equal(e.text + ROOM - 1 - 4, ends[i].shown);
    }
}

/* ---- which setting is meant ---------------------------------------------------------------- */

/* At most half of the right name's letters may be wrong. */
static void test_meant(void **state)
{
    static const struct { const char *typed, *said; } names[] = {
        { "r", "did you mean 'lr'?" },           { "l", "did you mean 'lr'?" },
        { "lrr", "did you mean 'lr'?" },         { "rl", "it has lr, " },
        { "q", "it has lr, " },                  { "omentum", "did you mean 'momentum'?" },
        { "momentu", "did you mean 'momentum'?" }, { "mumentom", "did you mean 'momentum'?" },
        { "mmentm", "did you mean 'momentum'?" }, { "moxyzxum", "it has lr, " },
    };
    eden_optimizer *o = create("sgd");
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        SAYS(eden_set(o, NULL, names[i].typed, 1, error), names[i].said);
    eden_optimizer_destroy(o);
}

/* ---- where in a file ------------------------------------------------------------------------- */

static void says_of_file(const char *header, size_t data, const char *what)
{
    char whole[800];
    eden_file *file = NULL;
    eden_error e = { 0, "" };
    store(at("a"), header, strlen(header), data);
    assert_int_equal(eden_file_open(&file, at("a"), &e), EDEN_E_FORMAT);
    snprintf(whole, sizeof whole, "'%s': %s", at("a"), what);
    assert_string_equal(e.text, whole);
}

static void test_places(void **state)
{
    (void)state;
    says_of_file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}} x", 1,
                 "only spaces may follow the last '}' (byte 54 of the header)");
    says_of_file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 3,
                 "2 bytes after the last tensor's data");
    says_of_file("{\"a\":{\"dtype\":\"U9\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
                 "tensor 'a': an unknown dtype (byte 18 of the header)");
    says_of_file("{\"\xed\xa0\x80\":1}", 0, "text that is not UTF-8 (byte 2 of the header)");
    says_of_file("{\"ab\xf4\x90\x80\x80\":1}", 0, "text that is not UTF-8 (byte 4 of the header)");
    says_of_file("{\"\\ud83d\\u", 0, "half of a surrogate pair (byte 8 of the header)");
    says_of_file("{\"\\ud83d\\ude0\":1}", 0, "half of a surrogate pair (byte 10 of the header)");
    says_of_file("{\"\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\":1}", 0,
                 "tensor '\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf': an entry must be an object in "
                 "braces (byte 18 of the header)");
}

/* Of nothing, nothing is read, to nowhere. */
static void test_nothing(void **state)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[0,0]}}";
    (void)state;
    store(at("a"), header, sizeof header - 1, 0);
    eden_file *file = open_file(at("a"));
    assert_int_equal(eden_file_read(file, 0, NULL, 0, NULL), EDEN_OK);
    SAYS(eden_file_read(file, 0, scratch, 1, error), "tensor 'a' has 0 bytes, not 1");
    eden_file_close(file);
}

/* ---- where no file can be ---------------------------------------------------------------------- */

static void says_of_path(const char *path, const char *what)
{
    eden_writer *w = NULL;
    const int files = open_files();
    assert_int_equal(eden_writer_create(&w, NULL), EDEN_OK);
    SAYS(eden_writer_write(w, path, error), what);
    eden_writer_destroy(w);
    assert_int_equal(open_files(), files);
}

static void test_paths(void **state)
{
    (void)state;
    store_raw(at("a"), "x", 1);
    assert_int_equal(symlink("b", at("c")), 0);
    assert_int_equal(symlink("c", at("b")), 0);
    assert_int_equal(symlink("none", at("d")), 0);
    says_of_path(at("a/b"), ": cannot write it: Not a directory");
    says_of_path(at("b"), ": cannot write it: Too many levels");
    says_of_path(at("d"), ": cannot write it: it is a symbolic link to nothing");
    says_of_path(at("none/"), ": cannot write it: it names a folder");
    says_of_path(at("none/a"), ": cannot open its folder: No such file");
    says_of_path("/proc/eden-writes-no-file-here", ": cannot create a file beside it: ");
    says_of_path("", ": cannot write it: ");
    assert_int_equal(unlink(at("b")) | unlink(at("c")) | unlink(at("d")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_end_of_error),
        cmocka_unit_test(test_meant),
        cmocka_unit_test_setup_teardown(test_places, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_nothing, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_paths, scratch_make, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
