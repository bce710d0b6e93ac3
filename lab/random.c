/* random.c - Philox4x32-10. */
#include "lab/random.h"

void lab_random_words(uint64_t key, const uint32_t counter[4], uint32_t words[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)0xD2511F53u * a, q = (uint64_t)0xCD9E8D57u * c;
        a = (uint32_t)(q >> 32) ^ b ^ k0;
        c = (uint32_t)(p >> 32) ^ d ^ k1;
        b = (uint32_t)q;
        d = (uint32_t)p;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

uint64_t lab_random_key(uint64_t seed, uint64_t purpose)
{
    const uint32_t counter[4] = { (uint32_t)purpose, (uint32_t)(purpose >> 32), 0, 0x4B657900u };
    uint32_t words[4];
    lab_random_words(seed, counter, words);
    return (uint64_t)words[1] << 32 | words[0];
}

static uint64_t bits_at(uint64_t key, uint64_t i)
{
    const uint32_t counter[4] = { (uint32_t)(i >> 1), (uint32_t)(i >> 33), 0, 0 };
    uint32_t words[4];
    lab_random_words(key, counter, words);
    return i & 1 ? (uint64_t)words[3] << 32 | words[2] : (uint64_t)words[1] << 32 | words[0];
}

double lab_random_uniform(uint64_t key, uint64_t i)
{
    return (double)(bits_at(key, i) >> 11) / 9007199254740992.0;
}

/* The bias of the remainder is n / 2^64. */
uint64_t lab_random_below(uint64_t key, uint64_t i, uint64_t n) { return bits_at(key, i) % n; }
