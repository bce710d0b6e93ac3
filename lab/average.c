/* average.c - averages of the weights as people write them. */
#include <locale.h>
#include <string.h>

#include "lab/data_table.h"
#include "lab/train_run.h"

static eden_status misread(const char *text, const char *why, eden_error *error)
{
    return lab_fail(error, EDEN_E_VALUE, "average '%.60s': %s; write ema:DECAY[:START[:EVERY]] or "
                    "swa[:START[:EVERY]], such as ema:0.999", text, why);
}

/* One field up to ':' or the end, and what follows it; NULL if there is none. */
static const char *next_field(const char **at, size_t *length)
{
    const char *field = *at;
    if (!field) return NULL;
    *length = strcspn(field, ":");
    *at = field[*length] ? field + *length + 1 : NULL;
    return field;
}

/* A count from 1 to 1e15; 0 if it is none. */
static int read_count(const char *field, size_t length, uint64_t *count)
{
    *count = 0;
    if (length > 15) return 0;
    for (size_t i = 0; i < length; i++) {
        if (field[i] < '0' || field[i] > '9') return 0;
        *count = *count * 10 + (uint64_t)(field[i] - '0');
    }
    return *count > 0;
}

static int read_decay(const char *field, size_t length, double *decay)
{
    char text[32];
    if (length >= sizeof text) return 0;
    memcpy(text, field, length);
    text[length] = '\0';
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const int read = plain && table_number(text, length, plain, decay) == NUMBER_OK;
    if (plain) freelocale(plain);
    return read && *decay > 0 && *decay < 1;
}

eden_status lab_average_read(const char *text, eden_config *options, eden_error *error)
{
    size_t length = 0;
    const char *at = text, *kind = next_field(&at, &length), *field;
    const int ema = length == 3 && !strncmp(kind, "ema", 3);
    options->average = EDEN_SWA;
    options->average_start = options->average_every = 1;
    if (!ema && !(length == 3 && !strncmp(kind, "swa", 3)))
        return misread(text, "no average is called so", error);
    if (ema) {
        options->average = EDEN_EMA;
        field = next_field(&at, &length);
        if (!field || !read_decay(field, length, &options->average_decay))
            return misread(text, "the decay is no number between 0 and 1", error);
    }
    field = next_field(&at, &length);
    if (field && !read_count(field, length, &options->average_start))
        return misread(text, "the first step is no count", error);
    field = next_field(&at, &length);
    if (field && !read_count(field, length, &options->average_every))
        return misread(text, "the steps from one to the next are no count", error);
    return at ? misread(text, "there is too much of it", error) : EDEN_OK;
}
