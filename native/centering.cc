// A volume scaled to [−½, ½], and padded to multiples of 8 voxels with its last ones.
//
// The specification is nvc_jax/transform/separable.py, Original.padded; voxels are equal bit for bit.

#include <algorithm>
#include <cstdint>

#include "buffers.h"
#include "idle_cores.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr float kPrescale = 1.0f / 16;
constexpr int64_t kSlicesOfPart = 8;

// Scales a row; a value that is no number becomes the minimum.
NVC_VECTORIZE
void CenterRow(const float* values, int64_t n, float minimum, float scale, float* centered) {
  const float lowest = kPrescale * minimum;
  for (int64_t k = 0; k < n; ++k) {
    const float unit = (kPrescale * values[k] - lowest) * scale;
    const float above = unit > 0 ? unit : 0;
    centered[k] = (above < 1 ? above : 1) - 0.5f;
  }
}

ffi::Error CenterVolume(F32 volume, F32 minimum, F32 scale, Out<F32> centered) {
  const auto from = volume.dimensions(), to = centered->dimensions();
  if (from.size() != 3 || to.size() != 3 || minimum.element_count() != 1 || scale.element_count() != 1) {
    return ffi::Error::InvalidArgument("a volume has not three axes, or its range not two numbers");
  }
  for (int axis = 0; axis < 3; ++axis) {
    if (from[axis] == 0 || to[axis] < from[axis]) return ffi::Error::InvalidArgument("the padded volume is smaller");
  }
  const int64_t row = to[2], slice = to[1] * row;
  float* out = centered->typed_data();
  const auto center_slice = [&](int64_t z) {
    float* of_slice = out + z * slice;
    for (int64_t y = 0; y < from[1]; ++y) {
      float* voxels = of_slice + y * row;
      CenterRow(volume.typed_data() + (z * from[1] + y) * from[2], from[2], *minimum.typed_data(), *scale.typed_data(),
                voxels);
      std::fill(voxels + from[2], voxels + row, voxels[from[2] - 1]);
    }
    for (int64_t y = from[1]; y < to[1]; ++y) std::copy_n(of_slice + (from[1] - 1) * row, row, of_slice + y * row);
  };
  ForEachInParts(from[0], kSlicesOfPart, center_slice);
  for (int64_t z = from[0]; z < to[0]; ++z) std::copy_n(out + (from[0] - 1) * slice, slice, out + z * slice);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_center, CenterVolume, ffi::Ffi::Bind().Arg<F32>().Arg<F32>().Arg<F32>().Ret<F32>());

}  // namespace nvc
