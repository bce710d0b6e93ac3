/* test_null.c - what is NULL, or would have no effect, is named. */
#include <stdio.h>
#include <string.h>

#include "ok.h"

static eden_optimizer *create(const char *rule, const eden_config *config)
{
    eden_optimizer *o = NULL;
    OK(eden_optimizer_create(&o, rule, config, error));
    return o;
}

/* A refusal says what it should, and where. */
static void refused(eden_status status, eden_status want, const eden_error *e, const char *part)
{
    if (status != want) fail_msg("status %d instead of %d: %s", status, want, e->text);
    assert_int_equal(e->status, want);
    if (!strstr(e->text, part)) fail_msg("'%s' does not contain '%s'", e->text, part);
}

static void test_null_and_void(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    eden_error e;
    eden_optimizer *o = NULL;
    double value[64];
    (void)state;
    refused(eden_set_note(NULL, "a", "b", &e), EDEN_E_ARGUMENT, &e, "optimizer is NULL");
    refused(eden_swap_average(NULL, &e), EDEN_E_ARGUMENT, &e, "eden_swap_average: optimizer is NULL");
    refused(eden_get_average(NULL, "w", NULL, 0, NULL, &e), EDEN_E_ARGUMENT, &e, "optimizer is NULL");
    refused(eden_step_tensor(NULL, "w", &e), EDEN_E_ARGUMENT, &e, "eden_step_tensor: optimizer is NULL");
    assert_true(eden_loss_scale(NULL) == 1);
    c.threads = 257;
    refused(eden_optimizer_create(&o, "sgd", &c, &e), EDEN_E_VALUE, &e, "threads = 257");
    c.threads = 1, c.pool = &c;
    refused(eden_optimizer_create(&o, "sgd", &c, &e), EDEN_E_VALUE, &e, "without config.run");
    o = create("sgd", NULL);
    refused(eden_get_at(o, NULL, "lr", 0, value, &e), EDEN_E_VALUE, &e, "count from 1");
    eden_optimizer_destroy(o);
    const eden_rule *none = eden_group_rule(NULL, "typo");
    const eden_extent x = { 1, 1, 1, 0 };
    assert_null(none);
    assert_null(eden_rule_name(none));
    assert_null(eden_rule_hyper(none, 0));
    assert_null(eden_rule_slot(none, 0));
    assert_null(eden_rule_preset(none, 0));
    assert_null(eden_rule_peer(none, 0));
    assert_true(eden_rule_hyper_index(none, "lr") == SIZE_MAX);
    assert_int_equal(eden_rule_defaults(none, value, 64), EDEN_E_ARGUMENT);
    assert_int_equal(eden_rule_check(none, value, NULL, NULL), EDEN_E_ARGUMENT);
    assert_int_equal(eden_rule_check(eden_rule_at(0), NULL, NULL, NULL), EDEN_E_ARGUMENT);
    assert_int_equal(eden_rule_allows(none, 0, 1), 0);
    assert_int_equal(eden_rule_slot_length(none, 0, value, x), 0);
    assert_int_equal(eden_rule_state_bytes(none, value, x), 0);
    assert_int_equal(eden_rule_work_bytes(none, value, x), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_null_and_void) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
