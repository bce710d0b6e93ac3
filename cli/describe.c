/* describe.c - a rule or preset as JSON. */
#include <string.h>

#include "cli/json.h"
#include "cli/list.h"
#include "cli/settings.h"

static json_t *choices(const char *words)
{
    json_t *array = json_array();
    for (const char *s = words; *s; s += strcspn(s, ","), s += *s == ',')
        json_array_append_new(array, json_stringn(s, strcspn(s, ",")));
    return array;
}

static json_t *hypers(const cli_settings *settings)
{
    static const char *const kinds[] = { "real", "flag", "choice" };
    json_t *array = json_array();
    for (size_t i = 0; i < settings->count; i++) {
        const eden_hyper *h = eden_rule_hyper(settings->rule, i);
        char text[64];
        json_t *initial = h->kind == EDEN_CHOICE
                              ? json_string(cli_value_text(h, settings->values[i], text))
                              : cli_json_exact(settings->values[i]);
        json_t *object = json_pack("{ss so so so sb sb ss}", "name", h->name, "default", initial,
                                   "low", cli_json_exact(h->low), "high", cli_json_exact(h->high),
                                   "low_open", (int)h->low_open, "high_open", (int)h->high_open,
                                   "kind", h->kind < 3 ? kinds[h->kind] : "?");
        if (h->kind == EDEN_CHOICE) json_object_set_new(object, "choices", choices(h->choices));
        json_object_set_new(object, "doc", json_string(h->doc));
        json_array_append_new(array, object);
    }
    return array;
}

const char *cli_shape_text(uint32_t shape)
{
    static const char *const shapes[] = { "full", "row", "column", "one", "each matrix" };
    return shape < 4 ? shapes[shape] : "?";
}

static json_t *slots(const eden_rule *rule)
{
    json_t *array = json_array();
    const eden_slot *slot;
    for (size_t i = 0; (slot = eden_rule_slot(rule, i)) != NULL; i++)
        if (slot->kind == EDEN_STATE)
            json_array_append_new(array, json_pack("{ss ss ss ss}", "name", slot->name, "shape",
                                                   cli_shape_text(slot->shape), "when", slot->when,
                                                   "doc", slot->doc));
    return array;
}

static json_t *peers(const eden_rule *rule)
{
    json_t *array = json_array();
    const eden_peer *peer;
    for (size_t i = 0; (peer = eden_rule_peer(rule, i)) != NULL; i++)
        json_array_append_new(array,
                              json_pack("{ss ss ss ss}", "peer", peer->peer, "name", peer->name,
                                        "settings", peer->settings, "note", peer->note));
    return array;
}

double cli_state_bytes(const cli_settings *settings)
{
    const eden_extent extent = { 1024 * 1024, 1024, 1024, 0 };
    return (double)eden_rule_state_bytes(settings->rule, settings->values, extent)
         / (double)extent.count;
}

json_t *cli_describe(const cli_name *name)
{
    cli_settings settings;
    json_t *object = NULL;
    if (!cli_settings_create(&settings, name->name))
        object = json_pack("{ss ss ss ss* si ss ss so so so so}", "name", name->name, "title",
                           name->title, "rule", eden_rule_name(name->rule), "preset_settings",
                           name->preset ? name->preset->settings : NULL, "year", (int)name->year,
                           "paper", name->paper, "formula", name->formula, "hypers",
                           hypers(&settings), "slots", slots(name->rule), "state_bytes_per_weight",
                           cli_json_exact(cli_state_bytes(&settings)), "peers", peers(name->rule));
    cli_settings_free(&settings);
    return object;
}
