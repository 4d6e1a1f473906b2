// Lines of a volume along an axis, by which the transform of the axis is decided.
//
// The specification is nvc_jax/spectral/shape_lines.py; values are equal up to rounding.

#ifndef NVC_SHAPE_LINES_H_
#define NVC_SHAPE_LINES_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "axis_cache.h"
#include "axis_constants.h"
#include "axis_factors.h"
#include "axis_transform.h"
#include "idle_cores.h"
#include "line_costs.h"
#include "shape_columns.h"
#include "transpose.h"

namespace nvc {
namespace {

constexpr int64_t kColumnsOfPart = 4;

// Matrix of a small axis: entry (j, i) says how much voxel j adds to coefficient i.
struct Tile {
  float entries[kTile][kTile];
};

// A square of a column's voxels: its rows are `row_stride` apart, and their 8 or 16 voxels side by side.
struct Rows16 {
  int64_t n_rows, n;
  const float* voxels;
  int64_t row_stride;
};

// Copies 8 or all numbers of a row of 16.
[[gnu::always_inline]] inline void CopyRow(const void* from, int64_t n, void* to) {
  if (n == kTile) {
    std::memcpy(to, from, 4 * kTile);
  } else {
    std::memcpy(to, from, 4 * kSide);
  }
}

// Transforms a square along both of its axes.
[[gnu::always_inline]] inline void TransformSquare(const Rows16& square, const Tile& first, const Tile& second, float* out,
                                                   int64_t out_stride) {
  typedef float Vector __attribute__((vector_size(4 * kTile)));
  Vector rows[kTile] = {}, columns[kTile];
  for (int64_t j = 0; j < square.n_rows; ++j) CopyRow(square.voxels + j * square.row_stride, square.n, &rows[j]);
  for (int64_t j = 0; j < kTile; ++j) std::memcpy(&columns[j], second.entries[j], sizeof(Vector));
  for (int64_t i = 0; i < square.n_rows; ++i) {
    Vector mixed = {}, sums = {};
    for (int64_t j = 0; j < kTile; ++j) mixed += first.entries[j][i] * rows[j];
    float voxels[kTile];
    std::memcpy(voxels, &mixed, sizeof(Vector));
    for (int64_t j = 0; j < kTile; ++j) sums += voxels[j] * columns[j];
    CopyRow(&sums, square.n, out + i * out_stride);
  }
}

// A column: its first voxel, the axis it spans, and its sides along the others.
struct ColumnVoxels {
  const float* first;
  int axis;
  int64_t length, sides[2];
};

// Transforms a column along the other axes; all results for a voxel of the axis are `out_stride` from those of the next.
[[gnu::always_inline]] inline void TransformColumn(const Volume& volume, const ColumnVoxels& column, const Tile& first,
                                                   const Tile& second, float* out, int64_t out_stride) {
  const auto [one, two] = OthersOf(column.axis);
  if (column.axis != 2) {
    for (int64_t k = 0; k < column.length; ++k) {
      TransformSquare({column.sides[0], column.sides[1], column.first + k * volume.stride(column.axis), volume.stride(one)},
                      first, second, out + k * out_stride, column.sides[1]);
    }
    return;
  }
  float squares[kSide][kTile][kTile];
  for (int64_t start = 0; start < column.length; start += kSide) {
    for (int64_t i = 0; i < column.sides[0]; ++i) {
      for (int64_t j = 0; j < column.sides[1]; j += kSide) {
        Transpose(column.first + start + i * volume.stride(one) + j * volume.stride(two), volume.stride(two),
                  &squares[0][i][j], kTile * kTile);
      }
    }
    for (int64_t k = 0; k < kSide; ++k) {
      TransformSquare({column.sides[0], column.sides[1], squares[k][0], kTile}, first, second,
                      out + (start + k) * out_stride, column.sides[1]);
    }
  }
}

using ColumnTransform = void (*)(const Volume&, const ColumnVoxels&, const Tile&, const Tile&, float*, int64_t);

// The shape of a transform that is decided axis by axis.
struct Shape {
  std::array<int32_t, 3> lengths;
  int32_t filters[3];
};

// Transform of a small axis.
struct TileTransform {
  Tile tile;
  std::vector<uint8_t> is_dc;
};

std::vector<uint8_t> ListDc(const AxisFactors& factors) {
  std::vector<uint8_t> is_dc;
  for (int64_t start = 0; start < factors.shape().valid; start += kSide) is_dc.push_back(factors.is_dc(start / kSide));
  return is_dc;
}

TileTransform MakeTileTransform(const AxisFactors& factors) {
  Tile tile = {};
  for (size_t i = 0; i < factors.rows().size(); ++i) {
    const DctRow& row = factors.rows()[i];
    for (int64_t k = 0; k < row.length; ++k) {
      // The voxels that the border mixes into this one.
      const int64_t place = row.start + k, border = (place + kReach) / kSide, inside = place + kReach - border * kSide;
      const float* mix = &factors.borders()[border * kBorder + inside * kSide];
      for (int64_t j = 0; j < kSide; ++j) {
        const int64_t voxel = border * kSide - kReach + j;
        if (voxel < 0 || voxel >= factors.shape().side) continue;
        tile.entries[voxel][i] += row.entries[k] * row.norm * mix[j];
      }
    }
  }
  return {tile, ListDc(factors)};
}

// An array of lines along an axis: rows are voxels of the axis, columns are lines.
struct LineArray {
  int64_t n_lines, n_rows;
  std::unique_ptr<float[]> values;  // not set
  std::vector<float> weights;
  std::vector<uint8_t> are_means;

