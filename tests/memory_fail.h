/* memory_fail.h - fail the memory of operations one call after the other; a part of
 * test_memory.c. */
#ifndef TEST_MEMORY_FAIL_H
#define TEST_MEMORY_FAIL_H

static long seen, tested; /* calls for memory of runs that went well; made to fail */

static void clear(void)
{
    unlink(at("p"));
    unlink(at("p.old"));
}

static world *prepare(const operation *op)
{
    clear();
    return op->before();
}

/* The object before the operation and after it, when all goes well. */
static long look_well(const operation *op, picture *before, picture *after)
{
    eden_error e = { 0, "" };
    world *m = prepare(op);
    *before = world_see(m);
    world_free(m);
    m = prepare(op);
    memory_arm(0, 0);
    const eden_status status = op->act(m, &e);
    memory.armed = 0;
    const long calls = memory.calls;
    if (status) fail_msg("%s: %s", op->covers, e.text);
    *after = world_see_all(m);
    world_free(m);
    return calls;
}

/* Once with a look at what the failure left, once with another try at once. Returns 0
 * when there is no n-th call. */
static int fail_one(const operation *op, long n, int for_ever, int again, const picture *before,
                    const picture *after)
{
    eden_error e = { 0, "" };
    world *m = prepare(op);
    memory_arm(n, for_ever);
    eden_status status = op->act(m, &e);
    memory.armed = 0;
    const int reached = memory.calls >= n;
    if (!reached || !status) assert_int_equal(status, EDEN_OK);
    if (status && (status != EDEN_E_MEMORY || e.status != EDEN_E_MEMORY || !strstr(e.text, "memory")))
        fail_msg("%s, call %ld: status %d, %u '%s'", op->covers, n, status, e.status, e.text);
    assert_int_equal(count_files(".eden-tmp"), 0);
    if (status && again) must(op->act(m, &e), &e);
    picture now = status && !again ? world_see(m) : world_see_all(m);
    if (!same(&now, status && !again ? before : after))
        fail_msg("%s, call %ld%s: %s", op->covers, n, for_ever ? " and on" : "",
                 !status ? "other results" : again ? "other results of the second try" : "changed");
    free(now.bytes);
    world_free(m);
    return reached;
}

static void fail_all(const operation *op)
{
    picture before, after;
    const long calls = look_well(op, &before, &after);
    seen += calls;
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        long n = 1;
        for (int reached = 1; reached; n++) {
            const long live = memory.live;
            const int files = open_files();
            reached = fail_one(op, n, for_ever, 0, &before, &after);
            if (reached) fail_one(op, n, for_ever, 1, &before, &after);
            if (memory.live != live)
                fail_msg("%s, call %ld: %ld blocks lost", op->covers, n, memory.live - live);
            assert_int_equal(open_files(), files);
        }
        /* A way around a failure may make further calls, but none goes untested. */
        if (n - 2 < calls) fail_msg("%s: %ld calls of %ld failed", op->covers, n - 2, calls);
        tested += calls;
    }
    free(before.bytes);
    free(after.bytes);
    clear();
}

static void print_points(const char *what)
{
    print_message("%s: %ld points tested of %ld seen, each once and for ever after\n", what, tested / 2,
                  seen);
    assert_true(seen > 0 && tested == 2 * seen);
    seen = tested = 0;
}

static void test_operations(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) fail_all(&operations[i]);
    print_points("every function");
}

/* What depends on the rule, with each rule and each preset. */
static void test_rules(void **state)
{
    static const operation of_rule[] = {
        { "eden_step", averaging, act_step },
        { "eden_save", stepped, act_save },
        { "eden_load", to_load, act_load },
    };
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++) {
        const eden_rule *rule = eden_rule_at(r);
        const eden_preset *preset = NULL;
        for (size_t p = 0; p == 0 || preset; p++) {
            rule_now = p ? preset->name : eden_rule_name(rule);
            for (size_t i = 0; i < 3; i++) fail_all(&of_rule[i]);
            preset = eden_rule_preset(rule, p);
        }
    }
    rule_now = NULL;
    print_points("every rule");
}

/* ---- functions that cannot fail ----------------------------------------------------------- */

static const char *const getters[] = {
    "eden_version", "eden_status_text", "eden_rule_count", "eden_rule_at", "eden_rule_find",
    "eden_rule_name", "eden_rule_title", "eden_rule_paper", "eden_rule_formula", "eden_rule_year",
    "eden_rule_hyper", "eden_rule_slot", "eden_rule_preset", "eden_rule_peer",
    "eden_rule_hyper_index", "eden_isa_count", "eden_isa_name", "eden_isa_runs_here",
    "eden_isa_best", "eden_rule_defaults", "eden_rule_allows", "eden_rule_check",
    "eden_rule_slot_length", "eden_rule_state_bytes", "eden_rule_work_bytes", "eden_rule_traffic",
    "eden_rule_step", "eden_convert", "eden_steps", "eden_skipped", "eden_grad_norm",
    "eden_loss_scale", "eden_note", "eden_tensor_count", "eden_tensor_name", "eden_group_rule",
    "eden_state_bytes", "eden_file_count", "eden_file_find", "eden_file_key", "eden_file_value",
    "eden_optimizer_destroy", "eden_file_close", "eden_writer_destroy",
};

