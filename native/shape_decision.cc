// Decision of the shape of a volume's transform: the length of segments and the filter of each axis.
//
// The specification is nvc_jax/spectral/shape_decision.py, with shape_columns.py and line_costs.py. Costs are sums of
// floating-point numbers, equal up to rounding, so that shapes of nearly the same cost may be taken for each other.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "axis_constants.h"
#include "axis_factors.h"
#include "axis_transform.h"
#include "buffers.h"
#include "line_costs.h"
#include "systematic_sampling.h"
#include "targets.h"
#include "transpose.h"

namespace nvc {
namespace {

constexpr int64_t kTile = 16;  // the largest side of a column along the axes that it does not span

struct Volume {
  const float* voxels;
  int64_t sides[3], valid[3];
  float step;

  int64_t stride(int axis) const { return axis == 0 ? sides[1] * sides[2] : axis == 1 ? sides[2] : 1; }
};

// Axes other than this one.
std::array<int, 2> OthersOf(int axis) { return {axis == 0 ? 1 : 0, axis == 2 ? 1 : 2}; }

// Numbers and limits that the specification states.
struct Settings {
  Prices prices;
  Floors floors;
  float largest_coefficient;  // in steps
};

// Counts the neighbours along x in 8 slices of 8 rows that differ by more than a step, for each place of a row.
[[gnu::always_inline]] inline void CountSteep(const Volume& volume, int64_t z, int64_t y, int32_t* counts) {
  const int64_t n = volume.valid[2] - 1;
  for (int64_t slice = z; slice < std::min(z + kSide, volume.valid[0]); ++slice) {
    for (int64_t row = y; row < std::min(y + kSide, volume.valid[1]); ++row) {
      const float* voxels = volume.voxels + slice * volume.stride(0) + row * volume.stride(1);
      for (int64_t x = 0; x < n; ++x) counts[x] += std::fabs(voxels[x + 1] - voxels[x]) > volume.step;
    }
  }
}

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

// What is compiled for several instruction sets.
struct Loops {
  void (*count_steep)(const Volume&, int64_t, int64_t, int32_t*);
  void (*transform_column)(const Volume&, const ColumnVoxels&, const Tile&, const Tile&, float*, int64_t);
  void (*sum_costs)(const Axis&, const Lines&, const Prices&, float*);
};

#define NVC_LOOPS(Name, TARGET, WIDTH)                                                                                 \
  TARGET void CountSteep##Name(const Volume& volume, int64_t z, int64_t y, int32_t* counts) {                          \
    CountSteep(volume, z, y, counts);                                                                                  \
  }                                                                                                                    \
  TARGET void TransformColumn##Name(const Volume& volume, const ColumnVoxels& column, const Tile& first,               \
                                    const Tile& second, float* out, int64_t out_stride) {                              \
    TransformColumn(volume, column, first, second, out, out_stride);                                                   \
  }                                                                                                                    \
  TARGET void SumCosts##Name(const Axis& axis, const Lines& lines, const Prices& prices, float* costs) {               \
    SumCosts<WIDTH>(axis, lines, prices, costs);                                                                       \
  }                                                                                                                    \
  const Loops kLoops##Name = {CountSteep##Name, TransformColumn##Name, SumCosts##Name};
NVC_LOOPS(Avx512, NVC_FOR_AVX512, 16)
NVC_LOOPS(Avx2, NVC_FOR_AVX2, 8)
NVC_LOOPS(Anywhere, , 8)
#undef NVC_LOOPS

// Activity of each block, in z, y, x order: neighbours along x that differ by more than a step.
std::vector<int32_t> BlockActivity(const Volume& volume, const Loops& loops) {
  const int64_t n = volume.sides[2] / kSide;
  std::vector<int32_t> activity, counts(volume.sides[2]);
  for (int64_t z = 0; z < volume.sides[0]; z += kSide) {
    for (int64_t y = 0; y < volume.sides[1]; y += kSide) {
      std::fill(counts.begin(), counts.end(), 0);
      loops.count_steep(volume, z, y, counts.data());
      for (int64_t x = 0; x < n; ++x) {
        const int32_t* first = &counts[x * kSide];
        int32_t sum = 0;
        for (int64_t k = 0; k < kSide; ++k) sum += first[k];
        activity.push_back(sum);
      }
    }
  }
  return activity;
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
                 const Settings& settings, Columns& columns) {
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
  for (const Draw& draw : DrawSystematic(sizes, drawing.columns, n_drawn, settings.floors)) {
    columns.corners.push_back(corners[draw.index]);
    columns.weights.push_back(draw.weight * share);
  }
  return true;
}

