/* json.c - a strict scanner of JSON, one pass over a buffer that it decodes in place. */
#include "checkpoint/json.h"

int eden_json_fail(eden_json *j, const char *what)
{
    if (!j->wrong) {
        j->wrong = what;
        j->wrong_at = j->at;
    }
    return 0;
}

static void skip_space(eden_json *j)
{
    while (j->at < j->length) {
        const unsigned char c = j->text[j->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return;
        j->at++;
    }
}

int eden_json_take(eden_json *j, char c, const char *wrong)
{
    skip_space(j);
    if (j->at >= j->length) return eden_json_fail(j, "the text ends too early");
    if (j->text[j->at] != (unsigned char)c) return eden_json_fail(j, wrong);
    j->at++;
    return 1;
}

/* Skip c if it is next. */
static int skip(eden_json *j, char c)
{
    skip_space(j);
    if (j->at >= j->length || j->text[j->at] != (unsigned char)c) return 0;
    j->at++;
    return 1;
}

int eden_json_more(eden_json *j, char end)
{
    if (j->wrong) return 0;
    if (skip(j, ',')) return 1;
    eden_json_take(j, end, end == '}' ? "',' or '}' is missing" : "',' or ']' is missing");
    return 0;
}

int eden_json_open(eden_json *j, char begin, char end, const char *wrong)
{
    return eden_json_take(j, begin, wrong) && !skip(j, end);
}

/* ---- strings ------------------------------------------------------------------- */

size_t eden_utf8(const unsigned char *text, size_t length)
{
    const unsigned first = text[0];
    if (first < 0x80) return 1;
    const size_t n = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (n > length) return 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    /* Overlong forms, surrogates, and numbers above 10FFFF. */
    if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
        (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
        return 0;
    return n;
}

/* Four hexadecimal digits, or UINT32_MAX. */
static uint32_t hex4(eden_json *j)
{
    uint32_t value = 0;
    if (j->length - j->at < 4) return UINT32_MAX;
    for (int i = 0; i < 4; i++) {
        const unsigned char c = j->text[j->at + (size_t)i];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = c - (uint32_t)'0';
        } else if (c >= 'a' && c <= 'f') {
            digit = c - (uint32_t)'a' + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = c - (uint32_t)'A' + 10;
            j->upper_hex = 1;
        } else {
            return UINT32_MAX;
        }
        value = value << 4 | digit;
    }
    j->at += 4;
    return value;
}

static unsigned char *put_utf8(unsigned char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (unsigned char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (unsigned char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (unsigned char)(0xe0 | code >> 12);
        } else {
            *out++ = (unsigned char)(0xf0 | code >> 18);
            *out++ = (unsigned char)(0x80 | (code >> 12 & 0x3f));
        }
        *out++ = (unsigned char)(0x80 | (code >> 6 & 0x3f));
    }
    *out++ = (unsigned char)(0x80 | (code & 0x3f));
    return out;
}

/* The rest of \uXXXX, and of the second half of a pair. */
static int unicode(eden_json *j, unsigned char **out)
{
    uint32_t code = hex4(j);
    if (code == UINT32_MAX) return eden_json_fail(j, "\\u needs four hexadecimal digits");
    if (code == 0) return eden_json_fail(j, "text may not hold a zero byte");
    if (code >= 0xdc00 && code < 0xe000) return eden_json_fail(j, "half of a surrogate pair");
    if (code >= 0xd800 && code < 0xdc00) {
        uint32_t low = 0;
        if (j->length - j->at >= 6 && j->text[j->at] == '\\' && j->text[j->at + 1] == 'u') {
            j->at += 2;
            low = hex4(j);
        }
        if (low < 0xdc00 || low >= 0xe000) return eden_json_fail(j, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, code);
    return 1;
}

/* An escape takes more bytes than what it stands for, so `out` never passes `at`. */
static int escape(eden_json *j, unsigned char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const unsigned char c = j->text[j->at + 1]; /* at worst the zero at the end */
    if (c == 'u') {
        j->at += 2;
        return unicode(j, out);
    }
    for (size_t i = 0; from[i]; i++) {
        if (c != (unsigned char)from[i]) continue;
        *(*out)++ = (unsigned char)to[i];
        j->at += 2;
        return 1;
    }
    return eden_json_fail(j, "an unknown escape");
}

char *eden_json_string(eden_json *j)
{
    if (!eden_json_take(j, '"', "text in double quotes is missing")) return NULL;
    unsigned char *out = j->text + j->at;
    char *start = (char *)out;
    for (;;) {
        if (j->at >= j->length) return eden_json_fail(j, "text without an end"), NULL;
        const unsigned char c = j->text[j->at];
        if (c == '"') break;
        if (c == '\\') {
            if (!escape(j, &out)) return NULL;
            continue;
        }
        if (c < 0x20) return eden_json_fail(j, "a control character in text"), NULL;
        size_t n = eden_utf8(j->text + j->at, j->length - j->at);
        if (n == 0) return eden_json_fail(j, "text that is not UTF-8"), NULL;
        while (n--) *out++ = j->text[j->at++];
    }
    j->at++;
    *out = 0;
    return start;
}

/* ---- numbers --------------------------------------------------------------------- */

int eden_json_integer(eden_json *j, uint64_t *value)
{
    uint64_t read = 0;
    skip_space(j);
    const size_t start = j->at;
    for (; j->at < j->length; j->at++) {
        const unsigned char c = j->text[j->at];
        if (c < '0' || c > '9') break;
        if (j->at > start && j->text[start] == '0')
            return eden_json_fail(j, "a number may not start with 0");
        if (__builtin_mul_overflow(read, (uint64_t)10, &read) ||
            __builtin_add_overflow(read, (uint64_t)(c - '0'), &read))
            return eden_json_fail(j, "a number above 2^64 - 1");
    }
    const unsigned char next = j->at < j->length ? j->text[j->at] : 0;
    if (j->at == start || next == '.' || next == 'e' || next == 'E')
        return eden_json_fail(j, "a whole number from 0 on is missing");
    *value = read;
    return 1;
}
