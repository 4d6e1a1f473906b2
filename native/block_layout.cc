// Blocks of a volume in a grid of blocks, and the order in which their coefficients are coded.
//
// The specifications are nvc_jax/transform/block_layout.py and nvc_jax/spectral/scan_order.py; results are equal.

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "buffers.h"
#include "scan.h"

namespace nvc {
namespace {

constexpr int kSide = 8;

// The bit of partial-block types of blocks that are partial along an axis.
constexpr int32_t PartialBit(int axis) { return 4 >> axis; }

// What one axis adds to the layout of its blocks: whether each lies in the volume, and its bit if it is partial.
struct AxisLayout {
  std::vector<uint8_t> inside;
  std::vector<int32_t> partial;

  AxisLayout(int64_t n, int32_t valid, int32_t bit) : inside(n), partial(n) {
    for (int64_t k = 0; k < n; ++k) {
      inside[k] = k * kSide < valid;
      partial[k] = (k + 1) * kSide > valid ? bit : 0;
    }
  }
};

ffi::Error MakeLayout(S32 valid_shape, Out<Pred> inside, Out<S32> order, Out<S32> n_blocks, Out<S32> partial_type) {
  const auto grid = inside->dimensions();
  const int64_t n = static_cast<int64_t>(inside->element_count());
  if (grid.size() != 3 || valid_shape.element_count() != 3 || static_cast<int64_t>(order->element_count()) != n ||
      static_cast<int64_t>(partial_type->element_count()) != n || n_blocks->element_count() != 1) {
    return ffi::Error::InvalidArgument("a grid has not three axes, or its layout not an entry for each block");
  }
  const int32_t* valid = valid_shape.typed_data();
  const AxisLayout z(grid[0], valid[0], PartialBit(0)), y(grid[1], valid[1], PartialBit(1)),
      x(grid[2], valid[2], PartialBit(2));
  int64_t block = 0;
  int32_t n_inside = 0;
  for (int64_t i = 0; i < grid[0]; ++i) {
    for (int64_t j = 0; j < grid[1]; ++j) {
      for (int64_t k = 0; k < grid[2]; ++k, ++block) {
        const bool is_inside = z.inside[i] && y.inside[j] && x.inside[k];
        inside->typed_data()[block] = is_inside;
        partial_type->typed_data()[block] = z.partial[i] + y.partial[j] + x.partial[k];
        n_inside += is_inside;
      }
    }
  }
  int32_t first = 0, behind = n_inside;
  for (block = 0; block < n; ++block) {
    order->typed_data()[inside->typed_data()[block] ? first++ : behind++] = static_cast<int32_t>(block);
  }
  *n_blocks->typed_data() = n_inside;
  return ffi::Error::Success();
}

// Number of coefficients of the last block along an axis.
constexpr int LastSide(int32_t valid) { return ((valid - 1) & (kSide - 1)) + 1; }

// Bits of the axes along which a coefficient lies beyond the last block, whose sides these are.
int32_t AxesBeyond(const std::array<int, 3>& sides, int32_t coefficient) {
  int32_t bits = 0;
  for (int axis = 0; axis < 3; ++axis) {
    if ((coefficient >> 3 * (2 - axis) & (kSide - 1)) >= sides[axis]) bits |= PartialBit(axis);
  }
  return bits;
}

ffi::Error MakeScan(S32 valid_shape, S32 order, Out<S32> coefficients, Out<S32> positions, Out<S32> counts) {
  if (valid_shape.element_count() != 3 || order.element_count() != kPositions ||
      coefficients->element_count() != kTypes * kPositions || positions->element_count() != kTypes * kCoefficients ||
      counts->element_count() != kTypes) {
    return ffi::Error::InvalidArgument("a scan has not 511 positions for each of 8 types");
  }
  const int32_t* valid = valid_shape.typed_data();
  const std::array<int, 3> sides = {LastSide(valid[0]), LastSide(valid[1]), LastSide(valid[2])};
  std::array<int32_t, kPositions> whole, beyond;
  int32_t all_beyond = 0;
  for (int position = 0; position < kPositions; ++position) {
    whole[position] = std::clamp(order.typed_data()[position], 0, kCoefficients - 1);
    all_beyond |= beyond[position] = AxesBeyond(sides, whole[position]);
  }
  for (int type = 0; type < kTypes; ++type) {
    int32_t* scan = coefficients->typed_data() + type * kPositions;
    int32_t* position_of = positions->typed_data() + type * kCoefficients;
    if (type > 0 && (type & all_beyond) == 0) {  // as whole blocks
      std::copy_n(coefficients->typed_data(), kPositions, scan);
      std::copy_n(positions->typed_data(), kCoefficients, position_of);
      counts->typed_data()[type] = kPositions;
      continue;
    }
    std::array<int32_t, kPositions> lacking;
    int n_coefficients = 0, n_lacking = 0;
    for (int position = 0; position < kPositions; ++position) {
      if (type & beyond[position]) {
        lacking[n_lacking++] = whole[position];
      } else {
        scan[n_coefficients++] = whole[position];
      }
    }
    std::copy_n(lacking.begin(), n_lacking, scan + n_coefficients);
    std::fill_n(position_of, kCoefficients, -1);
    for (int position = 0; position < kPositions; ++position) position_of[scan[position]] = position;
    counts->typed_data()[type] = n_coefficients;
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_make_layout, MakeLayout,
                              ffi::Ffi::Bind().Arg<S32>().Ret<Pred>().Ret<S32>().Ret<S32>().Ret<S32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_make_scan, MakeScan,
                              ffi::Ffi::Bind().Arg<S32>().Arg<S32>().Ret<S32>().Ret<S32>().Ret<S32>());

}  // namespace nvc
