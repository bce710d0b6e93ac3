/* draw.h - two panels of curves with one legend: loss, and how good the network is. */
#ifndef CLI_DRAW_H
#define CLI_DRAW_H

#include <stddef.h>
#include <stdio.h>

/* Points in order of x; values that are not finite are left out. */
typedef struct {
    double *x, *y;
    double *low, *high; /* a band about each y, or NULL                         */
    size_t count;
} cli_line;

typedef struct {
    char *name;        /* any text: it is drawn as it stands                    */
    cli_line line[2];  /* one for each panel                                    */
} cli_curve;

typedef struct {
    const char *title, *x_label; /* the title names the unit                    */
    enum { CLI_PERCENT, CLI_LOSS, CLI_VALUE } scale; /* of a loss ratios count  */
    double target;     /* a line across, if above 0                              */
    const char *x_tics; /* as gnuplot takes them; NULL: whole numbers            */
} cli_panel;

typedef struct {
    const char *title; /* may be empty */
    cli_panel panel[2];
    const cli_curve *curves;
    size_t count;
} cli_picture;

/* Curves are told apart by colour, dash and mark; beyond this many, no more. */
#define CLI_CURVES 40

typedef struct {
    int svg;  /* else PNG                                                      */
    int tall; /* panels above each other, for a narrow screen                  */
    int dark; /* for a dark page                                               */
} cli_look;

/* Append the picture to `out`. Has told a failure and returns the exit code. */
int cli_draw(const cli_picture *picture, cli_look look, FILE *out);

/* For other pictures: the terminal of gnuplot that draws so many pixels, and colour, dash
 * and mark of the i-th curve. */
void cli_draw_terminal(FILE *out, int svg, int width, int height, const char *paper);
const char *cli_draw_colour(size_t i, int dark);
const char *cli_draw_dash(size_t i); /* as gnuplot's `dashtype` takes it */
int cli_draw_mark(size_t i);

/* Room for `count` points, with a band if `band` is 1; 0 without memory. */
int cli_line_create(cli_line *line, size_t count, int band);
void cli_curve_free(cli_curve *curve);

/* Replace runs of neighbouring points by their means until at most `most` are left. */
void cli_line_thin(cli_line *line, size_t most);

#endif
