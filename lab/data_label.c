/* data_label.c - what to predict: classes, or values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/data_column.h"
#include "lab/data_parts.h"

enum { TOO_MANY = LABELS_MAX_CLASSES + 1 };

void labels_free(labels *l)
{
    free(l->number);
    free(l->word);
    free(l->text);
    memset(l, 0, sizeof *l);
}

static uint32_t hash_text(const char *text, size_t length)
{
    uint32_t hash = 0x811c9dc5u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)text[i]) * 0x01000193u;
    return hash ^ hash >> 15;
}

/* The index of a text among the different ones so far, new or not. */
static eden_status intern(labels *l, const char *text, size_t length, uint32_t *index,
                          eden_error *error)
{
    uint32_t slot = hash_text(text, length) % LABELS_SLOTS;
    *index = 0;
    if (l->words == TOO_MANY) return EDEN_OK;
    for (; l->slot[slot]; slot = (slot + 1) % LABELS_SLOTS) {
        *index = l->slot[slot] - 1u;
        if (!strcmp(l->text + l->at[*index], text)) return EDEN_OK;
    }
    if (l->words == LABELS_MAX_CLASSES) {
        l->words = TOO_MANY;
        return EDEN_OK;
    }
    if (!data_grow(&l->text, &l->text_room, l->used + length + 1, 1))
        return data_no_memory(error, l->path);
    memcpy(l->text + l->used, text, length + 1);
    *index = l->words++;
    l->at[*index] = l->used;
    l->used += length + 1;
    l->slot[slot] = (uint16_t)l->words;
    return EDEN_OK;
}

/* Is a label that is not an ordinary number allowed? */
static eden_status check_text(const labels *l, number_kind number, const char *text, uint64_t line,
                              eden_error *error)
{
    const char *what = NULL;
    const int is_class = l->kind && !strcmp(l->kind, "class");
    if (!*text)
        what = "is empty; remove the row";
    else if (l->kind && !is_class)
        what = "is not a finite number, as a value must be; correct it, or remove the row";
    else if (!is_class && number == NUMBER_SPECIAL)
        what = "is not a finite number; remove the row, or say that the label is a class";
    else if (!is_class && number == NUMBER_TOO_LARGE)
        what = "is too large a number; mend it, or say that the label is a class";
    if (!what) return EDEN_OK;
    return data_fail(error, EDEN_E_FORMAT, "'%.200s', line %llu, column '%.60s': '%.40s' %s",
                     l->path, (unsigned long long)line, l->name, text, what);
}

eden_status labels_add(labels *l, const char *text, size_t length, uint64_t line,
                       locale_t c_locale, eden_error *error)
{
    double number = NAN;
    const number_kind kind = table_number(text, length, c_locale, &number);
    eden_status status = kind == NUMBER_OK ? EDEN_OK : check_text(l, kind, text, line, error);
    uint32_t word;
    if (!status) status = intern(l, text, length, &word, error);
    if (status) return status;
    if (!data_grow(&l->number, &l->number_room, l->rows + 1, sizeof *l->number) ||
        !data_grow(&l->word, &l->word_room, l->rows + 1, sizeof *l->word))
        return data_no_memory(error, l->path);
    if (kind != NUMBER_OK && !l->text_line) l->text_line = line;
    if (kind == NUMBER_OK && fabs(number) >= 0x1p53 && !strpbrk(text, "eE") && !l->large_line)
        l->large_line = line;
    l->number[l->rows] = number;
    l->word[l->rows++] = word;
    return EDEN_OK;
}

/* ---- deciding ------------------------------------------------------------------------ */

static int all_small_whole(const labels *l)
{
    for (uint64_t i = 0; i < l->rows; i++)
        if (!(l->number[i] >= 0 && l->number[i] < LABELS_MAX_CLASSES &&
              l->number[i] == floor(l->number[i])))
            return 0;
    return 1;
}

