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

#endif
