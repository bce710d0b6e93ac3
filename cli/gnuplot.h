/* gnuplot.h - pictures by gnuplot, which runs as a child process.
 *
 * The script goes to its standard input and the picture comes from its standard
 * output: no shell is involved, and no file's name is part of a script. */
#ifndef CLI_GNUPLOT_H
#define CLI_GNUPLOT_H

#include <stdio.h>

/* Can it be run? CLI_UNAVAILABLE, with the package that brings it, if not. */
int cli_gnuplot_check(void);

/* Run a script; what it draws is appended to `picture`. Ends within a minute or at
 * a Ctrl-C. */
int cli_gnuplot_run(const char *script, FILE *picture);

/* Write text as a string that gnuplot takes as it stands, whatever it holds. */
void cli_gnuplot_quote(FILE *script, const char *text);

#endif
