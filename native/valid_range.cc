// Valid values, the smallest and the largest of them, and whether all values are within a range, on NumPy's arrays.
//
// The specifications are valid_mask in nvc_jax/core/valid_values.py, valid_range in nvc_jax/chunks/special_values.py and
// is_within in nvc_jax/native/valid_range.py.

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

// Range of the values that were added so far.
class Range {
 public:
  Range() {
    std::fill_n(low_, kLanes, kInfinity);
    std::fill_n(high_, kLanes, -kInfinity);
  }

  // Adds the valid ones of at most kTogether values.
  void Add(int64_t n, const float* values, const uint8_t* valid) {
    float taken[kTogether];
    std::fill_n(taken, kTogether, kInfinity);
    Take(n, values, valid, kInfinity, taken);
    Lower(kTogether, taken, low_);
    std::fill_n(taken, kTogether, -kInfinity);
    Take(n, values, valid, -kInfinity, taken);
    Raise(kTogether, taken, high_);
  }

  // Adds kTogether values, all of them valid.
  void AddWhole(const float* values) {
    Lower(kTogether, values, low_);
    Raise(kTogether, values, high_);
  }

  void Store(float* range) const {
    range[0] = *std::min_element(low_, low_ + kLanes);
    range[1] = *std::max_element(high_, high_ + kLanes);
  }

 private:
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float low_[kLanes], high_[kLanes];
};

// Marks the values within limits; a value that is no number is not.
NVC_VECTORIZE
void MarkWithin(int64_t n, const float* values, float low, float high, uint8_t* __restrict valid) {
  for (int64_t i = 0; i < n; ++i) valid[i] = static_cast<uint8_t>((values[i] >= low) & (values[i] <= high));
}

NVC_VECTORIZE
void Unmark(int64_t n, const float* values, float missing, uint8_t* __restrict valid) {
  for (int64_t i = 0; i < n; ++i) valid[i] &= static_cast<uint8_t>(values[i] != missing);
}

NVC_VECTORIZE
int32_t CountMarked(int64_t n, const uint8_t* valid) {
  int32_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += valid[i];
  return count;
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
  Range own;
  for (int64_t first = 0; first < n; first += kTogether) {
    own.Add(std::min(kTogether, n - first), values + first, valid + first);
  }
  own.Store(range);
}

// Marks the values that are finite, none of the missing ones and within limits, finds the smallest and the largest of
// them as nvc_valid_range does, and counts them.
extern "C" __attribute__((visibility("default"))) int64_t nvc_mark_valid(int64_t n, const float* values, int64_t n_missing,
                                                                         const float* missing, double low, double high,
                                                                         uint8_t* valid, float* range) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const float least = std::max(static_cast<float>(low), -kLargest), most = std::min(static_cast<float>(high), kLargest);
  Range own;
  int64_t total = 0;
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    MarkWithin(count, values + first, least, most, valid + first);
    for (int64_t k = 0; k < n_missing; ++k) Unmark(count, values + first, missing[k], valid + first);
    const int64_t n_valid = CountMarked(count, valid + first);
    if (n_valid == kTogether) {
      own.AddWhole(values + first);
    } else if (n_valid > 0) {
      own.Add(count, values + first, valid + first);
    }
    total += n_valid;
  }
  own.Store(range);
  return total;
}
