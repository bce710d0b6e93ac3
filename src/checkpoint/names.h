/* names.h - find a text's number among many, or that it is there twice.
 *
 * A hash table of numbers; the texts stay with their owner. The hash is keyed
 * differently for every table, so that no file can be made that slows it down. */
#ifndef EDEN_NAMES_H
#define EDEN_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define EDEN_NO_NAME UINT32_MAX

typedef struct {
    uint64_t key[2];
    uint32_t *place;    /* numbers plus 1, 0 where free                        */
    uint64_t room;
    const void *owner;
    const char *(*text)(const void *owner, uint32_t i);
} eden_names;

void eden_names_start(eden_names *names, const void *owner,
                      const char *(*text)(const void *owner, uint32_t i));
void eden_names_free(eden_names *names);

/* Room for `count` names in all; 0 if there is no memory. Takes 6 bytes for each. */
int eden_names_reserve(eden_names *names, size_t count);

/* The number of a text, or EDEN_NO_NAME. */
uint32_t eden_names_find(const eden_names *names, const char *text);

/* Add number i, for which room was reserved. Returns i, or the earlier number that
 * has the same text. */
uint32_t eden_names_add(eden_names *names, uint32_t i);

#endif
