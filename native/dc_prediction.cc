// Sums of the differences of DC from its neighbours.
//
// The specification is nvc_jax/spectral/dc_prediction.py; sums are equal bit for bit.

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "buffers.h"

namespace nvc {
namespace {

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

ffi::Error AccumulateDc(S32 differences, S32 predictor, Pred z_marks, Pred y_marks, Pred x_marks, Out<S32> first) {
  const auto dimensions = differences.dimensions();
  if (dimensions.size() != 3 || first->element_count() != differences.element_count() ||
      static_cast<int64_t>(z_marks.element_count()) != dimensions[0] ||
      static_cast<int64_t>(y_marks.element_count()) != dimensions[1] ||
      static_cast<int64_t>(x_marks.element_count()) != dimensions[2] || predictor.element_count() != 1) {
    return ffi::Error::InvalidArgument("a grid has not three axes, or its axes not a mark for each block");
  }
  const std::array<int64_t, 3> sides = {dimensions[0], dimensions[1], dimensions[2]};
  const bool *z = z_marks.typed_data(), *y = y_marks.typed_data(), *x = x_marks.typed_data();
  const int64_t n = static_cast<int64_t>(differences.element_count());
  std::vector<uint8_t> is_dc(n);
  std::vector<int32_t> sums(n);
  for (int64_t k = 0; k < n; ++k) {
    is_dc[k] = z[k / sides[2] / sides[1]] && y[k / sides[2] % sides[1]] && x[k % sides[2]];
    sums[k] = is_dc[k] ? differences.typed_data()[k] : 0;
  }
  const int axes = kPredictors[std::clamp(*predictor.typed_data(), 0, 7)];
  for (int axis = 0; axis < 3; ++axis) {
    if (axes >> axis & 1) SumAlong(sides, axis, is_dc, sums.data());
  }
  for (int64_t k = 0; k < n; ++k) first->typed_data()[k] = is_dc[k] ? sums[k] : differences.typed_data()[k];
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_accumulate_dc, AccumulateDc,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<Pred>().Arg<Pred>().Arg<Pred>()
                                  .Ret<S32>());

}  // namespace nvc
