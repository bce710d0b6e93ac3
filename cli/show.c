#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/names.h"
#include "cli/settings.h"

enum { WIDTH = 79 };

static void lines(const char *text)
{
    while (*text) {
        const size_t length = strcspn(text, "\n");
        fputs("  ", stdout);
        fwrite(text, 1, length, stdout);
        putchar('\n');
        text += length + (text[length] == '\n');
    }
}

static void heading(const char *text)
{
    const cli_style style = cli_style_of(stdout);
    printf("\n%s%s%s\n", style.bold, text, style.off);
}

static void settings_table(const cli_settings *settings)
{
    heading("Settings");
    for (size_t i = 0; i < settings->count; i++) {
        const eden_hyper *hyper = eden_rule_hyper(settings->rule, i);
        char value[64], range[160];
        const int column = 2 + printf("  %-15s %-9s %-18s", hyper->name,
                                cli_value_text(hyper, settings->values[i], value),
                                cli_range_text(hyper, range));
        printf("%s", column > 50 ? "\n" : "");
        printf("%*s", column > 50 ? 48 : column < 48 ? 48 - column + 2 : 1, "");
        cli_wrap(stdout, 48, 48, WIDTH, hyper->doc);
        putchar('\n');
    }
}

/* A condition in C as people read it: no "h.", words for signs. */
static void condition(const char *text)
{
    static const char *const signs[][2] = { { "&&", "and" }, { "||", "or" }, { "!=", "!=" },
                                            { "!", "not " }, { "h.", "" },   { "x.", "" } };
    while (*text) {
        size_t i = 0;
        while (i < 6 && strncmp(text, signs[i][0], strlen(signs[i][0]))) i++;
        if (i < 6) {
            fputs(signs[i][1], stdout);
            text += strlen(signs[i][0]);
        } else {
            putchar(tolower((unsigned char)*text++));
        }
    }
}

static void slot_table(const cli_settings *settings)
{
    const eden_slot *slot;
    heading("State");
    for (size_t i = 0; (slot = eden_rule_slot(settings->rule, i)) != NULL; i++) {
        if (slot->kind != EDEN_STATE) continue;
        printf("  %-6s %-7s ", slot->name, cli_shape_text(slot->shape));
        cli_wrap(stdout, 17, 17, WIDTH, slot->doc);
        if (strcmp(slot->when, "1")) {
            printf("\n%17sif ", "");
            condition(slot->when);
        }
        putchar('\n');
    }
    printf("  %.3g bytes a weight, for a 1024 x 1024 matrix at the defaults.\n",
           cli_state_bytes(settings));
}

/* "a=1,b=2" with lines broken at commas. */
static void settings_text(const char *text)
{
    int column = 12;
    printf("\n%12s", "");
    while (*text) {
        const size_t item = strcspn(text, ","), length = item + (text[item] == ',');
        if (column > 12 && column + (int)length > WIDTH) {
            printf("\n%12s", "");
            column = 12;
        }
        fwrite(text, 1, length, stdout);
        column += (int)length;
        text += length;
    }
}

static void peer_table(const cli_settings *settings)
{
    const eden_peer *peer;
    if (!eden_rule_peer(settings->rule, 0)) return;
    heading("The same elsewhere");
    for (size_t i = 0; (peer = eden_rule_peer(settings->rule, i)) != NULL; i++) {
        printf("  %-9s %s", peer->peer, peer->name);
        if (*peer->settings) settings_text(peer->settings);
        if (*peer->note) {
            printf("\n%12s", "");
            cli_wrap(stdout, 12, 12, WIDTH, peer->note);
        }
        putchar('\n');
    }
    printf("  The settings stand over the defaults of %s.\n", eden_rule_name(settings->rule));
}

static void print(const cli_name *name, const cli_settings *settings)
{
    const cli_style style = cli_style_of(stdout);
    printf("%s%s%s: %s\n", style.bold, name->name, style.off, name->title);
    if (name->preset)
        printf("a form of %s with %s\n", eden_rule_name(name->rule), name->preset->settings);
    cli_wrap(stdout, 0, 0, WIDTH, name->paper);
    putchar('\n');
    heading("Update");
    lines(name->formula);
    settings_table(settings);
    slot_table(settings);
    peer_table(settings);
}

int cli_show(const cli_args *args)
{
    const char *wanted = args->operands[0];
    if (!eden_rule_find(wanted, NULL)) return cli_unknown_optimizer(wanted);
    size_t count, i = 0;
    cli_settings settings = { 0 };
    cli_name *names = cli_names(&count);
    if (!names) return cli_no_memory();
    while (i + 1 < count && strcmp(names[i].name, wanted)) i++;
    int code = CLI_OK;
    if (cli_has(args, "json"))
        code = cli_json_print(cli_describe(&names[i]), stdout, 2);
    else if (!(code = cli_settings_create(&settings, wanted)))
        print(&names[i], &settings);
    cli_settings_free(&settings);
    free(names);
    return code;
}
