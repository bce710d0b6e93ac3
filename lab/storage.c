#include "lab/storage.h"

#include <stdio.h>
#include <string.h>

const char *lab_word(const char *words, uint32_t place, char text[LAB_WORD_ROOM])
{
    for (; place && *words; place--) {
        words += strcspn(words, "|");
        words += *words == '|';
    }
    snprintf(text, LAB_WORD_ROOM, "%.*s", *words ? (int)strcspn(words, "|") : 1, *words ? words : "?");
    return text;
}

int lab_word_place(const char *words, const char *word, uint32_t *place)
{
    const size_t length = strlen(word);
    for (uint32_t i = 0; *words; i++) {
        const size_t n = strcspn(words, "|");
        if (n == length && !strncmp(words, word, n)) {
            *place = i;
            return 1;
        }
        words += n + (words[n] == '|');
    }
    return 0;
}
