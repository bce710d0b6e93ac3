/* test_data_csv.c - tables in CSV: what is read, and as what. */
#include "data_files.h"

#include <locale.h>

#include "lab/data_table.h"

/* ---- what is read ------------------------------------------------------------------------ */

#define PLAIN "a,y,b\n1,0,7\n2,1,7\n3.5,0,7\n4,1,7\n-5e-1,0,7\n6,2,7\n"

static void test_values(void **state)
{
    lab_data data;
    (void)state;
    accept(&data, PLAIN, NULL);
    assert_string_equal(data.name, "t");
    assert_true(data.train.count == 5 && data.test.count == 1 && data.classes == 3);
    assert_true(data.channels == 1 && data.height == 1 && data.width == 2 && data.features == 2);
    double sum = 0, squares = 0;
    for (int i = 0; i < 5; i++) {
        sum += (double)data.train.x[2 * i];
        squares += (double)data.train.x[2 * i] * (double)data.train.x[2 * i];
        assert_true(data.train.x[2 * i + 1] == 0); /* a constant column */
    }
    assert_true(fabs(sum) < 1e-6 && fabs(squares / 5 - 1) < 1e-6);
    lab_data_free(&data);
}

/* The same table in other writings has the same hash; another seed has not. */
static void test_writings(void **state)
{
    lab_data data;
    const uint64_t hash = hash_of(PLAIN, NULL);
    (void)state;
    assert_true(hash_of("a,y,b\r\n1,0,7\r\n2,1,7\r\n3.5,0,7\r\n4,1,7\r\n-5e-1,0,7\r\n6,2,7", NULL) == hash);
    assert_true(hash_of("\xef\xbb\xbf\"a\",y,\"b\"\n\"1\",\"0\",7\n2,1,7\n3.50, 0 ,7\n"
                        "4,1,7\t\n-.5,0,7\n+6,2,7.\n\n\r\n", NULL) == hash);
    put_zipped(NAME, PLAIN, strlen(PLAIN));
    assert_int_equal(lab_data_csv(&data, in_folder(NAME), "y", NULL, 1, NULL), EDEN_OK);
    assert_true(data.hash == hash);
    lab_data_free(&data);
    put_text("t.csv.gz", "a,y\n1,1\n1,2\n1,1\n1,2\n1,2\n");
    assert_int_equal(lab_data_csv(&data, in_folder("t.csv.gz"), "y", NULL, 1, NULL), EDEN_OK);
    assert_string_equal(data.name, "t");
    lab_data_free(&data);
    int differ = 0;
    put_text(NAME, PLAIN);
    for (uint64_t seed = 2; seed < 22; seed++) {
        assert_int_equal(lab_data_csv(&data, in_folder(NAME), "y", NULL, seed, NULL), EDEN_OK);
        differ += data.hash != hash;
        lab_data_free(&data);
    }
    assert_true(differ > 5 && differ < 20);
    assert_true(hash_of("a,y,b\n1,0,7\n2,1,7\n3.5,0,7\n4,1,7\n-5e-1,0,7\n6.1,2,7\n", NULL) != hash);
    /* A quoted name may hold anything. */
    accept(&data, "\"x\"\"\n,\r\",y\n1,1\n1,2\n1,1\n1,2\n1,2\n", NULL);
    lab_data_free(&data);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        { "0", 0 }, { "-0", 0 }, { "+5", 5 }, { ".5", .5 }, { "5.", 5 }, { "1e3", 1e3 },
        { "9007199254740993", 9007199254740992.0 }, { "1E-2", 0.01 }, { "123456789012345678901", 123456789012345678901.0 },
        { "0.1", 0.1 }, { "1e-400", 0 }, { "4.9e-324", 4.9e-324 }, { "1.7976931348623157e308", 1.7976931348623157e308 },
        { "179769313486231570000e288", 1.7976931348623157e308 }, { "2.2250738585072011e-308", 2.2250738585072011e-308 },
        { "1e23", 1e23 }, { "8.5e22", 8.5e22 }, { "0.000000000000000000000000000001", 1e-30 },
    };
    static const char *const none[] = { "", "-", ".", "e5", "1e", "1e+", "0x10", "1,5", "1 ", "١",
                                        "1.2.3", "1e5.0", "--1", "1f", "infinite", "0b1", "1_000" };
    static const char *const special[] = { "nan", "NaN", "-nan", "inf", "+Inf", "INFINITY", "NA", "null" };
    double value = -1;
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(table_number(good[i].text, strlen(good[i].text), c, &value), NUMBER_OK);
        if (value != good[i].value) fail_msg("%s is %.17g", good[i].text, value);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (table_number(none[i], strlen(none[i]), c, &value) != NUMBER_NONE) fail_msg("%s", none[i]);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        assert_int_equal(table_number(special[i], strlen(special[i]), c, &value), NUMBER_SPECIAL);
    assert_int_equal(table_number("1e400", 5, c, &value), NUMBER_TOO_LARGE);
    /* Against strtod(): what few digits can say, and what many can. */
    uint64_t random = 3;
    for (int i = 0; i < 100000; i++) {
        char text[64];
        const double scale = pow(10, (double)(draw(&random) % 40) - 20);
        snprintf(text, sizeof text, "%.*g", 1 + i % 19, (double)(int64_t)(draw(&random) - (1u << 30)) * scale);
        assert_int_equal(table_number(text, strlen(text), c, &value), NUMBER_OK);
        if (value != strtod(text, NULL)) fail_msg("%s is %.17g", text, value);
    }
    freelocale(c);
}

