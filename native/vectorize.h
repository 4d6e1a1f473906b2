// Vectors of 16 integers, and functions that are compiled for several instruction sets.

#ifndef NVC_VECTORIZE_H_
#define NVC_VECTORIZE_H_

#include <cstdint>
#include <cstring>

// The best version for the processor is taken at run time.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define NVC_VECTORIZE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define NVC_VECTORIZE
#endif

namespace nvc {

inline constexpr int kWidth = 16;

// Comparisons of vectors give −1 where they hold and 0 elsewhere.
typedef int32_t Vector __attribute__((vector_size(4 * kWidth)));
typedef int32_t UnalignedVector __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));

// Macros, as functions cannot be inlined into versions for other instruction sets with vectors as arguments.
#define NVC_LOAD(address) (*reinterpret_cast<const ::nvc::UnalignedVector*>(address))
#define NVC_STORE(address, vector) (*reinterpret_cast<::nvc::UnalignedVector*>(address) = (vector))
#define NVC_MIN(a, b) ((a) < (b) ? (a) : (b))
#define NVC_MAX(a, b) ((a) > (b) ? (a) : (b))
#define NVC_ABS(a) ((a) < 0 ? -(a) : (a))

}  // namespace nvc

#endif  // NVC_VECTORIZE_H_
