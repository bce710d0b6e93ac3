/* compare_json.c - a comparison for other programs, with every epoch. */
#include <jansson.h>
#include <math.h>

#include "cli/compare.h"
#include "cli/json.h"
#include "cli/storage.h"

static json_t *whole(uint64_t value) { return json_integer((json_int_t)value); }

/* Add an item; what cannot be complete becomes NULL, which cli_json_print() tells. */
static void push(json_t **array, json_t *item)
{
    if (!json_array_append_new(*array, item)) return;
    json_decref(*array);
    *array = NULL;
}

static json_t *epochs(const cli_trial *trial)
{
    json_t *array = json_array();
    for (size_t i = 0; i < trial->count; i++) {
        const cli_point *p = &trial->points[i];
        push(
            &array, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "epoch", whole(p->epoch), "step",
                             whole(p->step), "lr", cli_json_number(p->lr), "train_loss",
                             cli_json_number(p->train_loss), "test_loss",
                             cli_json_number(p->test_loss), "test_accuracy",
                             cli_json_number(p->test_accuracy)));
    }
    return array;
}

static json_t *runs(const cli_comparison *c, const cli_entry *entry)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->seeds; i++) {
        const cli_trial *trial = &entry->trials[i];
        const uint64_t reached = cli_reached(c, trial);
        push(
            &array, json_pack("{s:o, s:o, s:o, s:o, s:o}", "seed", whole(trial->seed),
                             "diverged_at", trial->diverged ? whole(trial->diverged_at)
                                                            : json_null(),
                             "steps", whole(trial->steps), "steps_to_target",
                             reached ? whole(reached) : json_null(), "epochs", epochs(trial)));
    }
    return array;
}

static json_t *mean(cli_mean value)
{
    return json_pack("{s:o, s:o}", "mean", cli_json_number(value.mean), "deviation",
                     isfinite(value.mean) ? cli_json_number(value.spread) : json_null());
}

static json_t *one(const cli_comparison *c, const cli_entry *entry)
{
    const cli_summary s = cli_summarize(c, entry);
    const int control = entry == &c->control;
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
        cli_json_text(entry->name), "lr", cli_json_number(entry->lr), "lr_source",
        entry->source ? cli_json_text(entry->source) : json_null(), "diverged",
        whole(s.diverged), "train_loss", mean(s.train_loss),
        c->data.classes ? "test_accuracy" : "test_loss", mean(s.test), "steps_to_target",
        cli_json_number(control ? NAN : s.steps.mean), "step_seconds", cli_json_number(s.seconds),
        "optimizer_share", cli_json_number(s.share), "state_bytes_per_weight",
        cli_json_number(control ? NAN : s.state_bytes), "runs", runs(c, entry));
}

int cli_compare_json(const cli_comparison *c)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < c->count; i++)
        if (cli_entry_complete(c, &c->entries[i]))
            push(&rows, one(c, &c->entries[i]));
    json_t *all = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "command",
        "compare", "version", eden_version(), "task", cli_json_text(c->task), "data",
        cli_json_text(c->data.name), "network", cli_json_text(c->network), "weights",
        whole(c->weights), "classes", whole(c->data.classes), "batch", whole(c->config.batch),
        "epochs", whole(c->config.epochs), "epoch_steps", whole(c->epoch_steps), "seed",
        whole(c->config.seed), "seeds", whole(c->seeds), "target",
        cli_json_number(c->target > 0 ? c->target : NAN), "control", one(c, &c->control),
        "optimizers", rows);
    if (all && !cli_storage_is_plain(&c->config.storage)
        && json_object_set_new(all, "storage", cli_storage_json(&c->config.storage))) {
        json_decref(all);
        all = NULL;
    }
    return cli_json_print(all, stdout, 2);
}
