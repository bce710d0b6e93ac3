/* step_groups.c - groups of tensors by regular expression. */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/settings.h"
#include "cli/step.h"

struct cli_group {
    char *name;      /* "/REGEX/", so that none is called as the defaults are */
    const char *text; /* the whole option, for messages                       */
    char *settings;
    regex_t regex;
    int compiled;
    size_t weights;  /* how many it got                                       */
};

static int compile(cli_group *group, const cli_command *command, size_t length)
{
    char why[200];
    char *expression = strndup(group->text, length);
    group->name = malloc(length + 3);
    if (!expression || !group->name) {
        free(expression);
        return cli_no_memory();
    }
    snprintf(group->name, length + 3, "/%s/", expression);
    const int failure = regcomp(&group->regex, expression, REG_EXTENDED | REG_NOSUB);
    free(expression);
    group->compiled = failure == 0;
    if (!failure) return CLI_OK;
    if (failure == REG_ESPACE) return cli_no_memory();
    regerror(failure, &group->regex, why, sizeof why);
    return cli_usage(command, "--group '%.*s': %s", (int)(length < 200 ? length : 200), group->text,
                     why);
}

static int read_group(cli_group *group, const cli_command *command, const char *rule)
{
    /* No setting has a ':', so that the last one ends the expression. */
    const char *colon = strrchr(group->text, ':');
    if (!colon || colon == group->text || !strchr(colon, '='))
        return cli_usage(command, "--group '%.200s' is not REGEX:NAME=VALUE,...", group->text);
    cli_settings settings;
    int code = cli_settings_create(&settings, rule);
    if (!code) code = cli_settings_list(&settings, command, colon + 1);
    if (!code && !(group->settings = cli_settings_text(&settings))) code = cli_no_memory();
    cli_settings_free(&settings);
    return code ? code : compile(group, command, (size_t)(colon - group->text));
}

int cli_groups_read(cli_groups *groups, const cli_args *args, const char *rule)
{
    int code = CLI_OK;
    *groups = (cli_groups){ .list = calloc(args->option_count + 1, sizeof *groups->list) };
    if (!groups->list) return cli_no_memory();
    for (size_t i = 0; !code && i < args->option_count; i++) {
        if (strcmp(args->options[i].name, "group")) continue;
        cli_group *group = &groups->list[groups->count++];
        group->text = args->options[i].value;
        code = read_group(group, args->command, rule);
    }
    return code;
}

void cli_groups_free(cli_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        if (groups->list[i].compiled) regfree(&groups->list[i].regex);
        free(groups->list[i].name);
        free(groups->list[i].settings);
    }
    free(groups->list);
    eden_file_close(groups->state);
    *groups = (cli_groups){ 0 };
}

/* ---- which weight is in which group -------------------------------------------------- */

/* Put a weight into the first group that has it. */
static int choose(cli_groups *groups, cli_weight *weight)
{
    for (size_t g = 0; g < groups->count; g++) {
        errno = 0;
        const int result = regexec(&groups->list[g].regex, weight->entry.name, 0, NULL, 0);
        /* glibc says of a lack of memory that nothing matched; only errno tells. */
        if (result == REG_ESPACE || (result != 0 && errno == ENOMEM)) return cli_no_memory();
        if (result != 0) continue;
        weight->group = groups->list[g].name;
        groups->list[g].weights++;
        break;
    }
    return CLI_OK;
}

static int match(cli_groups *groups, cli_weights *weights, eden_optimizer *optimizer)
{
    eden_error error;
    for (size_t i = 0; i < weights->count; i++) {
        if (!cli_weight_is_float(&weights->list[i])) continue;
        const int code = choose(groups, &weights->list[i]);
        if (code) return code;
    }
    for (size_t g = 0; g < groups->count; g++) {
        if (!groups->list[g].weights)
            return cli_fail(CLI_USAGE, "--group '%.200s' has no effect: it matches no weight%s",
                            groups->list[g].text, g ? " that an earlier group has not taken" : "");
        if (eden_add_group(optimizer, groups->list[g].name, NULL, NULL, &error))
            return cli_fail_eden(&error, CLI_RUNNING);
    }
    return CLI_OK;
}

/* What a state file says about one name; see eden_save(). */
static const char *said_of(const eden_file *state, const char *what, const char *name)
{
    char key[640];
    const int length = snprintf(key, sizeof key, "eden.%s.%s", what, name);
    return length < (int)sizeof key ? eden_file_value(state, key) : NULL;
}

/* The groups are the state file's, which may be any checkpoint's; the command line
 * may only set what is in them. */
static int restore(cli_groups *groups, cli_weights *weights, eden_optimizer *optimizer)
{
    static const char prefix[] = "eden.rule.";
    const char *key;
    uint64_t split;
    eden_error error;
    for (size_t i = 0; (key = eden_file_key(groups->state, i)) != NULL; i++) {
        const char *name = key + sizeof prefix - 1;
        if (strncmp(key, prefix, sizeof prefix - 1) || !strcmp(name, "default")) continue;
        const char *rule =
            said_of(groups->state, "own_rule", name) ? eden_file_value(groups->state, key) : NULL;
        if (eden_add_group(optimizer, name, rule, NULL, &error))
            return cli_fail_eden(&error, CLI_READING);
    }
    for (size_t i = 0; i < weights->count; i++) {
        cli_weight *weight = &weights->list[i];
        const char *rows = said_of(groups->state, "split", weight->entry.name);
        weight->group = said_of(groups->state, "group", weight->entry.name);
        if (rows && cli_read_count(rows, &split) && split <= weight->entry.ndim)
            weight->split = (uint32_t)split;
    }
    for (size_t g = 0; g < groups->count; g++)
        if (!eden_group_rule(optimizer, groups->list[g].name))
            return cli_fail(CLI_USAGE, "--group '%.200s': the state has no such group; groups are "
                                       "chosen where a state begins", groups->list[g].text);
    return CLI_OK;
}

int cli_groups_make(cli_groups *groups, cli_weights *weights, eden_optimizer *optimizer)
{
    return groups->state ? restore(groups, weights, optimizer) : match(groups, weights, optimizer);
}

int cli_groups_set(const cli_groups *groups, eden_optimizer *optimizer)
{
    eden_error error;
    for (size_t g = 0; g < groups->count; g++)
        if (eden_set_text(optimizer, groups->list[g].name, groups->list[g].settings, &error))
            return cli_fail_eden(&error, CLI_RUNNING);
    return CLI_OK;
}
