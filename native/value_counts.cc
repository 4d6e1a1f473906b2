// The last distinct values at both ends of a range, how often they occur, and a checksum, by one pass over an array of
// NumPy's.
//
// The specification is nvc_jax/chunks/value_range.py.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "checksums.h"
#include "targets.h"

namespace {

constexpr int64_t kTogether = 256;
// Values that stay in the first cache while they are looked at twice: 8 KiB.
constexpr int64_t kBlock = 2048;
// Rows between one that is copied and one that is fetched: processors do not foresee where short rows begin.
constexpr int64_t kRowsAhead = 16;
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

// Values that count: those within limits, which are finite, and not among those that are missing.
struct Rules {
  float low, high;
  const float* missing;
  int64_t n_missing;
};

[[gnu::always_inline]] inline bool IsValid(float value, const Rules& rules) {
  const bool is_missing = std::find(rules.missing, rules.missing + rules.n_missing, value) != rules.missing + rules.n_missing;
  return value >= rules.low && value <= rules.high && !is_missing;
}

[[gnu::always_inline]] inline void UpdateAll(int64_t n, const float* values, const Rules& rules, End& low, End& high) {
  for (int64_t first = 0; first < n; first += kTogether) {
    const float* some = values + first;
    int64_t count = std::min(kTogether, n - first);
    int32_t at_low = 0, at_high = 0, n_within = 0, n_missing = 0;
    for (int64_t k = 0; k < count; ++k) {
      at_low += some[k] <= low.numbers[kEnds - 1];
      at_high += some[k] >= high.numbers[kEnds - 1];
      n_within += (some[k] >= rules.low) & (some[k] <= rules.high);
    }
    for (int64_t i = 0; i < rules.n_missing; ++i) {
      const float missing = rules.missing[i];
      for (int64_t k = 0; k < count; ++k) n_missing += some[k] == missing;
    }
    float valid[kTogether];
    if (n_within != count || n_missing != 0) {
      const float* end = std::copy_if(some, some + count, valid, [&rules](float value) { return IsValid(value, rules); });
      count = end - valid;
      some = valid;
    }
    if (at_low != 0) Update<true>(some, count, low);
    if (at_high != 0) Update<false>(some, count, high);
  }
}

using Function = void (*)(int64_t, const float*, const Rules&, End&, End&);

NVC_FOR_AVX512 void UpdateByAvx512(int64_t n, const float* values, const Rules& rules, End& low, End& high) {
  UpdateAll(n, values, rules, low, high);
}
NVC_FOR_AVX2 void UpdateByAvx2(int64_t n, const float* values, const Rules& rules, End& low, End& high) {
  UpdateAll(n, values, rules, low, high);
}
void UpdateAnywhere(int64_t n, const float* values, const Rules& rules, End& low, End& high) {
  UpdateAll(n, values, rules, low, high);
}

inline void Prefetch(const float* values, int64_t n) {
  constexpr int64_t kLine = 16;
  for (int64_t k = 0; k < n; k += kLine) __builtin_prefetch(values + k);
}

// Calls a function with the values of rows, in C order, in blocks that lie together.
template <typename Take>
void TakeBlocks(const float* values, const int64_t* sides, const int64_t* strides, Take&& take) {
  const int64_t side = sides[2];
  float gathered[kBlock];
  int64_t n_gathered = 0;
  for (int64_t i = 0; i < sides[0]; ++i) {
    for (int64_t j = 0; j < sides[1]; ++j) {
      const float* row = values + i * strides[0] + j * strides[1];
      for (int64_t first = 0; first < side;) {
        const bool is_block = n_gathered == 0 && side - first >= kBlock;
        const int64_t count = std::min(kBlock - n_gathered, side - first);
        if (is_block) {
          take(row + first, count);
        } else {
          if (j + kRowsAhead < sides[1]) Prefetch(row + first + kRowsAhead * strides[1], count);
          std::memcpy(gathered + n_gathered, row + first, sizeof(float) * count);
          n_gathered += count;
        }
        if (n_gathered == kBlock) {
          take(gathered, kBlock);
          n_gathered = 0;
        }
        first += count;
      }
    }
  }
  if (n_gathered != 0) take(gathered, n_gathered);
}

}  // namespace

// Takes in the values of an array of three axes, of which the last is contiguous and the others have strides in values.
// `numbers` are three at the low end, rising, and three at the high end, falling, and `counts` are theirs: both of the
// values so far. Values count that are finite, from `low` to `high` and none of `missing`, which are finite.
//
// Returns the CRC-32 of all values in C order if `has_checksum` is not 0.
extern "C" __attribute__((visibility("default"))) int64_t nvc_count_values(const float* values, const int64_t* sides,
                                                                           const int64_t* strides, int64_t n_missing,
                                                                           const float* missing, double low, double high,
                                                                           float* numbers, int64_t* counts,
                                                                           int64_t has_checksum) {
  static const Function update = nvc::PickForm(UpdateByAvx512, UpdateByAvx2, UpdateAnywhere);
  static const nvc::Crc32Update update_checksum = nvc::PickCrc32Update();
  constexpr float kLargest = std::numeric_limits<float>::max();
  const Rules rules = {std::max(static_cast<float>(low), -kLargest), std::min(static_cast<float>(high), kLargest),
                       missing, n_missing};
  End ends[2];
  for (int i = 0; i < 2; ++i) {
    std::copy_n(numbers + i * kEnds, kEnds, ends[i].numbers);
    std::copy_n(counts + i * kEnds, kEnds, ends[i].counts);
  }
  uint32_t state = nvc::kCrc32Start;
  TakeBlocks(values, sides, strides, [&](const float* block, int64_t n) {
    if (has_checksum != 0) {
      state = update_checksum(state, reinterpret_cast<const uint8_t*>(block), n * static_cast<int64_t>(sizeof(float)));
    }
    update(n, block, rules, ends[0], ends[1]);
  });
  for (int i = 0; i < 2; ++i) {
    std::copy_n(ends[i].numbers, kEnds, numbers + i * kEnds);
    std::copy_n(ends[i].counts, kEnds, counts + i * kEnds);
  }
  return static_cast<uint32_t>(~state);
}
