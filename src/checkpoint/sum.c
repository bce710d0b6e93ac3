/* sum.c - the checksums that Eden adds to its files. */
#include "checkpoint/sum.h"

#include <string.h>

#define POLYNOMIAL 0xc96c5795d7870f42u

void eden_sum_start(eden_sum *sum)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        sum->table[0][i] = crc;
    }
    for (unsigned k = 1; k < 8; k++)
        for (unsigned i = 0; i < 256; i++) {
            const uint64_t crc = sum->table[k - 1][i];
            sum->table[k][i] = crc >> 8 ^ sum->table[0][crc & 255];
        }
}

static uint64_t little_endian(const unsigned char *at)
{
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--) word = word << 8 | at[i];
    return word;
}

uint64_t eden_sum_bytes(const eden_sum *sum, uint64_t before, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint64_t crc = ~before;
    for (; bytes >= 8; at += 8, bytes -= 8) {
        const uint64_t word = crc ^ little_endian(at);
        crc = 0;
        for (unsigned k = 0; k < 8; k++) crc ^= sum->table[7 - k][word >> 8 * k & 255];
    }
    for (; bytes; at++, bytes--) crc = crc >> 8 ^ sum->table[0][(crc ^ *at) & 255];
    return ~crc;
}

/* CRCs are linear, so that errors in two of them could cancel in their sum; this
 * one-to-one scrambling (splitmix64) prevents it. */
static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t add_text(const eden_sum *sum, uint64_t crc, const char *text)
{
    return eden_sum_bytes(sum, crc, text, strlen(text) + 1);
}

uint64_t eden_sum_pair(const eden_sum *sum, const char *prefix, const char *key, const char *value)
{
    uint64_t crc = eden_sum_bytes(sum, 0, "M", 1);
    crc = eden_sum_bytes(sum, crc, prefix, strlen(prefix));
    return scramble(add_text(sum, add_text(sum, crc, key), value));
}

uint64_t eden_sum_entry(const eden_sum *sum, const char *name, const char *dtype, uint32_t ndim,
                        const uint64_t *shape)
{
    uint64_t crc = eden_sum_bytes(sum, 0, "T", 1);
    crc = add_text(sum, add_text(sum, crc, name), dtype);
    for (uint32_t d = 0; d < ndim; d++) {
        unsigned char bytes[8];
        for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(shape[d] >> 8 * i);
        crc = eden_sum_bytes(sum, crc, bytes, sizeof bytes);
    }
    return scramble(crc);
}

void eden_sum_print(uint64_t value, char text[EDEN_SUM_ROOM])
{
    for (int i = 15; i >= 0; i--, value >>= 4) text[i] = "0123456789abcdef"[value & 15];
    text[16] = 0;
}

int eden_sum_parse(const char *text, uint64_t *value)
{
    uint64_t read = 0;
    for (int i = 0; i < 16; i++) {
        const char c = text[i];
        if (c >= '0' && c <= '9')
            read = read << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            read = read << 4 | (uint64_t)(c - 'a' + 10);
        else
            return 0;
    }
    if (text[16]) return 0;
    *value = read;
    return 1;
}
