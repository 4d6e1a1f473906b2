// Vectors of 8 numbers: AVX2 holds one in a register, and does more with it than compilers make of wider ones.

#ifndef NVC_NARROW_VECTORS_H_
#define NVC_NARROW_VECTORS_H_

#include <cstdint>

#include "vectorize.h"

namespace nvc {

inline constexpr int kNarrow = 8;

// Comparisons give −1 where they hold and 0 elsewhere.
typedef int32_t Integers __attribute__((vector_size(4 * kNarrow)));
typedef uint32_t Unsigned __attribute__((vector_size(4 * kNarrow)));
typedef float Floats __attribute__((vector_size(4 * kNarrow)));
typedef int16_t ShortIntegers __attribute__((vector_size(2 * kNarrow)));
typedef uint8_t Bytes __attribute__((vector_size(kNarrow)));
typedef int32_t UnalignedIntegers __attribute__((vector_size(4 * kNarrow), aligned(4), may_alias));
typedef float UnalignedFloats __attribute__((vector_size(4 * kNarrow), aligned(4), may_alias));
typedef int16_t UnalignedShortIntegers __attribute__((vector_size(2 * kNarrow), aligned(2), may_alias));
typedef uint8_t UnalignedBytes __attribute__((vector_size(kNarrow), aligned(1), may_alias));

// Macros for the reason that NVC_LOAD is one.
#define NVC_LOAD_AS(type, address) (*reinterpret_cast<const ::nvc::type*>(address))
#define NVC_STORE_AS(type, address, vector) (*reinterpret_cast<::nvc::type*>(address) = (vector))
#define NVC_LOAD_INTEGERS(address) NVC_LOAD_AS(UnalignedIntegers, address)
#define NVC_STORE_INTEGERS(address, vector) NVC_STORE_AS(UnalignedIntegers, address, vector)
#define NVC_LOAD_FLOATS(address) NVC_LOAD_AS(UnalignedFloats, address)
#define NVC_STORE_FLOATS(address, vector) NVC_STORE_AS(UnalignedFloats, address, vector)

// Divides unsigned states by frequencies, to integers below 2^20: in floats a quotient is off by at most 1.
#define NVC_DIVIDE(state, frequency, quotient, rest)                                                         \
  do {                                                                                                       \
    quotient = __builtin_convertvector(__builtin_convertvector((state), ::nvc::Floats) /                     \
                                           __builtin_convertvector((::nvc::Integers)(frequency), ::nvc::Floats), \
                                       ::nvc::Integers);                                                     \
    rest = (::nvc::Integers)((state) - (::nvc::Unsigned)quotient * (frequency));                             \
    const ::nvc::Integers is_above = rest < 0;                                                               \
    quotient += is_above;                                                                                    \
    rest += is_above & (::nvc::Integers)(frequency);                                                         \
    const ::nvc::Integers is_below = rest >= (::nvc::Integers)(frequency);                                   \
    quotient -= is_below;                                                                                    \
    rest -= is_below & (::nvc::Integers)(frequency);                                                         \
  } while (false)

}  // namespace nvc

#endif  // NVC_NARROW_VECTORS_H_
