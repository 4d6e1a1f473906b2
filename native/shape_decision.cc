// Decision of the shape of a volume's transform: the length of segments and the filter of each axis.
//
// The specification is nvc_jax/spectral/shape_decision.py. Costs are sums of floating-point numbers, equal up to rounding,
// so that shapes of nearly the same cost may be taken for each other.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "axis_cache.h"
#include "axis_constants.h"
#include "axis_factors.h"
#include "buffers.h"
#include "dc_costs.h"
#include "idle_cores.h"
#include "line_costs.h"
#include "shape_columns.h"
#include "shape_lines.h"
#include "systematic_sampling.h"
#include "targets.h"

namespace nvc {
namespace {

// Numbers and limits that the specification states.
struct Settings {
  Prices prices;
  Floors floors;
  float largest_coefficient;  // in steps
};

// What is compiled for several instruction sets.
struct Loops {
  void (*look_at_rows)(const Volume&, int64_t, int64_t, BlockRow&);
  ColumnTransform transform_column;
  void (*sum_costs)(const Axis&, const Lines&, const Prices&, float*);
  float (*cost_of_dc)(const DcGrid&, const Prices&);
};

#define NVC_LOOPS(Name, TARGET, WIDTH)                                                                                 \
  TARGET void LookAtRows##Name(const Volume& volume, int64_t z, int64_t y, BlockRow& row) {                            \
    LookAtRows(volume, z, y, row);                                                                                     \
  }                                                                                                                    \
  TARGET void TransformColumn##Name(const Volume& volume, const ColumnVoxels& column, const Tile& first,               \
                                    const Tile& second, float* out, int64_t out_stride) {                              \
    TransformColumn(volume, column, first, second, out, out_stride);                                                   \
  }                                                                                                                    \
  TARGET void SumCosts##Name(const Axis& axis, const Lines& lines, const Prices& prices, float* costs) {               \
    SumCosts<WIDTH>(axis, lines, prices, costs);                                                                       \
  }                                                                                                                    \
  TARGET float CostOfDc##Name(const DcGrid& grid, const Prices& prices) { return CostOfDc<WIDTH>(grid, prices); }      \
  const Loops kLoops##Name = {LookAtRows##Name, TransformColumn##Name, SumCosts##Name, CostOfDc##Name};
NVC_LOOPS(Avx512, NVC_FOR_AVX512, 16)
NVC_LOOPS(Avx2, NVC_FOR_AVX2, 8)
NVC_LOOPS(Anywhere, , 8)
#undef NVC_LOOPS

constexpr int64_t kLinesOfPart = 128;  // a multiple of any width

// Candidates for the transform of an axis.
struct Candidates {
  std::vector<int32_t> lengths, filters;
};

class Decision {
 public:
  Decision(const Volume& volume, const AxisConstants& constants, const Settings& settings, const Candidates& candidates,
           const Blocks& blocks, const Loops& loops)
      : volume_(volume), blocks_(blocks), constants_(constants), settings_(settings), candidates_(candidates), loops_(loops),
        tiles_(constants, MakeTileTransform), line_transforms_(constants, MakeLineTransform) {}

  // Decides an axis, the others as in `shape`; returns the cost.
  float DecideAxis(const Columns& columns, const Padding& padding, Shape& shape) {
    const int axis = columns.axis;
    LineArray lines = TransformOtherAxes(volume_, columns, padding, shape, constants_, tiles_, loops_.transform_column);
    std::vector<float> costs = CostsOfLines(lines, axis, shape.lengths[axis], shape.filters[axis]);
    for (int64_t k = 0; k < lines.n_lines; ++k) costs[k] = lines.weights[k] > 0 ? lines.weights[k] * costs[k] : -1;
    lines = TakeLines(lines, DrawSystematic(costs, padding.order, padding.n_drawn, settings_.floors));

    float best = std::numeric_limits<float>::infinity();
    shape.lengths[axis] = candidates_.lengths[0];
    shape.filters[axis] = candidates_.filters[0];
    const auto consider = [&](int32_t length, int32_t filter) {
      if (IsTooLong(length)) return;
      std::array<int32_t, 3> lengths = shape.lengths;
      lengths[axis] = length;
      const float cost = CostOf(lines, axis, length, filter) + CostOfDcWith(lengths);
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
  std::vector<float> CostsOfLines(const LineArray& lines, int axis, int32_t length, int32_t filter) {
    const auto valid = static_cast<int32_t>(volume_.valid[axis]);
    const AxisShape shape =
        MakeAxisShape(volume_.sides[axis], valid, length, filter, constants_, {false, false});
    const LineTransform& transform = line_transforms_.Get(shape);
    std::vector<float> costs(lines.n_lines);
    ForParts(lines.n_lines, kLinesOfPart, [&](Parts& parts) {
      for (int64_t first, end; parts.Take(first, end);) {
        const Lines part = lines.View(first, end, volume_.step, transform.is_dc);
        loops_.sum_costs(transform.axis, part, settings_.prices, &costs[first]);
      }
    });
    return costs;
  }

  float CostOf(const LineArray& lines, int axis, int32_t length, int32_t filter) {
    const std::vector<float> costs = CostsOfLines(lines, axis, length, filter);
    float sum = 0;
    for (int64_t k = 0; k < lines.n_lines; ++k) sum += lines.weights[k] * costs[k];
    return sum;
  }

  float CostOfDcWith(const std::array<int32_t, 3>& lengths) {
    const auto [place, is_new] = costs_of_dc_.try_emplace(lengths);
    if (is_new) place->second = loops_.cost_of_dc(GatherDc(volume_, blocks_.sums, lengths), settings_.prices);
    return place->second;
  }

  // Whether the mean of a segment that has this length along all axes could have more steps than can be coded.
  bool IsTooLong(int32_t length) const {
    const float longest = 1.5f * static_cast<float>(kSide << length);
    return std::pow(longest, 1.5f) / 2 > settings_.largest_coefficient * volume_.step;
  }

  const Volume& volume_;
  const Blocks& blocks_;
  const AxisConstants& constants_;
  const Settings& settings_;
  const Candidates& candidates_;
  const Loops& loops_;
  AxisCache<TileTransform> tiles_;
  AxisCache<LineTransform> line_transforms_;
  std::map<std::array<int32_t, 3>, float> costs_of_dc_;
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
      settings_numbers.size() != 7 || lengths.element_count() == 0 || filters.element_count() == 0 ||
      chosen_lengths->element_count() != 3 || chosen_filters->element_count() != 3) {
    return ffi::Error::InvalidArgument("there is not what a decision needs");
  }
  const float* of = settings_numbers.begin();
  const Settings settings{{of[0], of[1], of[2]}, {of[3], of[4], of[5]}, of[6]};
  const Candidates candidates{ListOf(lengths), ListOf(filters)};
  const Blocks blocks = LookAtBlocks(volume, loops.look_at_rows);
  Decision decision(volume, constants, settings, candidates, blocks, loops);
  Shape shape;
  shape.lengths.fill(candidates.lengths[0]);
  std::fill_n(shape.filters, 3, first_filter);
  for (int axis = 0; axis < 3; ++axis) {
    Columns columns;
    if (!DrawColumns(volume, blocks.activity, axis, drawings[axis], settings.floors, columns)) {
      return ffi::Error::InvalidArgument("the columns of an axis are not those of the volume");
    }
    *cost->typed_data() = decision.DecideAxis(columns, drawings[axis].padding, shape);
  }
  std::copy_n(shape.lengths.begin(), 3, chosen_lengths->typed_data());
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
