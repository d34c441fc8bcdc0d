/* One whole pass of the decoder, layer by layer, each step shared among the threads.
 *
 * Owns the order of steps and the scratch between them. Knows no arithmetic (that is kernels.c)
 * and nothing of tokens, rows of a cache or engines beyond the numbers it is handed. */
#include "network.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"

/* A step of less work than this stays on one thread: handing it over costs a few microseconds,
 * and more where the others sleep. Products of a matrix or of attention, and numbers of rows. */
enum { PRODUCTS_WORTH_SHARING = 300 * 1000, NUMBERS_WORTH_SHARING = 30 * 1000 };
enum { ROWS_A_TASK = 8 };
/* Weights a task reads, at least: long enough a stretch for the CPU to fetch ahead. */
enum { WEIGHTS_A_TASK = 24 * 1024 };
/* Activations of a block of rows, which stay near while all weights pass by. */
enum { BLOCK_BYTES = 128 * 1024, MOST_BLOCK_ROWS = 60 };

/* ---- which kernels ---------------------------------------------------------------------------- */

static const struct kernels *const all_kernels[] = {
#if defined(__x86_64__)
    &fimble_kernels_avx512,
    &fimble_kernels_avx2,
#endif
    &fimble_kernels_generic,
};
enum { N_KERNELS = sizeof all_kernels / sizeof *all_kernels };

static int can_run(const struct kernels *kernels) {
#if defined(__x86_64__)
    int has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                   __builtin_cpu_supports("f16c");
    if (kernels == &fimble_kernels_avx2) return has_avx2;
    if (kernels == &fimble_kernels_avx512)
        return has_avx2 && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni");
#endif
    return kernels != NULL;
}

static _Atomic(const struct kernels *) chosen_kernels;

static const struct kernels *find_kernels(void) {
    const struct kernels *kernels = atomic_load(&chosen_kernels);
    for (int i = 0; !kernels && i < N_KERNELS; i++)
        if (can_run(all_kernels[i])) kernels = all_kernels[i];
    atomic_store(&chosen_kernels, kernels);
    return kernels;
}

const char *fimble_kernels_name(void) { return find_kernels()->name; }

int32_t fimble_use_kernels(const char *name) {
    for (int i = 0; i < N_KERNELS; i++)
        if (!strcmp(all_kernels[i]->name, name) && can_run(all_kernels[i])) {
            atomic_store(&chosen_kernels, all_kernels[i]);
            return 1;
        }
    return 0;
}

const char *fimble_sources(void) { return FIMBLE_SOURCES; }

int32_t fimble_set_threads(int32_t n_threads) { return set_threads(n_threads); }

int32_t fimble_size_of(int32_t which) {
    const size_t sizes[] = {sizeof(struct linear), sizeof(struct layer), sizeof(struct network),
                            sizeof(struct pass)};
    return which < 0 || which > 3 ? 0 : (int32_t)sizes[which];
}

static void run_step(task *run, void *argument, int32_t n, int is_worth_sharing) {
    if (is_worth_sharing)
        run_tasks(run, argument, n);
    else
        for (int32_t index = 0; index < n; index++) run(argument, index, 0);
}

/* ---- scratch ---------------------------------------------------------------------------------- */

struct workspace {
    char *memory;
    size_t n_bytes, n_used;
};

struct workspace *fimble_new_workspace(void) { return calloc(1, sizeof(struct workspace)); }

void fimble_free_workspace(struct workspace *workspace) {
    if (workspace) free(workspace->memory);
    free(workspace);
}

static size_t aligned(size_t n_bytes) { return (n_bytes + 63) / 64 * 64; }

static int reserve(struct workspace *workspace, size_t n_bytes) {
    workspace->n_used = 0;
    if (n_bytes <= workspace->n_bytes) return 1;
    free(workspace->memory);
    workspace->memory = aligned_alloc(64, aligned(n_bytes));
    workspace->n_bytes = workspace->memory ? n_bytes : 0;
    return workspace->memory != NULL;
}

static void *take(struct workspace *workspace, size_t n_bytes) {
    void *start = workspace->memory + workspace->n_used;
    workspace->n_used += aligned(n_bytes);
    return start;
}

/* ---- linear layers ---------------------------------------------------------------------------- */

static int32_t padded(int32_t n) { return (n + 15) / 16 * 16; }

struct multiplication {
    const struct kernels *kernels;
    const struct linear *linear;
    const struct quantised *x;
    enum ending ending;
    float *out;
    ptrdiff_t out_stride;
    int32_t n_rows, n_block_rows, n_task_panels, n_tasks_a_block;
};

