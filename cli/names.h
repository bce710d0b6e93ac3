/* names.h - the optimizers as people know them: rules and presets in one list. */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <eden/eden.h>

typedef struct {
    const char *name, *title, *paper, *formula;
    uint32_t year;
    const eden_rule *rule;
    const eden_preset *preset; /* NULL for the rule's own name */
} cli_name;

/* All of them, oldest first. The caller frees the list; NULL without memory. */
cli_name *cli_names(size_t *count);

/* The oldest name, for examples; it lives with the program. */
const char *cli_oldest_name(void);

/* The nearest of several words to one that was mistyped. Start with
 * { word, NULL, 0 }, try each candidate, and `best` is one worth offering or
 * NULL. '-' and '_' count as equal. */
typedef struct {
    const char *word, *best;
    size_t distance;
} cli_nearest;
void cli_nearest_try(cli_nearest *nearest, const char *candidate);

/* "; did you mean 'X'?" or "". Returns `text`. */
#define CLI_HINT_ROOM 128
const char *cli_nearest_hint(const cli_nearest *nearest, const char *before,
                             char text[CLI_HINT_ROOM]);

/* Refuse an unknown optimizer with the nearest name. Returns the exit code. */
int cli_unknown_optimizer(const char *name);

#endif
