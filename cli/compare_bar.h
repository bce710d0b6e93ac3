/* compare_bar.h - how far a comparison is, on a terminal. */
#ifndef CLI_COMPARE_BAR_H
#define CLI_COMPARE_BAR_H

#include <stdint.h>
#include <stdio.h>

typedef struct {
    FILE *out;
    int shown;             /* 0: no terminal, and nothing is drawn              */
    int drawn;             /* columns of the line that stands there             */
    uint64_t done, all;    /* steps of the whole comparison                     */
    double begun, last;    /* clock                                             */
} cli_bar;

void cli_bar_begin(cli_bar *bar, FILE *out, uint64_t all);

/* `label` names what runs; drawn at most ten times a second. */
void cli_bar_show(cli_bar *bar, uint64_t done, const char *label);

/* Take the line away, so that other text can be printed. */
void cli_bar_clear(cli_bar *bar);

#endif
