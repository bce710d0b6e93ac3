/* report.h - a comparison as a folder: a page, pictures, and the numbers as CSV. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli/compare.h"
#include "cli/draw.h"

/* Before training: is gnuplot there, and can files be made in the folder? Makes
 * the folder if need be; *made is then 1. Returns the exit code. */
int cli_report_check(const char *folder, int *made);

/* Refuse to write over what is compared on; returns the exit code. */
int cli_report_spares(const cli_args *args, const char *folder);

/* Write all files under other names, then rename them, so that a failure leaves an
 * older report as it was. Returns the exit code. */
int cli_report_write(const cli_comparison *c, const char *folder);

/* index.html, with the picture in four forms. For cli_report_write(). */
int cli_report_page(const cli_comparison *c, const cli_picture *picture, FILE *out);

/* Parts of such a page, for others: all up to the heading's text, that text or any other,
 * the pictures (whose figure stays open), and the command with seeds and machine. */
void cli_report_head(const char *title, FILE *out);
void cli_report_escape(FILE *out, const char *text);
int cli_report_pictures(const cli_picture *picture, const char *alternative, FILE *out);
void cli_report_command(const cli_comparison *c, FILE *out);

/* The names of a report's files, and the files at once, each by `write`, or none of them. */
enum { CLI_REPORT_PNG, CLI_REPORT_SVG, CLI_REPORT_CURVES, CLI_REPORT_RESULTS, CLI_REPORT_PAGE,
       CLI_REPORT_FILES };
typedef int (*cli_report_writer)(const void *context, const cli_picture *picture, int which, FILE *out);
int cli_report_files(const char *folder, const cli_picture *picture, cli_report_writer write,
                     const void *context);

/* "Training loss, nats a byte" and "Test accuracy, %"; how the latter's axis goes. */
void cli_report_titles(const cli_comparison *c, char train[80], char test[80]);
int cli_report_scale(const cli_comparison *c);
void cli_csv_text(FILE *out, const char *text);
void cli_csv_number(FILE *out, double value); /* with a comma before it */

#endif
