#include "lab/cartpole.h"

#include <math.h>

#include "lab/random.h"

static const double GRAVITY = 9.8, CART = 1.0, POLE = 0.1, HALF = 0.5, FORCE = 10, TAU = 0.02;
static const double TRACK = 2.4, TILT = 12 * 3.14159265358979323846 / 180, START = 0.05;

lab_cart lab_cart_start(uint64_t key, uint64_t start)
{
    double value[LAB_CART_VALUES];
    for (uint64_t i = 0; i < LAB_CART_VALUES; i++)
        value[i] = START * (2 * lab_random_uniform(key, LAB_CART_VALUES * start + i) - 1);
    return (lab_cart){ value[0], value[1], value[2], value[3] };
}

/* A uniform pole of half length l turns about its end with a moment of inertia of
 * 4/3 m l^2, which is where the 4/3 comes from. All derivatives are those before. */
lab_cart lab_cart_step(lab_cart c, int right)
{
    const double force = right ? FORCE : -FORCE, total = CART + POLE;
    const double sine = sin(c.angle), cosine = cos(c.angle);
    const double push = (force + POLE * HALF * c.spin * c.spin * sine) / total;
    const double turn = (GRAVITY * sine - cosine * push)
                      / (HALF * (4.0 / 3 - POLE * cosine * cosine / total));
    const double gain = push - POLE * HALF * turn * cosine / total;
    return (lab_cart){ c.position + TAU * c.speed, c.speed + TAU * gain,
                       c.angle + TAU * c.spin, c.spin + TAU * turn };
}

int lab_cart_fallen(lab_cart c)
{
    return !(fabs(c.position) <= TRACK && fabs(c.angle) <= TILT);
}
