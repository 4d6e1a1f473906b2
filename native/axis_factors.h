// Factors of the transform of an axis, made from its shape.
//
// The specification is nvc_jax/transform/axis_transform.py; factors are equal up to rounding.

#ifndef NVC_AXIS_FACTORS_H_
#define NVC_AXIS_FACTORS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "axis_transform.h"

namespace nvc {

constexpr int64_t kBorder = kSide * kSide;  // entries of the matrix of a border

// Numbers that all axes share.
struct AxisConstants {
  const float* cosines;  // cos(π/2 · k / length), for each length up to the largest one and for each k
  int64_t max_length;
  const float *filters, *inverses;  // matrices (8, 8)
  int64_t n_filters;
  const float* corners;        // matrices (4, 4): emphasis at the start and the end of an axis, and what undoes it
  const float* error_weights;  // of the 4 voxels next to a boundary, from there on
};

struct AxisShape {
  int64_t side, valid;
  int32_t length_index, filter;
  bool has_boundary[2];  // before and after the axis
};

// The division of an axis into segments.
struct AxisSegments {
  int64_t valid, length, last, last_length;

  AxisSegments(int64_t n_valid, int32_t length_index) : valid(n_valid), length(kSide << length_index) {
    last = std::max<int64_t>((2 * valid + length) / (2 * length), 1) - 1;
    last_length = valid - last * length;
  }
  int64_t StartOf(int64_t voxel) const { return std::min(voxel / length, last) * length; }
  int64_t LengthOf(int64_t start) const { return start == last * length ? last_length : length; }
  int64_t FrequencyOf(int64_t coefficient) const {
    const int64_t block = coefficient / kSide, position = coefficient % kSide;
    const int64_t start = StartOf(block * kSide);
    const bool is_last = start == last * length;
    const int64_t n_blocks = is_last ? (valid + kSide - 1) / kSide - start / kSide : length / kSide;
    const int64_t n_turns_of_all = is_last ? (valid - 1) % kSide + 1 : kSide;
    const int64_t late = std::max<int64_t>(position - n_turns_of_all, 0);
    return n_blocks * (position - late) + (n_blocks - 1) * late + block - start / kSide;
  }
  bool IsBorder(int64_t voxel) const { return voxel > 0 && voxel <= last * length && voxel % length == 0; }
};

// A row of the matrix of the DCTs, the voxels of its segment alone, and the norm of its basis function.
struct DctRow {
  int64_t start, length;
  bool is_mean;
  float norm;
  const float* entries;
};

class AxisFactors {
 public:
  AxisFactors(const AxisShape& shape, const AxisConstants& constants)
      : shape_(shape), constants_(constants), segments_(shape.valid, shape.length_index), borders_(FindBordersOf(false)),
        inverse_borders_(FindBordersOf(true)) {
    int64_t n_entries = 0;
    for (int64_t coefficient = 0; coefficient < shape.valid; ++coefficient) {
      n_entries += segments_.LengthOf(segments_.StartOf(coefficient / kSide * kSide));
    }
    entries_.resize(n_entries);
    rows_.reserve(shape.valid);
    float* next = entries_.data();
    for (int64_t coefficient = 0; coefficient < shape.valid; ++coefficient) next = AddRow(coefficient, next);
    for (DctRow& row : rows_) row.norm = NormOf(row);
  }
  const AxisShape& shape() const { return shape_; }
  // Matrices of all borders.
  const std::vector<float>& borders() const { return borders_; }
  const std::vector<float>& inverse_borders() const { return inverse_borders_; }
  // Rows of the coefficients that exist.
  const std::vector<DctRow>& rows() const { return rows_; }
  bool is_dc(int64_t block) const { return block * kSide < shape_.valid && rows_[block * kSide].is_mean; }

