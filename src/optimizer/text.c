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

static int is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

int eden_name_ok(const char *name)
{
    const size_t length = strlen(name);
    if (length < 1 || length > 255) return 0;
    for (const unsigned char *at = (const unsigned char *)name; *at;) {
        const size_t n = character(at);
        if (n == 0 || is_control(*at)) return 0;
        at += n;
    }
    return 1;
}

/* ---- errors -------------------------------------------------------------------- */

/* Make text[0..room) printable, and end it where a character ends. */
static void tidy(char *text, int was_cut)
{
    unsigned char *at = (unsigned char *)text;
    while (*at) {
        const size_t n = character(at), left = strlen((char *)at);
        if (n == 0 && was_cut && left < 4) {
            *at = 0;
            return;
        }
        if (n == 0 || is_control(*at)) *at = '?';
        at += n ? n : 1;
    }
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