/* Task i of a block takes its i-th stretch of panels; block comes after block. */
static void multiply_task(void *argument, int32_t index, int32_t thread) {
    (void)thread;
    const struct multiplication *m = argument;
    int32_t row = index / m->n_tasks_a_block * m->n_block_rows;
    int32_t n_rows = m->n_rows - row < m->n_block_rows ? m->n_rows - row : m->n_block_rows;
    int32_t first = index % m->n_tasks_a_block * m->n_task_panels;
    int32_t last = first + m->n_task_panels;
    if (last > m->linear->n_panels) last = m->linear->n_panels;
    m->kernels->multiply(m->linear, m->x, row, n_rows, first, last, m->ending,
                         m->out + row * m->out_stride, m->out_stride);
}

static void multiply(const struct linear *linear, const struct quantised *x, int32_t n_rows,
                     enum ending ending, float *out, ptrdiff_t out_stride) {
    struct multiplication m = {find_kernels(), linear, x, ending, out, out_stride, n_rows, 0, 0, 0};
    m.n_block_rows = BLOCK_BYTES / (2 * x->stride) / TILE_ROWS * TILE_ROWS;
    if (m.n_block_rows > MOST_BLOCK_ROWS) m.n_block_rows = MOST_BLOCK_ROWS;
    if (m.n_block_rows < TILE_ROWS) m.n_block_rows = TILE_ROWS;
    int32_t panel_bytes = PANEL * linear->n_inputs;
    m.n_task_panels = 1 + WEIGHTS_A_TASK / panel_bytes;
    m.n_tasks_a_block = (linear->n_panels + m.n_task_panels - 1) / m.n_task_panels;
    int32_t n_blocks = (n_rows + m.n_block_rows - 1) / m.n_block_rows;
    int64_t n_products = (int64_t)n_rows * linear->n_inputs * linear->n_outputs;
    run_step(multiply_task, &m, n_blocks * m.n_tasks_a_block,
             n_products >= PRODUCTS_WORTH_SHARING);
}

/* ---- one pass --------------------------------------------------------------------------------- */

/* A stretch of tokens of one row that attends as one task for each key head. */
struct stretch {
    int32_t first_token, n_tokens, first_position;
    const int32_t *pages; /* The row's. */
};

struct run {
    const struct kernels *kernels;
    const struct network *network;
    const struct pass *pass;
    const struct layer *layer;
    int32_t layer_index;
    int32_t n_tokens; /* Of this step: in the last layer's end, and in the head, the loud ones. */
    int32_t *positions;
    const int32_t **pages_of; /* [N]: each token's row's pages */
    struct stretch *stretches;
    int32_t n_stretches;
    float *hidden, *heads, *mixed, *inner; /* [N] times E, (H + 2K)D, HD, F */
    struct quantised narrow, wide;         /* Rows of E, and of HD or F. */
    float *scores;                         /* [threads][scores_a_thread] */
    size_t scores_a_thread;
    float *normed; /* [threads][E] */
    const float *from, *gain; /* Of the step of rows. */
    int32_t n_from;
    const struct quantised *to;
};

/* `size` numbers a row. */
static void share_rows(struct run *run, task *rows, int32_t n_rows, int32_t size) {
    run_step(rows, run, (n_rows + ROWS_A_TASK - 1) / ROWS_A_TASK,
             (int64_t)n_rows * size >= NUMBERS_WORTH_SHARING);
}

/* Rows [first, last) of a task. */
static int32_t rows_of_task(int32_t index, int32_t n_rows, int32_t *first) {
    *first = index * ROWS_A_TASK;
    return *first + ROWS_A_TASK > n_rows ? n_rows : *first + ROWS_A_TASK;
}

static void quantise_task(void *argument, int32_t index, int32_t thread) {
    struct run *run = argument;
    int32_t row, last = rows_of_task(index, run->n_tokens, &row);
    float *normed = run->normed + (size_t)thread * (size_t)run->network->width;
    for (; row < last; row++) {
        const float *x = run->from + (size_t)row * (size_t)run->n_from;
        if (run->gain) {
            run->kernels->norm(x, run->gain, run->n_from, run->network->norm_epsilon, normed);
            x = normed;
        }
        run->to->scales[row] =
            run->kernels->quantise(x, run->n_from, run->to->stride,
                                   run->to->values + (size_t)row * (size_t)run->to->stride);
    }
}

