// A sample of the blocks of a volume, drawn by their energy.
//
// The specification is nvc_jax/spectral/block_sample.py; energies are sums of floating-point numbers, equal up to
// rounding, so that in rare cases another block may be drawn.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "buffers.h"
#include "systematic_sampling.h"
#include "targets.h"

namespace nvc {
namespace {

constexpr int kCoefficients = 512;
constexpr int kLanes = 16;

// How a coefficient counts: with a scale, up to a limit.
struct Counting {
  float scale, limit;
};

// Sum of the magnitudes of a block's coefficients but DC.
[[gnu::always_inline]] inline float SumMagnitudes(const float* values, const Counting& counting) {
  float sums[kLanes] = {};
  for (int i = 0; i < kCoefficients; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) {
      const float magnitude = std::fabs(values[i + k]) * counting.scale;
      sums[k] += magnitude < counting.limit ? magnitude : counting.limit;
    }
  }
  float sum = -std::min(std::fabs(values[0]) * counting.scale, counting.limit);
  for (const float own : sums) sum += own;
  return std::max(sum, 0.0f);
}

using Sum = float (*)(const float*, const Counting&);

NVC_FOR_AVX512 float SumByAvx512(const float* values, const Counting& counting) { return SumMagnitudes(values, counting); }
NVC_FOR_AVX2 float SumByAvx2(const float* values, const Counting& counting) { return SumMagnitudes(values, counting); }
float SumAnywhere(const float* values, const Counting& counting) { return SumMagnitudes(values, counting); }

ffi::Error DrawBlocks(F32 values, Pred inside, S32 order, float scale, float limit, ffi::Span<const float> floors,
                      Out<S32> drawn, Out<F32> weights) {
  static const Sum sum = PickForm(SumByAvx512, SumByAvx2, SumAnywhere);
  const auto n = static_cast<int64_t>(inside.element_count());
  const auto is_index = [n](int32_t k) { return k >= 0 && k < n; };
  if (n == 0 || static_cast<int64_t>(values.element_count()) != n * kCoefficients || floors.size() != 3 ||
      static_cast<int64_t>(order.element_count()) != n || drawn->element_count() != weights->element_count() ||
      !std::all_of(order.typed_data(), order.typed_data() + n, is_index)) {
    return ffi::Error::InvalidArgument("there is not an order of the blocks, or no place for those drawn");
  }
  std::vector<float> sizes(n);
  for (int64_t k = 0; k < n; ++k) {
    sizes[k] = inside.typed_data()[k] ? sum(values.typed_data() + k * kCoefficients, {scale, limit}) : -1;
  }
  const auto n_drawn = static_cast<int64_t>(drawn->element_count());
  const float* of = floors.begin();
  int64_t place = 0;
  for (const Draw& draw : DrawSystematic(sizes, order.typed_data(), n_drawn, {of[0], of[1], of[2]})) {
    drawn->typed_data()[place] = draw.index;
    weights->typed_data()[place++] = draw.weight;
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_draw_blocks, DrawBlocks,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<Pred>().Arg<S32>()
                                  .Attr<float>("scale").Attr<float>("limit").Attr<ffi::Span<const float>>("floors")
                                  .Ret<S32>().Ret<F32>());

}  // namespace nvc
