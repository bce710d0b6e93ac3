/* random.h - random numbers by counter: the value at a place is a function of the
 * key and the place, so that no order of drawing and no thread changes it. */
#ifndef LAB_RANDOM_H
#define LAB_RANDOM_H

#include <stdint.h>

/* Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * 2011: four words from a key and a counter of four words. */
void lab_random_words(uint64_t key, const uint32_t counter[4], uint32_t words[4]);

/* A key for one purpose of many under the same seed. */
uint64_t lab_random_key(uint64_t seed, uint64_t purpose);

/* Number `i` of a stream, uniform in [0, 1) with 53 bits. */
double lab_random_uniform(uint64_t key, uint64_t i);

/* Number `i` of a stream, uniform in 0 to n - 1; n is at least 1. */
uint64_t lab_random_below(uint64_t key, uint64_t i, uint64_t n);

#endif
