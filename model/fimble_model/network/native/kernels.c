/* The kernels, in vectors of eight lanes. Built once for each kind of CPU: KERNELS names the table.
 *
 * Nothing here knows of layers, rows of a batch, or threads. */
#include "kernels.h"

#include <math.h>

#include "vectors.h"

#define UNROLL _Pragma("GCC unroll 8")
#define TEXT(x) #x
#define NAME(x) TEXT(x)

enum {
    NEAR_BYTES = 20 * 1024, /* Of the innermost cache of 32 KB or more. */
};

/* ---- rows ------------------------------------------------------------------------------------ */

static float quantise(const float *x, int32_t n, int32_t stride, int16_t *values) {
    f8 most_8 = splat(0.0f);
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) most_8 = larger(magnitude(load8(x + i)), most_8);
    if (i < n) most_8 = larger(magnitude(load_some(x + i, n - i)), most_8);
    float most = largest_lane(most_8);
    /* |sum| <= n * levels * 127 must stay below 2^31. */
    int32_t exact = (int32_t)(2147483647LL / (127LL * n));
    float levels = (float)(exact < 32767 ? exact : 32767);
    /* Rows of zeros are divided by this; far below any activation that matters. */
    most = most > 1e-30f ? most : 1e-30f;
    f8 to_levels = splat(levels / most);
    for (i = 0; i < n; i += LANES) {
        f8 part = n - i >= LANES ? load8(x + i) : load_some(x + i, n - i);
        s8 whole = __builtin_convertvector(
            __builtin_convertvector(nearest(part * to_levels), i8), s8);
        memcpy(values + i, &whole, sizeof whole);
    }
    for (i = (n + LANES - 1) / LANES * LANES; i < stride; i++) values[i] = 0;
    return most / levels;
}

static void norm(const float *x, const float *gain, int32_t n, float epsilon, float *y) {
    f8 sums[4] = {splat(0.0f), splat(0.0f), splat(0.0f), splat(0.0f)};
    int32_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int j = 0; j < 4; j++) {
            f8 part = load8(x + i + j * LANES);
            sums[j] = multiply_add(part, part, sums[j]);
        }
    for (; i < n; i += LANES) {
        f8 part = n - i >= LANES ? load8(x + i) : load_some(x + i, n - i);
        sums[0] = multiply_add(part, part, sums[0]);
    }
    float mean = sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3])) / (float)n;
    f8 factor = splat(1.0f / sqrtf(mean + epsilon));
    for (i = 0; i + LANES <= n; i += LANES) store8(y + i, load8(x + i) * factor * load8(gain + i));
    if (i < n)
        store_some(y + i, load_some(x + i, n - i) * factor * load_some(gain + i, n - i), n - i);
}

static int32_t log_softmax(float *logits, int32_t n) {
    int32_t best = 0, i = 0;
    f8 most_8 = splat(-INFINITY), sum_8 = splat(0.0f);
    for (; i + LANES <= n; i += LANES) most_8 = larger(load8(logits + i), most_8);
    float most = largest_lane(most_8);
    for (; i < n; i++) most = logits[i] > most ? logits[i] : most;
    while (best < n - 1 && logits[best] != most) best++;
    for (i = 0; i + LANES <= n; i += LANES)
        sum_8 += exponential(load8(logits + i) - splat(most));
    float sum = sum_lanes(sum_8);
    for (; i < n; i++) sum += exponential(splat(logits[i] - most))[0];
    float total = most + logf(sum);
    for (i = 0; i + LANES <= n; i += LANES) store8(logits + i, load8(logits + i) - splat(total));
    for (; i < n; i++) logits[i] -= total;
    return best;
}

/* ---- linear layers ---------------------------------------------------------------------------- */

INLINE f8 silu(f8 x) { return x / (splat(1.0f) + exponential(-x)); }

/* Where a group's outputs go, and how many of its channels are no padding. */
INLINE int32_t group_start(const struct linear *linear, int32_t panel, int group, int32_t *n) {
    int32_t half = linear->n_outputs / 2, start, end = linear->n_outputs;
    if (linear->is_paired) {
        start = group * half + panel * GROUP;
        end = group ? end : half;
    } else {
        start = panel * PANEL + group * GROUP;
    }
    *n = end - start < 0 ? 0 : end - start > GROUP ? GROUP : end - start;
    return start;
}

