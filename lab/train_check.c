/* train_check.c - can a run have had the config that a checkpoint says? */
#include <math.h>
#include <string.h>

#include "lab/train_run.h"

eden_status lab_check_settings(const lab_config *config, int *fine, eden_error *error)
{
    eden_error why = { 0, "" };
    eden_optimizer *optimizer = NULL;
    const char *text = config->settings;
    *fine = 1;
    if (!text || !eden_rule_find(config->optimizer, NULL)) return EDEN_OK;
    for (const char *at = text; *at; at += strcspn(at, ","), at += *at == ',') {
        const size_t length = strcspn(at, ",="), item = strcspn(at, ",");
        if (!length || length == item || (at[item] && !at[item + 1])) *fine = 0;
        for (const char *next = at + item; *next; next += strcspn(next, ","))
            if (!strncmp(++next, at, length + 1)) *fine = 0;
    }
    eden_status status = eden_optimizer_create(&optimizer, config->optimizer, NULL, &why);
    if (!status) status = eden_set_text(optimizer, NULL, text, &why);
    eden_optimizer_destroy(optimizer);
    if (status == EDEN_E_MEMORY) return lab_fail(error, status, "%s", why.text);
    if (status) *fine = 0;
    return EDEN_OK;
}

const char *lab_bad_note(const lab_config *c)
{
    const double dropout = c->model.dropout;
    if (!c->optimizer) return "lab.optimizer";
    if (!c->model.kind) return "lab.model";
    if (!c->batch) return "lab.batch";
    if (c->parts == 1 || c->parts > LAB_MOST_PARTS) return "lab.parts";
    if (!c->epochs || c->epochs > UINT64_MAX / 4) return "lab.epochs";
    if (dropout != -1 && !(dropout >= 0 && dropout < 1)) return "lab.dropout";
    if (!(c->clip_norm >= 0) || !isfinite(c->clip_norm)) return "lab.clip_norm";
    if (c->no_decay && strcmp(c->no_decay, "1") != 0) return "lab.no_decay";
    eden_config options = EDEN_CONFIG_INIT;
    return c->average && lab_average_read(c->average, &options, NULL) ? "lab.average" : NULL;
}
