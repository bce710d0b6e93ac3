/* compare_entries.c - which optimizers are compared, and how each is set. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/compare.h"
#include "cli/names.h"
#include "cli/output.h"
#include "cli/storage.h"

static void free_entry(cli_entry *entry, size_t seeds)
{
    for (size_t i = 0; entry->trials && i < seeds; i++) cli_trial_free(&entry->trials[i]);
    free(entry->trials);
    free(entry->tried);
    free(entry->settings);
    cli_settings_free(&entry->set);
    free(entry->name);
}

void cli_entries_free(cli_comparison *c)
{
    for (size_t i = 0; i < c->count; i++) free_entry(&c->entries[i], c->seeds);
    free_entry(&c->control, c->seeds);
    free(c->entries);
}

/* In a comparison an optimizer may have no state, as long as another has some. */
static int check_storage(cli_comparison *c, const cli_settings *settings)
{
    lab_storage storage = c->study.config.storage;
    if (cli_storage_has_state(settings->rule, settings->values)) c->stateful = 1;
    else storage.state_dtype = EDEN_F32;
    return cli_storage_check(&storage, settings, c->args->command);
}

static int set_up(cli_comparison *c, cli_entry *entry)
{
    int code = cli_settings_create(&entry->set, entry->name);
    if (!code && c->budget) code = cli_rate_check(&c->study, &entry->set, "--budget");
    if (!code) code = cli_study_settings(&c->study, &entry->set, &entry->source);
    if (!code) code = check_storage(c, &entry->set);
    if (code) return code;
    const size_t lr = eden_rule_hyper_index(entry->set.rule, "lr");
    if (lr != SIZE_MAX) entry->lr = entry->set.values[lr];
    entry->settings = cli_settings_text(&entry->set);
    return entry->settings ? CLI_OK : cli_no_memory();
}

static int add_entry(cli_comparison *c, const char *name, size_t length)
{
    cli_entry *entry = &c->entries[c->count];
    *entry = (cli_entry){ .name = strndup(name, length), .lr = NAN,
                          .tried = calloc(c->budget + 1, sizeof *entry->tried),
                          .trials = calloc(c->seeds, sizeof *entry->trials) };
    c->count++;
    if (!entry->name || !entry->trials || !entry->tried) return cli_no_memory();
    if (!length) return cli_usage(c->args->command, "--optimizers has an empty name");
    for (size_t i = 0; i + 1 < c->count; i++)
        if (!strcmp(c->entries[i].name, entry->name))
            return cli_usage(c->args->command, "--optimizers names %s twice", entry->name);
    return set_up(c, entry);
}

static int listed(cli_comparison *c, const char *list)
{
    int code = CLI_OK;
    for (const char *s = list; !code; s++) {
        const size_t length = strcspn(s, ",");
        code = add_entry(c, s, length);
        s += length;
        if (!*s) break;
    }
    return code;
}

int cli_entries_create(cli_comparison *c)
{
    size_t known, room = 1;
    const char *list = cli_text(c->args, "optimizers", NULL);
    cli_name *names = cli_names(&known);
    for (const char *s = list; s && *s; s++) room += *s == ',';
    c->entries = names ? calloc(list ? room : known + 1, sizeof *c->entries) : NULL;
    c->control = (cli_entry){ .name = strdup("none"), .lr = NAN,
                              .trials = calloc(c->seeds, sizeof *c->control.trials) };
    int code = CLI_OK;
    if (!c->entries || !c->control.name || !c->control.trials)
        code = cli_no_memory();
    else if (list)
        code = listed(c, list);
    for (size_t i = 0; !code && !list && i < known; i++)
        code = add_entry(c, names[i].name, strlen(names[i].name));
    free(names);
    const uint32_t state = c->study.config.storage.state_dtype;
    if (!code && state != EDEN_F32 && !c->stateful)
        code = cli_storage_no_state(state, "what is compared", c->args->command);
    for (size_t i = 0; !code && i < c->count; i++)
        code = cli_study_try(&c->study, c->entries[i].name, c->entries[i].settings);
    return code;
}