INLINE void finish_group(f8 y, enum ending ending, float *out, int32_t n) {
    if (n == GROUP)
        store8(out, ending == ADD ? load8(out) + y : y);
    else if (n > 0)
        store_some(out, ending == ADD ? load_some(out, n) + y : y, n);
}

INLINE void finish_row(const struct linear *linear, int32_t panel, const i8 sums[2], float scale,
                       enum ending ending, float *out) {
    f8 y[2];
    for (int group = 0; group < 2; group++) {
        size_t at = (size_t)panel * PANEL + (size_t)group * GROUP;
        y[group] = __builtin_convertvector(sums[group], f8) *
                   (load8(linear->scales + at) * splat(scale));
        if (linear->bias) y[group] += load8(linear->bias + at);
    }
    int32_t n;
    if (ending == STORE_GATED) {
        int32_t start = group_start(linear, panel, 0, &n);
        finish_group(silu(y[0]) * y[1], STORE, out + start, n);
        return;
    }
    for (int group = 0; group < 2; group++) {
        int32_t start = group_start(linear, panel, group, &n);
        finish_group(y[group], ending, out + start, n);
    }
}

/* A panel's channels for `n_rows` rows; `n_rows` is constant wherever this is inlined. */
INLINE void multiply_tile(const struct linear *linear, const struct quantised *x, int32_t row,
                          const int n_rows, int32_t panel, enum ending ending, float *out,
                          ptrdiff_t out_stride) {
    const int32_t n_pairs = (linear->n_inputs + 1) / 2;
    const int8_t *weights = linear->panels + (size_t)panel * (size_t)n_pairs * 2 * PANEL;
    const int16_t *values = x->values + (size_t)row * (size_t)x->stride;
    /* The next panel comes while this one is computed: it is the same place, one panel on. */
    const ptrdiff_t ahead = (ptrdiff_t)n_pairs * 2 * PANEL;
    i8 sums[TILE_ROWS][2];
    UNROLL for (int r = 0; r < n_rows; r++) sums[r][0] = sums[r][1] = (i8){0};
    for (int32_t pair = 0; pair < n_pairs; pair++) {
        __builtin_prefetch(weights + ahead);
        s16 first = widen(weights), second = widen(weights + PANEL);
        weights += 2 * PANEL;
        UNROLL for (int r = 0; r < n_rows; r++) {
            s16 both = splat_pair(values + (ptrdiff_t)r * x->stride + 2 * pair);
            sums[r][0] = add_products(sums[r][0], first, both);
            sums[r][1] = add_products(sums[r][1], second, both);
        }
    }
    for (int r = 0; r < n_rows; r++)
        finish_row(linear, panel, sums[r], x->scales[row + r], ending, out + r * out_stride);
}

static void multiply_rows(const struct linear *linear, const struct quantised *x, int32_t row,
                          int32_t n_rows, int32_t panel, enum ending ending, float *out,
                          ptrdiff_t out_stride) {
    while (n_rows > 0) {
        /* Two even tiles rather than a full one and a rest. */
        int32_t n = n_rows <= TILE_ROWS ? n_rows : n_rows < 2 * TILE_ROWS - 3 ? 4 : TILE_ROWS;
        switch (n) {
#define CASE(n) case n: multiply_tile(linear, x, row, n, panel, ending, out, out_stride); break;
            CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#undef CASE
        }
        row += n, n_rows -= n, out += n * out_stride;
    }
}

static void multiply(const struct linear *linear, const struct quantised *x, int32_t first_row,
                     int32_t n_rows, int32_t first, int32_t last, enum ending ending, float *out,
                     ptrdiff_t out_stride) {
    /* So few rows at a time that they stay in the innermost cache while all panels pass by. */
    int32_t n_block = NEAR_BYTES / (2 * x->stride) / TILE_ROWS * TILE_ROWS;
    n_block = n_block < TILE_ROWS ? TILE_ROWS : n_block;
    for (int32_t r = 0; r < n_rows; r += n_block)
        for (int32_t panel = first; panel < last; panel++)
            multiply_rows(linear, x, first_row + r, n_rows - r < n_block ? n_rows - r : n_block,
                          panel, ending, out + r * out_stride, out_stride);
}

