/* text.h - bytes to learn a language from: any file, gzipped or not, or what is built in. */
#ifndef LAB_TEXT_H
#define LAB_TEXT_H

#include <eden/eden.h>

typedef struct {
    char name[64];
    uint64_t hash;         /* of every byte, so that a resume can tell           */
    unsigned char *bytes;
    uint64_t count, train; /* the first `train`, 9 of 10, are to learn from      */
} lab_text;

/* The built-in text, which is sources of Eden's library as they once were, frozen so
 * that results stay comparable; or with a path, that file of 20 bytes to 1 GiB. */
eden_status lab_text_load(lab_text *text, const char *path, eden_error *error);
void lab_text_free(lab_text *text); /* leaves it all zero */

#endif
