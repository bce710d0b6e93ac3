/* sample_file.h - a small file of every kind of tensor. Include after scratch.h. */
#ifndef TEST_SAMPLE_FILE_H
#define TEST_SAMPLE_FILE_H

/* Quiet and signalling NaNs, infinities, denormals, zeros: all travel as bits. */
static const uint32_t odd_bits[8] = { 0x7fc00001, 0x7f800001, 0xffbfffff, 0x7f800000,
                                      0xff800000, 0x00000001, 0x807fffff, 0x80000000 };
static const uint8_t bytes[3] = { 0, 255, 7 };
static const double scalar = 0.1;

static inline void ok(eden_status status, const eden_error *e)
{
    if (status) fail_msg("status %d: %s", status, e->text);
}

static inline eden_writer *fill(const char *note)
{
    const uint64_t matrix[2] = { 2, 4 }, three = 3, none[2] = { 5, 0 };
    eden_writer *w = NULL;
    eden_error e;
    ok(eden_writer_create(&w, &e), &e);
    ok(eden_writer_tensor(w, "b/odd \"\\\xc3\xa9\n\x1f", "F32", 2, matrix, odd_bits, &e), &e);
    ok(eden_writer_tensor(w, "a", "U8", 1, &three, bytes, &e), &e);
    ok(eden_writer_tensor(w, "scalar", "F64", 0, NULL, &scalar, &e), &e);
    ok(eden_writer_tensor(w, "empty", "F32", 2, none, NULL, &e), &e);
    ok(eden_writer_text(w, "note", note, &e), &e);
    ok(eden_writer_text(w, "", "\t\"quotes\"\n", &e), &e);
    return w;
}

static inline eden_status save(const char *path, const char *note, uint32_t older, eden_error *e)
{
    eden_writer *w = fill(note);
    ok(eden_writer_keep(w, older, e), e);
    const eden_status status = eden_writer_write(w, path, e);
    eden_writer_destroy(w);
    return status;
}

static inline void save_well(const char *path, const char *note, uint32_t older)
{
    eden_error e = { 0, "" };
    ok(save(path, note, older, &e), &e);
}

/* The note of a file all of whose tensors can be read; NULL if one of them cannot. */
static inline const char *note_of(const char *path)
{
    static char note[64];
    eden_file *file = NULL;
    eden_error e = { 0, "" };
    unsigned char data[64];
    int good = eden_file_open(&file, path, &e) == EDEN_OK;
    for (size_t i = 0; good && i < eden_file_count(file); i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        good = !eden_file_at(file, i, &t, &e) && t.bytes <= sizeof data &&
               !eden_file_read(file, i, data, t.bytes, &e);
    }
    const char *value = good ? eden_file_value(file, "note") : NULL;
    snprintf(note, sizeof note, "%s", value ? value : "");
    if (!good) assert_int_equal(e.status, EDEN_E_FORMAT);
    eden_file_close(file);
    return good ? note : NULL;
}

#endif
