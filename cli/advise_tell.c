/* advise_tell.c - the advice as text, with lines of C and the claims behind it, and as JSON. */
#include <stdlib.h>
#include <string.h>

#include "cli/advise.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/task.h"
#include "lab/claims.h"

enum { WIDTH = 79 };

static const char *bytes_text(double bytes, char text[32])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    int i = 0;
    for (; bytes >= 1024 && i < 5; i++) bytes /= 1024;
    snprintf(text, 32, bytes < 10 && i ? "%.2f %s" : "%.0f %s", bytes, units[i]);
    return text;
}

static void wrapped(const char *head, const char *text)
{
    const int column = printf("%-12s", head);
    cli_wrap(stdout, 12, column, WIDTH, text);
    putchar('\n');
}

/* The lines of C. The caller frees them; NULL after saying that there was no memory. */
static char *code_of(const cli_advising *a, const char *settings)
{
    char *text = NULL;
    size_t size = 0;
    const lab_advice *advice = a->advice;
    const size_t decay = eden_rule_hyper_index(a->settings.rule, "weight_decay");
    const int apart = !advice->vectors_decay && decay != SIZE_MAX && a->settings.values[decay] > 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        cli_no_memory();
        return NULL;
    }
    fprintf(out, "eden_config config = EDEN_CONFIG_INIT;\n");
    if (advice->clip > 0) fprintf(out, "config.clip_norm = %g;\n", advice->clip);
    fprintf(out, "eden_optimizer_create(&opt, \"%s\", &config, &error);\n", a->settings.name);
    if (*settings) fprintf(out, "eden_set_text(opt, NULL, \"%s\", &error);\n", settings);
    fprintf(out, "eden_schedule(opt, NULL, \"lr\", \"%s\", &error);\n", a->schedule);
    if (apart) fprintf(out, "eden_add_group(opt, \"vectors\", NULL, \"weight_decay=0\", &error);\n");
    fprintf(out, "eden_tensor tensor = eden_matrix(w, grad, rows, cols); /* each of them */\n");
    if (a->storage) fprintf(out, "tensor.state_dtype = %s;\n", cli_stored_as[a->storage].name);
    fprintf(out, "eden_add_tensor(opt, \"name\", &tensor, %s, &error);\n",
            apart ? "is_vector ? \"vectors\" : NULL" : "NULL");
    return cli_close_text(out, &text);
}

static int print_code(const cli_advising *a, const char *settings)
{
    char *text = code_of(a, settings);
    putchar('\n');
    for (const char *s = text; s && *s; s += strcspn(s, "\n") + 1)
        printf("    %.*s\n", (int)strcspn(s, "\n"), s);
    free(text);
    return text ? CLI_OK : CLI_SYSTEM;
}

/* The next name of a list between blanks, or 0; *list goes on behind it. */
static int next_claim(const char **list, char id[64])
{
    *list += strspn(*list, " ");
    const size_t length = strcspn(*list, " ");
    snprintf(id, 64, "%.*s", (int)length, *list);
    *list += length;
    return length > 0;
}

/* What was found, wherever it falls. */
static void print_claims(const lab_advice *advice)
{
    char id[64], line[600], found[200];
    const char *head = "evidence";
    putchar('\n');
    for (const char *list = advice->claims; next_claim(&list, id);) {
        const lab_claim *claim = lab_claim_find(id);
        const lab_measured *m = lab_measured_find(id);
        if (!claim) continue;
        if (m && m->runs)
            snprintf(found, sizeof found, "%s here, %.100s, %u run%s of each", m->verdict, m->effect, m->runs,
                     m->runs == 1 ? "" : "s");
        else
            snprintf(found, sizeof found, "not measured yet");
        snprintf(line, sizeof line, "%s: %s (eden evidence %s)", claim->sentence, found, id);
        wrapped(head, line);
        head = "";
    }
}

int cli_advise_print(const cli_advising *a, const char *settings)
{
    const cli_style style = cli_style_of(stdout);
    char text[400], state[32], whole[32], have[32], params[32], steps[32];
    const lab_advice *advice = a->advice;
    printf("%-12s%s%s%s, %s\n", "optimizer", style.bold, a->settings.name, style.off, settings);
    printf("%-12s%s\n", "schedule", a->schedule);
    if (advice->clip > 0) printf("%-12sgradients to a norm of %g\n", "clip", advice->clip);
    snprintf(text, sizeof text, "%s of state (%s), %s with weights and gradients in float32, for %s weights",
             bytes_text(a->state, state), a->state > 0 ? cli_stored_as[a->storage].word : "none",
             bytes_text(a->whole, whole), cli_grouped(a->params, params));
    wrapped("memory", text);
    wrapped("why", advice->why);
    if (a->large)
        wrapped("", "With so many examples to a step the advice for large batches comes first.");
    if (a->lean) wrapped("", "It takes the place of what is usual for the task, which does not fit.");
    if (!a->fits) {
        snprintf(text, sizeof text, "It does not fit into %s all the same; store weights and gradients in "
                 "16 bits, or train a smaller network.", bytes_text(a->memory, have));
        wrapped("but", text);
    }
    snprintf(text, sizeof text, "The schedule is for %s steps (--steps). The rate is a place to start from: "
             "'eden tune' searches one.", cli_grouped(a->steps, steps));
    wrapped("then", text);
    const int code = print_code(a, settings);
    if (!code) print_claims(advice);
    return code;
}

static json_t *evidence_json(const char *id)
{
    const lab_claim *claim = lab_claim_find(id);
    const lab_measured *m = lab_measured_find(id);
    return json_pack("{s:s, s:s, s:s?, s:s?}", "claim", id, "sentence", claim ? claim->sentence : "", "verdict",
                     m ? m->verdict : NULL, "effect", m ? m->effect : NULL);
}

int cli_advise_json(const cli_advising *a, const char *settings)
{
    json_t *claims = json_array(), *evidence = json_array();
    char id[64], *code = code_of(a, settings);
    for (const char *list = a->advice->claims; next_claim(&list, id);) {
        json_array_append_new(claims, json_string(id));
        json_array_append_new(evidence, evidence_json(id));
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:s, s:I, s:f, s:f, s:b, s:s, s:o, s:o, s:s?}",
                             "command", "advise", "version", eden_version(), "task", a->task, "optimizer",
                             a->settings.name, "settings", settings, "schedule", a->schedule, "clip_norm",
                             a->advice->clip, "state_dtype", cli_stored_as[a->storage].word, "params",
                             (json_int_t)a->params, "state_bytes", a->state, "bytes", a->whole, "fits", a->fits,
                             "why", a->advice->why, "claims", claims, "evidence", evidence, "code", code);
    free(code);
    return cli_json_print(json, stdout, 2);
}