static void test_decimal_comma(void **state)
{
    char command[300];
    (void)state;
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s >/dev/null 2>&1",
             in_folder("de_DE.UTF-8"));
    const uint64_t hash = hash_of("a,y\n1.2345678901234567890123,1\n2,1\n3,2\n4,1.5\n5,1\n", NULL);
    setenv("LOCPATH", folder, 1);
    const int made = system(command) == 0 && setlocale(LC_ALL, "de_DE.UTF-8");
    double half = 0;
    if (made) {
        half = strtod("0,5", NULL);
        assert_true(hash_of("a,y\n1.2345678901234567890123,1\n2,1\n3,2\n4,1.5\n5,1\n", NULL) == hash);
        setlocale(LC_ALL, "C");
    }
    snprintf(command, sizeof command, "rm -rf %s", in_folder("de_DE.UTF-8"));
    assert_int_equal(system(command), 0);
    if (!made) skip();
    assert_true(half == 0.5);
}

/* ---- class or value ---------------------------------------------------------------------- */

static void test_kinds(void **state)
{
    lab_data data;
    (void)state;
    accept(&data, "a,y\n1,10\n2,3\n3,10\n4,3\n5,999\n", NULL);
    assert_int_equal(data.classes, 3);
    lab_data_free(&data);
    accept(&data, "a,y\n1,1\n2,1.0\n3,01\n4,2\n5,2\n", NULL);
    assert_int_equal(data.classes, 2); /* equal numbers are one class */
    lab_data_free(&data);
    accept(&data, "a,y\n1,cat\n2,dog\n3,cat\n4,7\n5,\"a\nfish\"\n", NULL);
    assert_int_equal(data.classes, 4);
    /* In the order of bytes: 7, a fish, cat, dog. */
    int seen[4] = { 0 };
    for (int i = 0; i < 4; i++) seen[data.train.label[i]]++;
    seen[data.test.label[0]]++;
    const int want[4] = { 1, 1, 2, 1 };
    assert_memory_equal(seen, want, sizeof want);
    lab_data_free(&data);
    accept(&data, "a,y\n1,-1\n2,1\n3,-1\n4,1\n5,1\n", NULL);
    assert_int_equal(data.classes, 0);
    lab_data_free(&data);
    accept(&data, "a,y\n1,-1\n2,1\n3,-1\n4,1\n5,1\n", "class");
    assert_int_equal(data.classes, 2);
    lab_data_free(&data);
    accept(&data, "a,y\n1,nan\n2,1\n3,1e999\n4,1\n5,1\n", "class");
    assert_int_equal(data.classes, 3);
    lab_data_free(&data);
    refuse_as("a,y\n1,1\n2,2\n", "classes", EDEN_E_VALUE, "it is class or value");
    refuse("a,y\n1,1.5\n2,nan\n", "line 3, column 'y': 'nan' is not a finite number");
    refuse("a,y\n1,1.5\n2,1e999\n", "line 3, column 'y': '1e999' is too large a number");
    refuse("a,y\n1,1.5\n2,\n", "line 3, column 'y': '' is empty");
    refuse_as("a,y\n1,\n2,\n", "class", EDEN_E_FORMAT, "line 2, column 'y': '' is empty");
    refuse_as("a,y\n1,cat\n2,dog\n", "value", EDEN_E_FORMAT, "'cat' is not a finite number");
    refuse("a,y\n1,c\n2,c\n3,c\n4,c\n5,c\n", "every row has the same label");
    refuse("a,y\n1,4\n2,4\n3,4.0\n4,4\n5,4\n", "every row has the same label");
    refuse_as("a,y\n1,4\n2,4\n3,4.0\n4,4\n5,4\n", "value", EDEN_E_FORMAT, "every row has the same label");
}

