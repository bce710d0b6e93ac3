/* loss_scale.c - the factor on the loss that keeps small gradients of 16 bits. */
#include "optimizer/optimizer.h"
#include "optimizer/text.h"

/* The least normal number of f16: gradients that overflow below it are none of its
 * doing. Above the most, dividing by it and by many micro-batches stays exact. */
#define LEAST 0x1p-14
#define MOST 0x1p32

/* Powers of two only, so that dividing changes no bit of a gradient's mantissa. */
int eden_is_loss_scale(double scale)
{
    double power = LEAST;
    while (power < scale && power < MOST) power *= 2;
    return power == scale;
}

eden_status eden_check_loss_scale(const eden_config *c, eden_error *error)
{
    char number[EDEN_NUMBER_ROOM];
    if (c->loss_scale == 0) {
        if (!c->loss_scale_window) return EDEN_OK;
        return eden_fail(error, EDEN_E_VALUE, "config.loss_scale_window = %u has no effect without "
                         "config.loss_scale", c->loss_scale_window);
    }
    if (!eden_is_loss_scale(c->loss_scale))
        return eden_fail(error, EDEN_E_VALUE, "config.loss_scale = %s is no power of two from 2^-14 to 2^32; "
                         "0 is off", eden_print_number(c->loss_scale, number));
    if (c->nonfinite == EDEN_APPLY)
        return eden_fail(error, EDEN_E_VALUE, "config.loss_scale looks for gradients that are not finite, which "
                         "EDEN_APPLY does not; use EDEN_SKIP or EDEN_REFUSE");
    return EDEN_OK;
}

int eden_lower_loss_scale(eden_optimizer *o)
{
    if (o->config.loss_scale == 0 || o->loss_scale <= LEAST) return 0;
    o->loss_scale /= 2;
    return 1;
}

void eden_raise_loss_scale(eden_optimizer *o)
{
    if (o->config.loss_scale == 0 || ++o->good < o->config.loss_scale_window) return;
    o->good = 0;
    if (o->loss_scale < MOST) o->loss_scale *= 2;
}

double eden_loss_scale(const eden_optimizer *o) { return o ? o->loss_scale : 1; }