/* ---- heads ------------------------------------------------------------------------------------ */

/* Turn each pair (i, i + D/2) by its angle (RoFormer, section 3.4.2); sin_D carries the sign. */
INLINE void turn(float *x, int32_t size, const float *cos_D, const float *sin_D, float factor) {
    int32_t half = size / 2;
    for (int32_t i = 0; i < half; i++) {
        float low = x[i], high = x[i + half];
        x[i] = (low * cos_D[i] + high * sin_D[i]) * factor;
        x[i + half] = (high * cos_D[i + half] + low * sin_D[i + half]) * factor;
    }
}

static void place(const struct heads *heads, float *heads_of_token, const float *cos_D,
                  const float *sin_D, uint16_t *keys, uint16_t *values, int32_t slot) {
    int32_t size = heads->head_size, n_turned = heads->n_query_heads + heads->n_key_heads;
    float query_factor = 1.0f / sqrtf((float)size);
    for (int32_t h = 0; h < n_turned; h++) {
        float *head = heads_of_token + (ptrdiff_t)h * size;
        int is_query = h < heads->n_query_heads;
        const float *gain = is_query ? heads->query_gain : heads->key_gain;
        if (gain) norm(head, gain, size, heads->norm_epsilon, head);
        turn(head, size, cos_D, sin_D, is_query ? query_factor : 1.0f);
    }
    const float *key = heads_of_token + (ptrdiff_t)heads->n_query_heads * size;
    const float *value = heads_of_token + (ptrdiff_t)n_turned * size;
    for (int32_t k = 0; k < heads->n_key_heads; k++) {
        uint16_t *key_DS = keys + (ptrdiff_t)k * size * PAGE_SLOTS;
        uint16_t *value_D = values + ((ptrdiff_t)k * PAGE_SLOTS + slot) * size;
        for (int32_t d = 0; d < size; d++) {
            key_DS[d * PAGE_SLOTS + slot] = to_half(key[k * size + d]);
            value_D[d] = to_half(value[k * size + d]);
        }
    }
}

/* ---- attention --------------------------------------------------------------------------------
 *
 * Every score is one chain of multiply-adds over D, every output one chain over the slots, in
 * order; so a token's bits do not depend on which tokens are computed with it. */

struct rows {
    const float *queries[TILE_ROWS];
    float *scores[TILE_ROWS];
    float *outputs[TILE_ROWS];
};

/* sums += factors x the next 8 * n_wide halves. Few rows keep their factors, many the halves: either
 * way all sums stay in registers. */
INLINE void add_outer(f8 sums[TILE_ROWS][8], const int n_rows, const int n_wide,
                      const float *const factors[TILE_ROWS], ptrdiff_t at, const uint16_t *halves) {
    if (n_rows <= 3) {
        f8 factor[3];
        UNROLL for (int r = 0; r < n_rows; r++) factor[r] = splat(factors[r][at]);
        UNROLL for (int w = 0; w < n_wide; w++) {
            f8 part = load_halves(halves + w * LANES);
            UNROLL for (int r = 0; r < n_rows; r++)
                sums[r][w] = multiply_add(factor[r], part, sums[r][w]);
        }
    } else {
        f8 part[2];
        UNROLL for (int w = 0; w < n_wide; w++) part[w] = load_halves(halves + w * LANES);
        UNROLL for (int r = 0; r < n_rows; r++) {
            f8 factor = splat(factors[r][at]);
            UNROLL for (int w = 0; w < n_wide; w++)
                sums[r][w] = multiply_add(factor, part[w], sums[r][w]);
        }
    }
}

/* Scores of `n_rows` queries with 8 * n_wide slots; both constant wherever this is inlined. */
INLINE void score_tile(const struct rows *rows, const int n_rows, const int n_wide,
                       const uint16_t *key_DS, int32_t size, ptrdiff_t at) {
    f8 sums[TILE_ROWS][8];
    UNROLL for (int r = 0; r < n_rows; r++)
        UNROLL for (int w = 0; w < n_wide; w++) sums[r][w] = splat(0.0f);
    for (int32_t d = 0; d < size; d++)
        add_outer(sums, n_rows, n_wide, rows->queries, d, key_DS + d * PAGE_SLOTS);
    UNROLL for (int r = 0; r < n_rows; r++)
        UNROLL for (int w = 0; w < n_wide; w++)
            store8(rows->scores[r] + at + w * LANES, sums[r][w]);
}

