/* test_ppo.c - plain networks and the losses of policy optimization: gradients by central
 * differences in the build where LAB_REAL is double; advantages against their definition. */
#include "lab/ppo.h"

#include <math.h>

#include "lab/network.h"
#include "model_data.h"

enum { ROWS = 70, IN = 4, ACTIONS = 3 };

static float x[ROWS * IN], chance[ROWS], advantage[ROWS], goal[ROWS];
static uint32_t action[ROWS];
static const lab_ppo ppo = { ACTIONS, 0.2, 0.03, 0.5, action, chance, advantage, goal };

/* Chances that are far enough from the network's for some ratios to be cut. */
static int set_up(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < ROWS * IN; i++) x[i] = (float)noise(31, i);
    for (uint64_t i = 0; i < ROWS; i++) {
        action[i] = (uint32_t)lab_random_below(32, i, ACTIONS);
        chance[i] = (float)(-1.1 + noise(33, i));
        advantage[i] = (float)(2 * noise(34, i));
        goal[i] = (float)noise(35, i);
    }
    return 0;
}

static lab_model *make(lab_activation between, uint64_t out, int bounded, double dropout)
{
    const lab_network_config c = { .name = "net", .in = IN, .out = out, .widths = "7,6",
                                   .between = between, .bounded = bounded, .slopes = 1, .last = 1,
                                   .dropout = dropout, .seed = 5, .threads = 2 };
    lab_model *m = NULL;
    OK(lab_network_create(&m, &c, error));
    shake(m);
    return m;
}

static double loss_of(lab_model *m)
{
    double loss;
    uint64_t correct;
    OK(lab_model_train(m, x, NULL, NULL, ROWS, 3, &loss, &correct, error));
    return loss;
}

static double slope(lab_model *m, lab_real *at)
{
    const lab_real was = *at;
    *at = was + (lab_real)1e-6;
    const double above = loss_of(m);
    *at = was - (lab_real)1e-6;
    const double below = loss_of(m);
    *at = was;
    return (above - below) / 2e-6;
}

/* Every weight's gradient, whose size must be more than that of errors. */
static void check_gradients(lab_model *m)
{
    double top = 0;
    lab_real *grads = calloc(m->learned, sizeof *grads);
    assert_non_null(grads);
    loss_of(m);
    memset(m->grads, 0, m->learned * sizeof *m->grads);
    loss_of(m);
    memcpy(grads, m->grads, m->learned * sizeof *grads);
    for (uint32_t i = 0; i < m->layers; i++)
        for (uint32_t k = 0; k < m->layer[i].tensors; k++) {
            const lab_tensor *t = &m->layer[i].tensor[k];
            for (uint64_t w = 0; w < t->count; w++) {
                const double have = (double)grads[t->offset + w], want = slope(m, &t->value[w]);
                if (!(fabs(have - want) <= 1e-7 * fmax(1, fabs(want))))
                    fail_msg("%s[%llu] has a gradient of %.17g instead of %.17g", t->name,
                             (unsigned long long)w, have, want);
                top = fmax(top, fabs(have));
            }
        }
    assert_true(top > 1e-3);
    free(grads);
}

static void test_policy(void **state)
{
    (void)state;
    int cut = 0, free_ones = 0;
    lab_model *m = make(LAB_TANH, ACTIONS, 0, 0);
    lab_network_loss(m, lab_ppo_policy_loss, &ppo);
    check_gradients(m);
    const lab_real *z;
    OK(lab_model_outputs(m, x, ROWS, &z, error));
    for (uint64_t r = 0; r < ROWS; r++) {
        double log_chance[ACTIONS], sum = 0;
        lab_ppo_log_softmax(z + r * ACTIONS, ACTIONS, log_chance);
        for (int i = 0; i < ACTIONS; i++) sum += exp(log_chance[i]);
        assert_true(fabs(sum - 1) < 1e-12);
        const double ratio = exp(log_chance[action[r]] - (double)chance[r]);
        const double a = (double)advantage[r], bounded = fmin(fmax(ratio, 0.8), 1.2);
        double entropy = 0;
        for (int i = 0; i < ACTIONS; i++) entropy -= exp(log_chance[i]) * log_chance[i];
        const double want = -fmin(ratio * a, bounded * a) - 0.03 * entropy;
        assert_true(fabs(lab_ppo_policy_loss(&ppo, r, z + r * ACTIONS, NULL) - want) < 1e-12);
        if (bounded * a < ratio * a) cut++;
        else free_ones++;
    }
    assert_true(cut > 5 && free_ones > 5);
    lab_model_destroy(m);
}