/* What a rule says, and one step of it; as a number that depends on all of it. */
static uint64_t ask_rule(const eden_rule *rule)
{
    static float data[4][64], *const state[] = { data[2], data[3] };
    static _Alignas(64) unsigned char work[4096];
    double hypers[32];
    uint32_t reads = 0, writes = 0;
    const eden_extent x = { 64, 8, 8, 0 };
    eden_rule_call call = EDEN_RULE_CALL_INIT;
    assert_int_equal(eden_rule_defaults(rule, hypers, 32), EDEN_OK);
    assert_int_equal(eden_rule_check(rule, hypers, NULL, NULL), EDEN_OK);
    for (int i = 0; i < 64; i++) data[1][i] = (float)i, data[0][i] = data[2][i] = data[3][i] = 0;
    call.rule = rule, call.isa = eden_isa_best(), call.hypers = hypers, call.extent = x;
    call.param = data[0], call.grad = data[1], call.state = state;
    for (size_t s = 0; eden_rule_slot(rule, s); s++)
        call.states += eden_rule_slot(rule, s)->kind == EDEN_STATE
                       && eden_rule_slot_length(rule, s, hypers, x) > 0;
    call.work = work, call.work_bytes = eden_rule_work_bytes(rule, hypers, x);
    assert_true(call.states <= 2 && call.work_bytes <= sizeof work);
    assert_int_equal(eden_rule_step(&call, NULL), EDEN_OK);
    uint64_t sum = eden_rule_state_bytes(rule, hypers, x) + eden_rule_year(rule)
                   + (uint64_t)eden_rule_traffic(rule, 0, hypers, x, &reads, &writes) + reads + writes
                   + (uint64_t)eden_rule_allows(rule, 0, 0.5) + eden_rule_hyper_index(rule, "lr")
                   + (eden_rule_find(eden_rule_name(rule), NULL) == rule);
    const char *const texts[] = { eden_rule_name(rule), eden_rule_title(rule), eden_rule_paper(rule),
                                  eden_rule_formula(rule), eden_rule_hyper(rule, 0)->name };
    for (size_t i = 0; i < 5; i++) sum = sum * 31 + strlen(texts[i]);
    const unsigned char *bytes = (const unsigned char *)data[0];
    for (size_t i = 0; i < sizeof data[0]; i++) sum = sum * 31 + bytes[i];
    return sum + (eden_rule_preset(rule, 99) == NULL) + (eden_rule_peer(rule, 0) != NULL);
}

static uint64_t ask_all(world *m)
{
    uint16_t half[HALF];
    uint64_t sum = strlen(eden_version()) + strlen(eden_status_text(EDEN_E_IO)) + eden_rule_count()
                   + eden_isa_count() + strlen(eden_isa_name(0)) + (uint64_t)eden_isa_runs_here(0);
    for (size_t i = 0; i < eden_rule_count(); i++) sum = sum * 31 + ask_rule(eden_rule_at(i));
    assert_int_equal(eden_convert(half, EDEN_F16, m->w, EDEN_F32, HALF), EDEN_OK);
    for (size_t i = 0; i < HALF; i++) sum = sum * 31 + half[i];
    sum += eden_steps(m->o) + eden_skipped(m->o) + (uint64_t)eden_grad_norm(m->o)
           + (uint64_t)eden_loss_scale(m->o) + strlen(eden_note(m->o, "note"))
           + eden_tensor_count(m->o) + strlen(eden_tensor_name(m->o, 1)) + eden_state_bytes(m->o)
           + (eden_group_rule(m->o, "group") == eden_rule_find("adam", NULL));
    return sum * 31 + eden_file_count(m->file) + eden_file_find(m->file, "w")
           + strlen(eden_file_key(m->file, 0)) + strlen(eden_file_value(m->file, "eden.parts"));
}

static void test_getters(void **state)
{
    (void)state;
    clear();
    world *m = reading();
    const uint64_t want = ask_all(m);
    MUST(eden_writer_create(&m->writer, &e));
    memory_arm(1, 1);
    const uint64_t got = ask_all(m);
    eden_writer_destroy(m->writer);
    eden_file_close(m->file);
    eden_optimizer_destroy(m->o);
    memory.armed = 0;
    m->writer = NULL, m->file = NULL, m->o = NULL;
    assert_int_equal(memory.calls, 0);
    assert_true(got == want);
    world_free(m);
}

/* ---- none is forgotten ------------------------------------------------------------------------ */

static int is_covered(const char *name)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (!strcmp(operations[i].covers, name)) return 1;
    for (size_t i = 0; i < sizeof getters / sizeof *getters; i++)
        if (!strcmp(getters[i], name)) return 1;
    return 0;
}

static void test_complete(void **state)
{
    static const char *const headers[] = { "core.h", "eden.h", "memory.h", "checkpoint.h", "safetensors.h" };
    int functions = 0;
    (void)state;
    for (size_t h = 0; h < sizeof headers / sizeof *headers; h++) {
        char path[512], name[64];
        size_t n;
        snprintf(path, sizeof path, "%s/include/eden/%s", EDEN_SOURCE_DIR, headers[h]);
        char *text = (char *)fetch(path, &n);
        text[n] = '\0';
        for (const char *s = text; (s = strstr(s, "\nEDEN_API ")); s++) {
            const char *end = strchr(s, '('), *start = end;
            while (start[-1] == '_' || (start[-1] >= 'a' && start[-1] <= 'z')) start--;
            snprintf(name, sizeof name, "%.*s", (int)(end - start), start);
            if (!is_covered(name)) fail_msg("%s is not tested without memory", name);
            functions++;
        }
        free(text);
    }
    print_message("%d public functions\n", functions);
    assert_true(functions > 70);
}

#endif
