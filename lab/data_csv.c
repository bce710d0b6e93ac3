/* data_csv.c - a table with a header line, one column of which is predicted. */
#include "lab/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/data_column.h"
#include "lab/data_header.h"
#include "lab/data_parts.h"

enum { MIN_ROWS = 5 };

/* All of a file, as it is read. */
typedef struct {
    table table;
    header header;
    labels labels;
    locale_t c_locale;
    uint64_t features;
    double *x; /* rows x features */
    uint64_t x_room;
    int32_t *class_of;
    unsigned char *is_test;
    column_scale *scale;
} csv;

static eden_status refuse_field(const csv *c, uint64_t field, number_kind kind, eden_error *error)
{
    const table *t = &c->table;
    const char *text = table_field(t, field), *what = "is not a number; remove the column or the row";
    if (!*text) what = "is empty; fill it in, or remove the column or the row";
    if (kind == NUMBER_SPECIAL) what = "is not a finite number; remove the column or the row";
    if (kind == NUMBER_TOO_LARGE) what = "is too large for a number; correct it, or remove the column or the row";
    return data_fail(error, EDEN_E_FORMAT, "'%.200s', line %llu, column '%.60s': '%.40s' %s",
                     t->path, (unsigned long long)t->record_line, header_name(&c->header, field),
                     text, what);
}

static eden_status add_row(csv *c, eden_error *error)
{
    const table *t = &c->table;
    const uint64_t rows = c->labels.rows, label = c->header.label;
    if (t->fields != c->header.columns)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', line %llu: %llu field%s, but the header has %llu columns; "
                         "correct it, and quote fields with commas in them",
                         t->path, (unsigned long long)t->record_line,
                         (unsigned long long)t->fields, t->fields == 1 ? "" : "s",
                         (unsigned long long)c->header.columns);
    if (!data_grow(&c->x, &c->x_room, (rows + 1) * c->features, sizeof *c->x))
        return data_no_memory(error, t->path);
    double *to = c->x + rows * c->features;
    for (uint64_t i = 0; i < t->fields; i++) {
        if (i == label) continue;
        const number_kind kind =
            table_number(table_field(t, i), table_length(t, i), c->c_locale, to++);
        if (kind != NUMBER_OK) return refuse_field(c, i, kind, error);
    }
    return labels_add(&c->labels, table_field(t, label), table_length(t, label), t->record_line,
                      c->c_locale, error);
}

static eden_status read_rows(csv *c, eden_error *error)
{
    for (int found = 1;;) {
        eden_status status = table_next(&c->table, &found, error);
        if (status) return status;
        if (!found) break;
        status = add_row(c, error);
        if (status) return status;
    }
    if (c->labels.rows >= MIN_ROWS) return EDEN_OK;
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.200s' has %llu rows below its header; it takes %d, so that a fifth can be "
                     "the test set",
                     c->table.path, (unsigned long long)c->labels.rows, MIN_ROWS);
}

static eden_status scale_targets(csv *c, lab_data *data, eden_error *error)
{
    column_scale scale;
    const uint64_t refused =
        columns_standardize(c->labels.number, c->labels.rows, 1, c->is_test, &scale,
                            data->train.target, data->test.target);
    if (refused < 1)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', column '%.60s': values too large or too far apart to be scaled; "
                         "correct them, or divide the column",
                         c->table.path, c->labels.name);
    if (!(scale.deviation > 0))
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', column '%.60s': the training rows all have the same label; "
                         "take another seed, or more rows",
                         c->table.path, c->labels.name);
    data->target_scale = scale.deviation;
    return EDEN_OK;
}

static void share_classes(const csv *c, lab_data *data)
{
    int32_t *train = data->train.label, *test = data->test.label;
    for (uint64_t i = 0; i < c->labels.rows; i++)
        *(c->is_test[i] ? test++ : train++) = c->class_of[i];
}

/* From rows to training and test sets. */
static eden_status fill(csv *c, lab_data *data, uint64_t seed, eden_error *error)
{
    const uint64_t rows = c->labels.rows;
    eden_status status = labels_decide(&c->labels, &c->class_of, &data->classes, error);
    if (status) return status;
    c->is_test = data_alloc(rows, 1);
    c->scale = data_alloc(c->features, sizeof *c->scale);
    if (!c->is_test || !c->scale) return data_no_memory(error, c->table.path);
    data_draw_test(c->is_test, rows, seed);
    data->channels = data->height = 1;
    data->width = (uint32_t)c->features;
    data->features = c->features;
    data->target_scale = 1;
    status = data_make_splits(data, rows - rows / 5, rows / 5, c->table.path, error);
    if (status) return status;
    const uint64_t refused = columns_standardize(c->x, rows, c->features, c->is_test, c->scale,
                                                 data->train.x, data->test.x);
    if (refused < c->features)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', column '%.60s': values too large or too far apart to be scaled; "
                         "correct them, or divide the column",
                         c->table.path,
                         header_name(&c->header, refused + (refused >= c->header.label)));
    if (!c->class_of) return scale_targets(c, data, error);
    share_classes(c, data);
    return EDEN_OK;
}

static eden_status load(csv *c, lab_data *data, const char *path, const char *label, uint64_t seed,
                        eden_error *error)
{
    c->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c->c_locale) return data_no_memory(error, path);
    eden_status status = table_open(&c->table, path, error);
    if (!status) status = header_read(&c->header, &c->table, label, c->c_locale, error);
    if (status) return status;
    c->features = c->header.columns - 1;
    c->labels.path = c->table.path;
    c->labels.name = header_name(&c->header, c->header.label);
    status = read_rows(c, error);
    if (!status) status = fill(c, data, seed, error);
    return status;
}

static void close_csv(csv *c)
{
    if (c->c_locale) freelocale(c->c_locale);
    table_close(&c->table);
    header_free(&c->header);
    labels_free(&c->labels);
    free(c->x);
    free(c->class_of);
    free(c->is_test);
    free(c->scale);
    free(c);
}

eden_status lab_data_csv(lab_data *data, const char *path, const char *label,
                         const char *kind, uint64_t seed, eden_error *error)
{
    if (!data || !path || !label)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_data_csv: data, path or label is NULL");
    memset(data, 0, sizeof *data);
    if (kind && strcmp(kind, "class") && strcmp(kind, "value"))
        return data_fail(error, EDEN_E_VALUE, "'%.60s' is no kind of label: it is class or value",
                         kind);
    csv *c = data_alloc(1, sizeof *c);
    if (!c) return data_no_memory(error, path);
    c->labels.kind = kind;
    const eden_status status = load(c, data, path, label, seed, error);
    close_csv(c);
    if (status) {
        lab_data_free(data);
        return status;
    }
    data_set_name(data, path, "table");
    data_set_hash(data);
    return EDEN_OK;
}
