/* fuzz_csv.c - any bytes as a table to train on.
 *
 * The first byte chooses what to predict and how; the others are the file. */
#include "fuzz/fuzz.h"

#include "fuzz/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const labels[] = { "label", "a", "", "x y" };
    static const char *const kinds[] = { NULL, "class", "value" };
    lab_data first, again;
    eden_error error = { 0 };
    fuzz_input input = { data, size };
    const char *label = labels[fuzz_below(&input, 4)], *kind = kinds[size ? data[0] / 4 % 3 : 0];
    const char *path = fuzz_file(0, input.data, input.size);
    const eden_status status = lab_data_csv(&first, path, label, kind, 1, &error);
    fuzz_data_is_sound(&first, &error, status);
    if (!status) {
        fuzz_check(lab_data_csv(&again, path, label, kind, 1, &error) == EDEN_OK
                       && again.hash == first.hash,
                   "a table is read alike twice");
        lab_data_free(&again);
    }
    lab_data_free(&first);
    return 0;
}

size_t fuzz_seed(size_t i, uint8_t *room)
{
    /* The first byte, mod 4, is the column; divided by 4 and mod 3, its kind. */
    static const char *const tables[] = {
        "<label,a,b\n0,1.5,2\n1,2.5,-3e-2\n0,3,4\n1,4,5\n2,1e3,.5\n0,1,2\n",
        "<a,label\r\n1,cat\r\n2,dog\r\n3,cat\r\n4,\"do\"\"g\"\r\n5,cat\r\n6,dog",
        "<\xef\xbb\xbflabel,a\n1.5,1\n2.5,2\n3.25,3\n4.125,5\n5.5,8\n6,13\n",
        "@label,a\n1,1\n2,2\n3,3\n4,4\n5,5\n7,6\n",
        "D\"label\",\"a b\",c\n\"1\",\"2\",3\n4,5,6\n7,8,9\n10,11,12\n13,14,15\n",
        "=a,b\nnan,1\ninf,2\n1e400,3\n0x10,4\n 5, 6\n",
        "<label,a\n1,2\n3\n",
        "<label,a\n1,1e308\n2,-1e308\n1,1e38\n2,3e38\n1,1\n2,0\n",
        "<label,a,b\n1,1,0\n2,1,0\n1,1,1\n2,1,1\n1,1,0\n\n",
    };
    return i < sizeof tables / sizeof tables[0] ? fuzz_seed_text(tables[i], room) : 0;
}
