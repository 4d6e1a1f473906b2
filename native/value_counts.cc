// Counts of values at both ends of a range, on NumPy's arrays.
//
// The specification is nvc_jax/native/value_counts.py.

#include <algorithm>
#include <cstdint>

#include "targets.h"

namespace {

constexpr int64_t kTogether = 256;
constexpr int kEnds = 3;

// Three numbers at either end of a range, the innermost ones last.
struct Ends {
  float low[kEnds], high[kEnds];
};

// Counts values that equal each of three numbers, and those that lie at or beyond the last one.
struct Counts {
  int64_t low[kEnds], high[kEnds], at_low, at_high;
};

// Only where some value lies at an end, all of them are compared with every number.
[[gnu::always_inline]] inline void CountAll(int64_t n, const float* values, const Ends& ends, Counts& counts) {
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t end = std::min(first + kTogether, n);
    int32_t at_low = 0, at_high = 0;
    for (int64_t k = first; k < end; ++k) {
      at_low += values[k] <= ends.low[kEnds - 1];
      at_high += values[k] >= ends.high[kEnds - 1];
    }
    counts.at_low += at_low;
    counts.at_high += at_high;
    for (int i = 0; i < kEnds; ++i) {
      int32_t low = 0, high = 0;
      if (at_low != 0) {
        for (int64_t k = first; k < end; ++k) low += values[k] == ends.low[i];
      }
      if (at_high != 0) {
        for (int64_t k = first; k < end; ++k) high += values[k] == ends.high[i];
      }
      counts.low[i] += low;
      counts.high[i] += high;
    }
  }
}

using Count = void (*)(int64_t, const float*, const Ends&, Counts&);

NVC_FOR_AVX512 void CountByAvx512(int64_t n, const float* values, const Ends& ends, Counts& counts) {
  CountAll(n, values, ends, counts);
}
NVC_FOR_AVX2 void CountByAvx2(int64_t n, const float* values, const Ends& ends, Counts& counts) {
  CountAll(n, values, ends, counts);
}
void CountAnywhere(int64_t n, const float* values, const Ends& ends, Counts& counts) {
  CountAll(n, values, ends, counts);
}

}  // namespace

// `ends` are three numbers at the low end and three at the high end; `counts` are eight: of each of the six, and of the
// values at or beyond the third and the sixth.
extern "C" __attribute__((visibility("default"))) void nvc_count_ends(int64_t n, const float* values,
                                                                      const float* ends, int64_t* counts) {
  static const Count count = nvc::PickForm(CountByAvx512, CountByAvx2, CountAnywhere);
  Ends given;
  std::copy_n(ends, kEnds, given.low);
  std::copy_n(ends + kEnds, kEnds, given.high);
  Counts found = {};
  count(n, values, given, found);
  std::copy_n(found.low, kEnds, counts);
  std::copy_n(found.high, kEnds, counts + kEnds);
  counts[2 * kEnds] = found.at_low;
  counts[2 * kEnds + 1] = found.at_high;
}