  LineArray(int64_t lines, int64_t rows)
      : n_lines(lines), n_rows(rows), values(new float[lines * rows]), weights(lines), are_means(lines) {}

  // Lines from the first to before `end`.
  Lines View(int64_t first, int64_t end, float step, const std::vector<uint8_t>& is_dc) const {
    return {values.get() + first, end - first, n_lines, step, reinterpret_cast<const bool*>(is_dc.data()),
            reinterpret_cast<const bool*>(are_means.data()) + first};
  }
};

// Marks the lines of a column that are of means along both of its other axes.
void MarkMeans(const TileTransform& first, const TileTransform& second, int64_t row, uint8_t* are_means) {
  for (size_t i = 0; i < first.is_dc.size(); ++i) {
    for (size_t j = 0; j < second.is_dc.size(); ++j) {
      are_means[static_cast<int64_t>(i) * kSide * row + static_cast<int64_t>(j) * kSide] = first.is_dc[i] && second.is_dc[j];
    }
  }
}

LineArray TransformOtherAxes(const Volume& volume, const Columns& columns, const Padding& padding, const Shape& shape,
                             const AxisConstants& constants, AxisCache<TileTransform>& tiles,
                             ColumnTransform transform) {
  const int axis = columns.axis;
  const auto others = OthersOf(axis);
  const int64_t n = padding.n_lines(), used = std::min(CeilDivide(volume.valid[axis], kSide) * kSide, volume.sides[axis]);
  LineArray lines(n, used);
  const int64_t n_filled = static_cast<int64_t>(columns.corners.size()) * columns.sides[others[0]] * columns.sides[others[1]];
  if (n_filled < n) std::fill_n(lines.values.get(), n * used, 0.0f);
  struct Task {
    ColumnVoxels column;
    const TileTransform* made[2];
  };
  std::vector<Task> tasks;
  for (const auto& corner : columns.corners) {
    Task task{{volume.voxels, axis, used, {columns.sides[others[0]], columns.sides[others[1]]}}, {}};
    for (int k = 0; k < 2; ++k) {
      const int other = others[k];
      const auto valid = static_cast<int32_t>(std::min(volume.valid[other] - corner[other], task.column.sides[k]));
      task.made[k] = &tiles.Get(MakeAxisShape(task.column.sides[k], valid, shape.lengths[other], shape.filters[other],
                                              constants, {false, false}));
      task.column.first += corner[other] * volume.stride(other);
    }
    tasks.push_back(task);
  }
  ForEachInParts(static_cast<int64_t>(tasks.size()), kColumnsOfPart, [&](int64_t c) {
    const auto& [column, made] = tasks[c];
    const int64_t first = c * padding.sides[0] * padding.sides[1];
    transform(volume, column, made[0]->tile, made[1]->tile, &lines.values[first], n);
    std::fill_n(&lines.weights[first], padding.sides[0] * padding.sides[1], columns.weights[c]);
    MarkMeans(*made[0], *made[1], padding.sides[1], &lines.are_means[first]);
  });
  return lines;
}

// Transform of the lines along an axis.
struct LineTransform {
  Axis axis;
  std::vector<uint8_t> is_dc;
};

LineTransform MakeLineTransform(const AxisFactors& factors) {
  const int64_t used = CeilDivide(factors.shape().valid, kSide) * kSide;
  Square transposed(used);
  for (size_t i = 0; i < factors.rows().size(); ++i) {
    const DctRow& row = factors.rows()[i];
    for (int64_t k = 0; k < row.length; ++k) transposed.row(row.start + k)[i] = row.entries[k] * row.norm;
  }
  return {MakeAnalysis(factors.borders().data(), std::move(transposed)), ListDc(factors)};
}

LineArray TakeLines(const LineArray& lines, const std::vector<Draw>& drawn) {
  const auto n = static_cast<int64_t>(drawn.size());
  LineArray taken(n, lines.n_rows);
  for (int64_t k = 0; k < n; ++k) {
    taken.weights[k] = lines.weights[drawn[k].index] * drawn[k].weight;
    taken.are_means[k] = lines.are_means[drawn[k].index];
  }
  for (int64_t row = 0; row < lines.n_rows; ++row) {
    const float* values = &lines.values[row * lines.n_lines];
    for (int64_t k = 0; k < n; ++k) taken.values[row * n + k] = values[drawn[k].index];
  }
  return taken;
}

}  // namespace
}  // namespace nvc

#endif  // NVC_SHAPE_LINES_H_
