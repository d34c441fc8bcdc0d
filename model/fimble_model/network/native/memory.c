/* Where a context has stood before, and the network's word mixed with what followed there.
 *
 * Owns no memory but its stack. It computes what NumPy does in memory_index.py and
 * memory_mixing.py, where the reasons stand: a lookup and a mix are some dozens of small arrays
 * there, and here two calls. */
#include "memory.h"

#include <math.h>
#include <string.h>

/* ---- finding ---------------------------------------------------------------------------------- */

static inline int32_t token_at(const struct memory_segment *segment, int32_t place) {
    return segment->is_wide ? ((const int32_t *)segment->tokens)[place]
                            : ((const int16_t *)segment->tokens)[place];
}

/* By what places are sorted within a bucket: the bits that are kept of three tokens before. */
static inline uint64_t order_of(int32_t fifth, int32_t fourth, int32_t third) {
    return (uint64_t)(third & 0x7FFF) << 29 | (uint64_t)(fourth & 0x7FFF) << 14 |
           (uint64_t)(fifth & 0x3FFF);
}

/* The part of a bucket around where the context itself would stand in it. */
static void narrow(const struct memory_segment *segment, const int32_t *context, int32_t *first,
                   int32_t *end) {
    uint64_t wanted = order_of(context[MOST_ORDER - 5], context[MOST_ORDER - 4],
                               context[MOST_ORDER - 3]);
    int32_t low = *first, high = *end;
    while (low < high) {
        int32_t middle = low + (high - low) / 2, place = segment->places[middle];
        uint64_t order = order_of(token_at(segment, place - 5), token_at(segment, place - 4),
                                  token_at(segment, place - 3));
        if (order < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    int32_t latest = *end - MOST_PLACES, wished = low - MOST_PLACES / 4;
    if (wished > latest) wished = latest;
    if (wished > *first) *first = wished;
    if (*first + MOST_PLACES < *end) *end = *first + MOST_PLACES;
}

/* The document in which a place is. */
static int32_t document_of(const struct memory_segment *segment, int32_t place) {
    int32_t low = 0, high = segment->n_documents;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (segment->starts[middle] <= place)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int32_t fimble_memory_find(const struct memory_segment *segments, int32_t n_segments,
                           const int32_t *context, int32_t *next_ids, int32_t *n_equal,
                           int8_t *levels) {
    uint32_t pair = ((uint32_t)context[MOST_ORDER - 2] << 16) + (uint32_t)context[MOST_ORDER - 1];
    int32_t n_found = 0;
    for (int32_t s = 0; s < n_segments; s++) {
        const struct memory_segment *segment = &segments[s];
        uint32_t bucket = (pair * 0x9E3779B1u) >> segment->n_shifted_bits; /* Knuth's */
        int32_t first = segment->offsets[bucket], end = segment->offsets[bucket + 1];
        if (end - first > MOST_PLACES) narrow(segment, context, &first, &end);
        for (int32_t i = first; i < end; i++) {
            int32_t place = segment->places[i], n_same = 0;
            while (n_same < MOST_ORDER &&
                   token_at(segment, place - 1 - n_same) == context[MOST_ORDER - 1 - n_same])
                n_same++;
            if (n_same < LEAST_ORDER) continue;
            int8_t level = segment->levels[document_of(segment, place)];
            if (level < 0) continue;
            next_ids[n_found] = token_at(segment, place);
            n_equal[n_found] = n_same;
            levels[n_found++] = level;
        }
    }
    return n_found;
}

/* ---- mixing ----------------------------------------------------------------------------------- */

/* Distinct tokens that followed: more than the places of eight full segments there never are. */
enum { MOST_TOKENS = 2048, N_SLOTS = 2 * MOST_TOKENS };

struct follower {
    int32_t id;
    double weights[N_ORDERS]; /* By order, the longest first; what matches many matches fewer. */
};

/* The distinct tokens with their weights; how many, or -1 where there is no room. */
static int32_t gather(const struct memory_rule *rule, const int32_t *next_ids,
                      const int32_t *n_equal, const int8_t *levels, int32_t n_places,
                      int32_t n_vocabulary, struct follower *followers) {
    int16_t slots[N_SLOTS];
    memset(slots, 0xFF, sizeof slots);
    int32_t n_followers = 0;
    for (int32_t i = 0; i < n_places; i++) {
        if (next_ids[i] < 0 || next_ids[i] >= n_vocabulary) continue; /* Not this network's. */
        uint32_t slot = ((uint32_t)next_ids[i] * 0x9E3779B1u) % N_SLOTS;
        while (slots[slot] >= 0 && followers[slots[slot]].id != next_ids[i])
            slot = (slot + 1) % N_SLOTS;
        if (slots[slot] < 0) {
            if (n_followers == MOST_TOKENS) return -1;
            memset(&followers[n_followers], 0, sizeof *followers);
            followers[n_followers].id = next_ids[i];
            slots[slot] = (int16_t)n_followers++;
        }
        followers[slots[slot]].weights[MOST_ORDER - n_equal[i]] += rule->weight_of_level[levels[i]];
    }
    for (int32_t f = 0; f < n_followers; f++)
        for (int32_t o = 1; o < N_ORDERS; o++)
            followers[f].weights[o] += followers[f].weights[o - 1];
    return n_followers;
}

/* What each order takes of all, divided by its total; returns what is left to the network. */
static double share_out(const struct memory_rule *rule, const struct follower *followers,
                        int32_t n_followers, double p_surest, double *taken) {
    double left = 1.0;
    for (int32_t o = 0; o < N_ORDERS; o++) {
        double total = 0.0, most = 0.0;
        for (int32_t f = 0; f < n_followers; f++) {
            double weight = followers[f].weights[o];
            total += weight;
            if (weight > most) most = weight;
        }
        taken[o] = 0.0;
        if (total <= 0.0) continue;
        double rivals = total - most > 0.0 ? total - most : 0.0;
        double score = rule->least_share[o] + rule->by_sureness * p_surest +
                       rule->by_weight * log(total) + rule->by_rival_share * rivals / total +
                       rule->by_rivals * log1p(rivals);
        double share = 1.0 / (1.0 + exp(-score));
        taken[o] = share * left / total;
        left *= 1.0 - share;
    }
    return left;
}

/* In lanes, so that the compiler may compare several at a time. */
static float largest_of(const float *x, int32_t n) {
    enum { LANES = 8 };
    float lanes[LANES];
    for (int32_t l = 0; l < LANES; l++) lanes[l] = x[0];
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int32_t l = 0; l < LANES; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
    for (; i < n; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    for (int32_t l = 1; l < LANES; l++) lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
}

static double log_add(double a, double b) {
    double most = a > b ? a : b, least = a > b ? b : a;
    return most + log1p(exp(least - most));
}

int32_t fimble_memory_blend(const struct memory_rule *rule, const float *logprobs,
                            int32_t n_vocabulary, const int32_t *next_ids, const int32_t *n_equal,
                            const int8_t *levels, int32_t n_places, const int32_t *control_ids,
                            int32_t n_control_ids, float *mixed) {
    struct follower followers[MOST_TOKENS];
    int32_t n_followers =
        gather(rule, next_ids, n_equal, levels, n_places, n_vocabulary, followers);
    if (n_followers < 0) return 1;
    double p_surest = exp((double)largest_of(logprobs, n_vocabulary)), taken[N_ORDERS];
    double left = share_out(rule, followers, n_followers, p_surest, taken);
    double p_goes_on = 1.0;
    for (int32_t c = 0; c < n_control_ids; c++) p_goes_on -= exp((double)logprobs[control_ids[c]]);
    if (p_goes_on < 1e-9) p_goes_on = 1e-9;
    float log_left = (float)log(left);
    for (int32_t v = 0; v < n_vocabulary; v++) mixed[v] = logprobs[v] + log_left;
    for (int32_t f = 0; f < n_followers; f++) {
        double mass = 0.0;
        for (int32_t o = 0; o < N_ORDERS; o++) mass += followers[f].weights[o] * taken[o];
        float *there = &mixed[followers[f].id];
        if (mass > 0.0) *there = (float)log_add(*there, log(mass * p_goes_on));
    }
    for (int32_t c = 0; c < n_control_ids; c++)
        mixed[control_ids[c]] = logprobs[control_ids[c]];
    return 0;
}

int32_t fimble_memory_size_of(int32_t which) {
    return which ? (int32_t)sizeof(struct memory_rule) : (int32_t)sizeof(struct memory_segment);
}
