/* data_number.c - decimal numbers as text, the same under every locale. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/data_table.h"

/* Longer than this is no measurement, and strtod() would be slow on it. */
#define MAX_LENGTH 1024

/* What a number is made of: digits * 10^exponent, exact if `exact`. */
typedef struct {
    int negative, exact;
    uint64_t digits;
    int exponent;
} parts;

static const double ten[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits at `at`; returns how many. */
static int take_digits(const char *at, parts *p)
{
    int n = 0;
    for (; is_digit(at[n]); n++) {
        const unsigned digit = (unsigned)(at[n] - '0');
        if (p->digits > (UINT64_MAX - 9) / 10)
            p->exact = 0;
        else
            p->digits = p->digits * 10 + digit;
    }
    return n;
}

/* [sign] digits [. digits] [e [sign] digits], with a digit in front of the e and
 * one behind it. The zero byte ends every loop. */
static int split(const char *text, size_t length, parts *p)
{
    const char *at = text;
    p->negative = *at == '-';
    p->exact = 1;
    if (*at == '-' || *at == '+') at++;
    const int whole = take_digits(at, p);
    int part = 0;
    at += whole;
    if (*at == '.') {
        part = take_digits(at + 1, p);
        at += 1 + part;
    }
    p->exponent = -part;
    if (whole + part == 0) return 0;
    if (*at == 'e' || *at == 'E') {
        at++;
        const int down = *at == '-';
        int exponent = 0;
        if (*at == '-' || *at == '+') at++;
        if (!is_digit(*at)) return 0;
        for (; is_digit(*at); at++)
            if (exponent < 100000) exponent = exponent * 10 + (*at - '0');
        p->exponent += down ? -exponent : exponent;
    }
    return at == text + length;
}

/* A NaN or an infinity, as C, Python and spreadsheets write them. */
static int is_special(const char *text, size_t length)
{
    static const char *const words[] = { "nan", "inf", "infinity", "na", "n/a", "null", "#n/a" };
    if (length && (*text == '-' || *text == '+')) text++, length--;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t k = 0;
        if (strlen(words[i]) != length) continue;
        while (k < length && (text[k] >= 'A' && text[k] <= 'Z' ? text[k] + 32 : text[k]) == words[i][k])
            k++;
        if (k == length) return 1;
    }
    return 0;
}

number_kind table_number(const char *text, size_t length, locale_t c_locale, double *value)
{
    parts p = { 0 };
    double read;
    if (length > MAX_LENGTH || !split(text, length, &p))
        return is_special(text, length) ? NUMBER_SPECIAL : NUMBER_NONE;
    /* Both are exact doubles, so one operation rounds once (Clinger 1990). */
    if (p.exact && p.digits <= (uint64_t)1 << 53 && p.exponent >= -22 && p.exponent <= 22) {
        const double digits = (double)p.digits;
        read = p.exponent < 0 ? digits / ten[-p.exponent] : digits * ten[p.exponent];
        *value = p.negative ? -read : read;
        return NUMBER_OK;
    }
    const locale_t caller = uselocale(c_locale);
    read = strtod(text, NULL);
    uselocale(caller);
    if (!isfinite(read)) return NUMBER_TOO_LARGE;
    *value = read;
    return NUMBER_OK;
}
