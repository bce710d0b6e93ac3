/* plot.c - `eden plot`: the logs of training runs as a picture. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/draft.h"
#include "cli/draw.h"
#include "cli/gnuplot.h"
#include "cli/interrupt.h"
#include "cli/output.h"

enum {
    POINTS = 100,     /* of a loss curve: the loss of single batches is mostly noise */
    LONGEST = 1 << 20 /* bytes of a line */
};

typedef struct {
    const char *path;
    char *optimizer, *title;
    int classes, thinned;
    size_t room[2];
    cli_curve curve;
} run_log;

static int malformed(const char *path, size_t line, const char *what)
{
    return cli_fail(CLI_DATA, "%.200s:%zu: %.200s", path, line, what);
}

static int add_point(run_log *log, int side, double x, double y)
{
    cli_line *line = &log->curve.line[side];
    if (line->count == log->room[side]) {
        const size_t room = log->room[side] ? 2 * log->room[side] : 256;
        double *xs = realloc(line->x, room * sizeof *xs);
        if (xs) line->x = xs;
        double *ys = realloc(line->y, room * sizeof *ys);
        if (ys) line->y = ys;
        if (!xs || !ys) return cli_no_memory();
        log->room[side] = room;
    }
    line->x[line->count] = x;
    line->y[line->count++] = y;
    return CLI_OK;
}

/* ---- one line ------------------------------------------------------------------------- */

static int read_header(run_log *log, const json_t *json)
{
    const char *command = json_string_value(json_object_get(json, "command"));
    const char *name = json_string_value(json_object_get(json, "optimizer"));
    const char *data = json_string_value(json_object_get(json, "data"));
    const char *network = json_string_value(json_object_get(json, "network"));
    const json_t *classes = json_object_get(json, "classes");
    char title[400];
    if (!command || !name || !json_is_integer(classes))
        return malformed(log->path, 1, "this is not the header of a log of 'eden train'");
    log->classes = json_integer_value(classes) > 0;
    snprintf(title, sizeof title, "%.80s%s%.100s", data ? data : "", data && network ? ": " : "",
             network ? network : "");
    log->optimizer = strdup(name);
    log->title = strdup(title);
    return log->optimizer && log->title ? CLI_OK : cli_no_memory();
}

/* A number, or null for one that JSON cannot say. */
static int number(const json_t *json, const char *key, double *value)
{
    const json_t *item = json_object_get(json, key);
    *value = json_is_number(item) ? json_number_value(item) : NAN;
    return json_is_number(item) || json_is_null(item);
}

static int read_record(run_log *log, size_t line, const json_t *json)
{
    double step, epoch, loss, test;
    if (json_object_get(json, "command"))
        return malformed(log->path, line, "a second header; one log holds one run");
    if (!number(json, "step", &step) || !number(json, "epoch", &epoch) || !(step >= 0)
        || !(epoch >= 0))
        return malformed(log->path, line, "a record needs 'step' and 'epoch', numbers from 0");
    if (!json_object_get(json, "train_loss")) {
        if (!number(json, "loss", &loss))
            return malformed(log->path, line, "a step's record needs the number 'loss'");
        return isfinite(loss) ? add_point(log, 0, step, loss) : CLI_OK;
    }
    if (!number(json, log->classes ? "test_accuracy" : "test_loss", &test))
        return malformed(log->path, line,
                         log->classes ? "an epoch's record needs the number 'test_accuracy'"
                                      : "an epoch's record needs the number 'test_loss'");
    if (!isfinite(test)) return CLI_OK;
    return add_point(log, 1, epoch, log->classes ? 100 * test : test);
}

static int read_line(run_log *log, size_t line, const char *text, size_t length)
{
    json_error_t why;
    char what[JSON_ERROR_TEXT_LENGTH + 40];
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    if (cli_lacked_memory()) {
        json_decref(json);
        return cli_no_memory();
    }
    if (!json_is_object(json)) {
        snprintf(what, sizeof what, "no JSON object%s%s", json ? "" : ": ", json ? "" : why.text);
        json_decref(json);
        return malformed(log->path, line, what);
    }
    const int code = line == 1 ? read_header(log, json) : read_record(log, line, json);
    json_decref(json);
    return code;
}

/* ---- one log --------------------------------------------------------------------------- */

/* A line and its end are read into `text`; 0 at the end of the file. A last line
 * without its end was torn when the run was killed, and counts as not there. */
static int next_line(FILE *file, char *text, size_t *length)
{
    *length = 0;
    for (int c; (c = getc(file)) != EOF;) {
        if (c == '\n' || *length == LONGEST) return 1;
        text[(*length)++] = (char)c;
    }
    return 0;
}

static int read_lines(run_log *log, FILE *file)
{
    int code = CLI_OK;
    size_t length, line = 0;
    char *text = malloc(LONGEST);
    if (!text) return cli_no_memory();
    while (!code && next_line(file, text, &length)) {
        line++;
        code = length < LONGEST ? read_line(log, line, text, length)
                                : malformed(log->path, line, "the line is longer than a MiB");
    }
    free(text);
    if (!code && ferror(file))
        code = cli_fail(cli_code(errno, CLI_IO), "cannot read '%.200s': %s", log->path, strerror(errno));
    if (!code && !line)
        code = malformed(log->path, 1, "the file is empty; a log begins with its header");
    if (!code && !log->curve.line[0].count && !log->curve.line[1].count)
        code = cli_fail(CLI_DATA, "'%.200s' has no record to draw yet", log->path);
    return code;
}

