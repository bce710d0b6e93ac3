/* compare_json.c - a comparison for other programs, with every epoch. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>

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

static const char *metric_name(const char *of, char name[64])
{
    snprintf(name, 64, "test_%.50s", of);
    for (char *s = name; *s; s++) *s = *s == ' ' ? '_' : *s;
    return name;
}

/* "test_accuracy", or what else is judged. */
static const char *test_name(const cli_comparison *c, char name[64])
{
    return metric_name(cli_goal_name(&c->study.metric), name);
}

/* What a problem has no metric for is a null under the usual name. */
static json_t *epochs(const cli_comparison *c, const cli_trial *trial)
{
    json_t *array = json_array();
    char name[64];
    const lab_metric *m = &c->study.metric;
    metric_name(m->name ? m->name : "accuracy", name);
    for (size_t i = 0; i < trial->count; i++) {
        const cli_point *p = &trial->points[i];
        push(
            &array, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "epoch", whole(p->epoch), "step",
                             whole(p->step), "lr", cli_json_number(p->lr), "train_loss",
                             cli_json_number(p->train_loss), "test_loss",
                             cli_json_number(p->test_loss), name,
                             cli_json_number(p->metric)));
    }
    return array;
}

static json_t *runs(const cli_comparison *c, const cli_entry *entry)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->seeds; i++) {
        const cli_trial *trial = &entry->trials[i];
        const cli_point *reached = cli_reached(c, trial);
        push(
            &array, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "seed", whole(trial->seed),
                             "train_set_loss", cli_json_number(trial->fit),
                             "diverged_at", trial->diverged ? whole(trial->diverged_at)
                                                            : json_null(),
                             "steps", whole(trial->steps), "steps_to_target",
                             reached ? whole(reached->step) : json_null(), "epochs",
                             epochs(c, trial)));
    }
    return array;
}

static json_t *tried(const cli_comparison *c, const cli_entry *entry)
{
    json_t *array = json_array();
    char name[64];
    test_name(c, name);
    for (size_t i = 0; i < c->budget; i++) {
        const cli_rate_try *try = &entry->tried[i];
        push(&array, json_pack("{s:o, s:o, s:o, s:o}", "lr", cli_json_number(try->rate), name,
                               cli_json_number(try->goal.mean), "train_loss",
                               cli_json_number(try->train_loss.mean), "diverged",
                               whole(try->diverged)));
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
    char name[64];
    const cli_summary s = cli_summarize(c, entry);
    const int control = entry == &c->control;
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
        cli_json_text(entry->name), "lr", cli_json_number(entry->lr), "lr_source",
        entry->source ? cli_json_text(entry->source) : json_null(), "diverged",
        whole(s.diverged), "train_loss", mean(s.train_loss), test_name(c, name), mean(s.test),
        "steps_to_target", cli_json_number(control ? NAN : s.steps.mean), "step_seconds",
        cli_json_number(s.seconds), "optimizer_share", cli_json_number(s.share),
        "state_bytes_per_weight", cli_json_number(control ? NAN : s.state_bytes), "runs",
        runs(c, entry));
    if (json && (json_object_set_new(json, "gap", mean(s.gap))
                 || json_object_set_new(json, "reached", whole(control ? 0 : s.reached))
                 || json_object_set_new(json, "seconds_to_target",
                                        mean(control ? (cli_mean){ NAN, 0 } : s.target_seconds))
                 || (c->budget && !control
                     && json_object_set_new(json, "rates_tried", tried(c, entry))))) {
        json_decref(json);
        json = NULL;
    }
    return json;
}

int cli_compare_json(const cli_comparison *c)
{
    json_t *rows = json_array();
    const cli_study *study = &c->study;
    const lab_metric *m = &study->metric;
    for (size_t i = 0; i < c->count; i++)
        if (cli_entry_complete(c, &c->entries[i]))
            push(&rows, one(c, &c->entries[i]));
    json_t *all = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "command", "compare", "version", eden_version(), "task", cli_json_text(study->task), "data",
        cli_json_text(study->data), "network", cli_json_text(study->network), "weights",
        whole(study->weights), "classes", whole(study->source.data.classes), "batch",
        whole(study->config.batch), "epochs", whole(study->config.epochs), "epoch_steps",
        whole(study->epoch_steps), "seed", whole(study->config.seed), "seeds", whole(c->seeds),
        "target", cli_json_number(c->target), "budget", whole(c->budget), "metric",
        json_pack("{s:s, s:b, s:s}", "name", cli_goal_name(m), "rises", lab_goal_rises(m),
                  "loss_unit", m->loss_unit),
        "control", one(c, &c->control), "optimizers", rows);
    if (all && !cli_storage_is_plain(&study->config.storage)
        && json_object_set_new(all, "storage", cli_storage_json(&study->config.storage))) {
        json_decref(all);
        all = NULL;
    }
    return cli_json_print(all, stdout, 2);
}