/* Rows of floats, normed where there is a gain, to whole numbers. */
static void quantise_rows(struct run *run, const float *from, int32_t n, const float *gain,
                          struct quantised *to) {
    to->stride = padded(n);
    run->from = from, run->n_from = n, run->gain = gain, run->to = to;
    share_rows(run, quantise_task, run->n_tokens, n);
}

static float widen_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    union { uint32_t bits; float value; } x;
    if (rest >= 0x7c00) {
        x.bits = sign | 0x7f800000 | (rest & 0x3ff) << 13; /* Infinity, or no number. */
    } else {
        x.bits = rest << 13; /* 2^-112 too small, subnormal or not. */
        x.value *= 0x1p112f;
        x.bits |= sign;
    }
    return x.value;
}

static void look_up(const struct network *network, int32_t token_id, float *hidden) {
    size_t width = (size_t)network->width, start = (size_t)token_id * width;
    if (network->embedding_number == FLOAT32) {
        memcpy(hidden, (const float *)network->embedding + start, width * sizeof(float));
        return;
    }
    const uint16_t *from = (const uint16_t *)network->embedding + start;
    for (size_t e = 0; e < width; e++) {
        union { uint32_t bits; float value; } x = {(uint32_t)from[e] << 16};
        hidden[e] = network->embedding_number == BFLOAT16 ? x.value : widen_half(from[e]);
    }
}

static ptrdiff_t page_stride(const struct network *network) {
    return (ptrdiff_t)network->n_key_heads * network->head_size * PAGE_SLOTS;
}

static ptrdiff_t layer_start(const struct run *run) {
    return (ptrdiff_t)run->layer_index * run->pass->n_pages * page_stride(run->network);
}

static int32_t heads_width(const struct network *network) {
    return (network->n_query_heads + 2 * network->n_key_heads) * network->head_size;
}

static void place_task(void *argument, int32_t index, int32_t thread) {
    (void)thread;
    struct run *run = argument;
    const struct network *network = run->network;
    struct heads heads = {network->n_query_heads,    network->n_key_heads,
                          network->head_size,        network->norm_epsilon,
                          run->layer->query_gain,    run->layer->key_gain};
    int32_t token, last = rows_of_task(index, run->pass->n_tokens, &token);
    for (; token < last; token++) {
        int32_t position = run->positions[token];
        int32_t page = run->pages_of[token][position / PAGE_SLOTS];
        ptrdiff_t at = layer_start(run) + page * page_stride(network);
        ptrdiff_t angle = (ptrdiff_t)position * network->head_size;
        run->kernels->place(&heads, run->heads + (ptrdiff_t)token * heads_width(network),
                            run->pass->cos_PD + angle, run->pass->sin_PD + angle,
                            run->pass->keys + at, run->pass->values + at, position % PAGE_SLOTS);
    }
}

static void attend_task(void *argument, int32_t index, int32_t thread) {
    struct run *run = argument;
    const struct network *network = run->network;
    const struct stretch *stretch = &run->stretches[index / network->n_key_heads];
    int32_t k = index % network->n_key_heads, size = network->head_size;
    int32_t n_heads = network->n_query_heads / network->n_key_heads;
    ptrdiff_t at = layer_start(run) + (ptrdiff_t)k * size * PAGE_SLOTS;
    ptrdiff_t outputs_width = (ptrdiff_t)network->n_query_heads * size;
    struct attention_job job = {
        .queries = run->heads + stretch->first_token * (ptrdiff_t)heads_width(network) +
                   (ptrdiff_t)k * n_heads * size,
        .outputs = run->mixed + stretch->first_token * outputs_width + (ptrdiff_t)k * n_heads * size,
        .query_stride = heads_width(network),
        .output_stride = outputs_width,
        .keys = run->pass->keys + at,
        .values = run->pass->values + at,
        .page_stride = page_stride(network),
        .pages = stretch->pages,
        .n_tokens = stretch->n_tokens,
        .n_heads = n_heads,
        .head_size = size,
        .first_position = stretch->first_position,
        .scores = run->scores + (size_t)thread * run->scores_a_thread,
    };
    run->kernels->attend(&job);
}