// The shape of a transform that is decided axis by axis.
struct Shape {
  int32_t lengths[3], filters[3];
};

Tile MakeTile(const AxisFactors& factors) {
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
  return tile;
}

// An array of lines along an axis: rows are voxels of the axis, columns are lines.
struct LineArray {
  int64_t n_lines;
  std::vector<float> values, weights;
  std::vector<uint8_t> are_means;

  Lines View(float step, const std::vector<uint8_t>& is_dc) const {
    return {values.data(), n_lines, step, reinterpret_cast<const bool*>(is_dc.data()),
            reinterpret_cast<const bool*>(are_means.data())};
  }
};

LineArray TransformOtherAxes(const Volume& volume, const Columns& columns, const Padding& padding, const Shape& shape,
                             const AxisConstants& constants, const Loops& loops) {
  const int axis = columns.axis;
  const auto others = OthersOf(axis);
  const int64_t n = padding.n_lines(), used = std::min(CeilDivide(volume.valid[axis], kSide) * kSide, volume.sides[axis]);
  LineArray lines{n, std::vector<float>(n * used), std::vector<float>(n), std::vector<uint8_t>(n)};
  for (size_t c = 0; c < columns.corners.size(); ++c) {
    const auto& corner = columns.corners[c];
    ColumnVoxels column{volume.voxels, axis, used, {columns.sides[others[0]], columns.sides[others[1]]}};
    std::vector<AxisFactors> factors;
    for (int k = 0; k < 2; ++k) {
      const int other = others[k];
      const auto valid = static_cast<int32_t>(std::min(volume.valid[other] - corner[other], column.sides[k]));
      factors.emplace_back(MakeAxisShape(column.sides[k], valid, shape.lengths[other], shape.filters[other], constants,
                                         {false, false}),
                           constants);
      column.first += corner[other] * volume.stride(other);
    }
    const int64_t first = static_cast<int64_t>(c) * padding.sides[0] * padding.sides[1];
    loops.transform_column(volume, column, MakeTile(factors[0]), MakeTile(factors[1]), &lines.values[first], n);
    std::fill_n(&lines.weights[first], padding.sides[0] * padding.sides[1], columns.weights[c]);
    for (int64_t i = 0; i < column.sides[0]; i += kSide) {
      for (int64_t j = 0; j < column.sides[1]; j += kSide) {
        const bool is_mean = factors[0].is_dc(i / kSide) && factors[1].is_dc(j / kSide);
        lines.are_means[first + i * padding.sides[1] + j] = is_mean;
      }
    }
  }
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
  std::vector<uint8_t> is_dc;
  for (int64_t block = 0; block < used / kSide; ++block) is_dc.push_back(factors.is_dc(block));
  return {MakeAnalysis(factors.borders().data(), std::move(transposed)), is_dc};
}

LineArray TakeLines(const LineArray& lines, const std::vector<Draw>& drawn, int64_t n_rows) {
  const auto n = static_cast<int64_t>(drawn.size());
  LineArray taken{n, std::vector<float>(n * n_rows), {}, {}};
  for (const Draw& draw : drawn) {
    taken.weights.push_back(lines.weights[draw.index] * draw.weight);
    taken.are_means.push_back(lines.are_means[draw.index]);
  }
  for (int64_t row = 0; row < n_rows; ++row) {
    const float* values = &lines.values[row * lines.n_lines];
    for (int64_t k = 0; k < n; ++k) taken.values[row * n + k] = values[drawn[k].index];
  }
  return taken;
}

// Candidates for the transform of an axis.
struct Candidates {
  std::vector<int32_t> lengths, filters;
};

