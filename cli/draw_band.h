/* draw_band.h - the band about a curve, cut off where the picture ends. */
#ifndef CLI_DRAW_BAND_H
#define CLI_DRAW_BAND_H

#include "cli/draw.h"

/* Write "x low high" for gnuplot, a line each, within y0 and y1. gnuplot itself moves what
 * lies outside to the edge, so that a band which comes from far below would be drawn too
 * wide. On a scale that is `log`, what is not above 0 lies below the picture. */
void cli_draw_band(FILE *out, const cli_line *line, double y0, double y1, int log);

#endif
