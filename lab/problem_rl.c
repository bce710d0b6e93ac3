/* problem_rl.c - a policy that learns to balance the pole of cartpole.h, by proximal
 * policy optimization.
 *
 * A rollout is `horizon` steps of `envs` carts side by side, made by the policy as it is
 * when the rollout begins; batches of it are learned from `passes` times. Carts and
 * rollout lie in frozen tensors of the optimizer, and so in every checkpoint. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/cartpole.h"
#include "lab/network.h"
#include "lab/options.h"
#include "lab/ppo.h"
#include "lab/problem.h"
#include "lab/random.h"

/* What random numbers under a run's seed are for. */
enum { START = 0x7374, ACT = 0x6163, TEST = 0x7465, MIX = 0x6d69 };

enum { ACTIONS = 2, EPISODES = 100, PIECE = 2048, MOST_ROWS = 1 << 20 };

/* A step of a rollout, and a cart: four values of its state, then these. */
enum { ACTION = LAB_CART_VALUES, CHANCE, ADVANTAGE, GOAL, STEP_VALUES };
enum { TIME = LAB_CART_VALUES, LAST, CART_VALUES };

static const double DISCOUNT = 0.99, LAMBDA = 0.95, RANGE = 0.2, ENTROPY = 0.01, SHARE = 0.5;

typedef struct {
    lab_problem base;
    uint64_t size, envs, horizon, passes;
    uint64_t rows, pieces;      /* of a rollout, and batches in them              */
    uint64_t seed, mixed;       /* the pass that `order` is of, from 1; 0: none   */
    uint32_t *order;
    float *carts, *steps;       /* the frozen tensors                             */
    float *x, *reward, *value, *next; /* a rollout, or what is forwarded          */
    unsigned char *over;
    lab_ppo ppo;                /* of a batch, whose rows are in                  */
    uint32_t *action;
    float *chance, *advantage, *goal;
    char network[LAB_PAIR_ROOM];
} rl_problem;

/* ---- creating --------------------------------------------------------------------- */

static void destroy(lab_problem *problem)
{
    rl_problem *p = (rl_problem *)problem;
    void *all[] = { p->order, p->carts, p->steps, p->x, p->reward, p->value, p->next, p->over,
                    p->action, p->chance, p->advantage, p->goal };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    for (int i = 0; i < 2; i++) lab_model_destroy(problem->part[i]);
    free(p);
}

static eden_status read_config(rl_problem *p, const lab_config *config, eden_error *error)
{
    const lab_option options[] = { { "envs", &p->envs }, { "horizon", &p->horizon },
                                   { "passes", &p->passes }, { NULL, NULL } };
    p->envs = 16, p->horizon = 128, p->passes = 10;
    const eden_status status = lab_options_read(config->task, options, error);
    if (status) return status;
    if (strcmp(config->model.kind, "mlp") != 0 || config->model.norm || config->model.dropout > 0)
        return lab_fail(error, EDEN_E_VALUE, "policy and value of cart-pole are each an mlp without "
                        "normalization and dropout");
    if (!p->envs || !p->horizon || !p->passes || p->envs > MOST_ROWS
        || p->horizon > MOST_ROWS / p->envs || p->passes > 1000)
        return lab_fail(error, EDEN_E_VALUE, "a rollout of horizon = %llu steps in envs = %llu carts, "
                        "for %llu passes, is not one of 1 to %d rows, for 1 to 1000",
                        (unsigned long long)p->horizon, (unsigned long long)p->envs,
                        (unsigned long long)p->passes, (int)MOST_ROWS);
    p->rows = p->envs * p->horizon;
    if (config->batch > p->rows)
        return lab_fail(error, EDEN_E_VALUE, "batch = %llu is more than the %llu steps of a rollout",
                        (unsigned long long)config->batch, (unsigned long long)p->rows);
    p->size = config->batch;
    p->pieces = (p->rows - 1) / p->size + 1;
    p->seed = config->seed;
    return EDEN_OK;
}