/* Positions, pages and stretches of every token; the longest row's slots, in whole pages. */
static int32_t lay_out(struct run *run) {
    const struct pass *pass = run->pass;
    int32_t n_heads = run->network->n_query_heads / run->network->n_key_heads;
    int32_t most = n_heads < JOB_ROWS ? JOB_ROWS / n_heads : 1;
    int32_t token = 0, n_slots = 0;
    const int32_t *pages = pass->pages;
    for (int32_t p = 0; p < pass->n_pieces; p++) {
        const int32_t *piece = pass->pieces + 4 * p;
        for (int32_t t = 0; t < piece[0]; t++) {
            if (t % most == 0) {
                int32_t left = piece[0] - t;
                run->stretches[run->n_stretches++] =
                    (struct stretch){token + t, left < most ? left : most, piece[1] + t, pages};
            }
            run->positions[token + t] = piece[1] + t;
            run->pages_of[token + t] = pages;
        }
        int32_t end = (piece[0] + piece[1] + PAGE_SLOTS - 1) / PAGE_SLOTS * PAGE_SLOTS;
        n_slots = end > n_slots ? end : n_slots;
        token += piece[0];
        pages += piece[3];
    }
    return n_slots;
}

static int32_t count_slots(const struct pass *pass) {
    int32_t n_slots = 0;
    for (int32_t p = 0; p < pass->n_pieces; p++) {
        int32_t end = pass->pieces[4 * p] + pass->pieces[4 * p + 1];
        n_slots = end > n_slots ? end : n_slots;
    }
    return (n_slots + PAGE_SLOTS - 1) / PAGE_SLOTS * PAGE_SLOTS;
}

/* All scratch of a run, in one piece of memory; 0 where there is none. */
static int take_scratch(struct run *run, struct workspace *workspace) {
    const struct network *network = run->network;
    size_t n = (size_t)run->pass->n_tokens, width = (size_t)network->width;
    size_t mixed = (size_t)network->n_query_heads * (size_t)network->head_size;
    size_t inner = (size_t)network->inner_width, widest = mixed > inner ? mixed : inner;
    run->scores_a_thread = (size_t)JOB_ROWS * (size_t)count_slots(run->pass);
#define PARTS(PART)                                                              \
    PART(run->positions, n * sizeof(int32_t))                                    \
    PART(run->pages_of, n * sizeof(int32_t *))                                   \
    PART(run->stretches, n * sizeof(struct stretch))                             \
    PART(run->hidden, n * width * sizeof(float))                                 \
    PART(run->heads, n * (size_t)heads_width(network) * sizeof(float))           \
    PART(run->mixed, n * mixed * sizeof(float))                                  \
    PART(run->inner, n * inner * sizeof(float))                                  \
    PART(run->narrow.values, n * (size_t)padded((int32_t)width) * sizeof(int16_t)) \
    PART(run->narrow.scales, n * sizeof(float))                                  \
    PART(run->wide.values, n * (size_t)padded((int32_t)widest) * sizeof(int16_t)) \
    PART(run->wide.scales, n * sizeof(float))                                    \
    PART(run->scores, MOST_THREADS * run->scores_a_thread * sizeof(float))       \
    PART(run->normed, MOST_THREADS * width * sizeof(float))
    size_t n_bytes = 0;
#define COUNT(pointer, size) n_bytes += aligned(size);
    PARTS(COUNT)
#undef COUNT
    if (!reserve(workspace, n_bytes)) return 0;
#define TAKE(pointer, size) pointer = take(workspace, size);
    PARTS(TAKE)
#undef TAKE
#undef PARTS
    return 1;
}

/* The loud tokens' rows move to the front of `hidden` and `mixed`: nothing else is computed on. */
static void keep_loud(struct run *run) {
    size_t width = (size_t)run->network->width;
    size_t mixed = (size_t)run->network->n_query_heads * (size_t)run->network->head_size;
    int32_t token = 0, n_kept = 0;
    for (int32_t p = 0; p < run->pass->n_pieces; p++) {
        const int32_t *piece = run->pass->pieces + 4 * p;
        for (int32_t t = piece[2]; t < piece[0]; t++, n_kept++) {
            size_t from = (size_t)(token + t), to = (size_t)n_kept;
            memmove(run->hidden + to * width, run->hidden + from * width, width * sizeof(float));
            memmove(run->mixed + to * mixed, run->mixed + from * mixed, mixed * sizeof(float));
        }
        token += piece[0];
    }
    run->n_tokens = n_kept;
}