 private:
  std::vector<float> FindBordersOf(bool is_inverse) const {
    const int64_t n = shape_.side / kSide + 1;
    std::vector<float> borders(n * kBorder);
    const float* filter = (is_inverse ? constants_.inverses : constants_.filters) + shape_.filter * kBorder;
    for (int64_t border = 0; border < n; ++border) {
      float* matrix = &borders[border * kBorder];
      if (border < n - 1 && segments_.IsBorder(border * kSide)) {
        std::copy_n(filter, kBorder, matrix);
      } else {
        for (int64_t k = 0; k < kSide; ++k) matrix[k * (kSide + 1)] = 1;
      }
    }
    for (int end = 0; end < 2; ++end) {
      if (!shape_.has_boundary[end]) continue;
      const float* corner = constants_.corners + (2 * is_inverse + end) * kReach * kReach;
      float* matrix = end == 0 ? &borders[kReach * (kSide + 1)] : &borders[(n - 1) * kBorder];
      for (int64_t row = 0; row < kReach; ++row) std::copy_n(corner + row * kReach, kReach, matrix + row * kSide);
    }
    return borders;
  }

  // Writes the entries of a row; returns the end of them.
  float* AddRow(int64_t coefficient, float* entries) {
    const int64_t start = segments_.StartOf(coefficient / kSide * kSide), length = segments_.LengthOf(start);
    const int64_t frequency = segments_.FrequencyOf(coefficient);
    const float scale = std::sqrt((frequency == 0 ? 1.0f : 2.0f) / static_cast<float>(length));
    const float* cosines = constants_.cosines + length * (constants_.max_length + 1);
    int64_t angle = frequency;  // (2·offset + 1)·frequency, modulo a period
    for (int64_t offset = 0; offset < length; ++offset, angle += 2 * frequency) {
      if (angle >= 4 * length) angle -= 4 * length;
      // cos(π·k/(2·length)) by its quarter period.
      const int64_t phase = std::min(angle, 4 * length - angle);
      const float cosine = phase > length ? -cosines[2 * length - phase] : cosines[phase];
      entries[offset] = cosine * scale;
    }
    rows_.push_back({start, length, frequency == 0, 1, entries});
    return entries + length;
  }

  float WeightOf(int64_t voxel) const {
    float weight = 1;
    if (shape_.has_boundary[0] && voxel < kReach) weight *= constants_.error_weights[voxel];
    const int64_t inwards = shape_.side - 1 - voxel;
    if (shape_.has_boundary[1] && inwards < kReach) weight *= constants_.error_weights[inwards];
    return weight;
  }

  // Sum of the squares that a border makes of the voxels of a row that it mixes.
  float SquaresAtBorder(int64_t border, const DctRow& row) const {
    const float* matrix = &inverse_borders_[border * kBorder];
    const int64_t first = border * kSide - kReach, end = std::min(first + kSide, shape_.side);
    const int64_t begin = std::max(first, row.start), behind = std::min(end, row.start + row.length);
    float sum = 0;
    for (int64_t place = std::max<int64_t>(first, 0); place < end; ++place) {
      const float* mix = matrix + (place - first) * kSide - first;
      float mixed = 0;
      for (int64_t voxel = begin; voxel < behind; ++voxel) mixed += mix[voxel] * row.entries[voxel - row.start];
      sum += (row.is_mean ? 1 : WeightOf(place)) * mixed * mixed;
    }
    return sum;
  }

  // Only the first and the last border that a segment meets mix its voxels.
  float NormOf(const DctRow& row) const {
    const int64_t end = row.start + row.length, first = row.start / kSide, last = (end + kReach - 1) / kSide;
    float sum = SquaresAtBorder(first, row);
    if (last > first) sum += SquaresAtBorder(last, row);
    for (int64_t voxel = first * kSide + kReach; voxel < last * kSide - kReach; ++voxel) {
      const float entry = row.entries[voxel - row.start];
      sum += entry * entry;
    }
    return sum > 0 ? std::sqrt(sum) : 1;
  }

  AxisShape shape_;
  AxisConstants constants_;
  AxisSegments segments_;
  std::vector<float> borders_, inverse_borders_;
  std::vector<float> entries_;  // of all rows
  std::vector<DctRow> rows_;
};

}  // namespace nvc

#endif  // NVC_AXIS_FACTORS_H_
