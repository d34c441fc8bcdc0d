/* The project memory's search and its word in a network's, as memory_index.py and memory_mixing.py
 * say what they are. Mirrored in memory.py. */
#ifndef FIMBLE_MEMORY_H
#define FIMBLE_MEMORY_H

#include <stdint.h>

#define API __attribute__((visibility("default")))

enum { LEAST_ORDER = 2, MOST_ORDER = 7, N_ORDERS = MOST_ORDER - LEAST_ORDER + 1 };
enum { MOST_PLACES = 128 }; /* Of a pair that stands nearly everywhere, in one segment. */
enum { N_LEVELS = 3 };      /* How near a document is to the row. */

/* Tokens of documents end to end, and their places in buckets by what stands before them. */
struct memory_segment {
    const void *tokens;      /* int32 where is_wide, else int16 */
    const int32_t *offsets;  /* [buckets + 1], where each begins in places */
    const int32_t *places;
    const int32_t *starts;   /* [n_documents], where each begins in tokens */
    const int8_t *levels;    /* [n_documents], below 0 where it is dead */
    int32_t n_documents, n_shifted_bits, is_wide;
};

/* The places of all segments that follow the context's end, MOST_PLACES of each at most: what
 * stands there, how many tokens before it are the context's, and how near its document is. The
 * context holds MOST_ORDER tokens. Returns how many places. */
API int32_t fimble_memory_find(const struct memory_segment *segments, int32_t n_segments,
                               const int32_t *context, int32_t *next_ids, int32_t *n_equal,
                               int8_t *levels);

/* The rule's numbers: shares' logits by order, the longest first. */
struct memory_rule {
    double weight_of_level[N_LEVELS];
    double least_share[N_ORDERS];
    double by_weight, by_rival_share, by_rivals, by_sureness;
};

/* The network's log-probabilities [V] with the memory's word in them; control tokens keep theirs.
 * Returns 0, or 1 where there is no room for so many places: then nothing is written. */
API int32_t fimble_memory_blend(const struct memory_rule *rule, const float *logprobs,
                                int32_t n_vocabulary, const int32_t *next_ids,
                                const int32_t *n_equal, const int8_t *levels, int32_t n_places,
                                const int32_t *control_ids, int32_t n_control_ids, float *mixed);

/* What the caller's mirror of the segment (0) and the rule (1) must agree with. */
API int32_t fimble_memory_size_of(int32_t which);

#endif