static void test_many_classes(void **state)
{
    lab_data data;
    char *text = malloc(40000);
    (void)state;
    assert_non_null(text);
    for (int n = 1000; n <= 1001; n++)
        for (int words = 0; words < 2; words++) {
            size_t used = (size_t)sprintf(text, "a,y\n");
            for (int i = 0; i < n; i++) used += (size_t)sprintf(text + used, "1,%s%d\n", words ? "w" : "-", i);
            if (n == 1000) {
                accept(&data, text, "class");
                assert_int_equal(data.classes, 1000);
                lab_data_free(&data);
            } else {
                refuse_as(text, "class", EDEN_E_FORMAT, "more than 1000 different values");
                if (words) refuse(text, "and the one on line 2 is not a number");
            }
        }
    free(text);
}

static void test_regression(void **state)
{
    lab_data data;
    (void)state;
    accept(&data, "a,y\n1,1000\n2,2000\n3,3000\n4,4000\n5,5000\n6,1e3\n7,2e3\n8,3e3\n9,4e3\n0,5e3\n", NULL);
    assert_true(data.classes == 0 && data.train.count == 8 && data.test.count == 2);
    double sum = 0, squares = 0;
    for (int i = 0; i < 8; i++) {
        const double t = (double)data.train.target[i];
        sum += t;
        squares += t * t;
    }
    assert_true(fabs(sum) < 1e-5 && fabs(squares / 8 - 1) < 1e-5);
    /* Neighbouring values are 1000 apart, whatever the split. */
    const double apart = fabs((double)data.test.target[0] - (double)data.train.target[0]) * data.target_scale;
    assert_true(fabs(remainder(apart, 1000)) < 0.01 && data.target_scale > 1000 && data.target_scale < 2000);
    lab_data_free(&data);
    /* Training rows that are all alike, for the seeds that draw the other one. */
    int alike = 0;
    eden_error error;
    put_text(NAME, "a,y\n1,1.5\n2,1.5\n3,1.5\n4,1.5\n5,2.5\n");
    for (uint64_t seed = 0; seed < 30; seed++) {
        const eden_status status = lab_data_csv(&data, in_folder(NAME), "y", NULL, seed, &error);
        if (status) refused(status, EDEN_E_FORMAT, &data, &error, "training rows all have the same label");
        alike += status != EDEN_OK;
        lab_data_free(&data);
    }
    assert_true(alike > 0 && alike < 20);
}

/* A deviation neither under- nor overflows, and means lose nothing to size. */
static void test_extremes(void **state)
{
    lab_data data;
    (void)state;
    const uint64_t hash = hash_of("a,y\n1,1\n2,1\n3,2\n4,2\n5,2\n", NULL);
    assert_true(hash_of("a,y\n1e300,1\n2e300,1\n3e300,2\n4e300,2\n5e300,2\n", NULL) != 0);
    accept(&data, "a,y\n1e-300,1\n2e-300,1\n3e-300,2\n4e-300,2\n5e-300,2\n", NULL);
    assert_true(fabs((double)data.train.x[0]) > 0.1);
    lab_data_free(&data);
    assert_true(hash_of("a,y\n1700000000000001,1\n1700000000000002,1\n1700000000000003,2\n"
                        "1700000000000004,2\n1700000000000005,2\n", NULL) == hash);
    accept(&data, "a,y\n0.1,1\n0.1,1\n0.1,2\n0.1,2\n0.1,2\n", NULL);
    assert_true(data.train.x[0] == 0 && data.test.x[0] == 0);
    lab_data_free(&data);
    refuse("a,y\n1.7e308,1\n-1.7e308,1\n1.7e308,2\n-1.7e308,2\n1.7e308,2\n",
           "column 'a': values too large or too far apart");
    refuse_as("a,y\n1,1.7e308\n1,-1.7e308\n1,1.7e308\n1,-1.7e308\n1,1.7e308\n", "value", EDEN_E_FORMAT,
              "column 'y': values too large or too far apart");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_writings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_decimal_comma),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_many_classes),
        cmocka_unit_test(test_regression),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