static eden_status allocate(rl_problem *p, eden_error *error)
{
    const size_t rows = (size_t)p->rows, size = (size_t)p->size;
    const size_t widest = rows > EPISODES ? rows : EPISODES;
    p->order = calloc(rows, sizeof *p->order);
    p->carts = calloc((size_t)p->envs, CART_VALUES * sizeof *p->carts);
    p->steps = calloc(rows, STEP_VALUES * sizeof *p->steps);
    p->x = calloc(widest, LAB_CART_VALUES * sizeof *p->x);
    p->reward = calloc(rows, sizeof *p->reward);
    p->value = calloc(rows, sizeof *p->value);
    p->next = calloc(rows, sizeof *p->next);
    p->over = calloc(rows, sizeof *p->over);
    p->action = calloc(size, sizeof *p->action);
    p->chance = calloc(size, sizeof *p->chance);
    p->advantage = calloc(size, sizeof *p->advantage);
    p->goal = calloc(size, sizeof *p->goal);
    if (p->order && p->carts && p->steps && p->x && p->reward && p->value && p->next && p->over
        && p->action && p->chance && p->advantage && p->goal)
        return EDEN_OK;
    return lab_fail(error, EDEN_E_MEMORY, "no memory for a rollout of %llu steps",
                    (unsigned long long)p->rows);
}

static eden_status create_networks(rl_problem *p, const lab_config *config, eden_error *error)
{
    lab_network_config c = { .name = "policy", .in = LAB_CART_VALUES, .out = ACTIONS,
                             .widths = config->model.widths ? config->model.widths : "64,64",
                             .between = LAB_TANH, .last = 0.01, .seed = config->model.seed,
                             .threads = config->model.threads };
    eden_status status = lab_network_create(&p->base.part[0], &c, error);
    c.name = "value", c.out = 1, c.last = 1;
    if (!status) status = lab_network_create(&p->base.part[1], &c, error);
    if (status) return status;
    p->ppo = (lab_ppo){ ACTIONS, RANGE, ENTROPY, SHARE, p->action, p->chance, p->advantage, p->goal };
    lab_network_loss(p->base.part[0], lab_ppo_policy_loss, &p->ppo);
    lab_network_loss(p->base.part[1], lab_ppo_value_loss, &p->ppo);
    lab_network_pair(&p->base, p->network);
    return EDEN_OK;
}

static void set_cart(float *at, lab_cart cart)
{
    at[0] = (float)cart.position, at[1] = (float)cart.speed;
    at[2] = (float)cart.angle, at[3] = (float)cart.spin;
}

static lab_cart get_cart(const float *at)
{
    return (lab_cart){ (double)at[0], (double)at[1], (double)at[2], (double)at[3] };
}

static eden_status create(lab_problem **out, const lab_config *config, const void *source,
                          eden_error *error)
{
    (void)source;
    *out = NULL;
    rl_problem *p = calloc(1, sizeof *p);
    if (!p) return lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    eden_status status = read_config(p, config, error);
    if (!status) status = allocate(p, error);
    if (!status) status = create_networks(p, config, error);
    if (status) {
        destroy(&p->base);
        return status;
    }
    for (uint64_t i = 0; i < p->envs; i++)
        set_cart(p->carts + i * CART_VALUES, lab_cart_start(lab_random_key(p->seed, START), i));
    p->base.kind = &lab_reinforcement;
    p->base.data = "cart-pole";
    p->base.batches = LAB_RL_ROLLOUTS * p->passes * p->pieces;
    p->base.metric = (lab_metric){ .name = "return", .unit = "", .scale = 1, .decimals = 1, .rises = 1,
                                   .loss_unit = "of the steps missed" };
    *out = &p->base;
    return EDEN_OK;
}

static eden_status add(lab_problem *problem, eden_optimizer *optimizer, const char *vectors,
                       eden_error *error)
{
    rl_problem *p = (rl_problem *)problem;
    eden_tensor carts = eden_matrix(p->carts, NULL, p->envs, CART_VALUES);
    eden_tensor steps = eden_matrix(p->steps, NULL, p->rows, STEP_VALUES);
    carts.flags = steps.flags = EDEN_FROZEN;
    eden_status status = lab_problem_add(problem, optimizer, vectors, error);
    if (!status) status = eden_add_tensor(optimizer, "carts", &carts, NULL, error);
    if (!status) status = eden_add_tensor(optimizer, "rollout", &steps, NULL, error);
    return status;
}

/* ---- a rollout ---------------------------------------------------------------------- */

/* Cart `k` acts by the logits `z` in row `i`, which is number `i` of the rollout and
 * `number` of the run; what it comes to goes to row `i` of x. */
