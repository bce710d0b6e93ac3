/* step_storage.c - how the tensors of `eden step` are stored: weights and gradients as in
 * their files, the rest as the options say, or the state that a step goes on from. */
#include <string.h>

#include "cli/output.h"
#include "cli/step.h"
#include "cli/storage.h"

/* What a state file says of one weight; what it does not say is float32. */
static int said_of(const eden_file *state, const cli_weight *weight, lab_storage *said)
{
    char key[640], text[64] = "f32,f32,nearest", *part[3], *rest = text;
    uint32_t dtype;
    const int length = snprintf(key, sizeof key, "eden.storage.%s", weight->entry.name);
    const char *value = length < (int)sizeof key ? eden_file_value(state, key) : NULL;
    if (value) snprintf(text, sizeof text, "%s", value);
    for (int i = 0; i < 3; i++) {
        part[i] = rest;
        rest += strcspn(rest, ",");
        if (*rest) *rest++ = '\0';
    }
    if (lab_word_place(LAB_DTYPES, part[0], &dtype)
        && lab_word_place(LAB_STATE_DTYPES, part[1], &said->state_dtype)
        && lab_word_place(LAB_ROUNDINGS, part[2], &said->rounding)) {
        if (dtype == weight->storage.dtype) return CLI_OK;
        return cli_fail(CLI_DATA, "the weight '%.200s' is %.20s, and the state is of one that is stored "
                        "as %s", weight->entry.name, weight->entry.dtype, part[0]);
    }
    return cli_fail(CLI_DATA, "the state is damaged: %.200s = '%.60s' makes no sense", key, value);
}

static int contradicts(const cli_args *args, const char *option, const char *words, uint32_t theirs)
{
    uint32_t given;
    char word[LAB_WORD_ROOM];
    const char *text = cli_text(args, option, NULL);
    if (!text || !lab_word_place(words, text, &given) || given == theirs) return CLI_OK;
    return cli_usage(args->command, "--%s %s contradicts the state, which has %s", option, text,
                     lab_word(words, theirs, word));
}

static int from_state(const cli_args *args, const eden_file *state, cli_weight *weight)
{
    lab_storage *storage = &weight->storage;
    int code = said_of(state, weight, storage);
    if (!code)
        code = contradicts(args, "state-dtype", LAB_STATE_DTYPES, storage->state_dtype);
    if (!code && storage->dtype != EDEN_F32)
        code = contradicts(args, "rounding", LAB_ROUNDINGS, storage->rounding);
    return code;
}

static int from_options(const cli_args *args, cli_weight *weight)
{
    lab_storage *storage = &weight->storage;
    const char *state = cli_text(args, "state-dtype", NULL);
    const char *rounding = cli_text(args, "rounding", NULL);
    if (state) lab_word_place(LAB_STATE_DTYPES, state, &storage->state_dtype);
    if (rounding && storage->dtype != EDEN_F32)
        lab_word_place(LAB_ROUNDINGS, rounding, &storage->rounding);
    if (storage->rounding == EDEN_SPLIT && storage->dtype != EDEN_BF16)
        return cli_usage(args->command, "--rounding split is for BF16, and the weight '%.200s' is %s; use "
                         "master or kahan", weight->entry.name, weight->entry.dtype);
    return CLI_OK;
}

int cli_step_storage(const cli_args *args, const eden_file *state, cli_weights *weights)
{
    int code = CLI_OK, rounded = 0;
    for (size_t i = 0; !code && i < weights->count; i++) {
        cli_weight *weight = &weights->list[i];
        if (!cli_weight_is_float(weight)) continue;
        cli_dtype_of(weight->entry.dtype, &weight->storage.dtype);
        rounded |= weight->storage.dtype != EDEN_F32;
        code = state ? from_state(args, state, weight) : from_options(args, weight);
    }
    if (!code && cli_has(args, "rounding") && !rounded)
        code = cli_usage(args->command, "--rounding %s does nothing: no weight has 16 bits",
                         cli_text(args, "rounding", ""));
    return code;
}

/* ---- what has no effect -------------------------------------------------------------------- */

static int has_state(const eden_optimizer *optimizer, const char *group)
{
    enum { MOST = 64 };
    const eden_rule *rule = eden_group_rule(optimizer, group);
    const eden_hyper *hyper;
    double values[MOST] = { 0 };
    for (size_t h = 0; h < MOST && (hyper = eden_rule_hyper(rule, h)) != NULL; h++)
        if (eden_get(optimizer, group, hyper->name, &values[h], NULL)) return 1;
    return cli_storage_has_state(rule, values);
}

int cli_step_check_state(const cli_args *args, const cli_weights *weights,
                         const eden_optimizer *optimizer)
{
    uint32_t dtype = EDEN_F32;
    const char *word = cli_text(args, "state-dtype", NULL);
    if (word) lab_word_place(LAB_STATE_DTYPES, word, &dtype);
    if (dtype == EDEN_F32) return CLI_OK;
    for (size_t i = 0; i < weights->count; i++)
        if (cli_weight_is_float(&weights->list[i]) && has_state(optimizer, weights->list[i].group))
            return CLI_OK;
    return cli_storage_no_state(dtype, args->operands[0], args->command);
}
