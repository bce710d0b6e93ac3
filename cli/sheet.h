/* sheet.h - images that a trained problem makes, side by side in one picture. */
#ifndef CLI_SHEET_H
#define CLI_SHEET_H

#include "cli/train.h"

/* Does --sheet, if it is given, name a picture that can be made? Both functions have told
 * a failure and return the exit code. */
int cli_sheet_check(const cli_args *args);

/* Write the sheet that --sheet asks for, and say so to t->out. */
int cli_sheet(cli_training *t);

#endif
