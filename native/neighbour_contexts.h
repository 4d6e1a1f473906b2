// Contexts of integers: what the integers of neighbouring frequencies, decoded before, say about their size.
//
// The specification is nvc_jax/spectral/neighbour_contexts.py.

#ifndef NVC_NEIGHBOUR_CONTEXTS_H_
#define NVC_NEIGHBOUR_CONTEXTS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "rans.h"
#include "scan.h"

namespace nvc {
namespace {

constexpr int kAxes = 3;
constexpr uint32_t kMaxLength = 9;  // of the binary digits of a sum
constexpr uint32_t kContexts = kMaxLength + 2;

// Of a position of a block: 0 if the lane has not decoded it, and else kKnown and the magnitude of its point. The sum of
// three neighbours holds the number of known ones and the sum of their magnitudes.
using Magnitude = uint16_t;
constexpr uint32_t kKnown = 1u << 10;
constexpr int32_t kMaxMagnitude = 1 << 8;  // larger ones have the same contexts

inline int32_t MagnitudeOf(int32_t point) {
  return static_cast<int32_t>(kKnown) + std::min(point < 0 ? -point : point, kMaxMagnitude);
}

// The context of a sum of the magnitudes of known neighbours.
constexpr uint32_t ContextOfSum(uint32_t sum, uint32_t n_known) {
  constexpr uint32_t kHalves[kAxes + 1] = {0, 6, 3, 2};  // makes sums those of three known neighbours
  if (n_known == 0) return 0;
  uint32_t length = 0;
  for (uint32_t scaled = sum * kHalves[n_known] / 2; scaled > 0; scaled /= 2) ++length;
  return 1 + std::min(length, kMaxLength);
}

// Contexts by the sums of three neighbours.
constexpr std::array<uint8_t, (kAxes + 1) * kKnown> ContextsOfSums() {
  std::array<uint8_t, (kAxes + 1) * kKnown> contexts{};
  for (uint32_t sum = kKnown; sum < contexts.size(); ++sum) {
    contexts[sum] = static_cast<uint8_t>(ContextOfSum(sum % kKnown, sum / kKnown));
  }
  return contexts;
}
inline constexpr std::array<uint8_t, (kAxes + 1) * kKnown> kContextsOfSums = ContextsOfSums();

// The magnitudes at the positions of a block, and at kPositions none.
using Magnitudes = Magnitude[kCoefficients];

// A position of a scan: its coefficient, and the positions of that one's neighbours, or kPositions where there is none
// before it.
struct ScanPosition {
  uint16_t neighbours[kAxes];
  uint16_t coefficient;
};

// Positions of the coefficients in the scans of types; −1 for DC, which they lack. Those of a type are found when they are
// first needed.
class PositionsInScan {
 public:
  // `coefficients` (8, 511) of the scans.
  explicit PositionsInScan(const int32_t* coefficients)
      : coefficients_(coefficients), positions_(new int32_t[kTypes * kCoefficients]) {}

  const int32_t* of_type(int type) {
    int32_t* own = &positions_[type * kCoefficients];
    if (!is_ready_[type]) {
      std::fill_n(own, kCoefficients, -1);
      for (int position = 0; position < kPositions; ++position) own[coefficient(type, position)] = position;
      is_ready_[type] = true;
    }
    return own;
  }
  int32_t coefficient(int type, int position) const {
    return coefficients_[type * kPositions + position] & (kCoefficients - 1);
  }

 private:
  const int32_t* coefficients_;
  std::array<bool, kTypes> is_ready_{};
  std::unique_ptr<int32_t[]> positions_;
};

// Positions of the scans of types. Those of a type are found when they are first needed.
class ScanPositions {
 public:
  explicit ScanPositions(PositionsInScan& in_scan) : in_scan_(in_scan), positions_(new ScanPosition[kTypes * kPositions]) {}

  const ScanPosition* of_type(int type) {
    ScanPosition* own = &positions_[type * kPositions];
    if (!is_ready_[type]) {
      Fill(type, own);
      is_ready_[type] = true;
    }
    return own;
  }

 private:
  void Fill(int type, ScanPosition* own) {
    const int32_t* in_scan = in_scan_.of_type(type);
    for (int position = 0; position < kPositions; ++position) {
      const int32_t coefficient = in_scan_.coefficient(type, position);
      own[position].coefficient = static_cast<uint16_t>(coefficient);
      for (int axis = 0; axis < kAxes; ++axis) {
        const int shift = 6 - 3 * axis;
        const bool has_lower = (coefficient >> shift & 7) > 0;
        const int32_t found = has_lower ? in_scan[coefficient - (1 << shift)] : -1;
        const bool is_before = found >= 0 && found < position;
        own[position].neighbours[axis] = static_cast<uint16_t>(is_before ? found : kPositions);
      }
    }
  }

  PositionsInScan& in_scan_;
  std::array<bool, kTypes> is_ready_{};
  std::unique_ptr<ScanPosition[]> positions_;
};

// The context of an integer, by what its lane has decoded of its block.
inline uint32_t FindContext(const ScanPosition& position, const Magnitudes& magnitudes) {
  const auto& [first, second, third] = position.neighbours;
  return kContextsOfSums[uint32_t{magnitudes[first]} + magnitudes[second] + magnitudes[third]];
}

// Rows of tables by context, for rows without contexts.
class ContextRows {
 public:
  // `rows` (n_contexts, n_rows) of a model: no contexts if it is empty.
  ContextRows(const int32_t* rows, size_t n_contexts, size_t n_rows, const Tables& tables) {
    if (n_contexts == 0 || n_rows == 0) return;
    rows_.resize(kContexts * tables.n_rows());
    n_rows_ = static_cast<uint32_t>(tables.n_rows());
    for (size_t context = 0; context < kContexts; ++context) {
      const int32_t* own = rows + std::min<size_t>(context, n_contexts - 1) * n_rows;
      for (size_t row = 0; row < n_rows_; ++row) {
        const int32_t found = own[std::min(row, n_rows - 1)];
        rows_[context * n_rows_ + row] = tables.Row(static_cast<size_t>(std::max(found, 0)));
      }
    }
  }

  explicit operator bool() const { return !rows_.empty(); }

  // For a row that exists in the tables.
  struct View {
    const uint16_t* rows;
    uint32_t n_rows;

    uint32_t Find(uint32_t context, uint32_t row) const { return rows[context * n_rows + row]; }
  };
  View view() const { return {rows_.data(), n_rows_}; }

 private:
  uint32_t n_rows_ = 0;
  std::vector<uint16_t> rows_;
};

}  // namespace
}  // namespace nvc

#endif  // NVC_NEIGHBOUR_CONTEXTS_H_
