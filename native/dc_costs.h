// Costs of DC, the means of segments along all three axes, with any shape of the transform.
//
// The specification is nvc_jax/spectral/dc_costs.py; costs are equal up to rounding.

#ifndef NVC_DC_COSTS_H_
#define NVC_DC_COSTS_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "axis_factors.h"
#include "line_costs.h"
#include "shape_columns.h"

namespace nvc {
namespace {

// An array of DC of all segments in steps.
struct DcGrid {
  int64_t sides[3];
  std::vector<float> values;

  int64_t stride(int axis) const { return StrideOf(sides, axis); }
};

// Takes differences along an axis; the first DC along it stays.
[[gnu::always_inline]] inline DcGrid Differences(const DcGrid& grid, int axis) {
  DcGrid result = grid;
  const int64_t stride = grid.stride(axis), period = stride * grid.sides[axis];
  for (int64_t first = 0; first < static_cast<int64_t>(grid.values.size()); first += period) {
    for (int64_t k = first + stride; k < first + period; ++k) result.values[k] -= grid.values[k - stride];
  }
  return result;
}

// Segments of an axis that hold its blocks.
struct SegmentsOfBlocks {
  std::vector<int64_t> of_block;  // of the blocks that have voxels
  std::vector<int64_t> lengths;
};

inline SegmentsOfBlocks DivideBlocks(int64_t valid, int32_t length_index) {
  const AxisSegments segments(valid, length_index);
  SegmentsOfBlocks divided;
  for (int64_t start = 0; start < valid; start += kSide) divided.of_block.push_back(segments.StartOf(start) / segments.length);
  for (int64_t k = 0; k <= segments.last; ++k) divided.lengths.push_back(segments.LengthOf(k * segments.length));
  return divided;
}

// Sums of the voxels of blocks, in z, y, x order, gathered to DC in steps.
inline DcGrid GatherDc(const Volume& volume, const std::vector<float>& block_sums, const std::array<int32_t, 3>& length_indices) {
  SegmentsOfBlocks axes[3];
  for (int k = 0; k < 3; ++k) axes[k] = DivideBlocks(volume.valid[k], length_indices[k]);
  const auto& [z, y, x] = axes;
  DcGrid grid{{static_cast<int64_t>(z.lengths.size()), static_cast<int64_t>(y.lengths.size()),
               static_cast<int64_t>(x.lengths.size())},
              {}};
  grid.values.resize(grid.sides[0] * grid.sides[1] * grid.sides[2]);
  for (size_t k = 0; k < z.of_block.size(); ++k) {
    for (size_t j = 0; j < y.of_block.size(); ++j) {
      const float* sums = &block_sums[(k * (volume.sides[1] / kSide) + j) * (volume.sides[2] / kSide)];
      float* row = &grid.values[(z.of_block[k] * grid.sides[1] + y.of_block[j]) * grid.sides[2]];
      for (size_t i = 0; i < x.of_block.size(); ++i) row[x.of_block[i]] += sums[i];
    }
  }
  float* value = grid.values.data();
  for (const int64_t of_z : z.lengths) {
    for (const int64_t of_y : y.lengths) {
      for (const int64_t of_x : x.lengths) *value++ /= std::sqrt(static_cast<float>(of_z * of_y * of_x)) * volume.step;
    }
  }
  return grid;
}

template <int Width>
[[gnu::always_inline]] inline float SumDcCosts(const DcGrid& grid, const Prices& prices) {
  typename Row<Width>::Vector sum = {};
  for (size_t first = 0; first < grid.values.size(); first += Width) {
    typename Row<Width>::Vector values = {}, costs;
    std::memcpy(&values, &grid.values[first], 4 * std::min<size_t>(Width, grid.values.size() - first));
    FindCosts(values, prices, costs);
    sum += costs;
  }
  float total = 0;
  for (int k = 0; k < Width; ++k) total += sum[k];
  return total;
}

// The cost of DC by the best of all predictors, each of which takes differences along some of the axes.
template <int Width>
[[gnu::always_inline]] inline float CostOfDc(const DcGrid& grid, const Prices& prices) {
  std::vector<DcGrid> differences = {grid};
  for (int axis = 0; axis < 3; ++axis) {
    for (size_t k = 0, n = differences.size(); k < n; ++k) differences.push_back(Differences(differences[k], axis));
  }
  float least = std::numeric_limits<float>::infinity();
  for (const DcGrid& own : differences) least = std::min(least, SumDcCosts<Width>(own, prices));
  return least;
}

}  // namespace
}  // namespace nvc

#endif  // NVC_DC_COSTS_H_
