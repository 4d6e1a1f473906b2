// The last distinct values at both ends of a range, and how often they occur, on NumPy's arrays.
//
// The specification is nvc_jax/chunks/value_range.py.

#include <algorithm>
#include <cstdint>

#include "targets.h"

namespace {

constexpr int64_t kTogether = 256;
constexpr int kEnds = 3;

// Distinct numbers at an end of a range, the outermost one first, and their counts. There are infinities in place of
// those that are not found yet.
struct End {
  float numbers[kEnds];
  int64_t counts[kEnds];
};

// Tells whether a number lies farther out than another: at the low end, below it.
template <bool IsLow>
[[gnu::always_inline]] inline bool IsOutside(float number, float other) {
  return IsLow ? number < other : number > other;
}

// Counts one number.
template <bool IsLow>
void Insert(float number, End& end) {
  for (int i = 0; i < kEnds; ++i) {
    if (number == end.numbers[i]) {
      ++end.counts[i];
      return;
    }
    if (IsOutside<IsLow>(number, end.numbers[i])) {
      std::copy_backward(end.numbers + i, end.numbers + kEnds - 1, end.numbers + kEnds);
      std::copy_backward(end.counts + i, end.counts + kEnds - 1, end.counts + kEnds);
      end.numbers[i] = number;
      end.counts[i] = 1;
      return;
    }
  }
}

// Nearly always, values at an end are among its numbers: then they are counted in vectors.
template <bool IsLow>
[[gnu::always_inline]] inline void Update(const float* values, int64_t n, End& end) {
  const float first = end.numbers[0], second = end.numbers[1], third = end.numbers[2];
  int32_t n_first = 0, n_second = 0, n_third = 0, n_outside = 0;
  for (int64_t k = 0; k < n; ++k) {
    n_first += values[k] == first;
    n_second += values[k] == second;
    n_third += values[k] == third;
    n_outside += IsOutside<IsLow>(values[k], third);
  }
  if (n_outside == n_first + n_second) {
    end.counts[0] += n_first;
    end.counts[1] += n_second;
    end.counts[2] += n_third;
  } else {
    for (int64_t k = 0; k < n; ++k) Insert<IsLow>(values[k], end);
  }
}

[[gnu::always_inline]] inline void UpdateAll(int64_t n, const float* values, End& low, End& high) {
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    int32_t at_low = 0, at_high = 0;
    for (int64_t k = 0; k < count; ++k) {
      at_low += values[first + k] <= low.numbers[kEnds - 1];
      at_high += values[first + k] >= high.numbers[kEnds - 1];
    }
    if (at_low != 0) Update<true>(values + first, count, low);
    if (at_high != 0) Update<false>(values + first, count, high);
  }
}

using Function = void (*)(int64_t, const float*, End&, End&);

NVC_FOR_AVX512 void UpdateByAvx512(int64_t n, const float* values, End& low, End& high) {
  UpdateAll(n, values, low, high);
}
NVC_FOR_AVX2 void UpdateByAvx2(int64_t n, const float* values, End& low, End& high) {
  UpdateAll(n, values, low, high);
}
void UpdateAnywhere(int64_t n, const float* values, End& low, End& high) { UpdateAll(n, values, low, high); }

}  // namespace

// `numbers` are three at the low end, rising, and three at the high end, falling, and `counts` are theirs. Both are
// those of the values so far, and take in `values`, which are finite.
extern "C" __attribute__((visibility("default"))) void nvc_count_ends(int64_t n, const float* values, float* numbers,
                                                                      int64_t* counts) {
  static const Function update = nvc::PickForm(UpdateByAvx512, UpdateByAvx2, UpdateAnywhere);
  End ends[2];
  for (int i = 0; i < 2; ++i) {
    std::copy_n(numbers + i * kEnds, kEnds, ends[i].numbers);
    std::copy_n(counts + i * kEnds, kEnds, ends[i].counts);
  }
  update(n, values, ends[0], ends[1]);
  for (int i = 0; i < 2; ++i) {
    std::copy_n(ends[i].numbers, kEnds, numbers + i * kEnds);
    std::copy_n(ends[i].counts, kEnds, counts + i * kEnds);
  }
}