/* Outputs [at, at + 8 * n_wide) of D of `n_rows` queries, over a page's first `n_slots` slots. */
INLINE void value_tile(const struct rows *rows, const int n_rows, const int n_wide,
                       const uint16_t *value_SD, int32_t size, int32_t at, ptrdiff_t first_slot,
                       int32_t n_slots) {
    f8 sums[TILE_ROWS][8];
    UNROLL for (int r = 0; r < n_rows; r++)
        UNROLL for (int w = 0; w < n_wide; w++)
            sums[r][w] = load8(rows->outputs[r] + at + w * LANES);
    for (int32_t slot = 0; slot < n_slots; slot++)
        add_outer(sums, n_rows, n_wide, (const float *const *)rows->scores, first_slot + slot,
                  value_SD + (ptrdiff_t)slot * size + at);
    UNROLL for (int r = 0; r < n_rows; r++)
        UNROLL for (int w = 0; w < n_wide; w++)
            store8(rows->outputs[r] + at + w * LANES, sums[r][w]);
}

INLINE void score_page(const struct rows *rows, int32_t n_rows, const uint16_t *key_DS, int32_t size,
                       ptrdiff_t first_slot, int32_t n_slots) {
    /* Few rows take many slots at once, so that enough chains run side by side. */
    int32_t n_wide = n_rows == 1 ? 8 : n_rows <= 3 ? 4 : 2;
    for (int32_t s = 0; s < n_slots; s += n_wide * LANES) {
        const uint16_t *key = key_DS + s;
        ptrdiff_t at = first_slot + s;
        switch (n_rows) {
            case 1: score_tile(rows, 1, 8, key, size, at); break;
            case 2: score_tile(rows, 2, 4, key, size, at); break;
            case 3: score_tile(rows, 3, 4, key, size, at); break;
            case 4: score_tile(rows, 4, 2, key, size, at); break;
            case 5: score_tile(rows, 5, 2, key, size, at); break;
            case 6: score_tile(rows, 6, 2, key, size, at); break;
        }
    }
}

INLINE void value_page(const struct rows *rows, int32_t n_rows, const uint16_t *value_SD,
                       int32_t size, ptrdiff_t first_slot, int32_t n_slots) {
    int32_t most_wide = n_rows == 1 ? 8 : n_rows <= 3 ? 4 : 2;
    for (int32_t at = 0; at < size;) {
        int32_t n_wide = most_wide;
        while (n_wide * LANES > size - at) n_wide /= 2;
        switch (n_rows * 16 + n_wide) {
#define CASE(r, w) \
    case r * 16 + w: value_tile(rows, r, w, value_SD, size, at, first_slot, n_slots); break;
            CASE(1, 8) CASE(1, 4) CASE(1, 2) CASE(1, 1)
            CASE(2, 4) CASE(2, 2) CASE(2, 1)
            CASE(3, 4) CASE(3, 2) CASE(3, 1)
            CASE(4, 2) CASE(4, 1)
            CASE(5, 2) CASE(5, 1)
            CASE(6, 2) CASE(6, 1)
#undef CASE
        }
        at += n_wide * LANES;
    }
}

/* Scores of slots [0, n_seen) to weights, not yet divided by their sum, which is returned. The
 * others up to n_slots get the weight 0. */
INLINE float weigh(float *scores, int32_t n_seen, int32_t n_slots) {
    const i8 lane = {0, 1, 2, 3, 4, 5, 6, 7};
    int32_t n_whole = n_seen / LANES * LANES, n_rest = n_seen - n_whole;
    f8 most_8 = splat(-INFINITY), sum_8 = splat(0.0f);
    i8 is_seen = lane < n_rest;
    for (int32_t s = 0; s < n_whole; s += LANES) most_8 = larger(load8(scores + s), most_8);
    if (n_rest) {
        f8 part = load8(scores + n_whole);
        part = (f8)(((i8)part & is_seen) | ((i8)splat(-INFINITY) & ~is_seen));
        most_8 = larger(part, most_8);
    }
    f8 most = splat(largest_lane(most_8));
    for (int32_t s = 0; s < n_whole; s += LANES) {
        f8 weight = exponential(load8(scores + s) - most);
        sum_8 += weight;
        store8(scores + s, weight);
    }
    if (n_rest) {
        f8 weight = (f8)((i8)exponential(load8(scores + n_whole) - most) & is_seen);
        sum_8 += weight;
        store8(scores + n_whole, weight);
    }
    for (int32_t s = n_whole + (n_rest ? LANES : 0); s < n_slots; s += LANES)
        store8(scores + s, splat(0.0f));
    return sum_lanes(sum_8);
}

