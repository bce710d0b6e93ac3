/* test_names.c - names that are none, and text of every kind, which is never a format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(call)                                              \
    do {                                                      \
        eden_error e_ = { 0, "" };                            \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text); \
    } while (0)
#define REFUSED(call, want, part)                                                          \
    do {                                                                                   \
        eden_error e_ = { 0, "" };                                                         \
        if ((call) != (want)) fail_msg("%s: %u '%s'", #call, e_.status, e_.text);          \
        if (e_.status != (want)) fail_msg("%s: the error says %u", #call, e_.status);      \
        if (!strstr(e_.text, part)) fail_msg("'%s' does not contain '%s'", e_.text, part); \
    } while (0)
#define error (&e_)

typedef struct {
    eden_optimizer *o;
    float w[4], g[4];
} small;

static void begin(small *s, const eden_config *config)
{
    *s = (small){ .w = { 1, 2, 3, 4 }, .g = { 1, 1, 1, 1 } };
    const eden_tensor t = eden_vector(s->w, s->g, 4);
    OK(eden_optimizer_create(&s->o, "adam", config, error));
    OK(eden_add_tensor(s->o, "w", &t, NULL, error));
}

/* Well-formed UTF-8 without control characters, 1 to 255 bytes, and nothing else. */
static void test_names(void **state)
{
    static const char *const bad[] = {
        "", "\n", "a\tb", "\x1b[31m", "a\x7f", "a\xc2\x80", "\xc2\x9f", "\xc2\x9b[m", "\x80", "\xbf", "\xc0\x80",
        "\xc1\xbf", "\xc2", "\xc2z", "\xe0\x80\x80",
        "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x28\xa1", "\xf0\x90\x28\xbc",
    };
    static const char *const good[] = {
        " ", "%n%s", "a=b, c", "\xc2\xa0", "\xe2\x80\xae", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "'\"\\{}", "w@m",
    };
    char longest[257];
    small s;
    (void)state;
    begin(&s, NULL);
    const eden_tensor t = eden_vector(NULL, NULL, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REFUSED(eden_add_tensor(s.o, bad[i], &t, NULL, error), EDEN_E_NAME, "UTF-8");
        REFUSED(eden_add_group(s.o, bad[i], NULL, NULL, error), EDEN_E_NAME, "UTF-8");
        REFUSED(eden_set_note(s.o, bad[i], "x", error), EDEN_E_NAME, "UTF-8");
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        OK(eden_add_tensor(s.o, good[i], &t, NULL, error));
        OK(eden_add_group(s.o, good[i], NULL, NULL, error));
        OK(eden_set_note(s.o, good[i], good[i], error));
        assert_string_equal(eden_note(s.o, good[i]), good[i]);
        REFUSED(eden_add_group(s.o, good[i], NULL, NULL, error), EDEN_E_NAME, "already");
    }
    memset(longest, 'n', 256), longest[256] = 0;
    REFUSED(eden_add_tensor(s.o, longest, &t, NULL, error), EDEN_E_NAME, "255 bytes");
    longest[255] = 0;
    OK(eden_add_tensor(s.o, longest, &t, NULL, error));
    eden_optimizer_destroy(s.o);
}

/* Whatever text a caller has wrong is shown printable, short, and never as a format. */
static void test_wrong_text(void **state)
{
    enum { LONG = 65536 };
    char *text = malloc(LONG + 1);
    small s;
    eden_error e;
    (void)state;
    assert_non_null(text);
    begin(&s, NULL);
    static const char *const units[] = { "%n%s%x", "\x1b[31m", "\xe2\x82\xac", "\xff\xfe", "a", "\xf0\x9f\x98\x80" };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const size_t n = strlen(units[i]);
        for (size_t k = 0; k < LONG; k++) text[k] = units[i][k % n];
        text[LONG] = 0;
        const eden_status all[] = {
            eden_set(s.o, NULL, text, 1, &e), eden_set(s.o, text, "lr", 1, &e), eden_set_text(s.o, NULL, text, &e),
            eden_schedule(s.o, NULL, "lr", text, &e), eden_set_grad(s.o, text, NULL, &e),
            eden_optimizer_create(&(eden_optimizer *){ NULL }, text, NULL, &e),
        };
        for (size_t k = 0; k < 6; k++) assert_true(all[k] == EDEN_E_NAME || all[k] == EDEN_E_VALUE);
        assert_true(strlen(e.text) < sizeof e.text);
        for (const char *c = e.text; *c; c++) assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
        assert_null(strchr(e.text, '\x1b'));
    }
    /* Cut at a character, for every place where the cut may fall. */
    for (size_t lead = 0; lead < 8; lead++) {
        size_t at = lead;
        memset(text, 'a', lead);
        for (; at < 900; at += 4) memcpy(text + at, "\xf0\x9f\x98\x80", 4);
        text[at] = 0;
        REFUSED(eden_load(s.o, text, 0, error), EDEN_E_IO, lead < 2 ? "" : "aa");
        eden_load(s.o, text, 0, &e);
        const unsigned char *c = (const unsigned char *)e.text;
        while (*c) {
            assert_true(*c < 0x80 || (*c == 0xf0 && c[1] == 0x9f && c[2] == 0x98 && c[3] == 0x80));
            c += *c < 0x80 ? 1 : 4;
        }
    }
    free(text);
    eden_optimizer_destroy(s.o);
}