static void test_value(void **state)
{
    (void)state;
    lab_model *m = make(LAB_TANH, 1, 0, 0);
    lab_network_loss(m, lab_ppo_value_loss, &ppo);
    check_gradients(m);
    lab_model_destroy(m);
}

/* The other activations, with a tangent behind the last layer and dropout. */
static void test_activations(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        lab_model *m = make(i ? LAB_LEAKY_RELU : LAB_RELU, ACTIONS, 1, i ? 0.3 : 0);
        lab_network_loss(m, lab_ppo_policy_loss, &ppo);
        check_gradients(m);
        lab_model_destroy(m);
    }
}

/* Slopes by the rows leave the gradients alone. */
static void test_slopes(void **state)
{
    (void)state;
    lab_real rows[ROWS * IN];
    double slopes_there[ROWS * IN], loss, above, below;
    const lab_real *slopes;
    lab_model *m = make(LAB_LEAKY_RELU, ACTIONS, 0, 0.2);
    lab_network_loss(m, lab_ppo_policy_loss, &ppo);
    for (int i = 0; i < ROWS * IN; i++) rows[i] = (lab_real)x[i];
    OK(lab_model_slopes(m, rows, ROWS, 3, &loss, &slopes, error));
    for (int i = 0; i < ROWS * IN; i++) slopes_there[i] = (double)slopes[i];
    assert_true(loss == loss_of(m));
    memset(m->grads, 0, m->learned * sizeof *m->grads);
    for (int i = 0; i < ROWS * IN; i++) {
        const lab_real was = rows[i];
        rows[i] = was + (lab_real)1e-6;
        OK(lab_model_slopes(m, rows, ROWS, 3, &above, &slopes, error));
        rows[i] = was - (lab_real)1e-6;
        OK(lab_model_slopes(m, rows, ROWS, 3, &below, &slopes, error));
        rows[i] = was;
        if (!(fabs((above - below) / 2e-6 - slopes_there[i]) < 1e-8))
            fail_msg("row value %d has a slope of %g instead of %g", i, slopes_there[i],
                     (above - below) / 2e-6);
    }
    for (uint64_t i = 0; i < m->learned; i++) assert_true(m->grads[i] == 0);
    lab_model_destroy(m);
}

/* A = sum of (discount lambda)^k delta_(t + k), up to where the episode is over. */
static void test_advantages(void **state)
{
    enum { T = 9, N = 3 };
    (void)state;
    float reward[T * N], value[T * N], next[T * N], out[T * N];
    unsigned char over[T * N];
    const lab_horizon h = { T, N, 0.9, 0.8 };
    for (uint64_t i = 0; i < T * N; i++) {
        reward[i] = (float)noise(41, i);
        value[i] = (float)noise(42, i);
        next[i] = (float)noise(43, i);
        over[i] = lab_random_below(44, i, 4) == 0;
    }
    lab_ppo_advantages(&h, reward, value, next, over, out);
    for (uint64_t k = 0; k < N; k++)
        for (uint64_t t = 0; t < T; t++) {
            double want = 0;
            for (uint64_t s = t; s < T; s++) {
                const uint64_t i = s * N + k;
                const double delta = (double)reward[i] + 0.9 * (double)next[i] - (double)value[i];
                want += pow(0.9 * 0.8, (double)(s - t)) * delta;
                if (over[i]) break;
            }
            assert_true(fabs((double)out[t * N + k] - want) < 1e-6);
        }
}

static void test_refusals(void **state)
{
    (void)state;
    lab_model *m = NULL;
    eden_error e = { 0, "" };
    lab_network_config c = { .name = "net", .in = 2, .out = 1, .widths = "7,x", .last = 1, .threads = 1 };
    assert_int_equal(lab_network_create(&m, &c, &e), EDEN_E_VALUE);
    assert_non_null(strstr(e.text, "widths '7,x'"));
    c.widths = "7";
    c.dropout = 1;
    assert_int_equal(lab_network_create(&m, &c, &e), EDEN_E_VALUE);
    assert_non_null(strstr(e.text, "dropout"));
    c.dropout = 0;
    c.widths = "65536,65536";
    assert_int_equal(lab_network_create(&m, &c, &e), EDEN_E_VALUE);
    assert_non_null(strstr(e.text, "choose smaller widths"));
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy),     cmocka_unit_test(test_value),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_slopes),
        cmocka_unit_test(test_advantages), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, NULL); /* LAB_REAL is double */
}
