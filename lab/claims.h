/* claims.h - what is said of optimizers, and the experiment behind each sentence.
 *
 * An experiment is two lines of the `eden` command that differ in `side`, run with the same
 * seeds, and one number of what they print. A claim is about the ratio of the first side's
 * number to the second's, or where a measure says so, about their difference. */
#ifndef LAB_CLAIMS_H
#define LAB_CLAIMS_H

#include <stddef.h>

typedef struct {
    const char *id, *topic; /* the latter as a heading                                */
    const char *sentence;   /* as it is said                                          */
    const char *line;       /* of both sides, from the command's name on; "{mnist}"
                               stands for a folder of the user's                      */
    const char *quick;      /* the same in less time; NULL: line                      */
    const char *side[2];    /* words behind the line                                  */
    const char *measure;    /* one of evidence_judge.c                                */
    double target;          /* of steps: the test metric to be reached, as printed    */
    int tuned;              /* 1: each side searches its learning rate first, among as
                               many as the other                                      */
    int sense;              /* -1: the claim is that the number is below `bound`,
                               1: above                                               */
    double bound;           /* 1 for a ratio and 0 for a difference, unless the claim says
                               by how much                                            */
} lab_claim;

/* The i-th claim, or NULL past the end; and the one of that name, or NULL. */
const lab_claim *lab_claim_at(size_t i);
const lab_claim *lab_claim_find(const char *id);

/* What docs/evidence.md, the page that was measured last, says of a claim. */
typedef struct {
    const char *id;
    const char *verdict;    /* "holds", "does not hold", "undecided", "not run"       */
    const char *effect;     /* "0.93 times [0.85, 1.03]"                              */
    unsigned runs;          /* of each side                                           */
} lab_measured;

/* NULL: the page does not have it. */
const lab_measured *lab_measured_find(const char *id);

#endif
