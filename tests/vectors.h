/* vectors.h - reads tests/vectors/RULE.txt; tests/oracle/README.md has the format. */
#ifndef EDEN_TESTS_VECTORS_H
#define EDEN_TESTS_VECTORS_H

#include <eden/core.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS 8    /* p, g and the state of a step    */
#define MAX_STEPS 32
#define MAX_CASES 128

/* A number of the file: the exact value, 2^exponent as its unit in the last
 * place, and whether it may be compared. */
typedef struct {
    double value;
    int exponent, fair;
} wanted;

typedef struct {
    const char *name;
    size_t count;
    wanted *at;
} row;

typedef struct {
    uint64_t t;
    size_t count;
    row rows[MAX_ROWS];
} vector_step;

typedef struct {
    const char *name, *rule, *settings, *wrong, *slots, *made;
    eden_extent extent;
    float scale;
    double free_size;  /* norm of the largest weights on the free run's way */
    row free;
    size_t start_count, step_count;
    row start[MAX_ROWS];
    vector_step steps[MAX_STEPS];
} vector_case;

typedef struct {
    char *text;
    const char *defaults[MAX_ROWS]; /* "NAME setting=value ..." */
    size_t default_count, case_count;
    vector_case *cases;
} vector_file;

static inline int own_exponent(double x)
{
    int e;
    if (x == 0) return -149;
    frexp(x, &e);
    return e - 24 > -149 ? e - 24 : -149;
}

/* "VALUE", "VALUE@EXPONENT", either with a ? at its end. */
static inline row read_row(const char *name, const char *text)
{
    row r = { name, 0, malloc((strlen(text) / 2 + 1) * sizeof(wanted)) };
    for (char *end; r.at; text = end) {
        wanted w;
        w.value = strtod(text, &end);
        if (end == text) break;
        w.exponent = own_exponent(w.value);
        if (*end == '@') w.exponent = (int)strtol(end + 1, &end, 10);
        w.fair = *end != '?';
        end += *end == '?';
        r.at[r.count++] = w;
    }
    return r;
}

static inline const row *find_row(const row *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

static inline int read_shape(vector_case *c, char *rest)
{
    c->extent.rows = strtoull(rest, &rest, 10);
    c->extent.cols = strtoull(rest, &rest, 10);
    c->extent.count = c->extent.rows * c->extent.cols;
    return c->extent.count > 0;
}

/* A line inside a case; 0 if it cannot be kept. */
static inline int read_line(vector_case *c, const char *key, char *rest)
{
    vector_step *step = c->step_count ? &c->steps[c->step_count - 1] : NULL;
    if (strcmp(key, "rule") == 0) return (c->rule = rest) != NULL;
    if (strcmp(key, "set") == 0) return (c->settings = rest) != NULL;
    if (strcmp(key, "wrong") == 0) return (c->wrong = rest) != NULL;
    if (strcmp(key, "slots") == 0) return (c->slots = rest) != NULL;
    if (strcmp(key, "made") == 0) return (c->made = rest) != NULL;
    if (strcmp(key, "shape") == 0) return read_shape(c, rest);
    if (strcmp(key, "scale") == 0) {
        c->scale = (float)strtod(rest, NULL);
        return 1;
    }
    if (strcmp(key, "free") == 0) {
        c->free_size = strtod(rest, &rest);
        c->free = read_row("free", rest);
        return c->free.at != NULL;
    }
    if (strcmp(key, "step") == 0) {
        if (c->step_count == MAX_STEPS) return 0;
        c->steps[c->step_count++].t = strtoull(rest, NULL, 10);
        return 1;
    }
    if (step && step->count < MAX_ROWS)
        return (step->rows[step->count++] = read_row(key, rest)).at != NULL;
    if (!step && c->start_count < MAX_ROWS)
        return (c->start[c->start_count++] = read_row(key, rest)).at != NULL;
    return 0;
}

static inline void free_vectors(vector_file *f)
{
    for (size_t i = 0; i < f->case_count; i++) {
        vector_case *c = &f->cases[i];
        for (size_t k = 0; k < c->start_count; k++) free(c->start[k].at);
        for (size_t s = 0; s < c->step_count; s++)
            for (size_t k = 0; k < c->steps[s].count; k++) free(c->steps[s].rows[k].at);
        free(c->free.at);
    }
    free(f->cases);
    free(f->text);
}

static inline char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    if (!file) return NULL;
    if (fseek(file, 0, SEEK_END) == 0) {
        const long size = ftell(file);
        if (size >= 0 && (text = malloc((size_t)size + 1)) != NULL) {
            rewind(file);
            text[fread(text, 1, (size_t)size, file)] = 0;
        }
    }
    fclose(file);
    return text;
}

/* Returns 0, or the number of the line at fault, or -1 if there is no file. */
static inline long read_vectors(vector_file *f, const char *path)
{
    long number = 0;
    vector_case *c = NULL;
    memset(f, 0, sizeof *f);
    f->text = read_text(path);
    f->cases = calloc(MAX_CASES, sizeof *f->cases);
    if (!f->text || !f->cases) return -1;
    for (char *line = f->text, *next; line; line = next) {
        number++;
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        if (*line == '#' || *line == 0) continue;
        char *rest = strchr(line, ' ');
        if (rest) *rest++ = 0;
        if (strcmp(line, "end") == 0) {
            c = NULL;
        } else if (!rest) {
            return number;
        } else if (c) {
            if (!read_line(c, line, rest)) return number;
        } else if (strcmp(line, "defaults") == 0 && f->default_count < MAX_ROWS) {
            f->defaults[f->default_count++] = rest;
        } else if (strcmp(line, "case") == 0 && f->case_count < MAX_CASES) {
            c = &f->cases[f->case_count++];
            c->name = rest;
            c->scale = 1;
        } else {
            return number;
        }
    }
    return c ? number : 0;
}

/* Set hypers from "name=value name=value", also with commas; a choice by its
 * name. Returns how many, or -1 at something unknown. */
static inline int apply_settings(const eden_rule *rule, double *hypers, const char *text)
{
    int count = 0;
    while (text && *text) {
        char name[64], value[64];
        if (sscanf(text, " %63[a-z0-9_] = %63[^ ,]", name, value) != 2) return -1;
        const size_t i = eden_rule_hyper_index(rule, name);
        if (i == SIZE_MAX) return -1;
        const eden_hyper *h = eden_rule_hyper(rule, i);
        char *end;
        hypers[i] = strtod(value, &end);
        if (*end) {
            const char *at = h->choices;
            const size_t length = strlen(value);
            for (hypers[i] = 0; at && (strncmp(at, value, length) || (at[length] && at[length] != ','));
                 hypers[i]++)
                at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
            if (!at) return -1;
        }
        count++;
        text = strpbrk(text, " ,");
        while (text && (*text == ' ' || *text == ',')) text++;
    }
    return count;
}

#endif
