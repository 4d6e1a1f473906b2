// Columns of a volume along its axes, by which the shape of its transform is decided.
//
// The specification is nvc_jax/spectral/shape_columns.py; activities are equal, and draws but for rounding.

#ifndef NVC_SHAPE_COLUMNS_H_
#define NVC_SHAPE_COLUMNS_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "axis_transform.h"
#include "idle_cores.h"
#include "systematic_sampling.h"

namespace nvc {
namespace {

constexpr int64_t kTile = 16;  // the largest side of a column along the axes that it does not span

// Distance of neighbours along an axis of an array (z, y, x).
inline int64_t StrideOf(const int64_t (&sides)[3], int axis) {
  return axis == 0 ? sides[1] * sides[2] : axis == 1 ? sides[2] : 1;
}

struct Volume {
  const float* voxels;
  int64_t sides[3], valid[3];
  float step;

  int64_t stride(int axis) const { return StrideOf(sides, axis); }
};

// Axes other than this one.
std::array<int, 2> OthersOf(int axis) { return {axis == 0 ? 1 : 0, axis == 2 ? 1 : 2}; }

// What is known of the blocks of a volume, in z, y, x order: neighbours along x that differ by more than a step, and sums
// of voxels.
struct Blocks {
  std::vector<int32_t> activity;
  std::vector<float> sums;
};

// The same for each place of a row of 8 slices of 8 rows.
struct BlockRow {
  std::vector<int32_t> activity;
  std::vector<float> sums;
};

[[gnu::always_inline]] inline void LookAtRows(const Volume& volume, int64_t z, int64_t y, BlockRow& row) {
  const int64_t n = volume.valid[2] - 1;
  int32_t* activity = row.activity.data();
  float* sums = row.sums.data();
  for (int64_t slice = z; slice < std::min(z + kSide, volume.valid[0]); ++slice) {
    for (int64_t line = y; line < std::min(y + kSide, volume.valid[1]); ++line) {
      const float* voxels = volume.voxels + slice * volume.stride(0) + line * volume.stride(1);
      for (int64_t x = 0; x < n; ++x) {
        activity[x] += std::fabs(voxels[x + 1] - voxels[x]) > volume.step;
        sums[x] += voxels[x];
      }
      sums[n] += voxels[n];
    }
  }
}

Blocks LookAtBlocks(const Volume& volume, void (*look_at_rows)(const Volume&, int64_t, int64_t, BlockRow&)) {
  const int64_t sides[3] = {volume.sides[0] / kSide, volume.sides[1] / kSide, volume.sides[2] / kSide};
  const int64_t n_blocks = sides[0] * sides[1] * sides[2];
  Blocks blocks{std::vector<int32_t>(n_blocks), std::vector<float>(n_blocks)};
  ForParts(sides[0], 1, [&](Parts& parts) {
    BlockRow row{std::vector<int32_t>(volume.sides[2]), std::vector<float>(volume.sides[2])};
    parts.ForEach([&](int64_t z) {
      for (int64_t y = 0; y < sides[1]; ++y) {
        std::fill(row.activity.begin(), row.activity.end(), 0);
        std::fill(row.sums.begin(), row.sums.end(), 0.0f);
        look_at_rows(volume, z * kSide, y * kSide, row);
        for (int64_t x = 0; x < volume.sides[2]; ++x) {
          const int64_t block = (z * sides[1] + y) * sides[2] + x / kSide;
          blocks.activity[block] += row.activity[x];
          blocks.sums[block] += row.sums[x];
        }
      }
    });
  });
  return blocks;
}

// Columns of a volume along an axis, and how many columns each represents.
struct Columns {
  int axis;
  int64_t sides[3];  // along z, y, x
  std::vector<std::array<int64_t, 3>> corners;
  std::vector<float> weights;
};

std::vector<std::array<int64_t, 3>> CornersOf(const Volume& volume, const int64_t (&sides)[3]) {
  std::vector<int64_t> starts[3];
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t last = volume.sides[axis] - sides[axis];
    for (int64_t start = 0; start < last; start += sides[axis]) starts[axis].push_back(start);
    starts[axis].push_back(last);
  }
  std::vector<std::array<int64_t, 3>> corners;
  for (const int64_t z : starts[0]) {
    for (const int64_t y : starts[1]) {
      for (const int64_t x : starts[2]) corners.push_back({z, y, x});
    }
  }
  return corners;
}

float ActivityOf(const std::vector<int32_t>& by_block, const Volume& volume, const Columns& columns,
                 const std::array<int64_t, 3>& corner) {
  int64_t sum = 0;
  for (int64_t z = corner[0]; z < corner[0] + columns.sides[0]; z += kSide) {
    for (int64_t y = corner[1]; y < corner[1] + columns.sides[1]; y += kSide) {
      for (int64_t x = corner[2]; x < corner[2] + columns.sides[2]; x += kSide) {
        sum += by_block[(z / kSide * (volume.sides[1] / kSide) + y / kSide) * (volume.sides[2] / kSide) + x / kSide];
      }
    }
  }
  return static_cast<float>(sum);
}

// Sides of the columns of an axis, and their number, when they are padded; and the order in which lines are drawn.
struct Padding {
  int64_t n_columns, sides[2];
  const int32_t* order;
  int64_t n_drawn;

  int64_t n_lines() const { return n_columns * sides[0] * sides[1]; }
};

// What the decision of an axis draws from.
struct Drawing {
  const int32_t* columns;  // order of all columns
  int64_t n_columns;
  Padding padding;
};

// False if the volume has another number of columns.
bool DrawColumns(const Volume& volume, const std::vector<int32_t>& by_block, int axis, const Drawing& drawing,
                 const Floors& floors, Columns& columns) {
  columns.axis = axis;
  for (int k = 0; k < 3; ++k) columns.sides[k] = k == axis ? volume.sides[k] : std::min(volume.sides[k], kTile);
  const std::vector<std::array<int64_t, 3>> corners = CornersOf(volume, columns.sides);
  if (static_cast<int64_t>(corners.size()) != drawing.n_columns) return false;
  const auto [one, two] = OthersOf(axis);
  const auto voxels_along = [&](const std::array<int64_t, 3>& corner, int k) {
    return std::clamp<int64_t>(volume.valid[k] - corner[k], 0, columns.sides[k]);
  };
  std::vector<float> sizes;
  int64_t n_lines = 0;  // of all columns, which may overlap
  for (const auto& corner : corners) {
    const bool is_inside = corner[one] < volume.valid[one] && corner[two] < volume.valid[two];
    sizes.push_back(is_inside ? ActivityOf(by_block, volume, columns, corner) : -1);
    n_lines += voxels_along(corner, one) * voxels_along(corner, two);
  }
  const float share = static_cast<float>(volume.valid[one] * volume.valid[two]) / static_cast<float>(n_lines);
  const int64_t n_drawn = std::min(drawing.padding.n_columns, drawing.n_columns);
  for (const Draw& draw : DrawSystematic(sizes, drawing.columns, n_drawn, floors)) {
    columns.corners.push_back(corners[draw.index]);
    columns.weights.push_back(draw.weight * share);
  }
  return true;
}

}  // namespace
}  // namespace nvc

#endif  // NVC_SHAPE_COLUMNS_H_
