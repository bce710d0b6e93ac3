/* fuzz_settings.c - any bytes as names and texts of settings.
 *
 * An input is lines: an optimizer's name, then settings for the defaults, a group's name,
 * the group's rule, its settings, and a note. */
#include "fuzz/fuzz.h"

#include <eden/eden.h>
#include <string.h>

enum { ROOM = 1024, MOST = 64 };

/* Every value that a group uses; how many there are. */
static size_t read_settings(const eden_optimizer *optimizer, const char *group, double values[MOST])
{
    const eden_rule *rule = eden_group_rule(optimizer, group);
    size_t n = 0;
    for (const eden_hyper *h; (h = eden_rule_hyper(rule, n)) != NULL && n < MOST; n++)
        fuzz_check(!eden_get(optimizer, group, h->name, &values[n], NULL), "a setting can be read");
    return n;
}

static void set_text(eden_optimizer *optimizer, const char *group, const char *text)
{
    double before[MOST] = { 0 }, after[MOST] = { 0 };
    eden_error error = { 0 };
    const size_t n = read_settings(optimizer, group, before);
    const eden_status status = eden_set_text(optimizer, group, text, &error);
    fuzz_check(read_settings(optimizer, group, after) == n, "a group keeps its rule");
    for (size_t i = 0; i < n; i++) {
        if (status) fuzz_check(before[i] == after[i], "all settings or none");
        fuzz_check(eden_rule_allows(eden_group_rule(optimizer, group), i, after[i]),
                   "a setting is within its range");
    }
    if (!status) return;
    fuzz_check(error.status == (uint32_t)status && error.text[0], "a failure has a sentence");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[ROOM], text[ROOM], rule[ROOM];
    float weight = 1, grad = 1;
    eden_optimizer *optimizer = NULL;
    eden_error error = { 0 };
    fuzz_input input = { data, size };
    eden_config config = EDEN_CONFIG_INIT;
    const eden_tensor tensor = eden_vector(&weight, &grad, 1);
    config.threads = 1;
    if (eden_optimizer_create(&optimizer, fuzz_line(&input, name, ROOM), &config, &error)) {
        fuzz_check(!optimizer && error.text[0], "a failure has a sentence and no optimizer");
        return 0;
    }
    set_text(optimizer, NULL, fuzz_line(&input, text, ROOM));
    fuzz_line(&input, name, ROOM);
    fuzz_line(&input, rule, ROOM);
    fuzz_line(&input, text, ROOM);
    const int added = !eden_add_group(optimizer, name, *rule ? rule : NULL, *text ? text : NULL, &error);
    fuzz_check(added || error.text[0], "a failure has a sentence");
    if (added) set_text(optimizer, name, text);
    if (!eden_add_tensor(optimizer, name, &tensor, added ? name : NULL, &error)) {
        const eden_status status = eden_step(optimizer, &error);
        fuzz_check(eden_steps(optimizer) == !status, "a step counts if it succeeds");
        fuzz_check(!status || weight == 1, "a step that fails changes nothing");
    }
    fuzz_line(&input, text, ROOM);
    if (!eden_set_note(optimizer, name, text, &error))
        fuzz_check(!strcmp(eden_note(optimizer, name), text), "a note is kept");
    eden_optimizer_destroy(optimizer);
    return 0;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    static const char *const texts[] = {
        "adamw\nlr=0.1, beta1=0.5,weight_decay=1e-2\nno decay\n\nweight_decay=0\nnote",
        "nesterov\nmomentum=0.5,nesterov=0\ng\nlion\nlr=1e-4,decay=coupled\nx",
        "adafactor\nclip_threshold=2,relative_step=1\ng\nsgd\nmomentum=0.9,dampening=0.1\n",
        "lamb\nlr=1e-400\ng\nadagrad\nlr_decay=0.1\n",
        "rmsprop\ncentered=1,momentum=0.9\nmomentum\nmomentum\n\n",
        "sgd\nlr=-1\ndefault\n\n\n",
        "adam\namsgrad=1,eps=0,lr=1.7976931348623157e308\n\xc3\xa9\nadam\nbeta2=0.99999999\n",
    };
    return i < sizeof texts / sizeof texts[0] ? fuzz_seed_text(texts[i], room) : 0;
}
