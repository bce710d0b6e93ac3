#include "cli/sheet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cli/draft.h"
#include "cli/ranks.h"

/* Images of a line, and in pixels of the picture a value's side and what is between images. */
enum { LINE = 10, SIDE = 8, GAP = 8 };

/* A picture of gray values, 255 is white. */
typedef struct {
    uint64_t width, height;
    unsigned char *gray;
} picture;

static int is_svg(const char *path)
{
    const size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, ".svg");
}

int cli_sheet_check(const cli_args *args)
{
    const char *path = cli_text(args, "sheet", NULL);
    if (!path) return CLI_OK;
    const size_t length = strlen(path);
    if (!is_svg(path) && (length <= 4 || strcmp(path + length - 4, ".png") != 0))
        return cli_usage(args->command, "'%.200s' ends in neither .png nor .svg", path);
    return cli_ranks_lead() ? cli_can_replace(path) : CLI_OK;
}

/* Ink is dark on white paper, and each value a square. */
static int lay_out(const lab_sample *s, picture *p)
{
    const uint64_t lines = (s->count + LINE - 1) / LINE;
    p->width = LINE * (s->width * SIDE + GAP) + GAP;
    p->height = lines * (s->height * SIDE + GAP) + GAP;
    p->gray = malloc((size_t)(p->width * p->height));
    if (!p->gray) return cli_no_memory();
    memset(p->gray, 255, (size_t)(p->width * p->height));
    for (uint64_t i = 0; i < s->count * s->height * s->width; i++) {
        const uint64_t image = i / (s->height * s->width), at = i % (s->height * s->width);
        const uint64_t x = GAP + image % LINE * (s->width * SIDE + GAP) + at % s->width * SIDE;
        const uint64_t y = GAP + image / LINE * (s->height * SIDE + GAP) + at / s->width * SIDE;
        const float ink = s->pixels[i] < 0 ? 0 : s->pixels[i] > 1 ? 1 : s->pixels[i];
        for (uint64_t k = 0; k < SIDE; k++)
            memset(p->gray + (y + k) * p->width + x, (int)(255.5f - 255 * ink), SIDE);
    }
    return CLI_OK;
}

/* ---- PNG --------------------------------------------------------------------------- */

static void put_number(unsigned char *at, uint64_t n)
{
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(n >> (24 - 8 * i));
}

static void put_chunk(FILE *file, const char *kind, const unsigned char *bytes, size_t size)
{
    unsigned char head[8], tail[4];
    put_number(head, size);
    memcpy(head + 4, kind, 4);
    uLong sum = crc32(crc32(0, NULL, 0), head + 4, 4);
    if (size) sum = crc32(sum, bytes, (uInt)size);
    put_number(tail, sum);
    fwrite(head, 1, sizeof head, file);
    if (size) fwrite(bytes, 1, size, file);
    fwrite(tail, 1, sizeof tail, file);
}

/* 8 bits of gray; each line has a 0 before it, for no filter. */
static int write_png(FILE *file, const picture *p)
{
    static const unsigned char magic[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    unsigned char about[13] = { [8] = 8 };
    const size_t line = (size_t)p->width + 1, size = line * (size_t)p->height;
    uLongf packed = compressBound((uLong)size);
    unsigned char *lines = calloc(1, size), *bytes = malloc(packed);
    for (uint64_t y = 0; lines && y < p->height; y++)
        memcpy(lines + y * line + 1, p->gray + y * p->width, (size_t)p->width);
    const int made = lines && bytes && compress2(bytes, &packed, lines, (uLong)size, 9) == Z_OK;
    if (made) {
        put_number(about, p->width);
        put_number(about + 4, p->height);
        fwrite(magic, 1, sizeof magic, file);
        put_chunk(file, "IHDR", about, sizeof about);
        put_chunk(file, "IDAT", bytes, packed);
        put_chunk(file, "IEND", NULL, 0);
    }
    free(lines);
    free(bytes);
    return made ? CLI_OK : cli_no_memory();
}

/* ---- SVG --------------------------------------------------------------------------- */

/* A rectangle for each run of equal squares that are not white. */
static void write_svg(FILE *file, const picture *p)
{
    fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %llu %llu\" width=\"%llu\" "
            "height=\"%llu\" shape-rendering=\"crispEdges\">\n<rect width=\"100%%\" height=\"100%%\" "
            "fill=\"#fff\"/>\n", (unsigned long long)p->width, (unsigned long long)p->height,
            (unsigned long long)p->width, (unsigned long long)p->height);
    for (uint64_t y = GAP; y < p->height; y += SIDE)
        for (uint64_t x = 0, run; x < p->width; x += run) {
            const unsigned char *at = p->gray + y * p->width + x;
            for (run = 1; x + run < p->width && at[run] == at[0]; run++) {}
            if (at[0] == 255) continue;
            fprintf(file, "<rect x=\"%llu\" y=\"%llu\" width=\"%llu\" height=\"%d\" "
                    "fill=\"#%02x%02x%02x\"/>\n", (unsigned long long)x, (unsigned long long)y,
                    (unsigned long long)run, SIDE, at[0], at[0], at[0]);
        }
    fputs("</svg>\n", file);
}

/* ---- both -------------------------------------------------------------------------- */

static int write_sheet(const char *path, const lab_sample *sample)
{
    cli_draft draft = { NULL, NULL, NULL };
    picture p = { 0, 0, NULL };
    int code = lay_out(sample, &p);
    if (!code) code = cli_draft_open(&draft, NULL, path);
    if (!code && is_svg(path)) write_svg(draft.file, &p);
    else if (!code) code = write_png(draft.file, &p);
    if (!code) code = cli_draft_close(&draft);
    if (!code) code = cli_draft_commit(&draft);
    cli_draft_discard(&draft);
    free(p.gray);
    return code;
}

int cli_sheet(cli_training *t)
{
    eden_error error = { 0, "" };
    lab_sample sample;
    const char *path = cli_text(t->args, "sheet", NULL);
    const lab_sample_config config = { .count = LINE * LINE, .seed = t->config.seed };
    if (!path) return CLI_OK;
    int code = lab_run_sample(t->run, &config, &sample, &error) ? cli_fail_eden(&error, CLI_RUNNING)
                                                                : cli_ranks_lead() ? write_sheet(path, &sample) : CLI_OK;
    lab_sample_free(&sample);
    if (!code) fprintf(t->out, "%-10s%d images of each class in %s\n", "sheet", LINE, path);
    return code;
}
