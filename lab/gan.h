/* gan.h - a generator and a discriminator that are told the class (Goodfellow et al.,
 * "Generative adversarial nets", 2014; Mirza and Osindero, 2014), with losses by which
 * both learn at the same weights: the discriminator to tell images from the generator's,
 * the generator, without saturation, to be taken for images.
 *
 * Images are -1 to 1. Behind the noise, and behind the image, comes the class as so many
 * values of which one is 1. */
#ifndef LAB_GAN_H
#define LAB_GAN_H

#include "lab/model.h"
#include "lab/real.h"

typedef struct {
    uint64_t pixels, classes, noise;
    uint64_t rows;           /* the most at a time                               */
    const char *widths;      /* of hidden layers of both                         */
    double dropout;          /* of the discriminator, behind each hidden layer   */
    uint64_t seed;
    uint32_t threads;
} lab_gan_config;

typedef struct {
    lab_gan_config config;
    lab_model *generator, *discriminator;
    float *input;            /* of the generator                                 */
    float *shown;            /* to the discriminator: images, then as many made  */
    lab_real *made;          /* what was made, each with its class               */
    double over;             /* images that a gradient is the mean over; 0: those there are */
} lab_gan;

/* A failure leaves what lab_gan_free() frees. */
eden_status lab_gan_create(lab_gan *gan, const lab_gan_config *config, eden_error *error);
void lab_gan_free(lab_gan *gan);

/* Make `rows` images of these classes from the normal numbers of `key` that begin at row
 * `first`; they are in gan->made, config.pixels + config.classes apart. */
eden_status lab_gan_make(lab_gan *gan, uint64_t key, uint64_t first, const int32_t *label,
                         uint64_t rows, eden_error *error);

/* Add to the gradients of one of them, on what was made last: the discriminator beside
 * `rows` images from 0 to 1. Losses are means. `step` is dropout's. */
eden_status lab_gan_learn_discriminator(lab_gan *gan, const float *images, const int32_t *label,
                                        uint64_t rows, uint64_t step, double *loss,
                                        eden_error *error);
eden_status lab_gan_learn_generator(lab_gan *gan, uint64_t rows, uint64_t step, double *loss,
                                    eden_error *error);

#endif
