/* loops_best.c - which of the loops this machine runs. */
#include <eden/core.h>
#include <string.h>

#include "lab/loops.h"

#define X(isa) extern const lab_loops lab_loops_##isa;
#include "lab/isas.inc"
#undef X

const lab_loops *lab_loops_at(size_t number)
{
#define X(isa) &lab_loops_##isa,
    static const lab_loops *const all[] = {
#include "lab/isas.inc"
    };
#undef X
    return number < sizeof all / sizeof *all ? all[number] : NULL;
}

const lab_loops *lab_loops_best(void)
{
    const char *best = eden_isa_name(eden_isa_best());
    const lab_loops *loops;
    for (size_t i = 0; (loops = lab_loops_at(i)) != NULL; i++)
        if (!strcmp(loops->isa, best)) return loops;
    return lab_loops_at(0);
}
