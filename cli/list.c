#include "cli/list.h"

#include <stdlib.h>

#include "cli/commands.h"
#include "cli/json.h"

static int print_json(const cli_name *names, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, cli_describe(&names[i]))) {
            json_decref(array);
            return cli_no_memory();
        }
    return cli_json_print(array, stdout, 2);
}

static int print_table(const cli_name *names, size_t count)
{
    const cli_style style = cli_style_of(stdout);
    int code = CLI_OK;
    printf("%s%-10s %-46s %4s %8s %8s%s\n", style.bold, "NAME", "OPTIMIZER", "YEAR", "STATE",
           "SETTINGS", style.off);
    printf("%s%71s%s\n", style.dim, "B/weight", style.off);
    for (size_t i = 0; !code && i < count; i++) {
        cli_settings settings;
        code = cli_settings_create(&settings, names[i].name);
        if (!code)
            printf("%-10s %-46s %4u %8.3g %8zu\n", names[i].name, names[i].title,
                   names[i].year, cli_state_bytes(&settings), settings.count);
        cli_settings_free(&settings);
    }
    printf("\n'eden show NAME' explains one; 'eden compare digits' trains with all.\n");
    return code;
}

int cli_list(const cli_args *args)
{
    size_t count;
    cli_name *names = cli_names(&count);
    if (!names) return cli_no_memory();
    const int code = cli_has(args, "json") ? print_json(names, count) : print_table(names, count);
    free(names);
    return code;
}
