/* rates_advice.c - where to start: the guidelines, with names and rates. */
#include <string.h>

#include "lab/advice.h"

static const lab_advice table[] = {
    { "vision", "images, from scratch", "momentum", "weight_decay=5e-4", 0.1,
      "cosine(%s, end=0.01)", 0, 0, 1,
      "The usual start for convolutional networks; the rate counts for much, so search it.",
      "vision-sgd vision-generalizes vision-generalizes-cnn" },
    { "finetune", "continue a trained network on other data", "adamw", "weight_decay=0.01", 3e-5,
      "warmup(%w) * cosine(%s, end=0.1)", 0.05, 1, 0,
      "A small rate keeps what was learned; give new layers ten times as much.", "finetune-adamw finetune-small-rate finetune-pays" },
    { "language", "transformers, from scratch", "adamw", "beta2=0.95,weight_decay=0.1", 3e-4,
      "warmup(%w) * cosine(%s, end=0.1)", 0.02, 1, 0,
      "The usual start for transformers; small ones bear a rate ten times as large.",
      "text-adamw schedule-text" },
    { "gan", "a generator against a discriminator", "adam", "beta1=0.5", 2e-4, "constant(1)", 0, 0, 1,
      "Little memory of past gradients, since the other network moves on.", "gan-adam gan-rate" },
    { "rl", "policy gradients", "adam", "eps=1e-5", 3e-4, "linear(%s, end=0)", 0, 0.5, 1,
      "Returns are noisy and of any size; the update does not depend on their scale.", "rl-adam rl-rate" },
    { "sparse", "rare features, embeddings", "adagrad", "", 0.05, "constant(1)", 0, 0, 1,
      "Rare features keep a large rate of their own; it decays by itself.",
      "sparse-adagrad sparse-adam adagrad-dies" },
    { "large-batch", "very many examples to a step", "lamb", "weight_decay=0.01", 2e-3,
      "warmup(%w) * linear(%s, end=0)", 0.1, 0, 0,
      "Each layer's step follows the size of its weights.", "lamb-large lamb-large-sgd" },
    { "other", "none of these", "adam", "", 1e-3, "cosine(%s, end=0.01)", 0, 0, 1,
      "Works at its default rate more often than others.", "adam-untuned adam-fast" },
};

static const lab_advice lean = {
    "memory", "less state than any other", "adafactor", "", 0.02, "warmup(%w) * cosine(%s, end=0.1)",
    0.02, 0, 1, "Keeps a number for each row and column of a matrix in place of each weight.",
    "memory-adafactor adafactor-as-good"
};

const lab_advice *lab_advice_at(size_t i)
{
    return i < sizeof table / sizeof *table ? &table[i] : NULL;
}

const lab_advice *lab_advice_find(const char *task)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].task, task)) return &table[i];
    return NULL;
}

uint64_t lab_advice_large_batch(void) { return 8192; }

const lab_advice *lab_advice_lean(void) { return &lean; }
