// Functions that are compiled for several instruction sets, of which the processor's best is taken at run time.

#ifndef NVC_VECTORIZE_H_
#define NVC_VECTORIZE_H_

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define NVC_VECTORIZE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define NVC_VECTORIZE
#endif

#endif  // NVC_VECTORIZE_H_