static void act(rl_problem *p, uint64_t k, uint64_t i, uint64_t number, const lab_real *z)
{
    float *cart = p->carts + k * CART_VALUES, *step = p->steps + i * STEP_VALUES;
    double log_chance[ACTIONS];
    lab_ppo_log_softmax(z, ACTIONS, log_chance);
    const int right = lab_random_uniform(lab_random_key(p->seed, ACT), number) >= exp(log_chance[0]);
    const lab_cart to = lab_cart_step(get_cart(cart), right);
    memcpy(step, cart, LAB_CART_VALUES * sizeof *step);
    step[ACTION] = (float)right;
    step[CHANCE] = (float)log_chance[right];
    set_cart(cart, to);
    memcpy(p->x + i * LAB_CART_VALUES, cart, LAB_CART_VALUES * sizeof *cart);
    cart[TIME] += 1;
    /* The end of time is no fall: what would have followed has its value. */
    const int fallen = lab_cart_fallen(to);
    p->over[i] = fallen || cart[TIME] >= LAB_CART_STEPS;
    p->next[i] = fallen ? 0 : 1;
    p->reward[i] = (float)(1 - DISCOUNT); /* so that values are from 0 to 1 */
    if (!p->over[i]) return;
    cart[LAST] = cart[TIME];
    cart[TIME] = 0;
    set_cart(cart, lab_cart_start(lab_random_key(p->seed, START), p->envs + number));
}

/* What the value's network says of `rows` carts in x, which may be its own. */
static eden_status value_of(rl_problem *p, uint64_t rows, float *value, eden_error *error)
{
    for (uint64_t i = 0; i < rows; i += PIECE) {
        const lab_real *v;
        const uint64_t n = rows - i < PIECE ? rows - i : PIECE;
        const eden_status status =
            lab_model_outputs(p->base.part[1], p->x + i * LAB_CART_VALUES, n, &v, error);
        if (status) return status;
        for (uint64_t k = 0; k < n; k++) value[i + k] = (float)v[k];
    }
    return EDEN_OK;
}

/* Advantages and goals of the rollout, from the values of its steps and of what came
 * behind them. */
static eden_status weigh(rl_problem *p, eden_error *error)
{
    const lab_horizon h = { p->horizon, p->envs, DISCOUNT, LAMBDA };
    eden_status status = value_of(p, p->rows, p->value, error);
    if (status) return status;
    for (uint64_t i = 0; i < p->rows; i++) {
        p->next[i] *= p->value[i];
        memcpy(p->x + i * LAB_CART_VALUES, p->steps + i * STEP_VALUES, LAB_CART_VALUES * sizeof *p->x);
    }
    status = value_of(p, p->rows, p->value, error);
    if (status) return status;
    float *advantage = p->x; /* whose rows have served */
    lab_ppo_advantages(&h, p->reward, p->value, p->next, p->over, advantage);
    for (uint64_t i = 0; i < p->rows; i++) {
        p->steps[i * STEP_VALUES + ADVANTAGE] = advantage[i];
        p->steps[i * STEP_VALUES + GOAL] = advantage[i] + p->value[i];
    }
    return EDEN_OK;
}

static eden_status roll_out(rl_problem *p, uint64_t rollout, eden_error *error)
{
    float *x = malloc((size_t)p->envs * LAB_CART_VALUES * sizeof *x);
    eden_status status = EDEN_OK;
    if (!x) return lab_fail(error, EDEN_E_MEMORY, "no memory for a rollout");
    for (uint64_t t = 0; !status && t < p->horizon; t++) {
        const lab_real *z;
        for (uint64_t k = 0; k < p->envs; k++)
            memcpy(x + k * LAB_CART_VALUES, p->carts + k * CART_VALUES, LAB_CART_VALUES * sizeof *x);
        status = lab_model_outputs(p->base.part[0], x, p->envs, &z, error);
        for (uint64_t k = 0; !status && k < p->envs; k++)
            act(p, k, t * p->envs + k, rollout * p->rows + t * p->envs + k, z + k * ACTIONS);
    }
    free(x);
    return status ? status : weigh(p, error);
}

/* ---- learning ----------------------------------------------------------------------- */

/* The rows of a rollout in an order that is a function of the seed and the pass. */
static void mix(rl_problem *p, uint64_t pass)
{
    const uint64_t key = lab_random_key(p->seed, MIX);
    if (p->mixed == pass + 1) return;
    for (uint32_t i = 0; i < p->rows; i++) p->order[i] = i;
    for (uint32_t i = (uint32_t)p->rows - 1; i > 0; i--) {
        const uint64_t k = lab_random_below(key, pass * p->rows + i, (uint64_t)i + 1);
        const uint32_t other = p->order[k];
        p->order[k] = p->order[i];
        p->order[i] = other;
    }
    p->mixed = pass + 1;
}

/* The rows of one batch into x and what the losses read; advantages with mean 0 and
 * deviation 1. Returns how many there are. */
