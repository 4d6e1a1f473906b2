// Transforms of the axes of a volume, from their shapes.

#include "axis_factors.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "axis_cache.h"
#include "axis_constants.h"
#include "buffers.h"

namespace nvc {
namespace {

// Results of an axis, in the order of the fields of `AxisTransform`.
enum Field { kBorders, kDct, kInverseBorders, kInverseDct, kIsDc, kPreviousDc, kFields };

// Voxels of the longest axis that is kept, and number of axes: those of 128 voxels take 128 KiB each.
constexpr int64_t kLongestKept = 128;
constexpr size_t kMostAxes = 48;

struct AxisResults {
  float *borders, *dct, *inverse_borders, *inverse_dct;
  bool* is_dc;
  int32_t* previous_dc;
};

// The results of an axis of one shape.
struct MadeAxis {
  std::vector<float> borders, dct, inverse_borders, inverse_dct;
  std::vector<uint8_t> is_dc;
  std::vector<int32_t> previous_dc;

  void CopyTo(const AxisResults& out) const {
    std::copy(borders.begin(), borders.end(), out.borders);
    std::copy(dct.begin(), dct.end(), out.dct);
    std::copy(inverse_borders.begin(), inverse_borders.end(), out.inverse_borders);
    std::copy(inverse_dct.begin(), inverse_dct.end(), out.inverse_dct);
    std::copy(is_dc.begin(), is_dc.end(), out.is_dc);
    std::copy(previous_dc.begin(), previous_dc.end(), out.previous_dc);
  }
};

MadeAxis MakeAxis(const AxisFactors& factors) {
  const int64_t side = factors.shape().side;
  MadeAxis made{factors.borders(),
                std::vector<float>(side * side),
                factors.inverse_borders(),
                std::vector<float>(side * side),
                std::vector<uint8_t>(side / kSide),
                std::vector<int32_t>(side / kSide)};
  for (size_t index = 0; index < factors.rows().size(); ++index) {
    const DctRow& row = factors.rows()[index];
    for (int64_t k = 0; k < row.length; ++k) {
      made.dct[index * side + row.start + k] = row.entries[k] * row.norm;
      made.inverse_dct[(row.start + k) * side + index] = row.entries[k] / row.norm;
    }
  }
  int32_t previous = -1;
  for (int64_t block = 0; block < side / kSide; ++block) {
    made.previous_dc[block] = previous;
    made.is_dc[block] = factors.is_dc(block);
    if (made.is_dc[block]) previous = static_cast<int32_t>(block);
  }
  return made;
}

ffi::Error MakeAxes(S32 valid_shape, S32 lengths, S32 filters, S32 boundaries, F32 cosines, F32 filter_matrices,
                    F32 inverses, F32 corners, F32 error_weights, ffi::RemainingRets results) {
  AxisConstants constants;
  if (!TakeConstants(cosines, filter_matrices, inverses, corners, error_weights, constants) ||
      valid_shape.element_count() != 3 || lengths.element_count() != 3 || filters.element_count() != 3 ||
      results.size() != 3 * kFields) {
    return ffi::Error::InvalidArgument("there are not the shapes and constants of three axes");
  }
  AxisCache<MadeAxis> axes(constants, MakeAxis, kMostAxes);
  for (int axis = 0; axis < 3; ++axis) {
    const auto floats = [&](Field field) { return *results.get<F32>(axis * kFields + field); };
    const int64_t side = SideOf(*floats(kBorders), *floats(kDct));
    if (side == 0 || SideOf(*floats(kInverseBorders), *floats(kInverseDct)) != side) {
      return ffi::Error::InvalidArgument("results are not factors of an axis");
    }
    const int32_t bits = *boundaries.typed_data() >> 2 * axis;
    const AxisShape shape =
        MakeAxisShape(side, valid_shape.typed_data()[axis], lengths.typed_data()[axis], filters.typed_data()[axis],
                      constants, {(bits & 1) != 0, (bits & 2) != 0});
    const AxisResults out{floats(kBorders)->typed_data(),
                          floats(kDct)->typed_data(),
                          floats(kInverseBorders)->typed_data(),
                          floats(kInverseDct)->typed_data(),
                          (*results.get<Pred>(axis * kFields + kIsDc))->typed_data(),
                          (*results.get<S32>(axis * kFields + kPreviousDc))->typed_data()};
    if (side <= kLongestKept) {
      axes.Get(shape).CopyTo(out);
    } else {
      MakeAxis(AxisFactors(shape, constants)).CopyTo(out);
    }
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_make_axes, MakeAxes,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>()
                                  .RemainingRets());

}  // namespace nvc
