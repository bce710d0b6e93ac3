/* storage.h - how the numbers of a run are stored, and the words for it. */
#ifndef LAB_STORAGE_H
#define LAB_STORAGE_H

#include <eden/eden.h>

/* As in eden_tensor; all zero is float32 throughout. */
typedef struct {
    uint32_t dtype, grad_dtype, state_dtype; /* eden_dtype                     */
    uint32_t rounding;                       /* eden_rounding                  */
} lab_storage;

/* In the order of the library's numbers. */
#define LAB_DTYPES "f32|bf16|f16"
#define LAB_STATE_DTYPES LAB_DTYPES "|q8"
#define LAB_ROUNDINGS "nearest|master|split|stochastic|kahan"

/* The word at a place in one of these lists, "?" past its end. Returns `text`. */
#define LAB_WORD_ROOM 16
const char *lab_word(const char *words, uint32_t place, char text[LAB_WORD_ROOM]);

/* A word's place; 0 if the list does not have it. */
int lab_word_place(const char *words, const char *word, uint32_t *place);

#endif
