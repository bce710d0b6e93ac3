/* data_header.c - the names of a table's columns. */
#include "lab/data_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/data_parts.h"

void header_free(header *h)
{
    free(h->names);
    free(h->start);
    memset(h, 0, sizeof *h);
}

/* ---- is it one? ---------------------------------------------------------------------- */

/* Numbers in the first line are data, unless they count the columns from 0 as
 * many programs write it. */
static int is_all_numbers(const table *t, locale_t c_locale)
{
    int counts = 1;
    for (uint64_t i = 0; i < t->fields; i++) {
        double value = -1;
        const number_kind kind =
            table_number(table_field(t, i), table_length(t, i), c_locale, &value);
        if (kind == NUMBER_NONE) return 0;
        counts &= value == (double)i;
    }
    return !counts;
}

static eden_status check_fields(const table *t, locale_t c_locale, eden_error *error)
{
    if (is_all_numbers(t, c_locale))
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', line %llu: only numbers where the names of the columns belong; "
                         "add a header line",
                         t->path, (unsigned long long)t->record_line);
    if (t->fields == 1) {
        const char *first = table_field(t, 0);
        const char *mend = strchr(first, ';')    ? "separate the fields with commas, not semicolons"
                           : strchr(first, '\t') ? "separate the fields with commas, not tabs"
                                                 : "add a column to predict from";
        return data_fail(error, EDEN_E_FORMAT, "'%.200s' has a single column, '%.60s'; %s", t->path,
                         first, mend);
    }
    for (uint64_t i = 0; i < t->fields; i++)
        if (!*table_field(t, i))
            return data_fail(error, EDEN_E_FORMAT,
                             "'%.200s', line %llu: column %llu has no name; name it, or remove it "
                             "if it only counts the rows",
                             t->path, (unsigned long long)t->record_line, (unsigned long long)i + 1);
    return EDEN_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static eden_status check_different(const header *h, const char *path, eden_error *error)
{
    const char **sorted = data_alloc(h->columns, sizeof *sorted), *twice = NULL;
    if (!sorted) return data_no_memory(error, path);
    for (uint64_t i = 0; i < h->columns; i++) sorted[i] = header_name(h, i);
    qsort(sorted, (size_t)h->columns, sizeof *sorted, compare_texts);
    for (uint64_t i = 1; i < h->columns && !twice; i++)
        if (!strcmp(sorted[i - 1], sorted[i])) twice = sorted[i];
    free(sorted);
    if (!twice) return EDEN_OK;
    return data_fail(error, EDEN_E_FORMAT, "'%.200s': two columns are called '%.60s'; rename one",
                     path, twice);
}

/* ---- the label --------------------------------------------------------------------------- */

enum { MAX_WORD = 63, MAX_LISTED = 8, MAX_TRIED = 10000 };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* Changes of single letters that make one word the other, case aside. */
static size_t distance(const char *a, const char *b)
{
    size_t row[MAX_WORD + 1];
    const size_t n = strlen(b);
    for (size_t k = 0; k <= n; k++) row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < n; k++) {
            const size_t above = row[k + 1];
            size_t best = diagonal + (lower(a[i]) != lower(b[k]));
            if (above + 1 < best) best = above + 1;
            if (row[k] + 1 < best) best = row[k] + 1;
            row[k + 1] = best;
            diagonal = above;
        }
    }
    return row[n];
}

static const char *nearest(const header *h, const char *label)
{
    const char *best = NULL;
    const size_t length = strlen(label);
    size_t least = length / 3 + 1;
    for (uint64_t i = 0; i < h->columns && i < MAX_TRIED && length <= MAX_WORD; i++) {
        const char *name = header_name(h, i);
        const size_t n = strlen(name);
        if (n > MAX_WORD || n > length + least || length > n + least) continue;
        const size_t far = distance(label, name);
        const int nothing_in_common = far >= (n > length ? n : length);
        if (far > least || nothing_in_common || (best && far == least)) continue;
        least = far;
        best = name;
    }
    return best;
}

static eden_status refuse_label(const header *h, const char *path, const char *label,
                                eden_error *error)
{
    char list[200] = "";
    size_t used = 0;
    const char *near = nearest(h, label);
    if (near)
        return data_fail(error, EDEN_E_NAME,
                         "'%.200s' has no column '%.60s'; did you mean '%.60s'?", path, label, near);
    for (uint64_t i = 0; i < h->columns && i < MAX_LISTED; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%.20s", i ? ", " : "",
                                 header_name(h, i));
    return data_fail(error, EDEN_E_NAME, "'%.150s' has no column '%.60s'; it has %s%s", path, label,
                     list, h->columns > MAX_LISTED ? ", ..." : "");
}

/* ---- reading ------------------------------------------------------------------------------- */

eden_status header_read(header *h, table *t, const char *label, locale_t c_locale,
                        eden_error *error)
{
    int found;
    memset(h, 0, sizeof *h);
    eden_status status = table_next(t, &found, error);
    if (!status && !found)
        status = data_fail(error, EDEN_E_FORMAT,
                           "'%.200s' is empty; its first line should name the columns", t->path);
    if (!status) status = check_fields(t, c_locale, error);
    if (status) return status;
    h->columns = t->fields;
    h->names = data_alloc(t->used, 1);
    h->start = data_alloc(t->fields, sizeof *h->start);
    if (!h->names || !h->start) return data_no_memory(error, t->path);
    memcpy(h->names, t->text, (size_t)t->used);
    memcpy(h->start, t->start, (size_t)t->fields * sizeof *h->start);
    status = check_different(h, t->path, error);
    if (status) return status;
    while (h->label < h->columns && strcmp(header_name(h, h->label), label)) h->label++;
    return h->label < h->columns ? EDEN_OK : refuse_label(h, t->path, label, error);
}
