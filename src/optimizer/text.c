/* text.c - errors, numbers and names as text, the same under every locale. */
#include "optimizer/text.h"

#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/driver.h"

/* ---- UTF-8 ------------------------------------------------------------------- */

/* Bytes of the character at `at`, or 0 if none is well formed there: overlong
 * forms, surrogates and numbers above 10FFFF are not. */
static size_t character(const unsigned char *at)
{
    const unsigned first = at[0];
    if (first < 0x80) return 1;
    const size_t n = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
        (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
        return 0;
    return n;
}

/* U+0000 to U+001F, U+007F to U+009F, of which terminals obey the last 32 as well. */
static int is_control(const unsigned char *at)
{
    return *at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);
}

/* U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: they turn around what stands beside them. */
static int turns_text(const unsigned char *at)
{
    if (at[0] != 0xe2) return 0;
    if (at[1] == 0x80) return at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xaa && at[2] <= 0xae);
    return at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9;
}

int eden_is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t n; *at; at += n)
        if (!(n = character(at))) return 0;
    return 1;
}

int eden_name_ok(const char *name)
{
    const size_t length = strlen(name);
    if (length < 1 || length > 255) return 0;
    for (const unsigned char *at = (const unsigned char *)name; *at;) {
        const size_t n = character(at);
        if (n == 0 || is_control(at)) return 0;
        at += n;
    }
    return 1;
}

/* ---- errors -------------------------------------------------------------------- */

/* Make a text printable, and end it where a character ends. */
static void tidy(char *text, int was_cut)
{
    const unsigned char *at = (unsigned char *)text;
    unsigned char *to = (unsigned char *)text; /* never behind `at` */
    while (*at) {
        const size_t n = character(at), left = strlen((const char *)at);
        if (n == 0 && was_cut && left < 4) break;
        if (n == 0 || is_control(at) || turns_text(at)) *to++ = '?';
        else memmove(to, at, n), to += n;
        at += n ? n : 1;
    }
    *to = 0;
}

eden_status eden_fail(eden_error *error, eden_status status, const char *format, ...)
{
    if (!error) return status;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    error->status = (uint32_t)status;
    tidy(error->text, length >= (int)sizeof error->text);
    return status;
}

eden_status eden_check_struct(const void *filled, size_t known, const char *what, const char *start,
                              eden_error *error)
{
    const size_t size = *(const size_t *)filled;
    switch (eden_look_at_struct(filled, known)) {
    case EDEN_STRUCT_FITS: return EDEN_OK;
    case EDEN_STRUCT_LATER:
        return eden_fail(error, EDEN_E_ARGUMENT, "%s: something is set that Eden %s does not know, behind byte %zu "
                         "of %zu; use a later library, or leave it zero", what, eden_version(), known, size);
    default:
        return eden_fail(error, EDEN_E_ARGUMENT, "%s: size = %zu is too %s; start from %s", what, size,
                         size < known ? "small" : "large", start);
    }
}

/* ---- numbers --------------------------------------------------------------------- */

/* The locale's decimal point, which printf and strtod use. localeconv() would write to
 * memory that all threads share. */
static const char *locale_point(void)
{
    const char *point = nl_langinfo(RADIXCHAR);
    return point && *point ? point : ".";
}

/* printf and strtod obey the caller's rounding mode and leave errno behind; here
 * they may do neither. */
typedef struct {
    eden_float_env env;
    int error;
} quiet;

static quiet be_quiet(void)
{
    quiet before;
    before.error = errno;
    eden_float_enter(&before.env);
    return before;
}

static void be_as_before(const quiet *before)
{
    eden_float_leave(&before->env);
    errno = before->error;
}

const char *eden_print_number(double value, char text[EDEN_NUMBER_ROOM])
{
    char shown[EDEN_NUMBER_ROOM];
    const quiet before = be_quiet();
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(shown, sizeof shown, "%.*g", digits, value);
        if (strtod(shown, NULL) == value) break;
    }
    be_as_before(&before);
    const char *point = locale_point(), *at = strstr(shown, point);
    if (!at) return memcpy(text, shown, strlen(shown) + 1);
    const size_t whole = (size_t)(at - shown);
    memcpy(text, shown, whole);
    text[whole] = '.';
    memcpy(text + whole + 1, at + strlen(point), strlen(at + strlen(point)) + 1);
    return text;
}

static size_t digits_at(const char *text, size_t at, size_t length)
{
    size_t n = 0;
    while (at + n < length && text[at + n] >= '0' && text[at + n] <= '9') n++;
    return n;
}

/* Is text[0..length) [sign] digits [. digits] [e [sign] digits], with a digit? */
static int is_number(const char *text, size_t length, size_t *point)
{
    size_t at = length > 0 && (text[0] == '-' || text[0] == '+');
    size_t whole = digits_at(text, at, length), part = 0;
    at += whole;
    *point = length;
    if (at < length && text[at] == '.') {
        *point = at;
        part = digits_at(text, at + 1, length);
        at += 1 + part;
    }
    if (whole + part == 0) return 0;
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        if (at < length && (text[at] == '-' || text[at] == '+')) at++;
        const size_t exponent = digits_at(text, at, length);
        if (exponent == 0) return 0;
        at += exponent;
    }
    return at == length;
}

int eden_is_finite(double x)
{
    union { double d; uint64_t u; } b;
    b.d = x;
    return (b.u >> 52 & 0x7ff) != 0x7ff;
}

int eden_read_number(const char *text, size_t length, double *value)
{
    char buffer[512];
    size_t point;
    const char *mark = locale_point();
    if (length + strlen(mark) >= sizeof buffer || !is_number(text, length, &point)) return 0;
    memcpy(buffer, text, length);
    buffer[length] = 0;
    if (point < length) {
        memmove(buffer + point + strlen(mark), buffer + point + 1, length - point);
        memcpy(buffer + point, mark, strlen(mark));
    }
    const quiet before = be_quiet();
    const double read = strtod(buffer, NULL);
    be_as_before(&before);
    if (!eden_is_finite(read)) return 0;
    *value = read;
    return 1;
}

/* ---- memory ------------------------------------------------------------------------ */

void *eden_alloc(uint64_t count, size_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(count, (uint64_t)size, &bytes) || bytes > PTRDIFF_MAX - 128) return NULL;
    const size_t rounded = ((size_t)bytes + 64) / 64 * 64;
    void *memory = aligned_alloc(64, rounded);
    if (memory) memset(memory, 0, rounded);
    return memory;
}

char *eden_copy_text(const char *text)
{
    const size_t room = strlen(text) + 1;
    char *copy = malloc(room);
    return copy ? memcpy(copy, text, room) : NULL;
}
