/* ppo.h - what proximal policy optimization minimizes (Schulman et al., 2017), and the
 * advantages it takes (Schulman et al., "High-dimensional continuous control using
 * generalized advantage estimation", 2016). */
#ifndef LAB_PPO_H
#define LAB_PPO_H

#include "lab/real.h"

typedef struct {
    uint64_t actions;        /* outputs of the policy's network, their logits   */
    double range;            /* ratios beyond 1 +- this bring no more           */
    double entropy;          /* what a nat of it is worth                       */
    double share;            /* what the value's squared error is multiplied by */
    /* Of each row: */
    const uint32_t *action;  /* what was done,                                  */
    const float *chance;     /* and the logarithm of its chance then            */
    const float *advantage, *goal; /* of the policy and of the value            */
} lab_ppo;

/* Losses of rows for lab_network_loss(), whose context is a lab_ppo. */
double lab_ppo_policy_loss(const void *ppo, uint64_t row, const lab_real *z, lab_real *d);
double lab_ppo_value_loss(const void *ppo, uint64_t row, const lab_real *z, lab_real *d);

/* The logarithm of the softmax of `z`, at most LAB_PPO_MOST values, into `log_chance`. */
enum { LAB_PPO_MOST = 16 };
void lab_ppo_log_softmax(const lab_real *z, uint64_t n, double *log_chance);

/* Advantages of `steps` steps of `count` carts, which lie side by side:
 * delta + discount lambda advantage of the next step, where delta is
 * reward + discount next - value. `next` is the value of what a step led to, which is 0
 * where that is the end, and `over` says where the next row is another episode. */
typedef struct {
    uint64_t steps, count;
    double discount, lambda;
} lab_horizon;
void lab_ppo_advantages(const lab_horizon *h, const float *reward, const float *value,
                        const float *next, const unsigned char *over, float *advantage);

#endif
