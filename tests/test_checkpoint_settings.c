/* test_checkpoint_settings.c - a load checks settings exactly as a program's are checked:
 * row C07 of wrong checkpoints. */
#include "tests/checkpoint_small.h"

/* Load file("a") with this text as settings: as good as a program that sets it? Returns 1
 * if it is refused. */
static int same_verdict(const char *rule, const char *text)
{
    small b;
    begin(&b, rule);
    with(&b, "w", 4, 4);
    eden_error said = { 0, "" }, loaded = { 0, "" };
    eden_status want = eden_set_text(b.o, NULL, text, &said);
    if (!want) want = eden_save(b.o, file("b"), EDEN_OPTIM, &said); /* what values mean together */
    eden_optimizer_destroy(b.o);
    begin(&b, rule);
    with(&b, "w", 4, 4);
    const change c = { .key = "eden.settings.default", .value = text };
    const eden_status have = eden_load(b.o, changed(file("a"), c), 0, &loaded);
    /* Some settings ask for state that this file has not. */
    if (have != want && !(want == EDEN_OK && have == EDEN_E_MISMATCH && strstr(loaded.text, "state '")))
        fail_msg("%s, %s: set says %d '%s', load %d '%s'", rule, text, want, said.text, have, loaded.text);
    eden_optimizer_destroy(b.o);
    return want != EDEN_OK;
}

static void test_c07_settings(void **state)
{
    static const char *const values[] = { "nan", "inf", "-inf", "infinity", "1e39", "-1e39", "-1", "-0.001", "-1e-50",
                                          "2", "3", "1", "0.99999999", "0", "-0", "1e-46", "0.5", "1e400", "0x1", "",
                                          "1,5", " 1", "true", "off" };
    int refused = 0, tried = 0;
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++) {
        const eden_rule *rule = eden_rule_at(r);
        const eden_hyper *h;
        small plain;
        begin(&plain, eden_rule_name(rule));
        with(&plain, "w", 4, 4);
        OK(eden_save(plain.o, file("a"), 0, error));
        eden_optimizer_destroy(plain.o);
        for (size_t i = 0; (h = eden_rule_hyper(rule, i)); i++)
            for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                char text[80];
                snprintf(text, sizeof text, "%s=%s", h->name, values[v]);
                refused += same_verdict(eden_rule_name(rule), text);
                tried++;
            }
    }
    print_message("%d settings in a file judged as in a program, %d of them refused\n", tried, refused);
    assert_true(refused > 600 && refused < tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = { IN_FOLDER(test_c07_settings) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
