/* Eight lanes of numbers, on any CPU: the compiler's own vectors, and the few steps it lacks words for.
 *
 * Every function here gives the same bits for the same lanes wherever it is inlined: nothing is
 * contracted or reordered (the build says -ffp-contract=off, and never -ffast-math). */
#ifndef FIMBLE_VECTORS_H
#define FIMBLE_VECTORS_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8 };

typedef float f8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef int16_t s16 __attribute__((vector_size(32)));
typedef int16_t s8 __attribute__((vector_size(16)));
typedef uint16_t u8 __attribute__((vector_size(16)));
typedef int8_t b16 __attribute__((vector_size(16)));

INLINE f8 load8(const float *from) {
    f8 x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void store8(float *to, f8 x) { memcpy(to, &x, sizeof x); }

INLINE f8 splat(float x) { return (f8){x, x, x, x, x, x, x, x}; }

/* The first n lanes from memory, the others 0. */
INLINE f8 load_some(const float *from, int n) {
    f8 x = splat(0.0f);
    memcpy(&x, from, (size_t)n * sizeof(float));
    return x;
}

INLINE void store_some(float *to, f8 x, int n) { memcpy(to, &x, (size_t)n * sizeof(float)); }

/* Eight halves (IEEE 754, 16 bits), widened. What is no number may come out as one without F16C. */
INLINE f8 load_halves(const uint16_t *from) {
    u8 halves;
    memcpy(&halves, from, sizeof halves);
#if defined(__F16C__)
    return (f8)_mm256_cvtph_ps((__m128i)halves);
#else
    i8 wide = __builtin_convertvector(halves, i8);
    /* The exponent moves from a bias of 15 to one of 127 by a product, subnormal or not. */
    f8 size = (f8)((wide & 0x7fff) << 13) * splat(0x1p112f);
    return (f8)((i8)size | (wide & 0x8000) << 16);
#endif
}

/* The nearest half, ties to even; the largest one where the number is too large. */
INLINE uint16_t to_half(float x) {
    x = x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x;
#if defined(__F16C__)
    return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT);
#else
    union { float value; uint32_t bits; } whole = {x}, size = {(x < 0 ? -x : x) * 0x1p-112f};
    uint32_t rounded = size.bits + 0xfff + (size.bits >> 13 & 1);
    return (uint16_t)(rounded >> 13 | (whole.bits >> 16 & 0x8000));
#endif
}

/* a * b + c, rounded once where the CPU can. */
INLINE f8 multiply_add(f8 a, f8 b, f8 c) {
#if defined(__FMA__)
    return (f8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

INLINE f8 larger(f8 a, f8 b) {
#if defined(__AVX__)
    return (f8)_mm256_max_ps((__m256)a, (__m256)b);
#else
    i8 is_larger = a > b;
    return (f8)(((i8)a & is_larger) | ((i8)b & ~is_larger));
#endif
}

INLINE f8 magnitude(f8 x) {
    const i8 no_sign = {0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff,
                        0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff};
    return (f8)((i8)x & no_sign);
}

INLINE float sum_lanes(f8 x) {
    return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7]));
}

INLINE float largest_lane(f8 x) {
    float most = x[0];
    for (int lane = 1; lane < LANES; lane++) most = x[lane] > most ? x[lane] : most;
    return most;
}

/* To the nearest whole number, ties to even, for magnitudes below 2^22: adding 1.5 * 2^23 leaves
 * no bits for a fraction. */
INLINE f8 nearest(f8 x) {
    const f8 shift = splat(12582912.0f);
    return (x + shift) - shift;
}

/* e^x to about 1e-7, for x clamped to [-87, 88]: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]
 * (Cephes, expf). */
INLINE f8 exponential(f8 x) {
    x = larger(x, splat(-87.0f));
    x = -larger(-x, splat(-88.0f));
    f8 n = nearest(x * splat(1.44269504f));
    f8 r = multiply_add(n, splat(-0.693359375f), x);
    r = multiply_add(n, splat(2.12194440e-4f), r);
    f8 p = splat(1.9875691500e-4f);
    p = multiply_add(p, r, splat(1.3981999507e-3f));
    p = multiply_add(p, r, splat(8.3334519073e-3f));
    p = multiply_add(p, r, splat(4.1665795894e-2f));
    p = multiply_add(p, r, splat(1.6666665459e-1f));
    p = multiply_add(p, r, splat(5.0000001201e-1f));
    f8 y = multiply_add(p, r * r, r + splat(1.0f));
    /* Half the exponent twice: 2^n itself overflows for n = 127 + 1. */
    i8 whole = __builtin_convertvector(n, i8);
    i8 half = whole >> 1;
    f8 first = (f8)((half + 127) << 23), second = (f8)((whole - half + 127) << 23);
    return y * first * second;
}

/* Sixteen weights of one byte, widened. */
INLINE s16 widen(const int8_t *from) {
#if defined(__AVX2__)
    return (s16)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)from));
#else
    b16 x;
    memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, s16);
#endif
}

/* Two neighbouring activations in every lane. */
INLINE s16 splat_pair(const int16_t *from) {
    int32_t pair;
    memcpy(&pair, from, sizeof pair);
    return (s16)(i8){pair, pair, pair, pair, pair, pair, pair, pair};
}

/* To each lane of `sum` the products of its two pairs, exactly. */
INLINE i8 add_products(i8 sum, s16 a, s16 b) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return (i8)_mm256_dpwssd_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#elif defined(__AVX2__)
    return sum + (i8)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    union { s16 whole; __m128i half[2]; } x = {a}, y = {b};
    union { __m128i half[2]; i8 whole; } z;
    z.half[0] = _mm_madd_epi16(x.half[0], y.half[0]);
    z.half[1] = _mm_madd_epi16(x.half[1], y.half[1]);
    return sum + z.whole;
#else
    for (int lane = 0; lane < LANES; lane++)
        sum[lane] += (int32_t)a[2 * lane] * b[2 * lane] + (int32_t)a[2 * lane + 1] * b[2 * lane + 1];
    return sum;
#endif
}

#endif