class Decision {
 public:
  Decision(const Volume& volume, const AxisConstants& constants, const Settings& settings, const Candidates& candidates,
           const Loops& loops)
      : volume_(volume), constants_(constants), settings_(settings), candidates_(candidates), loops_(loops) {}

  // Decides an axis, the others as in `shape`; returns the cost.
  float DecideAxis(const Columns& columns, const Padding& padding, Shape& shape) const {
    const int axis = columns.axis;
    LineArray lines = TransformOtherAxes(volume_, columns, padding, shape, constants_, loops_);
    const int64_t n_rows = static_cast<int64_t>(lines.values.size()) / lines.n_lines;
    std::vector<float> costs = CostsOfLines(lines, axis, shape.lengths[axis], shape.filters[axis]);
    for (int64_t k = 0; k < lines.n_lines; ++k) costs[k] = lines.weights[k] > 0 ? lines.weights[k] * costs[k] : -1;
    lines = TakeLines(lines, DrawSystematic(costs, padding.order, padding.n_drawn, settings_.floors), n_rows);

    float best = std::numeric_limits<float>::infinity();
    shape.lengths[axis] = candidates_.lengths[0];
    shape.filters[axis] = candidates_.filters[0];
    const auto consider = [&](int32_t length, int32_t filter) {
      const float cost = IsTooLong(length) ? std::numeric_limits<float>::infinity() : CostOf(lines, axis, length, filter);
      if (!(cost < best)) return;
      best = cost;
      shape.lengths[axis] = length;
      shape.filters[axis] = filter;
    };
    for (const int32_t filter : candidates_.filters) consider(candidates_.lengths[0], filter);
    for (size_t k = 1; k < candidates_.lengths.size(); ++k) consider(candidates_.lengths[k], shape.filters[axis]);
    return best;
  }

 private:
  std::vector<float> CostsOfLines(const LineArray& lines, int axis, int32_t length, int32_t filter) const {
    const auto valid = static_cast<int32_t>(volume_.valid[axis]);
    const AxisShape shape =
        MakeAxisShape(volume_.sides[axis], valid, length, filter, constants_, {false, false});
    const LineTransform transform = MakeLineTransform(AxisFactors(shape, constants_));
    std::vector<float> costs(lines.n_lines);
    loops_.sum_costs(transform.axis, lines.View(volume_.step, transform.is_dc), settings_.prices, costs.data());
    return costs;
  }

  float CostOf(const LineArray& lines, int axis, int32_t length, int32_t filter) const {
    const std::vector<float> costs = CostsOfLines(lines, axis, length, filter);
    float sum = 0;
    for (int64_t k = 0; k < lines.n_lines; ++k) sum += lines.weights[k] * costs[k];
    return sum;
  }

  // Whether the mean of a segment that has this length along all axes could have more steps than can be coded.
  bool IsTooLong(int32_t length) const {
    const float longest = 1.5f * static_cast<float>(kSide << length);
    return std::pow(longest, 1.5f) / 2 > settings_.largest_coefficient * volume_.step;
  }

  const Volume& volume_;
  const AxisConstants& constants_;
  const Settings& settings_;
  const Candidates& candidates_;
  const Loops& loops_;
};

constexpr size_t kDrawingNumbers = 5;

// Orders of columns and lines of each axis follow each other; false if they do not suit the volume.
bool TakeDrawings(const Volume& volume, const S32& orders, ffi::Span<const int32_t> numbers,
                  std::vector<Drawing>& drawings) {
  if (numbers.size() != 3 * kDrawingNumbers) return false;
  const int32_t* order = orders.typed_data();
  int64_t n_left = static_cast<int64_t>(orders.element_count());
  for (int axis = 0; axis < 3; ++axis) {
    const int32_t* n = numbers.begin() + axis * kDrawingNumbers;
    const Padding padding{n[1], {n[2], n[3]}, order + n[0], n[4]};
    const auto others = OthersOf(axis);
    if (*std::min_element(n, n + kDrawingNumbers) < 1 || n_left < n[0] + padding.n_lines()) return false;
    for (int k = 0; k < 2; ++k) {
      if (padding.sides[k] < std::min(volume.sides[others[k]], kTile) || padding.sides[k] > kTile) return false;
    }
    const auto is_index_below = [](int64_t end) { return [end](int32_t k) { return k >= 0 && k < end; }; };
    if (!std::all_of(order, order + n[0], is_index_below(n[0]))) return false;
    if (!std::all_of(padding.order, padding.order + padding.n_lines(), is_index_below(padding.n_lines()))) return false;
    drawings.push_back({order, n[0], padding});
    order += n[0] + padding.n_lines();
    n_left -= n[0] + padding.n_lines();
  }
  return n_left == 0;
}

