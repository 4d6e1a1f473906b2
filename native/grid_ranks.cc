// Ranks of float32 values that lie on a grid, on NumPy's arrays.
//
// The specification is nvc_jax/chunks/rank_body.py. All is in float64, in the order in which NumPy computes it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "vectorize.h"

namespace {

constexpr uint32_t kUnused = 0x7FC00000;  // a NaN, which no value is

NVC_VECTORIZE
void FindSlots(int64_t n, const float* values, double origin, double spacing, int32_t last, int32_t* slots) {
  for (int64_t i = 0; i < n; ++i) {
    const auto slot = static_cast<int32_t>(std::rint((static_cast<double>(values[i]) - origin) / spacing));
    slots[i] = std::min(std::max(slot, 0), last);
  }
}

}  // namespace

// Ranks of `n` finite values among those that differ in their bits, where each has a slot of its own: slots are numbered
// from the origin on, at equal spacings, and there are `n_slots` of them. `patterns` and `numbers` have room for as many;
// the first is then that of the used slots in order. Returns their number; 0 where two values share a slot.
extern "C" __attribute__((visibility("default"))) int64_t nvc_rank_on_grid(int64_t n, const float* values, double origin,
                                                                           double spacing, int64_t n_slots,
                                                                           uint32_t* patterns, int32_t* numbers,
                                                                           int32_t* ranks) {
  constexpr int64_t kPart = 4096;  // values whose slots stay in the cache
  std::fill_n(patterns, n_slots, kUnused);
  for (int64_t start = 0; start < n; start += kPart) {
    const int64_t end = std::min(start + kPart, n);
    FindSlots(end - start, values + start, origin, spacing, static_cast<int32_t>(n_slots - 1), ranks + start);
    for (int64_t i = start; i < end; ++i) {
      uint32_t bits;
      std::memcpy(&bits, values + i, sizeof(bits));
      uint32_t& pattern = patterns[ranks[i]];
      if (pattern != bits) {
        if (pattern != kUnused) return 0;
        pattern = bits;
      }
    }
  }
  int32_t n_used = 0;
  for (int64_t slot = 0; slot < n_slots; ++slot) {
    numbers[slot] = n_used;
    if (patterns[slot] != kUnused) patterns[n_used++] = patterns[slot];
  }
  for (int64_t i = 0; i < n; ++i) ranks[i] = numbers[ranks[i]];
  return n_used;
}