static uint64_t gather(rl_problem *p, uint64_t piece)
{
    const uint64_t first = piece * p->size, left = p->rows - first;
    const uint64_t n = left < p->size ? left : p->size;
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < n; i++) {
        const float *step = p->steps + p->order[first + i] * (uint64_t)STEP_VALUES;
        memcpy(p->x + i * LAB_CART_VALUES, step, LAB_CART_VALUES * sizeof *step);
        p->action[i] = step[ACTION] > 0;
        p->chance[i] = step[CHANCE];
        p->advantage[i] = step[ADVANTAGE];
        p->goal[i] = step[GOAL];
        sum += (double)step[ADVANTAGE];
    }
    const double mean = sum / (double)n;
    for (uint64_t i = 0; i < n; i++)
        squares += ((double)p->advantage[i] - mean) * ((double)p->advantage[i] - mean);
    const double deviation = sqrt(squares / (double)n) + 1e-8;
    for (uint64_t i = 0; i < n; i++)
        p->advantage[i] = (float)(((double)p->advantage[i] - mean) / deviation);
    return n;
}

static eden_status learn(lab_problem *problem, const lab_turn *turn, lab_sums *sums,
                         eden_error *error)
{
    rl_problem *p = (rl_problem *)problem;
    if (turn->batch >= problem->batches) return EDEN_OK;
    const uint64_t number = (turn->epoch - 1) * problem->batches + turn->batch;
    const uint64_t each = p->passes * p->pieces;
    double policy, value, last = 0;
    uint64_t right;
    eden_status status = EDEN_OK;
    /* Every rank rolls out all carts: they are few, and what they do is a function of the seed. */
    if (number % each == 0 && !turn->again) status = roll_out(p, number / each, error);
    if (status) return status;
    mix(p, number / p->pieces);
    uint64_t from, to;
    const double over = lab_turn_rows(turn, gather(p, number % p->pieces), &from, &to);
    const uint64_t n = to - from;
    const float *x = p->x + from * LAB_CART_VALUES;
    if (!n) return EDEN_OK;
    p->ppo = (lab_ppo){ ACTIONS, RANGE, ENTROPY, SHARE, p->action + from, p->chance + from,
                        p->advantage + from, p->goal + from };
    for (int i = 0; i < 2; i++) lab_model_part(problem->part[i], 0, over, NULL);
    status = lab_model_train(problem->part[0], x, NULL, NULL, n, turn->number, &policy, &right,
                             error);
    if (!status)
        status = lab_model_train(problem->part[1], x, NULL, NULL, n, turn->number, &value,
                                 &right, error);
    if (status) return status;
    for (uint64_t k = 0; k < p->envs; k++) last += (double)p->carts[k * CART_VALUES + LAST];
    sums->loss += (policy + value) * (double)n;
    sums->metric += last / (double)p->envs * (double)n;
    sums->rows += n;
    return EDEN_OK;
}

/* ---- measuring ------------------------------------------------------------------------ */

/* Episodes from starts of their own, in which the likelier action is taken: their mean
 * length, and the share of the steps that it leaves out. */
static eden_status evaluate(lab_problem *problem, int whole, double *loss, double *metric,
                            eden_error *error)
{
    rl_problem *p = (rl_problem *)problem;
    const uint64_t key = lab_random_key(p->seed, TEST);
    int up[EPISODES];
    uint64_t steps = 0, left = EPISODES;
    (void)whole;
    for (uint64_t k = 0; k < EPISODES; k++) {
        set_cart(p->x + k * LAB_CART_VALUES, lab_cart_start(key, k));
        up[k] = 1;
    }
    for (int t = 0; left && t < LAB_CART_STEPS; t++) {
        const lab_real *z;
        const eden_status status =
            lab_model_outputs(problem->part[0], p->x, EPISODES, &z, error);
        if (status) return status;
        for (uint64_t k = 0; k < EPISODES; k++) {
            float *x = p->x + k * LAB_CART_VALUES;
            if (!up[k]) continue;
            const lab_cart to = lab_cart_step(get_cart(x), z[k * ACTIONS + 1] > z[k * ACTIONS]);
            set_cart(x, to);
            up[k] = !lab_cart_fallen(to);
            left -= !up[k];
            steps++;
        }
    }
    *metric = (double)steps / EPISODES;
    *loss = 1 - *metric / LAB_CART_STEPS;
    return EDEN_OK;
}

const lab_problem_kind lab_reinforcement = {
    .create = create, .destroy = destroy, .fits = lab_problem_fits, .store = lab_problem_store,
    .zero_grads = lab_problem_zero_grads, .narrow_grads = lab_problem_narrow_grads,
    .widen = lab_problem_widen, .add = add, .learn = learn, .evaluate = evaluate,
};