// False if these are not the sides of a volume.
bool TakeVolume(const F32& voxels, const F32& step, const S32& valid_shape, Volume& volume) {
  const auto sides = voxels.dimensions();
  if (sides.size() != 3 || valid_shape.element_count() != 3) return false;
  volume = {voxels.typed_data(), {}, {}, *step.typed_data()};
  for (int axis = 0; axis < 3; ++axis) {
    if (sides[axis] < kSide || sides[axis] % kSide) return false;
    volume.sides[axis] = sides[axis];
    volume.valid[axis] = std::clamp<int64_t>(valid_shape.typed_data()[axis], 1, sides[axis]);
  }
  return true;
}

std::vector<int32_t> ListOf(const S32& buffer) {
  return {buffer.typed_data(), buffer.typed_data() + buffer.element_count()};
}

ffi::Error ChooseShape(F32 voxels, F32 step, S32 valid_shape, S32 lengths, S32 filters, S32 orders, F32 cosines,
                       F32 filter_matrices, F32 inverses, F32 corners, F32 error_weights,
                       ffi::Span<const int32_t> drawing_numbers, ffi::Span<const float> settings_numbers,
                       int32_t first_filter, Out<S32> chosen_lengths, Out<S32> chosen_filters, Out<F32> cost) {
  static const Loops& loops = *PickForm(&kLoopsAvx512, &kLoopsAvx2, &kLoopsAnywhere);
  AxisConstants constants;
  Volume volume;
  std::vector<Drawing> drawings;
  if (!TakeConstants(cosines, filter_matrices, inverses, corners, error_weights, constants) ||
      !TakeVolume(voxels, step, valid_shape, volume) || !TakeDrawings(volume, orders, drawing_numbers, drawings) ||
      settings_numbers.size() != 8 || lengths.element_count() == 0 || filters.element_count() == 0 ||
      chosen_lengths->element_count() != 3 || chosen_filters->element_count() != 3) {
    return ffi::Error::InvalidArgument("there is not what a decision needs");
  }
  const float* of = settings_numbers.begin();
  const Settings settings{{of[0], of[1], of[2], of[3]}, {of[4], of[5], of[6]}, of[7]};
  const Candidates candidates{ListOf(lengths), ListOf(filters)};
  const std::vector<int32_t> activity = BlockActivity(volume, loops);
  const Decision decision(volume, constants, settings, candidates, loops);
  Shape shape;
  std::fill_n(shape.lengths, 3, candidates.lengths[0]);
  std::fill_n(shape.filters, 3, first_filter);
  for (int axis = 0; axis < 3; ++axis) {
    Columns columns;
    if (!DrawColumns(volume, activity, axis, drawings[axis], settings, columns)) {
      return ffi::Error::InvalidArgument("the columns of an axis are not those of the volume");
    }
    *cost->typed_data() = decision.DecideAxis(columns, drawings[axis].padding, shape);
  }
  std::copy_n(shape.lengths, 3, chosen_lengths->typed_data());
  std::copy_n(shape.filters, 3, chosen_filters->typed_data());
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_choose_shape, ChooseShape,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<F32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>()
                                  .Attr<ffi::Span<const int32_t>>("drawing_numbers")
                                  .Attr<ffi::Span<const float>>("settings_numbers")
                                  .Attr<int32_t>("first_filter")
                                  .Ret<S32>().Ret<S32>().Ret<F32>());

}  // namespace nvc
