/* train_number.c - numbers as a checkpoint's notes have them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/train_run.h"

void lab_write_number(double value, char text[LAB_NUMBER_ROOM])
{
    int exponent = 0;
    if (!isfinite(value)) {
        snprintf(text, LAB_NUMBER_ROOM, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    long long whole = (long long)ldexp(frexp(value, &exponent), 53);
    for (exponent -= 53; whole && whole % 2 == 0; exponent++) whole /= 2;
    snprintf(text, LAB_NUMBER_ROOM, "%s%lldp%d", !whole && signbit(value) ? "-" : "", whole,
             whole ? exponent : 0);
}

int lab_read_number(const char *text, double *value)
{
    char *end;
    if (!strcmp(text, "nan") || !strcmp(text, "inf") || !strcmp(text, "-inf")) {
        *value = *text == 'n' ? NAN : *text == 'i' ? INFINITY : -INFINITY;
        return 1;
    }
    const size_t sign = *text == '-', digits = strspn(text + sign, "0123456789");
    if (!digits || digits > 16 || text[sign + digits] != 'p') return 0;
    const char *power = text + sign + digits + 1;
    const size_t minus = *power == '-', places = strspn(power + minus, "0123456789");
    if (!places || places > 4 || power[minus + places]) return 0;
    const double whole = (double)strtoll(text + sign, &end, 10);
    *value = ldexp(sign ? -whole : whole, (int)strtol(power, &end, 10));
    return 1;
}

int lab_read_count(const char *text, uint64_t most, uint64_t *value)
{
    const size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 19 || text[digits]) return 0;
    *value = strtoull(text, NULL, 10);
    return *value <= most;
}
