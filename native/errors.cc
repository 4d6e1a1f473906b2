// Errors of float32 values, on NumPy's arrays.
//
// The specification is nvc_jax/core/errors.py. Differences are in float64; their squares are added in another order.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "choice.h"
#include "idle_cores.h"
#include "vectorize.h"

namespace {

constexpr int kLanes = 8;
constexpr int64_t kTogether = 512;
constexpr int64_t kValuesOfPart = 1 << 17;

struct Sums {
  double largest[kLanes], total[kLanes];  // of the squares
};

// A decoded value within limits, as readers restore it; NaN stays what it is.
[[gnu::always_inline]] inline float Clip(float value, float low, float high) {
  const float raised = value < low ? low : value;
  return raised > high ? high : raised;
}

[[gnu::always_inline]] inline void Add(float original, float decoded, int lane, Sums& sums) {
  const double difference = static_cast<double>(original) - static_cast<double>(decoded);
  const double square = difference * difference;
  sums.largest[lane] = square > sums.largest[lane] ? square : sums.largest[lane];
  sums.total[lane] += square;
}

NVC_VECTORIZE
void AddAll(int64_t n, const float* original, const float* decoded, float low, float high, Sums& sums) {
  Sums own = sums;
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) {
#pragma GCC unroll 1  // compilers make vectors of loops, not of what they have unrolled
    for (int k = 0; k < kLanes; ++k) Add(original[i + k], Clip(decoded[i + k], low, high), k, own);
  }
  sums = own;
}

// Values that count, or 0.
NVC_VECTORIZE
void TakeCounted(int64_t n, const float* values, const uint8_t* is_counted, float low, float high,
                 float* __restrict counted) {
  for (int64_t i = 0; i < n; ++i) counted[i] = nvc::Where(is_counted[i], Clip(values[i], low, high), 0.0f);
}

void AddCounted(int64_t n, const float* original, const float* decoded, const uint8_t* is_counted, float low, float high,
                Sums& sums) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float counted[2][kTogether];
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    TakeCounted(count, original + first, is_counted + first, -kInfinity, kInfinity, counted[0]);
    TakeCounted(count, decoded + first, is_counted + first, low, high, counted[1]);
    AddAll(count, counted[0], counted[1], -kInfinity, kInfinity, sums);
  }
}

// Sums of a part, whose order does not depend on who else adds up others.
Sums SumPart(int64_t n, const float* original, const float* decoded, const uint8_t* is_counted, float low, float high) {
  Sums sums = {};
  if (is_counted == nullptr) {
    AddAll(n, original, decoded, low, high, sums);
  } else {
    AddCounted(n, original, decoded, is_counted, low, high, sums);
  }
  for (int64_t i = n - n % kLanes; i < n; ++i) {
    if (is_counted == nullptr || is_counted[i]) Add(original[i], Clip(decoded[i], low, high), 0, sums);
  }
  return sums;
}

}  // namespace

// Largest magnitude and sum of squares of the differences of two arrays, the second one clipped to limits, where
// `is_counted` is true or everywhere if it is null. Tells whether all differences are finite; if not, the results have
// no meaning.
extern "C" __attribute__((visibility("default"))) int64_t nvc_float_errors(int64_t n, const float* original,
                                                                           const float* decoded,
                                                                           const uint8_t* is_counted, double low,
                                                                           double high, double* results) {
  const auto least = static_cast<float>(low), most = static_cast<float>(high);
  const int64_t n_parts = (n + kValuesOfPart - 1) / kValuesOfPart;
  std::vector<Sums> of_parts(n_parts);
  nvc::ForEachInParts(n_parts, 1, [&](int64_t part) {
    const int64_t first = part * kValuesOfPart, count = std::min(kValuesOfPart, n - first);
    const uint8_t* own_counted = is_counted == nullptr ? nullptr : is_counted + first;
    of_parts[part] = SumPart(count, original + first, decoded + first, own_counted, least, most);
  });
  double largest = 0, total = 0;
  for (const Sums& sums : of_parts) {
    for (int k = 0; k < kLanes; ++k) {
      largest = std::max(largest, sums.largest[k]);
      total += sums.total[k];
    }
  }
  // The root of a rounded square is the number itself.
  results[0] = std::sqrt(largest);
  results[1] = total;
  return std::isfinite(total);
}