static eden_status refuse_many(const labels *l, eden_error *error)
{
    if (l->text_line && !l->kind)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', column '%.60s': more than %d different values are too many "
                         "classes, and the one on line %llu is not a number; correct it, or predict another column",
                         l->path, l->name, LABELS_MAX_CLASSES, (unsigned long long)l->text_line);
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.200s', column '%.60s': more than %d different values are too many classes; "
                     "predict another column, or say that it is a value",
                     l->path, l->name, LABELS_MAX_CLASSES);
}

/* Two such numbers in text may be one in memory: names, perhaps, but no classes. */
static eden_status refuse_large(const labels *l, eden_error *error)
{
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.200s', line %llu, column '%.60s': a number of 2^53 or more, which is not "
                     "told from its neighbours; put a letter in front, or say that the label is a "
                     "value",
                     l->path, (unsigned long long)l->large_line, l->name);
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static eden_status number_classes(const labels *l, int32_t *class_of, uint32_t *classes,
                                  eden_error *error)
{
    double *sorted = data_alloc(l->rows, sizeof *sorted);
    uint64_t n = 1;
    if (!sorted) return data_no_memory(error, l->path);
    memcpy(sorted, l->number, (size_t)l->rows * sizeof *sorted);
    qsort(sorted, (size_t)l->rows, sizeof *sorted, compare_numbers);
    for (uint64_t i = 1; i < l->rows; i++)
        if (sorted[i] > sorted[n - 1]) sorted[n++] = sorted[i];
    for (uint64_t i = 0; i < l->rows && n <= LABELS_MAX_CLASSES; i++) {
        const double *at =
            bsearch(&l->number[i], sorted, (size_t)n, sizeof *sorted, compare_numbers);
        class_of[i] = (int32_t)(at - sorted);
    }
    free(sorted);
    *classes = (uint32_t)(n <= LABELS_MAX_CLASSES ? n : TOO_MANY);
    return *classes == TOO_MANY ? refuse_many(l, error) : EDEN_OK;
}

static eden_status text_classes(const labels *l, int32_t *class_of, uint32_t *classes,
                                eden_error *error)
{
    const char *sorted[LABELS_MAX_CLASSES];
    int32_t rank[LABELS_MAX_CLASSES] = { 0 };
    if (l->words == TOO_MANY) return refuse_many(l, error);
    for (uint32_t i = 0; i < l->words; i++) sorted[i] = l->text + l->at[i];
    qsort(sorted, l->words, sizeof *sorted, compare_texts);
    for (uint32_t i = 0; i < l->words; i++) {
        const char *text = l->text + l->at[i];
        const char *const *at = bsearch(&text, sorted, l->words, sizeof *sorted, compare_texts);
        rank[i] = (int32_t)(at - sorted);
    }
    for (uint64_t i = 0; i < l->rows; i++) class_of[i] = rank[l->word[i]];
    *classes = l->words;
    return EDEN_OK;
}

static eden_status decide(const labels *l, int32_t *class_of, uint32_t *classes, eden_error *error)
{
    const int value = l->kind ? !strcmp(l->kind, "value") : !l->text_line && !all_small_whole(l);
    int differ = 0;
    *classes = 0;
    if (l->large_line && !l->text_line && !(l->kind && value)) return refuse_large(l, error);
    if (!value) {
        const eden_status status = l->text_line ? text_classes(l, class_of, classes, error)
                                                : number_classes(l, class_of, classes, error);
        if (status) return status;
    }
    for (uint64_t i = 1; value && i < l->rows && !differ; i++) differ = l->number[i] != l->number[0];
    if (differ || *classes > 1) return EDEN_OK;
    return data_fail(error, EDEN_E_FORMAT,
                     "'%.200s', column '%.60s': every row has the same label, so there is nothing "
                     "to predict; predict another column",
                     l->path, l->name);
}

eden_status labels_decide(const labels *l, int32_t **class_of, uint32_t *classes,
                          eden_error *error)
{
    *class_of = data_alloc(l->rows, sizeof **class_of);
    if (!*class_of) return data_no_memory(error, l->path);
    const eden_status status = decide(l, *class_of, classes, error);
    if (status || *classes == 0) {
        free(*class_of);
        *class_of = NULL;
    }
    return status;
}
