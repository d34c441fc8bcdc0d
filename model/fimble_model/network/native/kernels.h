/* What a pass of the decoder is made of: the network's parts, and the kernels that compute them.
 *
 * The shape key of fimble_model holds here too:
 *
 *   N tokens of all rows, laid end to end   S slots of a page          H query heads
 *   K key heads    D size of a head         E width of the network     F inner width
 *   V vocabulary   G query heads of one key head                       L loud tokens
 *
 * Numbers. Weights are int8, symmetric, one scale an output channel. Activations are whole numbers
 * of up to 15 bits, one scale a row: as many levels as keep every int32 sum exact. So a row's
 * products are exact, and depend on that row alone, however rows and threads share the work.
 * Cached keys and values are halves of 16 bits, which a row reads back of its own tokens too.
 * Everything else is float32, each value computed in an order that follows from its own place. */
#ifndef FIMBLE_KERNELS_H
#define FIMBLE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    GROUP = 8,          /* Output channels whose weights lie side by side. */
    PANEL = 2 * GROUP,  /* Output channels computed at once. */
    TILE_ROWS = 6,      /* Rows computed at once: 12 sums of the CPU's 16 registers. */
    PAGE_SLOTS = 64,    /* Slots of a page of the cache. */
    JOB_TILES = 4,      /* Tiles of queries that attend together, */
    JOB_ROWS = JOB_TILES * TILE_ROWS,
};

/* y = x W^T + b.
 *
 * panels: [n_panels][pairs of inputs][PANEL][2], padded with zeros. A panel holds two groups. In
 * a paired layer the outputs are two halves (gate and up), and a panel holds group p of either. */
struct linear {
    const int8_t *panels;
    const float *scales; /* [n_panels][PANEL]; 0 where padded. */
    const float *bias;   /* [n_panels][PANEL], or null. */
    int32_t n_inputs, n_outputs, n_panels, is_paired;
};

/* How a linear layer's outputs meet what is there. */
enum ending {
    STORE,      /* out = y */
    ADD,        /* out += y */
    STORE_GATED /* out = silu(gate) * up, of a paired layer */
};

/* Rows of whole numbers: row n is values[n * stride ...] * scales[n]. */
struct quantised {
    int16_t *values;
    float *scales;
    int32_t stride;
};

struct heads {
    int32_t n_query_heads, n_key_heads, head_size;
    float norm_epsilon;
    const float *query_gain, *key_gain; /* [D], or null where heads are not normed. */
};

/* One key head's share of the attention of some tokens of one row. */
struct attention_job {
    const float *queries; /* The first token's first query head; heads lie D apart. */
    float *outputs;       /* Likewise. */
    ptrdiff_t query_stride, output_stride; /* From token to token. */
    const uint16_t *keys, *values;         /* This layer and key head in page 0. */
    ptrdiff_t page_stride;                 /* From page to page. */
    const int32_t *pages;                  /* The row's pages, in order. */
    int32_t n_tokens, n_heads, head_size;  /* n_heads is G. */
    int32_t first_position;
    float *scores; /* Scratch: [JOB_ROWS][slots up to the last token, in whole pages] */
};

/* One CPU's kernels. None allocates, and none looks at another row than its own. */
struct kernels {
    const char *name;

    /* x[0, n) as whole numbers, padded with zeros to `stride`. Returns the scale. */
    float (*quantise)(const float *x, int32_t n, int32_t stride, int16_t *values);

    /* y = x / rms(x) * gain. */
    void (*norm)(const float *x, const float *gain, int32_t n, float epsilon, float *y);

    /* Panels [first, last) for rows [0, n_rows); out's rows are `out_stride` apart. */
    void (*multiply)(const struct linear *linear, const struct quantised *x, int32_t first_row,
                     int32_t n_rows, int32_t first, int32_t last, enum ending ending, float *out,
                     ptrdiff_t out_stride);

    /* One token's heads [H + K + K][D]: norm, turn by the position's angles, scale the queries by
     * 1 / sqrt(D), and write key and value to slot `slot` of a page. keys and values are key head
     * 0 of that page; head k lies k * D * PAGE_SLOTS further on. */
    void (*place)(const struct heads *heads, float *heads_of_token, const float *cos_D,
                  const float *sin_D, uint16_t *keys, uint16_t *values, int32_t slot);

    void (*attend)(const struct attention_job *job);

    /* Logits to log-probabilities, in place. Returns the first most likely token. */
    int32_t (*log_softmax)(float *logits, int32_t n);
};

extern const struct kernels fimble_kernels_generic;
#if defined(__x86_64__)
extern const struct kernels fimble_kernels_avx2;
extern const struct kernels fimble_kernels_avx512;
#endif

#endif