static int read_log(run_log *log, const char *path)
{
    struct stat about;
    log->path = path;
    int code = cli_can_read(path, 0);
    if (code) return code;
    /* A pipe without a writer must not make the command wait. */
    const int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "rb");
    if (!file) {
        code = cli_fail(cli_code(errno, CLI_NO_INPUT), "cannot read '%.200s': %s", path, strerror(errno));
        if (descriptor >= 0) close(descriptor);
        return code;
    }
    if (!fstat(descriptor, &about) && S_ISREG(about.st_mode))
        code = read_lines(log, file);
    else
        code = cli_fail(CLI_NO_INPUT, "'%.200s' is not a regular file", path);
    fclose(file);
    log->thinned = log->curve.line[0].count > POINTS;
    cli_line_thin(&log->curve.line[0], POINTS);
    cli_line_thin(&log->curve.line[1], POINTS);
    return code;
}

/* ---- all of them ------------------------------------------------------------------------- */

static int name_curves(run_log *logs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int repeated = 0;
        for (size_t k = 0; k < count; k++)
            repeated |= k != i && !strcmp(logs[i].optimizer, logs[k].optimizer);
        const char *slash = strrchr(logs[i].path, '/'), *file = slash ? slash + 1 : logs[i].path;
        char name[120];
        snprintf(name, sizeof name, repeated ? "%.30s, %.40s" : "%.30s", logs[i].optimizer, file);
        logs[i].curve.name = strdup(name);
        if (!logs[i].curve.name) return cli_no_memory();
    }
    return CLI_OK;
}

static int draw(const cli_args *args, const run_log *logs, size_t count, int svg)
{
    cli_draft draft;
    cli_curve curves[CLI_CURVES];
    int same = 1, thinned = 0;
    for (size_t i = 0; i < count; i++) {
        curves[i] = logs[i].curve;
        thinned |= logs[i].thinned;
        same &= !strcmp(logs[i].title, logs[0].title);
        if (logs[i].classes != logs[0].classes)
            return cli_fail(CLI_DATA, "'%.100s' predicts %s and '%.100s' %s; draw them apart",
                            logs[0].path, logs[0].classes ? "classes" : "a value", logs[i].path,
                            logs[i].classes ? "classes" : "a value");
    }
    const int classes = logs[0].classes;
    const cli_picture picture = {
        .title = same ? logs[0].title : "Training runs",
        .panel = { { classes ? "Training loss, cross-entropy" : "Training loss",
                     thinned ? "step (means of neighbouring steps)" : "step", CLI_LOSS, 0, NULL },
                   { classes ? "Test accuracy, %" : "Test loss", "epoch",
                     classes ? CLI_PERCENT : CLI_LOSS, 0, NULL } },
        .curves = curves,
        .count = count,
    };
    int code = cli_draft_open(&draft, NULL, cli_text(args, "output", ""));
    if (!code) code = cli_draw(&picture, (cli_look){ svg, 0, 0 }, draft.file);
    if (!code) code = cli_draft_close(&draft);
    if (!code) code = cli_draft_commit(&draft);
    cli_draft_discard(&draft);
    return code;
}

static int picture_kind(const cli_args *args, int *svg)
{
    const char *path = cli_text(args, "output", NULL);
    if (!path) return cli_usage(args->command, "-o FILE is missing: the picture to write");
    const char *slash = strrchr(path, '/'), *end = strrchr(slash ? slash : path, '.');
    *svg = end && !strcmp(end, ".svg");
    if (!*svg && (!end || strcmp(end, ".png") != 0))
        return cli_usage(args->command, "'%.200s' ends in neither .png nor .svg", path);
    if (args->operand_count > CLI_CURVES)
        return cli_usage(args->command, "%zu logs are more than the %d curves that can be told "
                         "apart in one picture", args->operand_count, CLI_CURVES);
    return CLI_OK;
}

int cli_plot(const cli_args *args)
{
    int svg = 0;
    int code = picture_kind(args, &svg);
    if (code) return code;
    run_log *logs = calloc(args->operand_count, sizeof *logs);
    if (!logs) return cli_no_memory();
    for (size_t i = 0; !code && i < args->operand_count; i++)
        code = read_log(&logs[i], args->operands[i]);
    if (!code) code = cli_can_create(cli_text(args, "output", NULL));
    if (!code) code = cli_gnuplot_check();
    if (!code) code = name_curves(logs, args->operand_count);
    if (!code) {
        cli_interrupt_catch();
        code = draw(args, logs, args->operand_count, svg);
    }
    for (size_t i = 0; i < args->operand_count; i++) {
        free(logs[i].optimizer);
        free(logs[i].title);
        cli_curve_free(&logs[i].curve);
    }
    free(logs);
    return code;
}
