#include "lab/ppo.h"

#include <math.h>

void lab_ppo_log_softmax(const lab_real *z, uint64_t n, double *log_chance)
{
    double top = (double)z[0], sum = 0;
    for (uint64_t i = 1; i < n; i++)
        if ((double)z[i] > top) top = (double)z[i];
    for (uint64_t i = 0; i < n; i++) sum += exp((double)z[i] - top);
    for (uint64_t i = 0; i < n; i++) log_chance[i] = (double)z[i] - top - log(sum);
}

/* -min(ratio A, clipped ratio A) - entropy's worth. Where the clipped one is the smaller,
 * the ratio has no slope. */
double lab_ppo_policy_loss(const void *ppo, uint64_t row, const lab_real *z, lab_real *d)
{
    const lab_ppo *p = ppo;
    double log_chance[LAB_PPO_MOST], entropy = 0;
    lab_ppo_log_softmax(z, p->actions, log_chance);
    const double a = (double)p->advantage[row];
    const double ratio = exp(log_chance[p->action[row]] - (double)p->chance[row]);
    const int clipped = a > 0 ? ratio > 1 + p->range : ratio < 1 - p->range;
    const double bounded = clipped ? a > 0 ? 1 + p->range : 1 - p->range : ratio;
    for (uint64_t i = 0; i < p->actions; i++) entropy -= exp(log_chance[i]) * log_chance[i];
    for (uint64_t i = 0; d && i < p->actions; i++) {
        const double chance = exp(log_chance[i]), one = i == p->action[row];
        d[i] = (lab_real)((clipped ? 0 : -a * ratio * (one - chance))
                          + p->entropy * chance * (log_chance[i] + entropy));
    }
    return -bounded * a - p->entropy * entropy;
}

double lab_ppo_value_loss(const void *ppo, uint64_t row, const lab_real *z, lab_real *d)
{
    const lab_ppo *p = ppo;
    const double error = (double)z[0] - (double)p->goal[row];
    if (d) d[0] = (lab_real)(2 * p->share * error);
    return p->share * error * error;
}

void lab_ppo_advantages(const lab_horizon *h, const float *reward, const float *value,
                        const float *next, const unsigned char *over, float *advantage)
{
    for (uint64_t k = 0; k < h->count; k++) {
        double following = 0;
        for (uint64_t t = h->steps; t-- > 0;) {
            const uint64_t i = t * h->count + k;
            const double delta = (double)reward[i] + h->discount * (double)next[i] - (double)value[i];
            following = delta + (over[i] ? 0 : h->discount * h->lambda * following);
            advantage[i] = (float)following;
        }
    }
}
