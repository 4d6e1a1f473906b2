// Errors of float32 values, on NumPy's arrays.
//
// The specification is nvc_jax/core/errors.py. Differences are in float64; their squares are added in another order.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "choice.h"
#include "vectorize.h"

namespace {

constexpr int kLanes = 8;
constexpr int64_t kTogether = 512;

struct Sums {
  double largest[kLanes], squared[kLanes], nan[kLanes];  // the last is NaN where a difference is
};

[[gnu::always_inline]] inline void Add(double difference, int lane, Sums& sums) {
  const double magnitude = std::abs(difference);
  sums.largest[lane] = magnitude > sums.largest[lane] ? magnitude : sums.largest[lane];
  sums.squared[lane] += difference * difference;
  sums.nan[lane] += difference - difference;  // infinities count as NaN here, too
}

NVC_VECTORIZE
void AddAll(int64_t n, const float* a, const float* b, Sums& sums) {
  Sums own = sums;
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) {
#pragma GCC unroll 1  // compilers make vectors of loops, not of what they have unrolled
    for (int k = 0; k < kLanes; ++k) Add(static_cast<double>(a[i + k]) - static_cast<double>(b[i + k]), k, own);
  }
  sums = own;
}

NVC_VECTORIZE
void TakeCounted(int64_t n, const float* values, const uint8_t* is_counted, float* __restrict counted) {
  for (int64_t i = 0; i < n; ++i) counted[i] = nvc::Where(is_counted[i], values[i], 0.0f);
}

void AddCounted(int64_t n, const float* a, const float* b, const uint8_t* is_counted, Sums& sums) {
  float counted_a[kTogether], counted_b[kTogether];
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    TakeCounted(count, a + first, is_counted + first, counted_a);
    TakeCounted(count, b + first, is_counted + first, counted_b);
    AddAll(count, counted_a, counted_b, sums);
  }
}

}  // namespace

// Largest magnitude and sum of squares of the differences of two arrays, where `is_counted` is true or everywhere if it
// is null. Tells whether all differences are finite; if not, the results have no meaning.
extern "C" __attribute__((visibility("default"))) int64_t nvc_float_errors(int64_t n, const float* a, const float* b,
                                                                           const uint8_t* is_counted, double* results) {
  Sums sums = {};
  if (is_counted == nullptr) {
    AddAll(n, a, b, sums);
  } else {
    AddCounted(n, a, b, is_counted, sums);
  }
  for (int64_t i = n - n % kLanes; i < n; ++i) {
    if (is_counted == nullptr || is_counted[i]) Add(static_cast<double>(a[i]) - static_cast<double>(b[i]), 0, sums);
  }
  double largest = 0, squared = 0, nan = 0;
  for (int k = 0; k < kLanes; ++k) {
    largest = std::max(largest, sums.largest[k]);
    squared += sums.squared[k];
    nan += sums.nan[k];
  }
  results[0] = largest;
  results[1] = squared;
  return nan == 0;
}
