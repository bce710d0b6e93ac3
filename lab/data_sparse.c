/* data_sparse.c - made-up documents, most of whose words are rare.
 *
 * Words have ranks from 1. A document is so many draws, each of the word of rank r with a
 * chance in proportion to 1 / r, as in natural language (Zipf, 1935); its features are 1
 * for words that are in it and 0 for the others. The first word is in nearly every document,
 * the last in one of 250.
 *
 * Each word has a weight, uniform in [-1, 1) whatever its rank. A document is of class 1 if
 * its words' weights, and noise uniform in [-1/4, 1/4), come to more than is expected of a
 * document. Words beyond the hundredth make half of what documents differ by. Whoever
 * learns them from a few documents each does better.
 *
 * All is a function of the seed, and in arithmetic that is the same everywhere. */
#include "lab/data.h"

#include <stdlib.h>
#include <string.h>

#include "lab/data_parts.h"
#include "lab/random.h"

enum { WORDS = LAB_SPARSE_WORDS, DRAWS = LAB_SPARSE_DRAWS, TRAIN = 8000, TEST = 2000 };

/* What random numbers under the seed are for. */
enum { WEIGHT = 0x7377, WORD = 0x7364, NOISE = 0x736e };

typedef struct {
    double until[WORDS];  /* chances of a word and of all before it, times their sum */
    double weight[WORDS];
    double expected;      /* of a document's words                                   */
} language;

static void make_language(language *l, uint64_t seed)
{
    const uint64_t key = lab_random_key(seed, WEIGHT);
    double sum = 0;
    for (int w = 0; w < WORDS; w++) l->until[w] = sum += 1 / (double)(w + 1);
    l->expected = 0;
    for (int w = 0; w < WORDS; w++) {
        double absent = 1;
        for (int i = 0; i < DRAWS; i++) absent *= 1 - 1 / (double)(w + 1) / sum;
        l->weight[w] = 2 * lab_random_uniform(key, (uint64_t)w) - 1;
        l->expected += l->weight[w] * (1 - absent);
    }
}

static int word_at(const language *l, double chance)
{
    const double wanted = chance * l->until[WORDS - 1];
    int from = 0, to = WORDS - 1;
    while (from < to) {
        const int middle = (from + to) / 2;
        if (wanted < l->until[middle]) to = middle;
        else from = middle + 1;
    }
    return from;
}

/* `number` counts through training and test documents. */
static int32_t write_document(const language *l, uint64_t seed, uint64_t number, float *x)
{
    const uint64_t words = lab_random_key(seed, WORD), noise = lab_random_key(seed, NOISE);
    double score = lab_random_uniform(noise, number) / 2 - 0.25;
    for (uint64_t i = 0; i < DRAWS; i++)
        x[word_at(l, lab_random_uniform(words, number * DRAWS + i))] = 1;
    for (int w = 0; w < WORDS; w++)
        if (x[w] > 0) score += l->weight[w];
    return score > l->expected;
}

eden_status lab_data_sparse(lab_data *data, uint64_t seed, eden_error *error)
{
    if (!data) return data_fail(error, EDEN_E_ARGUMENT, "lab_data_sparse: data is NULL");
    memset(data, 0, sizeof *data);
    data->channels = data->height = 1;
    data->features = data->width = WORDS;
    data->classes = 2;
    data->target_scale = 1;
    language *l = data_alloc(1, sizeof *l);
    eden_status status = l ? data_make_splits(data, TRAIN, TEST, "sparse", error)
                           : data_no_memory(error, "sparse");
    if (!status) make_language(l, seed);
    for (uint64_t i = 0; !status && i < TRAIN + TEST; i++) {
        const lab_split *split = i < TRAIN ? &data->train : &data->test;
        const uint64_t row = i < TRAIN ? i : i - TRAIN;
        split->label[row] = write_document(l, seed, i, split->x + row * WORDS);
    }
    free(l);
    if (status) {
        lab_data_free(data);
        return status;
    }
    data_set_name(data, "sparse", "sparse");
    data_set_hash(data);
    return EDEN_OK;
}
