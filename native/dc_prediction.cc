// Differences of DC from its neighbours, and their sums.
//
// The specification is nvc_jax/spectral/dc_prediction.py; integers are equal bit for bit. Of predictors that cost nearly the
// same, another one may be chosen.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "buffers.h"

namespace nvc {
namespace {

constexpr int64_t kCoefficients = 512;

// Axes along which each predictor takes differences: bits 1, 2 and 4 for z, y and x.
constexpr std::array<int, 8> kPredictors = {0, 1, 2, 4, 3, 5, 6, 7};

// Sums first coefficients along an axis, those that are no DC left out; each sum of such a block is 0.
void SumAlong(const std::array<int64_t, 3>& sides, int axis, const std::vector<uint8_t>& is_dc, int32_t* sums) {
  int64_t inner = 1;
  for (int other = axis + 1; other < 3; ++other) inner *= sides[other];
  const int64_t line = inner * sides[axis], n = sides[0] * sides[1] * sides[2];
  std::vector<int32_t> totals(inner);
  for (int64_t start = 0; start < n; start += line) {
    std::fill(totals.begin(), totals.end(), 0);
    for (int64_t k = 0; k < line; ++k) {
      int32_t& total = totals[k % inner];
      total += sums[start + k];
      sums[start + k] = is_dc[start + k] ? total : 0;
    }
  }
}

// First coefficients of the blocks of a grid, and which of them are DC.
struct Grid {
  std::array<int64_t, 3> sides;
  std::vector<uint8_t> is_dc;

  // Marks are of the blocks along each axis.
  Grid(const std::array<int64_t, 3>& sides, const bool* z, const bool* y, const bool* x)
      : sides(sides), is_dc(sides[0] * sides[1] * sides[2]) {
    for (int64_t k = 0; k < n(); ++k) {
      is_dc[k] = z[k / sides[2] / sides[1]] && y[k / sides[2] % sides[1]] && x[k % sides[2]];
    }
  }

