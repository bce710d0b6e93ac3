/* cartpole.h - a pole hinged to a cart on a track, which is pushed left or right: the
 * task of Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve
 * difficult learning control problems", 1983, without friction. */
#ifndef LAB_CARTPOLE_H
#define LAB_CARTPOLE_H

#include <stdint.h>

enum { LAB_CART_VALUES = 4, LAB_CART_STEPS = 500 };

/* Meters and meters a second of the cart, radians from upright and radians a second of
 * the pole. */
typedef struct {
    double position, speed, angle, spin;
} lab_cart;

/* Each value uniform in [-0.05, 0.05): numbers 4 start to 4 start + 3 of the stream. */
lab_cart lab_cart_start(uint64_t key, uint64_t start);

/* 0.02 seconds of Euler's method under a push of 10 newtons. */
lab_cart lab_cart_step(lab_cart cart, int right);

/* 1 beyond 2.4 meters or 12 degrees. */
int lab_cart_fallen(lab_cart cart);

#endif
