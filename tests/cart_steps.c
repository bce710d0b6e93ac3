/* cart_steps.c - the pole on its cart, for test_cartpole.py. Standard input has lines of
 * position, speed, angle, spin and the action 0 or 1; the answers are the four values
 * after the step, and 1 where the pole has fallen. With a seed and a number as
 * arguments: so many starts instead. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/cartpole.h"
#include "lab/random.h"

static void say(lab_cart c)
{
    printf("%.17g %.17g %.17g %.17g %d\n", c.position, c.speed, c.angle, c.spin, lab_cart_fallen(c));
}

int main(int count, char **words)
{
    lab_cart c;
    int right;
    if (count > 2) {
        const uint64_t key = lab_random_key(strtoull(words[1], NULL, 10), 1);
        const uint64_t n = strtoull(words[2], NULL, 10);
        for (uint64_t i = 0; i < n; i++) say(lab_cart_start(key, i));
        return 0;
    }
    while (scanf("%lf %lf %lf %lf %d", &c.position, &c.speed, &c.angle, &c.spin, &right) == 5)
        say(lab_cart_step(c, right));
    return 0;
}
