/* names.c - find a text's number among many, or that it is there twice. */
#include "checkpoint/names.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "optimizer/text.h"

void eden_names_start(eden_names *names, const void *owner,
                      const char *(*text)(const void *owner, uint32_t i))
{
    struct timespec now = { 0, 0 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    memset(names, 0, sizeof *names);
    names->key[0] = (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 48;
    names->key[1] = (uint64_t)(uintptr_t)owner * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)&now;
    names->owner = owner;
    names->text = text;
}

void eden_names_free(eden_names *names)
{
    free(names->place);
    names->place = NULL;
    names->room = 0;
}

/* ---- SipHash-1-3 ----------------------------------------------------------------- */

static uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static uint64_t sip_hash(const uint64_t key[2], const char *text)
{
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                      key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u };
    size_t left = strlen(text);
    const uint64_t last = (uint64_t)left << 56;
    for (;; text += 8, left -= 8) {
        uint64_t word = 0;
        memcpy(&word, text, left < 8 ? left : 8);
        if (left < 8) word |= last;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        if (left < 8) break;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- the table --------------------------------------------------------------------- */

/* Where a text is, or the free place for it. */
static uint64_t place_of(const eden_names *names, const char *text)
{
    uint64_t at = (sip_hash(names->key, text) >> 32) * names->room >> 32;
    while (names->place[at] && strcmp(names->text(names->owner, names->place[at] - 1), text) != 0)
        at = at + 1 < names->room ? at + 1 : 0;
    return at;
}

int eden_names_reserve(eden_names *names, size_t count)
{
    const uint64_t room = (uint64_t)count + count / 2 + 2;
    if (room <= names->room) return 1;
    if (room > UINT32_MAX) return 0;
    eden_names old = *names;
    names->place = eden_alloc(room, sizeof *names->place);
    if (!names->place) {
        *names = old;
        return 0;
    }
    names->room = room;
    for (uint64_t i = 0; i < old.room; i++)
        if (old.place[i]) eden_names_add(names, old.place[i] - 1);
    free(old.place);
    return 1;
}

uint32_t eden_names_find(const eden_names *names, const char *text)
{
    if (!names->room) return EDEN_NO_NAME;
    return names->place[place_of(names, text)] - 1; /* 0 - 1 is EDEN_NO_NAME */
}

uint32_t eden_names_add(eden_names *names, uint32_t i)
{
    uint32_t *place = &names->place[place_of(names, names->text(names->owner, i))];
    if (*place) return *place - 1;
    *place = i + 1;
    return i;
}
