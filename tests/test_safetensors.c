/* test_safetensors.c - the reader: what it accepts, what it refuses and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/scratch.h"

/* ---- the corpus --------------------------------------------------------------------- */

typedef struct {
    const char *header;
    size_t length;
    size_t data;        /* bytes of data after the header                      */
    const char *part;   /* of the sentence; NULL: the file is good             */
} sample;

#define H(text)       text, sizeof text - 1
#define DTYPE         "\"dtype\":\"F32\""
#define SHAPE         "\"shape\":[2]"
#define OFFSETS       "\"data_offsets\":[0,8]"
#define ENTRY         "{" DTYPE "," SHAPE "," OFFSETS "}"
#define ONE(entry)    H("{\"a\":" entry "}")
#define SHAPED(shape, end) \
    ONE("{\"dtype\":\"U8\",\"shape\":" shape ",\"data_offsets\":[0," end "]}")
#define FIELDS(dtype, shape, offsets) \
    ONE("{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}")
#define META(map)     H("{\"__metadata__\":" map "}")
#define TEXT(text)    META("{\"k\":\"" text "\"}")
#define PAIR(x0, x1, y0, y1) \
    H("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" #x0 "," #x1 "]}," \
      "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" #y0 "," #y1 "]}}")

static const sample structure[] = {
    { H("{}"), 0, NULL },
    { H("{}       "), 0, NULL },
    { H("{ \t\r\n}"), 0, NULL },
    { ONE(ENTRY), 8, NULL },
    { H("{ \"a\" : { " DTYPE " , " SHAPE " , \"data_offsets\" : [ 0 , 8 ] } } "), 8, NULL },
    { ONE("{" OFFSETS "," SHAPE "," DTYPE "}"), 8, NULL },
    { ONE("{\"d\\u0074ype\":\"F32\"," SHAPE "," OFFSETS "}"), 8, NULL },
    { H(""), 0, "must begin with '{'" },
    { H(" {}"), 0, "must begin with '{'" },
    { H("\n{}"), 0, "must begin with '{'" },
    { H("\xef\xbb\xbf{}"), 0, "must begin with '{'" },
    { H("[]"), 0, "must begin with '{'" },
    { H("null"), 0, "must begin with '{'" },
    { H("\"a\""), 0, "must begin with '{'" },
    { H("\0{}"), 0, "must begin with '{'" },
    { H("{"), 0, "ends too early" },
    { H("{}}"), 0, "only spaces may follow" },
    { H("{}\n"), 0, "only spaces may follow" },
    { H("{}\t"), 0, "only spaces may follow" },
    { H("{}\0"), 0, "only spaces may follow" },
    { H("{}{}"), 0, "only spaces may follow" },
    { H("{} x"), 0, "only spaces may follow" },
    { H("{},"), 0, "only spaces may follow" },
    { H("{,}"), 0, "double quotes" },
    { H("{a:1}"), 0, "double quotes" },
    { H("{'a':1}"), 0, "double quotes" },
    { H("{1:1}"), 0, "double quotes" },
    { H("{/* */}"), 0, "double quotes" },
    { H("{//\n}"), 0, "double quotes" },
    { H("{\"a\"}"), 0, "':' is missing" },
    { H("{\"a\" " ENTRY "}"), 8, "':' is missing" },
    { H("{\"a\":}"), 0, "an entry must be an object" },
    { H("{\"a\":" ENTRY ",}"), 8, "double quotes" },
    { H("{\"a\":" ENTRY " \"b\":" ENTRY "}"), 8, "',' or '}' is missing" },
    { H("{\"a\":" ENTRY ";}"), 8, "',' or '}' is missing" },
    { H("{\"a\":" ENTRY "]"), 8, "',' or '}' is missing" },
    { H("{\"a\":" ENTRY), 8, "ends too early" },
    { ONE("[]"), 0, "an entry must be an object" },
    { ONE("null"), 0, "an entry must be an object" },
    { ONE("true"), 0, "an entry must be an object" },
    { ONE("1"), 0, "an entry must be an object" },
    { ONE("\"F32\""), 0, "an entry must be an object" },
    { ONE("[\"F32\",[2],[0,8]]"), 8, "an entry must be an object" },
    { ONE("{}"), 0, "dtype is missing" },
    { ONE("{" SHAPE "," OFFSETS "}"), 8, "tensor 'a': dtype is missing" },
    { ONE("{" DTYPE "," OFFSETS "}"), 8, "shape is missing" },
    { ONE("{" DTYPE "," SHAPE "}"), 8, "data_offsets is missing" },
    { ONE("{" DTYPE "," DTYPE "," SHAPE "," OFFSETS "}"), 8, "a key stands twice" },
    { ONE("{" DTYPE "," SHAPE "," SHAPE "," OFFSETS "}"), 8, "a key stands twice" },
    { ONE("{" DTYPE "," SHAPE "," OFFSETS "," OFFSETS "}"), 8, "a key stands twice" },
    { ONE("{" DTYPE ",\"\\u0064type\":\"F32\"," SHAPE "," OFFSETS "}"), 8, "a key stands twice" },
    { ONE("{" DTYPE "," SHAPE "," OFFSETS ",\"extra\":1}"), 8, "a key other than" },
    { ONE("{\"Dtype\":\"F32\"," SHAPE "," OFFSETS "}"), 8, "a key other than" },
    { ONE("{" DTYPE "," SHAPE "," OFFSETS ",}"), 8, "double quotes" },
    { ONE("{" DTYPE " " SHAPE "," OFFSETS "}"), 8, "',' or '}' is missing" },
    { ONE("{\"dtype\" \"F32\"," SHAPE "," OFFSETS "}"), 8, "':' is missing" },
    { H("{\"\":" ENTRY "}"), 8, "an empty name" },
    { H("{\"a\":" ENTRY ",\"a\":" ENTRY "}"), 8, "begins inside another" },
    { H("{\"a\":" ENTRY ",\"a\":{" DTYPE ",\"shape\":[0],\"data_offsets\":[8,8]}}"), 8,
      "two tensors are called 'a'" },
    { H("{\"a\":" ENTRY ",\"\\u0061\":{" DTYPE ",\"shape\":[0],\"data_offsets\":[8,8]}}"), 8,
      "two tensors are called 'a'" },
    { H("{\"\\ud83d\\ude00\":" ENTRY ",\"\xf0\x9f\x98\x80\":{" DTYPE
        ",\"shape\":[0],\"data_offsets\":[8,8]}}"), 8, "two tensors are called" },
};

static const sample values[] = {
    { FIELDS("\"f32\"", "[2]", "[0,8]"), 8, "an unknown dtype" },
    { FIELDS("\"F32 \"", "[2]", "[0,8]"), 8, "an unknown dtype" },
    { FIELDS("\"\"", "[2]", "[0,8]"), 8, "an unknown dtype" },
    { FIELDS("\"F33\"", "[2]", "[0,8]"), 8, "an unknown dtype" },
    { FIELDS("\"F8_E4M3FNUZZ\"", "[2]", "[0,2]"), 2, "an unknown dtype" },
    { FIELDS("3", "[2]", "[0,8]"), 8, "double quotes" },
    { FIELDS("null", "[2]", "[0,8]"), 8, "double quotes" },
    { FIELDS("[\"F32\"]", "[2]", "[0,8]"), 8, "double quotes" },
    { FIELDS("\"F4\"", "[4]", "[0,2]"), 2, NULL },
    { FIELDS("\"F4\"", "[3]", "[0,2]"), 2, "do not fill whole bytes" },
    { FIELDS("\"F6_E2M3\"", "[4]", "[0,3]"), 3, NULL },
    { FIELDS("\"F6_E3M2\"", "[3]", "[0,3]"), 3, "do not fill whole bytes" },
    { FIELDS("\"C64\"", "[2]", "[0,16]"), 16, NULL },
    { FIELDS("\"F8_E5M2FNUZ\"", "[2]", "[0,2]"), 2, NULL },
    { SHAPED("[]", "1"), 1, NULL },
    { SHAPED("[ ]", "1"), 1, NULL },
    { SHAPED("[0]", "0"), 0, NULL },
    { SHAPED("[3,0,7]", "0"), 0, NULL },
    { SHAPED("[1,1,1,1,1,1,1,1,2]", "2"), 2, NULL }, /* more than Eden has, see below */
    { SHAPED("[2,]", "2"), 2, "a whole number" },
    { SHAPED("[,2]", "2"), 2, "a whole number" },
    { SHAPED("[2 2]", "4"), 4, "',' or ']' is missing" },
    { SHAPED("[2}", "2"), 2, "',' or ']' is missing" },
    { SHAPED("2", "2"), 2, "shape must be a list" },
    { SHAPED("null", "2"), 2, "shape must be a list" },
    { SHAPED("\"2\"", "2"), 2, "shape must be a list" },
    { SHAPED("{}", "2"), 2, "shape must be a list" },
    { SHAPED("[[2]]", "2"), 2, "a whole number" },
    { SHAPED("[2.0]", "2"), 2, "a whole number" },
    { SHAPED("[2e0]", "2"), 2, "a whole number" },
    { SHAPED("[2E0]", "2"), 2, "a whole number" },
    { SHAPED("[-2]", "2"), 2, "a whole number" },
    { SHAPED("[-0]", "0"), 0, "a whole number" },
    { SHAPED("[+2]", "2"), 2, "a whole number" },
    { SHAPED("[\"2\"]", "2"), 2, "a whole number" },
    { SHAPED("[true]", "1"), 1, "a whole number" },
    { SHAPED("[null]", "1"), 1, "a whole number" },
    { SHAPED("[NaN]", "1"), 1, "a whole number" },
    { SHAPED("[Infinity]", "1"), 1, "a whole number" },
    { SHAPED("[02]", "2"), 2, "may not start with 0" },
    { SHAPED("[00]", "0"), 0, "may not start with 0" },
    { SHAPED("[0x2]", "2"), 2, "',' or ']' is missing" },
    { SHAPED("[2_0]", "20"), 20, "',' or ']' is missing" },
    { SHAPED("[18446744073709551616]", "0"), 0, "above 2^64 - 1" },
    { SHAPED("[99999999999999999999999999]", "0"), 0, "above 2^64 - 1" },
    { SHAPED("[18446744073709551615]", "0"), 0, "more than 2^64 - 1 bits" },
    { SHAPED("[9223372036854775808,2,0]", "0"), 0, "more than 2^64 - 1 elements" },
    { SHAPED("[0,9223372036854775808,2]", "0"), 0, "more than 2^64 - 1 elements" },
    { SHAPED("[4294967296,4294967296]", "0"), 0, "more than 2^64 - 1 elements" },
    { SHAPED("[4294967297,4294967297]", "1"), 1, "more than 2^64 - 1 elements" },
    { SHAPED("[2305843009213693952]", "0"), 0, "more than 2^64 - 1 bits" },
    { FIELDS("\"F64\"", "[4611686018427387904]", "[0,0]"), 0, "more than 2^64 - 1 bits" },
    { SHAPED("[3]", "2"), 2, "do not fit its dtype and shape" },
    { SHAPED("[]", "0"), 0, "do not fit its dtype and shape" },
    { SHAPED("[0]", "1"), 1, "do not fit its dtype and shape" },
    { SHAPED("[8]", "8"), 7, "ends after it" },
    { SHAPED("[8]", "8"), 0, "ends after it" },
    { SHAPED("[8]", "8"), 9, "1 bytes after the last tensor" },
    { H("{}"), 1, "1 bytes after the last tensor" },
    { FIELDS("\"U8\"", "[1]", "[0]"), 1, "a list of two numbers" },
    { FIELDS("\"U8\"", "[1]", "[0,1,1]"), 1, "a list of two numbers" },
    { FIELDS("\"U8\"", "[1]", "[]"), 1, "a list of two numbers" },
    { FIELDS("\"U8\"", "[1]", "{\"0\":1}"), 1, "a list of two numbers" },
    { FIELDS("\"U8\"", "[1]", "1"), 1, "a list of two numbers" },
    { FIELDS("\"U8\"", "[1]", "[0,1.0]"), 1, "a whole number" },
    { FIELDS("\"U8\"", "[1]", "[0,-1]"), 1, "a whole number" },
    { FIELDS("\"U8\"", "[1]", "[0,01]"), 1, "may not start with 0" },
    { FIELDS("\"U8\"", "[1]", "[1,0]"), 1, "ends before it begins" },
    { FIELDS("\"U8\"", "[0]", "[1,0]"), 0, "ends before it begins" },
    { FIELDS("\"U8\"", "[1]", "[1,2]"), 2, "begins after a hole" },
    { FIELDS("\"U8\"", "[0]", "[1,1]"), 1, "begins after a hole" },
    { FIELDS("\"U8\"", "[1]", "[18446744073709551615,0]"), 1, "ends before it begins" },
    { FIELDS("\"U8\"", "[1]", "[18446744073709551614,18446744073709551615]"), 1, "after a hole" },
    { PAIR(0, 4, 4, 8), 8, NULL },
    { PAIR(4, 8, 0, 4), 8, NULL },
    { PAIR(0, 4, 0, 4), 4, "begins inside another" },
    { PAIR(0, 4, 3, 7), 7, "tensor 'b': its data begins inside another" },
    { PAIR(0, 4, 5, 9), 9, "tensor 'b': its data begins after a hole" },
    { PAIR(4, 8, 8, 12), 12, "tensor 'a': its data begins after a hole" },
};

static const sample texts[] = {
    { META("{}"), 0, NULL },
    { META("{\"k\":\"v\",\"\":\"\"}"), 0, NULL },
    { TEXT("\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\x7f"), 0, NULL },
    { TEXT("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"), 0, NULL },
    { META("null"), 0, "__metadata__ must be an object" },
    { META("[]"), 0, "__metadata__ must be an object" },
    { META("\"a\""), 0, "__metadata__ must be an object" },
    { META(ENTRY), 8, "double quotes" },
    { META("{\"k\":1}"), 0, "double quotes" },
    { META("{\"k\":null}"), 0, "double quotes" },
    { META("{\"k\":true}"), 0, "double quotes" },
    { META("{\"k\":{}}"), 0, "double quotes" },
    { META("{\"k\":[\"v\"]}"), 0, "double quotes" },
    { META("{\"k\"}"), 0, "':' is missing" },
    { META("{\"k\":\"v\",}"), 0, "double quotes" },
    { META("{\"k\":\"v\",\"k\":\"v\"}"), 0, "the key 'k' is twice" },
    { META("{\"k\":\"v\",\"\\u006b\":\"w\"}"), 0, "the key 'k' is twice" },
    { H("{\"__metadata__\":{},\"__metadata__\":{}}"), 0, "__metadata__ stands twice" },
    { H("{\"__metadata__\":{},\"__metadata\\u005f_\":{}}"), 0, "__metadata__ stands twice" },
    { TEXT("\\u0000"), 0, "a zero byte" },
    { TEXT("\0"), 0, "a control character" },
    { TEXT("\x1f"), 0, "a control character" },
    { TEXT("\n"), 0, "a control character" },
    { TEXT("\\x41"), 0, "an unknown escape" },
    { TEXT("\\'"), 0, "an unknown escape" },
    { TEXT("\\U0041"), 0, "an unknown escape" },
    { TEXT("\\u004"), 0, "four hexadecimal digits" },
    { TEXT("\\u00g1"), 0, "four hexadecimal digits" },
    { TEXT("\\u+041"), 0, "four hexadecimal digits" },
    { TEXT("\\ud800"), 0, "half of a surrogate pair" },
    { TEXT("\\udc00"), 0, "half of a surrogate pair" },
    { TEXT("\\ud800\\u0041"), 0, "half of a surrogate pair" },
    { TEXT("\\ud800\\ud800"), 0, "half of a surrogate pair" },
    { TEXT("\\ud800x"), 0, "half of a surrogate pair" },
    { TEXT("\x80"), 0, "not UTF-8" },
    { TEXT("\xc0\x80"), 0, "not UTF-8" },
    { TEXT("\xc1\xbf"), 0, "not UTF-8" },
    { TEXT("\xc3"), 0, "not UTF-8" },
    { TEXT("\xe0\x9f\xbf"), 0, "not UTF-8" },
    { TEXT("\xed\xa0\x80"), 0, "not UTF-8" },
    { TEXT("\xf0\x8f\xbf\xbf"), 0, "not UTF-8" },
    { TEXT("\xf4\x90\x80\x80"), 0, "not UTF-8" },
    { TEXT("\xf5\x80\x80\x80"), 0, "not UTF-8" },
    { TEXT("\xff"), 0, "not UTF-8" },
    { H("{\"\xff\":" ENTRY "}"), 8, "not UTF-8" },
    { H("{\"a\\u0000b\":" ENTRY "}"), 8, "a zero byte" },
    { H("{\"__metadata__\":{\"k\":\"v"), 0, "text without an end" },
    { H("{\"__metadata__\":{\"k\":\"v\\"), 0, "an unknown escape" },
    { H("{\"__metadata__\":{\"k\":\"v\\u00"), 0, "four hexadecimal digits" },
    { H("{\"__metadata__\":{\"k\":\"\\ud83d\\u"), 0, "half of a surrogate pair" },
    { H("{\"__metadata__\":{\"k\":\"\xf0\x9f"), 0, "not UTF-8" },
    { META("{\"eden.sum\":\"0000000000000000\"}"), 0, NULL }, /* of nothing */
    { META("{\"eden.sum\":\"0000000000000001\"}"), 0, "the header is damaged" },
    { META("{\"eden.sum\":\"0\"}"), 0, "the header is damaged" },
    { META("{\"eden.sum_kind\":\"CRC-64/XZ\"}"), 0, "the header is damaged" },
    { META("{\"eden.sum.a\":\"0000000000000000\"}"), 0, "the header is damaged" },
};

static void try_all(const sample *samples, size_t count)
{
    const int files = open_files();
    for (size_t i = 0; i < count; i++) {
        const sample *s = &samples[i];
        eden_error e = { 0, "" };
        eden_file *file = NULL;
        store(at("s"), s->header, s->length, s->data);
        const eden_status status = eden_file_open(&file, at("s"), &e);
        if (!s->part && status) fail_msg("%s: %s", s->header, e.text);
        if (s->part && (status != EDEN_E_FORMAT || e.status != EDEN_E_FORMAT || file))
            fail_msg("%s: status %d", s->header, status);
        if (s->part && !strstr(e.text, s->part)) fail_msg("'%s': no '%s'", e.text, s->part);
        eden_file_close(file);
    }
    assert_int_equal(open_files(), files);
}

#define COUNT(list) (sizeof list / sizeof list[0])

static void test_structure(void **state) { (void)state; try_all(structure, COUNT(structure)); }
static void test_values(void **state) { (void)state; try_all(values, COUNT(values)); }
static void test_texts(void **state) { (void)state; try_all(texts, COUNT(texts)); }

/* ---- whole files ---------------------------------------------------------------------- */

static void test_lengths(void **state)
{
    static const sample files[] = {
        { H(""), 0, "0 bytes are too short" },
        { H("\2\0\0\0\0\0\0"), 0, "7 bytes are too short" },
        { H("\2\0\0\0\0\0\0\0{}"), 0, NULL },
        { H("\0\0\0\0\0\0\0\0"), 0, "must begin with '{'" },
        { H("\3\0\0\0\0\0\0\0{}"), 0, "a header of 3 bytes in a file of 10" },
        { H("\1\0\0\0\0\0\0\0{}"), 0, "ends too early" },
        { H("\0\xe1\xf5\5\0\0\0\0{}"), 0, "a header of 100000000 bytes in a file" },
        { H("\1\xe1\xf5\5\0\0\0\0{}"), 0, "at most 100000000 are allowed" },
        { H("\xff\xff\xff\xff\xff\xff\xff\xff{}"), 0, "18446744073709551615 bytes, and at most" },
        { H("\xf8\xff\xff\xff\xff\xff\xff\xff{}"), 0, "at most 100000000" },
        { H("\0\0\0\0\0\0\0\2{}"), 0, "at most 100000000" },
        { H("PK\3\4\0\0\0\0\0"), 0, "a zip archive, as torch.save writes" },
        { H("\x80\2}q\0X\4\0"), 0, "a Python pickle" },
        { H("\x1f\x8b\b\0\0\0\0\0\0"), 0, "gzip" },
        { H("\x93NUMPY\1\0"), 0, "a NumPy array" },
        { H("\x89HDF\r\n\x1a\n"), 0, "HDF5" },
        { H("GGUF\3\0\0\0"), 0, "a GGUF file" },
        { H("version https://git-lfs.github.com/spec/v1\n"), 0, "a Git LFS pointer" },
        { H("<!DOCTYPE html>"), 0, "a web page" },
        { H("<html><body>"), 0, "a web page" },
        { H("{\"a\":1}\n\n"), 0, "at most 100000000" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        store_raw(at("s"), files[i].header, files[i].length);
        if (files[i].part)
            refuse_file(at("s"), EDEN_E_FORMAT, files[i].part);
        else
            eden_file_close(open_file(at("s")));
    }
}

static void test_ranks(void **state)
{
    char header[1024] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[";
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    eden_error e;
    (void)state;
    for (int ndim = 1; ndim <= 65; ndim++) {
        char whole[1200];
        strcat(header, ndim > 1 ? ",1" : "1");
        const int length = snprintf(whole, sizeof whole, "%s],\"data_offsets\":[0,1]}}", header);
        store(at("s"), whole, (size_t)length, 1);
        if (ndim > 64) {
            refuse_file(at("s"), EDEN_E_FORMAT, "a shape of more than 64 dimensions");
            continue;
        }
        eden_file *file = open_file(at("s"));
        const eden_status status = eden_file_at(file, 0, &t, &e);
        assert_int_equal(status, ndim > EDEN_MAX_DIMS ? EDEN_E_FORMAT : EDEN_OK);
        if (status) assert_non_null(strstr(e.text, "tensor 'a' has"));
        if (!status) assert_int_equal(t.ndim, ndim);
        eden_file_close(file);
    }
}

static void test_kinds_of_file(void **state)
{
    (void)state;
    refuse_file(at("absent"), EDEN_E_IO, "cannot open it: No such file");
    refuse_file(at("."), EDEN_E_IO, "it is a folder");
    refuse_file("/dev/zero", EDEN_E_IO, "a device or a pipe");
    refuse_file("", EDEN_E_IO, "cannot open it");
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    refuse_file(at("fifo"), EDEN_E_IO, "a device or a pipe");
    assert_int_equal(symlink("loop", at("loop")), 0);
    refuse_file(at("loop"), EDEN_E_IO, "cannot open it");
    assert_int_equal(eden_file_open(NULL, "x", NULL), EDEN_E_ARGUMENT);
}

/* Eight terabytes of nothing, and a header length that lies: no memory is taken for it. */
static void test_sparse(void **state)
{
    (void)state;
    store_raw(at("s"), "\0\xe1\xf5\5\0\0\0\0", 8);
    if (truncate(at("s"), (off_t)1 << 43) != 0) skip();
    refuse_file(at("s"), EDEN_E_FORMAT, "must begin with '{'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure), cmocka_unit_test(test_values),
        cmocka_unit_test(test_texts),     cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_ranks),     cmocka_unit_test(test_kinds_of_file),
        cmocka_unit_test(test_sparse),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
