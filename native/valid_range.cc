// Smallest and largest valid value, and whether all values are within a range, on NumPy's arrays.
//
// The specifications are valid_range in nvc_jax/chunks/special_values.py and is_within in nvc_jax/native/valid_range.py.

#include <algorithm>
#include <cstdint>
#include <limits>

#include "choice.h"
#include "vectorize.h"

namespace {

constexpr int kLanes = 16;
constexpr int64_t kTogether = 512;
static_assert(kTogether % kLanes == 0);

NVC_VECTORIZE
void Take(int64_t n, const float* values, const uint8_t* valid, float other, float* __restrict taken) {
  for (int64_t i = 0; i < n; ++i) taken[i] = nvc::Where(valid[i], values[i], other);
}

// Smallest values of lanes: with infinity in place of others.
NVC_VECTORIZE
void Lower(int64_t n, const float* values, float* low) {
  float own[kLanes];
  std::copy_n(low, kLanes, own);
  for (int64_t i = 0; i < n; i += kLanes) {
#pragma GCC unroll 1  // compilers make vectors of loops, not of what they have unrolled
    for (int k = 0; k < kLanes; ++k) own[k] = values[i + k] < own[k] ? values[i + k] : own[k];
  }
  std::copy_n(own, kLanes, low);
}

NVC_VECTORIZE
void Raise(int64_t n, const float* values, float* high) {
  float own[kLanes];
  std::copy_n(high, kLanes, own);
  for (int64_t i = 0; i < n; i += kLanes) {
#pragma GCC unroll 1
    for (int k = 0; k < kLanes; ++k) own[k] = values[i + k] > own[k] ? values[i + k] : own[k];
  }
  std::copy_n(own, kLanes, high);
}

// Counts the values that are not within a range; a value that is no number is not.
NVC_VECTORIZE
int32_t CountBeyond(int64_t n, const float* values, float low, float high) {
  int32_t beyond = 0;
  for (int64_t i = 0; i < n; ++i) beyond += !(values[i] >= low) | !(values[i] <= high);
  return beyond;
}

}  // namespace

// Tells whether all values are within a range.
extern "C" __attribute__((visibility("default"))) int64_t nvc_is_within(int64_t n, const float* values, double low,
                                                                        double high) {
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    if (CountBeyond(count, values + first, static_cast<float>(low), static_cast<float>(high)) > 0) return 0;
  }
  return 1;
}

// Smallest and largest valid value; infinity and its negative if there is none.
extern "C" __attribute__((visibility("default"))) void nvc_valid_range(int64_t n, const float* values,
                                                                       const uint8_t* valid, float* range) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float taken[kTogether], low[kLanes], high[kLanes];
  std::fill_n(low, kLanes, kInfinity);
  std::fill_n(high, kLanes, -kInfinity);
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    std::fill_n(taken, kTogether, kInfinity);
    Take(count, values + first, valid + first, kInfinity, taken);
    Lower(kTogether, taken, low);
    std::fill_n(taken, kTogether, -kInfinity);
    Take(count, values + first, valid + first, -kInfinity, taken);
    Raise(kTogether, taken, high);
  }
  range[0] = *std::min_element(low, low + kLanes);
  range[1] = *std::max_element(high, high + kLanes);
}