  int64_t n() const { return sides[0] * sides[1] * sides[2]; }
};

// Takes differences of DC from the DC before it along an axis; `before` has the block of that, or −1.
std::vector<int32_t> TakeDifferences(const Grid& grid, int axis, const int32_t* before, const std::vector<int32_t>& from) {
  int64_t inner = 1;
  for (int other = axis + 1; other < 3; ++other) inner *= grid.sides[other];
  const int64_t line = inner * grid.sides[axis];
  std::vector<int32_t> differences(from);
  for (int64_t start = 0; start < grid.n(); start += line) {
    for (int64_t place = 0; place < grid.sides[axis]; ++place) {
      if (before[place] < 0) continue;
      int32_t* own = &differences[start + place * inner];
      const int32_t* other = &from[start + before[place] * inner];
      for (int64_t k = 0; k < inner; ++k) own[k] -= other[k];
    }
  }
  return differences;
}

constexpr int kCounted = 1024;

// About the bits of integers below kCounted, by their magnitudes.
std::vector<double> MakeBits() {
  std::vector<double> bits(kCounted);
  for (int magnitude = 0; magnitude < kCounted; ++magnitude) bits[magnitude] = std::log2(1.0 + magnitude);
  return bits;
}

// Bits of differences of DC; none can be coded where one is beyond the largest magnitude.
double CountBits(const Grid& grid, const std::vector<int32_t>& differences, int32_t largest) {
  static const std::vector<double> of_small = MakeBits();
  double bits = 0;
  for (int64_t k = 0; k < grid.n(); ++k) {
    const int64_t magnitude = std::abs(int64_t{differences[k]});
    if (!grid.is_dc[k]) continue;
    if (magnitude > largest) return std::numeric_limits<double>::infinity();
    bits += magnitude < kCounted ? of_small[magnitude] : std::log2(1.0 + static_cast<double>(magnitude));
  }
  return bits;
}

ffi::Error PredictDc(F32 values, Pred inside, Pred z_marks, Pred y_marks, Pred x_marks, S32 z_before, S32 y_before,
                     S32 x_before, int32_t largest, Out<S32> differences, Out<S32> predictor) {
  const auto dimensions = differences->dimensions();
  const Pred* marks[3] = {&z_marks, &y_marks, &x_marks};
  const S32* before[3] = {&z_before, &y_before, &x_before};
  if (dimensions.size() != 3 || inside.element_count() != differences->element_count() ||
      values.element_count() != inside.element_count() * kCoefficients) {
    return ffi::Error::InvalidArgument("there are not 512 coefficients for each block of a grid");
  }
  for (int axis = 0; axis < 3; ++axis) {
    const auto side = static_cast<size_t>(dimensions[axis]);
    const auto is_block = [&](int32_t block) { return block < static_cast<int32_t>(side); };
    if (marks[axis]->element_count() != side || before[axis]->element_count() != side ||
        !std::all_of(before[axis]->typed_data(), before[axis]->typed_data() + side, is_block)) {
      return ffi::Error::InvalidArgument("an axis has not a mark and a block before for each of its blocks");
    }
  }
  const Grid grid({dimensions[0], dimensions[1], dimensions[2]}, z_marks.typed_data(), y_marks.typed_data(),
                  x_marks.typed_data());
  std::vector<int32_t> first(grid.n()), dc(grid.n());
  for (int64_t k = 0; k < grid.n(); ++k) {
    const float nearest = std::nearbyint(values.typed_data()[k * kCoefficients]), limit = static_cast<float>(largest);
    const float above = nearest > -limit ? nearest : -limit;
    first[k] = inside.typed_data()[k] ? static_cast<int32_t>(above < limit ? above : limit) : 0;
    dc[k] = grid.is_dc[k] ? first[k] : 0;
  }
  std::vector<int32_t> best;
  double least = std::numeric_limits<double>::infinity();
  int chosen = 0;
  for (size_t k = 0; k < kPredictors.size(); ++k) {
    std::vector<int32_t> own(dc);
    for (int axis = 0; axis < 3; ++axis) {
      if (kPredictors[k] >> axis & 1) own = TakeDifferences(grid, axis, before[axis]->typed_data(), own);
    }
    const double bits = CountBits(grid, own, largest);
    if (k > 0 && !(bits < least)) continue;
    least = bits, chosen = static_cast<int>(k), best = std::move(own);
  }
  *predictor->typed_data() = chosen;
  for (int64_t k = 0; k < grid.n(); ++k) differences->typed_data()[k] = grid.is_dc[k] ? best[k] : first[k];
  return ffi::Error::Success();
}

ffi::Error AccumulateDc(S32 differences, S32 predictor, Pred z_marks, Pred y_marks, Pred x_marks, Out<S32> first) {
  const auto dimensions = differences.dimensions();
  if (dimensions.size() != 3 || first->element_count() != differences.element_count() ||
      static_cast<int64_t>(z_marks.element_count()) != dimensions[0] ||
      static_cast<int64_t>(y_marks.element_count()) != dimensions[1] ||
      static_cast<int64_t>(x_marks.element_count()) != dimensions[2] || predictor.element_count() != 1) {
    return ffi::Error::InvalidArgument("a grid has not three axes, or its axes not a mark for each block");
  }
  const Grid grid({dimensions[0], dimensions[1], dimensions[2]}, z_marks.typed_data(), y_marks.typed_data(),
                  x_marks.typed_data());
  std::vector<int32_t> sums(grid.n());
  for (int64_t k = 0; k < grid.n(); ++k) sums[k] = grid.is_dc[k] ? differences.typed_data()[k] : 0;
  const int axes = kPredictors[std::clamp(*predictor.typed_data(), 0, 7)];
  for (int axis = 0; axis < 3; ++axis) {
    if (axes >> axis & 1) SumAlong(grid.sides, axis, grid.is_dc, sums.data());
  }
  for (int64_t k = 0; k < grid.n(); ++k) first->typed_data()[k] = grid.is_dc[k] ? sums[k] : differences.typed_data()[k];
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_predict_dc, PredictDc,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<Pred>()
                                  .Arg<Pred>().Arg<Pred>().Arg<Pred>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Attr<int32_t>("largest")
                                  .Ret<S32>().Ret<S32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_accumulate_dc, AccumulateDc,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<Pred>().Arg<Pred>().Arg<Pred>()
                                  .Ret<S32>());

}  // namespace nvc
