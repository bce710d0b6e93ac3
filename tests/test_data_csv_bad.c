/* test_data_csv_bad.c - tables in CSV that are refused, and damage. */
#include "data_files.h"
#include "lab/data.h"

/* ---- what is refused --------------------------------------------------------------------------- */

static void test_header(void **state)
{
    lab_data data;
    eden_error error;
    (void)state;
    refuse("", "is empty");
    refuse("\xef\xbb\xbf", "is empty");
    refuse("\n\n", "is empty");
    refuse("1,2,3\n4,5,6\n", "only numbers where the names");
    refuse("y\n1\n", "a single column, 'y'; add a column");
    refuse("a;y\n1;2\n", "commas, not semicolons");
    refuse("a\ty\n1\t2\n", "commas, not tabs");
    refuse(",y\n0,2\n", "column 1 has no name");
    refuse("a,y,b,a\n1,2,3,4\n", "two columns are called 'a'");
    refuse("a,y\n", "has 0 rows below its header");
    refuse("a,y\n1,1\n2,2\n3,1\n4,1\n", "has 4 rows below its header; it takes 5");
    refuse_as("a,Y\n1,1\n", NULL, EDEN_E_NAME, "has no column 'y'; did you mean 'Y'?");
    refuse_as("alpha,beta\n1,1\n", NULL, EDEN_E_NAME, "has no column 'y'; it has alpha, beta");
    refused(load_text(&data, "price,cluster\n", "prize", NULL, &error), EDEN_E_NAME, &data, &error,
            "did you mean 'price'?");
    refused(load_text(&data, "abc,def,ghi,jkl,mno,pqr,stu,vwx,yz\n", "0123456789", NULL, &error),
            EDEN_E_NAME, &data, &error, "it has abc, def, ghi, jkl, mno, pqr, stu, vwx, ...");
    if (load_text(&data, "0,1,2\n1,5,1\n1,5,2\n1,5,1\n1,5,2\n1,5,2\n", "2", NULL, &error))
        fail_msg("%s", error.text);
    lab_data_free(&data);
}

static void test_rows(void **state)
{
    (void)state;
    refuse("a,y\n1,2\n1\n", "line 3: 1 field, but the header has 2 columns");
    refuse("a,y\n1,2\n1,2,3\n", "line 3: 3 fields, but the header has 2 columns");
    refuse("\"a\n\n\",y\n1,2\n1\n", "line 5: 1 field,");
    refuse("a,y\n1,2\n\n1,2\n", "line 3: empty, and more follows");
    refuse("a,y\n,2\n", "line 2, column 'a': '' is empty");
    refuse("a,y\nred,2\n", "line 2, column 'a': 'red' is not a number");
    refuse("a,y\n0x1p3,2\n", "'0x1p3' is not a number");
    refuse("a,y\nnan,2\n", "'nan' is not a finite number");
    refuse("a,y\n-Infinity,2\n", "'-Infinity' is not a finite number");
    refuse("a,y\n1e400,2\n", "'1e400' is too large for a number");
    refuse("a,y\n\"1,5\",2\n", "'1,5' is not a number");
    refuse("a,y\n\"1,2\n3,4\n", "line 2: the quote that opens field 1 is never closed");
    refuse("a,y\n1,2\"\n", "line 2, field 2: a quote inside a field");
    refuse("a,y\n\"1\"5,2\n", "line 2, field 1: text behind the closing quote");
    refuse("a,y\n1,2\r3,4\n", "line 2, field 2: a carriage return without a line feed");
    refuse("a,y\n\x1b[1m\xff,2\n", "'?[1m?' is not a number");
    refuse("\xff\xfe" "a,y", "is text in UTF-16");
    refuse("\xfe\xff" "a,y", "is text in UTF-16");
}

