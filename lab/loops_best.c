/* loops_best.c - which of the loops this machine runs. */
#include <eden/core.h>
#include <string.h>

#include "lab/loops.h"

#define X(isa) extern const lab_loops lab_loops_##isa;
#include "lab/isas.inc"
#undef X

const lab_loops *lab_loops_best(void)
{
#define X(isa) &lab_loops_##isa,
    static const lab_loops *const all[] = {
#include "lab/isas.inc"
    };
#undef X
    const char *best = eden_isa_name(eden_isa_best());
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->isa, best)) return all[i];
    return all[0];
}
