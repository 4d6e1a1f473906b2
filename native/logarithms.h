// Logarithms of vectors of floats, in functions that are compiled for several instruction sets.
//
// Steps and constants are those of Cephes, as XLA's compiler takes them on CPUs. So results are equal to its bit for bit
// where products are fused into sums the same way.

#ifndef NVC_LOGARITHMS_H_
#define NVC_LOGARITHMS_H_

#include <cmath>
#include <cstdint>
#include <cstring>

#include "float_vectors.h"

namespace nvc {

// Natural logarithms of normal numbers above 0.
template <int Width>
[[gnu::always_inline]] inline typename Lanes<Width>::Floats Logarithms(typename Lanes<Width>::Floats values) {
  using Floats = typename Lanes<Width>::Floats;
  using Integers = typename Lanes<Width>::Integers;
  Integers bits, halves;
  std::memcpy(&bits, &values, sizeof(bits));
  halves = (bits & ~0x7F800000) | 0x3F000000;
  Floats x;  // from 1/2 to 1, then from −0.3 to 0.4
  std::memcpy(&x, &halves, sizeof(x));
  const auto is_low = x < 0.70710677f;
  Floats exponent = __builtin_convertvector((bits >> 23) - 127, Floats) + 1.0f;
  exponent = exponent - (is_low ? Floats{} + 1.0f : Floats{});
  x = (x - 1.0f) + (is_low ? x : Floats{});
  const Floats square = x * x, cube = square * x;
  const Floats high = (x * 0.070376836f - 0.1151461f) * x + 0.116769984f;
  const Floats middle = (x * -0.12420141f + 0.14249323f) * x - 0.16668057f;
  const Floats low = (x * 0.20000714f - 0.24999994f) * x + 0.3333333f;
  const Floats sum = (high * cube + middle) * cube + low;
  return ((x - square * 0.5f) + (sum * cube + exponent * -0.00021219444f)) + exponent * 0.6933594f;
}

// Natural logarithms of 1 + x, for normal 1 + x above 0.
template <int Width>
[[gnu::always_inline]] inline typename Lanes<Width>::Floats LogarithmsPlusOne(typename Lanes<Width>::Floats x) {
  using Floats = typename Lanes<Width>::Floats;
  const Floats square = x * x, cube = x * square;
  Floats above = Floats{} + 4.527e-5f, below = x + 15.062909f;
  for (const float term : {0.49854103f, 6.5787325f, 29.911919f, 60.94967f, 57.112965f, 20.039553f}) above = above * x + term;
  for (const float term : {83.04757f, 221.7624f, 309.09872f, 216.42789f, 60.11866f}) below = below * x + term;
  const Floats near = x + (square * -0.5f + cube * (above / below));
  return Magnitudes<Width>(x) < 0.41421357f ? near : Logarithms<Width>(x + 1.0f);
}

// Square roots.
template <int Width>
[[gnu::always_inline]] inline typename Lanes<Width>::Floats SquareRoots(typename Lanes<Width>::Floats values) {
  float lanes[Width];
  std::memcpy(lanes, &values, sizeof(lanes));
  for (float& lane : lanes) lane = std::sqrt(lane);
  std::memcpy(&values, lanes, sizeof(lanes));
  return values;
}

// Area hyperbolic sines of numbers that are less than 2**64.
template <int Width>
[[gnu::always_inline]] inline typename Lanes<Width>::Floats AreaSines(typename Lanes<Width>::Floats x) {
  using Floats = typename Lanes<Width>::Floats;
  const Floats magnitude = Magnitudes<Width>(x), square = x * x;
  const Floats result = LogarithmsPlusOne<Width>(magnitude + square / (SquareRoots<Width>(square + 1.0f) + 1.0f));
  return x < 0 ? -result : result;
}

}  // namespace nvc

#endif  // NVC_LOGARITHMS_H_