static void test_binary(void **state)
{
    static const char wide[] = "a\0,\0y\0\n\0", inside[] = "a,y\n1,\"2\0\"\n";
    lab_data data;
    eden_error error;
    (void)state;
    put(NAME, wide, sizeof wide);
    refused(lab_data_csv(&data, in_folder(NAME), "y", NULL, 1, &error), EDEN_E_FORMAT, &data, &error,
            "line 1, field 1: a zero byte");
    put(NAME, inside, sizeof inside);
    refused(lab_data_csv(&data, in_folder(NAME), "y", NULL, 1, &error), EDEN_E_FORMAT, &data, &error,
            "line 2, field 2: a zero byte");
    refused(lab_data_csv(&data, in_folder("none.csv"), "y", NULL, 1, &error), EDEN_E_IO, &data, &error,
            "none.csv': No such file");
    refused(lab_data_csv(&data, folder, "y", NULL, 1, &error), EDEN_E_IO, &data, &error, "is a directory");
    refused(lab_data_csv(&data, "/dev/zero", "y", NULL, 1, &error), EDEN_E_IO, &data, &error,
            "is no regular file");
    assert_int_equal(lab_data_csv(NULL, NAME, "y", NULL, 1, &error), EDEN_E_ARGUMENT);
    assert_int_equal(lab_data_csv(&data, NULL, "y", NULL, 1, &error), EDEN_E_ARGUMENT);
    assert_int_equal(lab_data_csv(&data, NAME, NULL, NULL, 1, &error), EDEN_E_ARGUMENT);
}

/* Too many columns, and a line without end, from files of a few kilobytes. */
static void test_bounds(void **state)
{
    const size_t size = ((size_t)64 << 20) + 10;
    char *text = malloc(size);
    lab_data data;
    eden_error error;
    (void)state;
    assert_non_null(text);
    memset(text, ',', size);
    put_zipped(NAME, text, size);
    refused(lab_data_csv(&data, in_folder(NAME), "y", NULL, 1, &error), EDEN_E_FORMAT, &data, &error,
            "line 1: more than 1000000 fields");
    memset(text, 'x', size);
    put_zipped(NAME, text, size);
    refused(lab_data_csv(&data, in_folder(NAME), "y", NULL, 1, &error), EDEN_E_FORMAT, &data, &error,
            "line 1: the record is longer than 67108864 bytes");
    free(text);
}

/* ---- damage --------------------------------------------------------------------------------------- */

#define TYPICAL "a,\"b \"\"c\"\"\",y\r\n1,2.5,0\r\n2,-3e1,1\r\n\"3\",4,1\r\n4,4,0\r\n5.25,1e-3,2\r\n6,1,1\r\n"

static void test_prefixes(void **state)
{
    unsigned char zipped[300];
    const size_t size = zip(TYPICAL, strlen(TYPICAL), zipped, sizeof zipped);
    lab_data data;
    eden_error error;
    (void)state;
    uint64_t accepted = 0;
    for (size_t n = 0; n < strlen(TYPICAL); n++) {
        put(NAME, TYPICAL, n);
        const eden_status status = lab_data_csv(&data, in_folder(NAME), "y", NULL, 1, &error);
        if (status) {
            check_refused(&data, status, &error);
        } else {
            check_sound(&data);
            accepted++;
        }
        lab_data_free(&data);
    }
    /* Whole lines from the fifth row on, with and without their line's end. */
    assert_int_equal(accepted, 5);
    for (size_t n = 0; n < size; n++) {
        put(NAME, zipped, n);
        refused(lab_data_csv(&data, in_folder(NAME), "y", NULL, 1, &error), EDEN_E_FORMAT, &data, &error, "");
    }
}

static void test_mutations(void **state)
{
    uint64_t random = 7, accepted = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        unsigned char bytes[400];
        size_t size = strlen(TYPICAL);
        lab_data data;
        eden_error error;
        memcpy(bytes, TYPICAL, size);
        if (i >= 1000) size = zip(TYPICAL, size, bytes, 300);
        size = mutate(bytes, size, &random);
        put(NAME, bytes, size);
        const char *kind = i % 3 == 0 ? "class" : i % 3 == 1 ? "value" : NULL;
        const eden_status status = lab_data_csv(&data, in_folder(NAME), "y", kind, 1, &error);
        if (status) {
            check_refused(&data, status, &error);
        } else {
            check_sound(&data);
            accepted++;
        }
        lab_data_free(&data);
    }
    assert_true(accepted > 100 && accepted < 1900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
