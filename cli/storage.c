#include "cli/storage.h"

#include <string.h>

/* The table of options has refused all other words. */
static uint32_t place(const cli_args *args, const char *option, const char *words)
{
    uint32_t i = 0;
    const char *word = cli_text(args, option, NULL);
    return word && lab_word_place(words, word, &i) ? i : 0;
}

int cli_storage_read(const cli_args *args, lab_storage *storage)
{
    const char *rounding = cli_text(args, "rounding", NULL);
    *storage = (lab_storage){ place(args, "dtype", LAB_DTYPES), place(args, "grad-dtype", LAB_DTYPES),
                              place(args, "state-dtype", LAB_STATE_DTYPES),
                              place(args, "rounding", LAB_ROUNDINGS) };
    if (rounding && storage->dtype == EDEN_F32)
        return cli_usage(args->command, "--rounding %s does nothing: float32 weights lose nothing; it "
                         "goes with --dtype bf16 or f16", rounding);
    if (storage->rounding == EDEN_SPLIT && storage->dtype != EDEN_BF16)
        return cli_usage(args->command, "--rounding split is for --dtype bf16; use master or kahan");
    return CLI_OK;
}

/* ---- what optimizers can have ----------------------------------------------------------- */

static const eden_extent matrix = { 64, 8, 8, 0 }, vector = { 64, 1, 64, 0 };

/* State of one of these shapes. */
static int has_slot(const eden_rule *rule, const double *values, eden_extent extent,
                    uint32_t least, uint32_t most)
{
    const eden_slot *slot;
    for (size_t s = 0; (slot = eden_rule_slot(rule, s)) != NULL; s++)
        if (slot->kind == EDEN_STATE && slot->shape >= least && slot->shape <= most
            && eden_rule_slot_length(rule, s, values, extent))
            return 1;
    return 0;
}

int cli_storage_has_state(const eden_rule *rule, const double *values)
{
    return has_slot(rule, values, matrix, EDEN_FULL, EDEN_FULL)
           || has_slot(rule, values, vector, EDEN_FULL, EDEN_FULL);
}

int cli_storage_no_state(uint32_t state_dtype, const char *what, const cli_command *command)
{
    char word[LAB_WORD_ROOM];
    return cli_usage(command, "--state-dtype %s does nothing: %s, as it is set, keeps no state for each "
                     "weight", lab_word(LAB_STATE_DTYPES, state_dtype, word), what);
}

int cli_storage_check(const lab_storage *storage, const cli_settings *settings,
                      const cli_command *command)
{
    const size_t ahead = eden_rule_hyper_index(settings->rule, "lookahead");
    if (storage->state_dtype != EDEN_F32
        && !cli_storage_has_state(settings->rule, settings->values))
        return cli_storage_no_state(storage->state_dtype, settings->name, command);
    if (storage->state_dtype == EDEN_Q8
        && has_slot(settings->rule, settings->values, matrix, EDEN_ROW, EDEN_COL))
        return cli_usage(command, "--state-dtype q8 is not for %s, which factors matrices; use bf16",
                         settings->name);
    if (ahead != SIZE_MAX && settings->values[ahead] > 0 && storage->dtype != EDEN_F32
        && storage->rounding != EDEN_MASTER && storage->rounding != EDEN_SPLIT)
        return cli_usage(command, "%s: lookahead goes there and back, which 16-bit weights can only do "
                         "with --rounding master or split", settings->name);
    return CLI_OK;
}

/* ---- told ---------------------------------------------------------------------------------- */

int cli_storage_is_plain(const lab_storage *storage)
{
    return !storage->dtype && !storage->grad_dtype && !storage->state_dtype && !storage->rounding;
}

const char *cli_storage_text(const lab_storage *storage, char text[CLI_STORAGE_ROOM])
{
    char weights[LAB_WORD_ROOM], grads[LAB_WORD_ROOM], state[LAB_WORD_ROOM], rounding[LAB_WORD_ROOM];
    lab_word(LAB_ROUNDINGS, storage->rounding, rounding);
    const int rounded = storage->dtype != EDEN_F32;
    snprintf(text, CLI_STORAGE_ROOM, "weights %s%s%s%s, gradients %s, state %s",
             lab_word(LAB_DTYPES, storage->dtype, weights), rounded ? " (" : "",
             rounded ? rounding : "", rounded ? ")" : "",
             lab_word(LAB_DTYPES, storage->grad_dtype, grads),
             lab_word(LAB_STATE_DTYPES, storage->state_dtype, state));
    return text;
}

json_t *cli_storage_json(const lab_storage *storage)
{
    char weights[LAB_WORD_ROOM], grads[LAB_WORD_ROOM], state[LAB_WORD_ROOM], rounding[LAB_WORD_ROOM];
    return json_pack("{s:s, s:s, s:s, s:s}", "dtype", lab_word(LAB_DTYPES, storage->dtype, weights),
                     "grad_dtype", lab_word(LAB_DTYPES, storage->grad_dtype, grads), "state_dtype",
                     lab_word(LAB_STATE_DTYPES, storage->state_dtype, state), "rounding",
                     lab_word(LAB_ROUNDINGS, storage->rounding, rounding));
}
