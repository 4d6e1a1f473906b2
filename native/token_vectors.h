// Integers as tokens, many at once.
//
// The specification is nvc_jax/entropy/tokens.py; ToToken in rans.h does the same for one integer.

#ifndef NVC_TOKEN_VECTORS_H_
#define NVC_TOKEN_VECTORS_H_

#include <cstdint>

#include "rans.h"
#include "narrow_vectors.h"

namespace nvc {


// Tokens are below this number, also of integers that are too large to have one.
inline constexpr int kTokensOfAny = kSmallTokens + 1 + 2 * 32;

// Tokens of 8 integers, and the number of extra bits and these bits. Of magnitudes from 2^24 on tokens are beyond
// those that exist, or nearly.
[[gnu::always_inline]] inline void ToTokens(const int32_t* values, int32_t* tokens, int32_t* n_bits, int32_t* extra) {
  constexpr int kFloatFractionBits = 23, kFloatBias = 127;
  constexpr auto kMostSmall = static_cast<int32_t>(kSmallMagnitudes) - 1;
  const Integers value = NVC_LOAD_INTEGERS(values);
  const Integers is_negative = value < 0;
  const Integers beyond = NVC_ABS(value) - kMostSmall;
  const Integers is_small = beyond <= 0;
  const Integers rest = is_small ? Integers{} + 1 : beyond;
  // The logarithm is the exponent of a float.
  const Integers bits = (Integers)__builtin_convertvector(rest, Floats);
  const Integers exponent = (bits >> kFloatFractionBits) - kFloatBias;
  const Integers token =
      is_small ? 2 * (beyond + kMostSmall) : 2 * exponent + (static_cast<int32_t>(kSmallTokens) + 1);
  NVC_STORE_INTEGERS(tokens, token + is_negative);
  NVC_STORE_INTEGERS(n_bits, exponent);
  NVC_STORE_INTEGERS(extra, rest - (1 << exponent));
}

}  // namespace nvc

#endif  // NVC_TOKEN_VECTORS_H_
