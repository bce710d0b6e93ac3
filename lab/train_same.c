/* train_same.c - ranks that would learn different things from different data, and never notice. */
#include "lab/train_run.h"

#include <stdio.h>

enum { MOST = 64, LAST = 4 };

static const char *number(uint64_t value, char room[LAB_FIELD_ROOM])
{
    snprintf(room, LAB_FIELD_ROOM, "%llu", (unsigned long long)value);
    return room;
}

/* First what was asked for, then what followed from it. */
eden_status lab_run_compare_ranks(const lab_run *run, eden_error *error)
{
    char room[MOST][LAB_FIELD_ROOM];
    const lab_problem *p = run->problem;
    lab_alike all[MOST] = { { "data", p->data }, { "data of the checksum", room[0] } };
    const char *name, *text = NULL;
    size_t n = 2;
    snprintf(room[0], sizeof room[0], "%016llx", (unsigned long long)p->hash);
    for (size_t i = 0; n < MOST - LAST && (name = lab_config_field(&run->config, i, &text, room[n])); i++)
        all[n++] = (lab_alike){ name, text };
    all[n] = (lab_alike){ "the network", p->network }, n++;
    all[n] = (lab_alike){ "weights:", number(p->weights, room[n]) }, n++;
    all[n] = (lab_alike){ "examples:", number(p->examples, room[n]) }, n++;
    all[n] = (lab_alike){ "batches in an epoch:", number(p->batches, room[n]) }, n++;
    return lab_ranks_compare(run->config.ranks, all, n, error);
}