/* For the last layer: stretches of loud tokens alone. */
static void drop_silent_stretches(struct run *run) {
    int32_t token = 0, n = 0, s = 0;
    for (int32_t p = 0; p < run->pass->n_pieces; p++) {
        const int32_t *piece = run->pass->pieces + 4 * p;
        for (; s < run->n_stretches && run->stretches[s].first_token < token + piece[0]; s++) {
            struct stretch stretch = run->stretches[s];
            int32_t skipped = token + piece[2] - stretch.first_token;
            if (skipped >= stretch.n_tokens) continue;
            if (skipped > 0) {
                stretch.first_token += skipped;
                stretch.first_position += skipped;
                stretch.n_tokens -= skipped;
            }
            run->stretches[n++] = stretch;
        }
        token += piece[0];
    }
    run->n_stretches = n;
}

static void run_layer(struct run *run) {
    const struct network *network = run->network;
    const struct layer *layer = run->layer;
    int32_t width = network->width, mixed = network->n_query_heads * network->head_size;
    int is_last = run->layer_index == network->n_layers - 1;
    quantise_rows(run, run->hidden, width, layer->attention_gain, &run->narrow);
    multiply(&layer->qkv, &run->narrow, run->n_tokens, STORE, run->heads, heads_width(network));
    share_rows(run, place_task, run->n_tokens, heads_width(network));
    if (is_last) drop_silent_stretches(run);
    int64_t n_products = 0;
    for (int32_t s = 0; s < run->n_stretches; s++)
        n_products += (int64_t)run->stretches[s].n_tokens * run->stretches[s].first_position * mixed;
    run_step(attend_task, run, run->n_stretches * network->n_key_heads,
             n_products >= PRODUCTS_WORTH_SHARING);
    if (is_last) keep_loud(run);
    if (run->n_tokens == 0) return;
    quantise_rows(run, run->mixed, mixed, NULL, &run->wide);
    multiply(&layer->output, &run->wide, run->n_tokens, ADD, run->hidden, width);
    quantise_rows(run, run->hidden, width, layer->feed_forward_gain, &run->narrow);
    multiply(&layer->gate_up, &run->narrow, run->n_tokens, STORE_GATED, run->inner,
             network->inner_width);
    quantise_rows(run, run->inner, network->inner_width, NULL, &run->wide);
    multiply(&layer->down, &run->wide, run->n_tokens, ADD, run->hidden, width);
}

static void softmax_task(void *argument, int32_t index, int32_t thread) {
    (void)thread;
    const struct run *run = argument;
    int32_t n = run->network->n_vocabulary;
    run->pass->best[index] = run->kernels->log_softmax(run->pass->logprobs + (size_t)index * (size_t)n, n);
}

int32_t fimble_run_pass(const struct network *network, const struct pass *pass,
                        struct workspace *workspace) {
    struct run run = {.kernels = find_kernels(), .network = network, .pass = pass,
                      .n_tokens = pass->n_tokens};
    if (!take_scratch(&run, workspace)) return 1;
    lay_out(&run);
    for (int32_t t = 0; t < pass->n_tokens; t++)
        look_up(network, pass->token_ids[t], run.hidden + (size_t)t * (size_t)network->width);
    for (int32_t l = 0; l < network->n_layers; l++) {
        run.layer_index = l;
        run.layer = &network->layers[l];
        run_layer(&run);
    }
    if (run.n_tokens == 0) return 0;
    quantise_rows(&run, run.hidden, network->width, network->final_gain, &run.narrow);
    multiply(&network->head, &run.narrow, run.n_tokens, STORE, pass->logprobs,
             network->n_vocabulary);
    run_step(softmax_task, &run, run.n_tokens,
             (int64_t)run.n_tokens * network->n_vocabulary >= NUMBERS_WORTH_SHARING);
    return 0;
}

int32_t fimble_multiply(const struct linear *linear, const float *x, int32_t n_rows, float *y,
                        struct workspace *workspace) {
    const struct kernels *kernels = find_kernels();
    struct quantised rows = {.stride = padded(linear->n_inputs)};
    size_t n = (size_t)n_rows, n_values = n * (size_t)rows.stride * sizeof(int16_t);
    if (!reserve(workspace, aligned(n_values) + aligned(n * sizeof(float)))) return 1;
    rows.values = take(workspace, n_values);
    rows.scales = take(workspace, n * sizeof(float));
    for (size_t row = 0; row < n; row++)
        rows.scales[row] =
            kernels->quantise(x + row * (size_t)linear->n_inputs, linear->n_inputs, rows.stride,
                              rows.values + row * (size_t)rows.stride);
    multiply(linear, &rows, n_rows, STORE, y, linear->n_outputs);
    return 0;
}