/* What a terminal would obey, or turn around, is shown as one '?', and nothing else is. */
static void test_controls(void **state)
{
    static const struct { const char *text, *shown; } cases[] = {
        { "a\xc2\x80z", "a?z" },         { "a\xc2\x9b" "31m", "a?31m" },  { "a\xc2\x9f", "a?" },
        { "\xc2\xa0", "\xc2\xa0" },      { "a\x7f", "a?" },              { "\xe2\x80\x8dz", "\xe2\x80\x8dz" },
        { "\xe2\x80\x8ez", "?z" },       { "\xe2\x80\x8f", "?" },        { "\xe2\x80\x90", "\xe2\x80\x90" },
        { "\xe2\x80\xa9", "\xe2\x80\xa9" }, { "\xe2\x80\xaaz", "?z" },  { "\xe2\x80\xae", "?" },
        { "\xe2\x80\xaf", "\xe2\x80\xaf" }, { "\xe2\x81\xa5", "\xe2\x81\xa5" }, { "a\xe2\x81\xa6z", "a?z" },
        { "\xe2\x81\xa9", "?" },         { "\xe2\x81\xaa", "\xe2\x81\xaa" }, { "\xe2\x82\xac", "\xe2\x82\xac" },
        { "\xff\xc3\xa9", "?\xc3\xa9" },
    };
    char want[64];
    small s;
    (void)state;
    begin(&s, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(want, sizeof want, "no tensor is called '%s'", cases[i].shown);
        eden_error e;
        assert_int_equal(eden_set_grad(s.o, cases[i].text, NULL, &e), EDEN_E_NAME);
        assert_string_equal(e.text, want);
    }
    eden_optimizer_destroy(s.o);
}

/* What no file could hold is refused when it is given, not when all is to be saved. */
static void test_unsavable(void **state)
{
    enum { MOST = 50000000 };
    char *text = malloc(MOST + 1);
    float w[4] = { 0 };
    const eden_tensor t = eden_vector(w, NULL, 4);
    small s;
    (void)state;
    assert_non_null(text);
    begin(&s, NULL);
    REFUSED(eden_add_tensor(s.o, "__metadata__", &t, NULL, error), EDEN_E_NAME, "cannot be called '__metadata__'");
    REFUSED(eden_set_note(s.o, "n", "a\xff", error), EDEN_E_VALUE, "the note 'n' is not UTF-8");
    memset(text, 'x', MOST), text[MOST] = 0;
    REFUSED(eden_set_note(s.o, "n", text, error), EDEN_E_VALUE, "all notes would take 50000005 bytes");
    text[MOST - 5] = 0;
    OK(eden_set_note(s.o, "n", text, error));
    REFUSED(eden_set_note(s.o, "m", "", error), EDEN_E_VALUE, "all notes would take 50000005 bytes");
    OK(eden_set_note(s.o, "n", text + 5, error)); /* it takes its own place */
    OK(eden_set_note(s.o, "m", "", error));
    memset(text, '\x01', 10000000), text[10000000] = 0; /* 6 bytes each in JSON */
    REFUSED(eden_set_note(s.o, "n", text, error), EDEN_E_VALUE, "at most 50000000");
    assert_int_equal(strlen(eden_note(s.o, "n")), MOST - 10);
    memset(text, '\n', 20000000), text[20000000] = 0;
    OK(eden_set_note(s.o, "n", text, error));
    free(text);
    eden_optimizer_destroy(s.o);
}

static void test_notes(void **state)
{
    small s;
    (void)state;
    begin(&s, NULL);
    OK(eden_set_note(s.o, "a", NULL, error)); /* there is none: fine */
    OK(eden_set_note(s.o, "a", "1", error));
    OK(eden_set_note(s.o, "b", "2", error));
    OK(eden_set_note(s.o, "c", "", error));
    OK(eden_set_note(s.o, "b", "22", error));
    assert_string_equal(eden_note(s.o, "b"), "22");
    OK(eden_set_note(s.o, "a", NULL, error));
    assert_null(eden_note(s.o, "a"));
    assert_string_equal(eden_note(s.o, "b"), "22");
    assert_string_equal(eden_note(s.o, "c"), "");
    eden_optimizer_destroy(s.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_wrong_text), cmocka_unit_test(test_notes),
        cmocka_unit_test(test_controls), cmocka_unit_test(test_unsavable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
