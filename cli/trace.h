/* trace.h - what `eden trace` has run, and the forms it is told in. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "cli/args.h"
#include "lab/trace.h"

typedef struct {
    char *name;         /* the optimizer's                                         */
    char *label;        /* the name, and settings other than lr behind a ':'       */
    char *settings;     /* as the library takes them                               */
    double lr;          /* NaN if it has none                                      */
    const char *source; /* of the rate                                             */
    lab_trace trace;
} cli_path;

typedef struct {
    const cli_args *args;
    const lab_surface *surface;
    uint64_t steps, seed;
    cli_path *paths;
    size_t count;
} cli_tracing;

/* Room for "(-1.2, 1)". Returns `text`. */
#define CLI_PLACE_ROOM 80
const char *cli_trace_place(const double w[2], char text[CLI_PLACE_ROOM]);

void cli_trace_table(const cli_tracing *t, FILE *out);
int cli_trace_json(const cli_tracing *t);

/* The surfaces, a line each or as JSON. */
void cli_trace_surfaces(FILE *out);
int cli_trace_surfaces_json(void);

/* As many as have a colour of their own. */
enum { CLI_PATHS = 10 };

typedef enum { CLI_PNG, CLI_SVG, CLI_GIF } cli_format;

/* Append the picture to `out`, in CLI_GIF the film of it. Has told a failure and
 * returns the exit code. */
int cli_trace_draw(const cli_tracing *t, cli_format format, FILE *out);

#endif
