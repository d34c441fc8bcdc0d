/* The decoder as Python describes it, and the calls that Python makes. Mirrored in library.py. */
#ifndef FIMBLE_NETWORK_H
#define FIMBLE_NETWORK_H

#include "kernels.h"

#define API __attribute__((visibility("default")))

struct layer {
    const float *attention_gain; /* [E] */
    struct linear qkv;
    const float *query_gain, *key_gain; /* [D], or null */
    struct linear output;
    const float *feed_forward_gain; /* [E] */
    struct linear gate_up, down;
};

enum number { FLOAT32, FLOAT16, BFLOAT16 };

struct network {
    int32_t n_layers, width, n_query_heads, n_key_heads, head_size, inner_width, n_vocabulary;
    int32_t embedding_number; /* enum number */
    float norm_epsilon;
    const void *embedding; /* [V][E] */
    const struct layer *layers;
    const float *final_gain;
    struct linear head;
};

/* One pass. Every pointer belongs to the caller and is left as it was, but for what is written. */
struct pass {
    int32_t n_pieces, n_tokens, n_loud;
    const int32_t *pieces;    /* [n_pieces]: tokens, slots filled before, silent tokens, pages */
    const int32_t *token_ids; /* [n_tokens], piece after piece */
    const int32_t *pages;     /* Piece after piece, its row's pages in order. */
    const float *cos_PD, *sin_PD;
    uint16_t *keys;   /* Halves [layer][page][K][D][PAGE_SLOTS]; written at the new tokens' slots */
    uint16_t *values; /* Halves [layer][page][K][PAGE_SLOTS][D]; likewise */
    int32_t n_pages;
    float *logprobs; /* [n_loud][V]: written */
    int32_t *best;   /* [n_loud]: written, the first most likely token of each */
};

/* Scratch of one network; grows with the passes. One thread at a time. */
struct workspace;

API struct workspace *fimble_new_workspace(void);
API void fimble_free_workspace(struct workspace *workspace);

/* 0, or 1 where there was no memory: then nothing was computed. */
API int32_t fimble_run_pass(const struct network *network, const struct pass *pass,
                            struct workspace *workspace);

/* y = x W^T + b of n_rows rows, lying close: x [N][n_inputs], y [N][n_outputs]. 0, or 1. */
API int32_t fimble_multiply(const struct linear *linear, const float *x, int32_t n_rows, float *y,
                            struct workspace *workspace);

API int32_t fimble_set_threads(int32_t n_threads);

/* The name of the kernels in use: the best this CPU has. */
API const char *fimble_kernels_name(void);
/* Use kernels by their name; 0 where this CPU cannot. For tests and measurements. */
API int32_t fimble_use_kernels(const char *name);

/* Of which sources the library was built: see build.py. */
API const char *fimble_sources(void);

/* What the caller's mirror of these structures must agree with. */
API int32_t fimble_size_of(int32_t which);

#endif