/* Pages outside, tiles inside: a page is read from memory once for all rows of the job. */
static void attend_rows(const struct attention_job *job, int32_t first_row, int32_t n_rows) {
    int32_t size = job->head_size, n_heads = job->n_heads;
    int32_t n_tiles = (n_rows + TILE_ROWS - 1) / TILE_ROWS;
    int32_t n_slots = job->first_position + job->n_tokens;
    ptrdiff_t score_stride = (n_slots + PAGE_SLOTS - 1) / PAGE_SLOTS * PAGE_SLOTS;
    struct rows tiles[JOB_TILES];
    int32_t n_seen[JOB_TILES]; /* [0, n_seen) is what a tile's last token sees. */
    for (int32_t r = 0; r < n_rows; r++) {
        int32_t token = (first_row + r) / n_heads, head = (first_row + r) % n_heads;
        struct rows *tile = &tiles[r / TILE_ROWS];
        tile->queries[r % TILE_ROWS] = job->queries + token * job->query_stride + head * size;
        tile->outputs[r % TILE_ROWS] = job->outputs + token * job->output_stride + head * size;
        tile->scores[r % TILE_ROWS] = job->scores + r * score_stride;
        memset(tile->outputs[r % TILE_ROWS], 0, (size_t)size * sizeof(float));
        n_seen[r / TILE_ROWS] = job->first_position + token + 1;
    }
#define TILE_SIZE(t) ((t) + 1 < n_tiles ? TILE_ROWS : n_rows - (t) * TILE_ROWS)
#define EACH_PAGE_AND_TILE(then)                                                  \
    for (int32_t p = 0; p * PAGE_SLOTS < n_slots; p++)                            \
        for (int32_t t = 0; t < n_tiles; t++) {                                   \
            int32_t n_here = n_seen[t] - p * PAGE_SLOTS;                          \
            if (n_here > 0) {                                                     \
                n_here = n_here < PAGE_SLOTS ? n_here : PAGE_SLOTS;               \
                then;                                                             \
            }                                                                     \
        }
    EACH_PAGE_AND_TILE(score_page(&tiles[t], TILE_SIZE(t),
                                  job->keys + job->pages[p] * job->page_stride, size,
                                  p * PAGE_SLOTS, n_here))
    float sums[JOB_TILES * TILE_ROWS];
    for (int32_t r = 0; r < n_rows; r++) {
        int32_t position = job->first_position + (first_row + r) / n_heads;
        sums[r] = weigh(tiles[r / TILE_ROWS].scores[r % TILE_ROWS], position + 1,
                        n_seen[r / TILE_ROWS]);
    }
    EACH_PAGE_AND_TILE(value_page(&tiles[t], TILE_SIZE(t),
                                  job->values + job->pages[p] * job->page_stride, size,
                                  p * PAGE_SLOTS, n_here))
    for (int32_t r = 0; r < n_rows; r++) {
        float *output = tiles[r / TILE_ROWS].outputs[r % TILE_ROWS];
        for (int32_t d = 0; d < size; d += LANES)
            store8(output + d, load8(output + d) / splat(sums[r]));
    }
}

static void attend(const struct attention_job *job) {
    int32_t n_rows = job->n_tokens * job->n_heads;
    for (int32_t first = 0; first < n_rows; first += JOB_ROWS)
        attend_rows(job, first, n_rows - first < JOB_ROWS ? n_rows - first : JOB_ROWS);
}

#define TABLE_(name) fimble_kernels_##name
#define TABLE(name) TABLE_(name)

const struct kernels TABLE(KERNELS) = {
    .name = NAME(KERNELS),
    .quantise = quantise,
    .norm = norm,
    .multiply = multiply,
    .place = place,
    .attend = attend,
    .log_softmax = log_softmax,
};
