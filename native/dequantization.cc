// Coefficients of blocks from their reconstruction points.
//
// The specification is nvc_jax/spectral/dequantization.py; results are equal bit for bit.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "buffers.h"
#include "idle_cores.h"
#include "targets.h"

namespace nvc {
namespace {

// Offsets by which the points of a class lie nearer to 0, for each of its coefficients: of ones and of larger
// integers of the first quantiser, and the same of the second one.
using Offsets = std::vector<float>;

Offsets OffsetsOfClass(const int32_t* tables, int64_t n, const float* of_tables, int64_t n_tables,
                       int64_t n_quantizers) {
  Offsets offsets(4 * n);
  for (int64_t kind = 0; kind < 4; ++kind) {
    const int64_t quantizer = n_quantizers > 1 ? kind / 2 : 0;
    for (int64_t k = 0; k < n; ++k) {
      const int64_t table = std::clamp<int64_t>(tables[k], 0, n_tables - 1);
      offsets[kind * n + k] = of_tables[2 * (table + quantizer * n_tables) + kind % 2];
    }
  }
  return offsets;
}

// A loop that compilers turn to vectors: everything is loaded, and then chosen from. Offsets of a kind are `stride` apart
// from those of the next.
[[gnu::always_inline]] inline void Fill(const int32_t* __restrict points, int64_t n, const float* __restrict offsets,
                                        int64_t stride, float step, float* __restrict coefficients) {
  const float *ones = offsets, *larger = offsets + stride, *odd_ones = offsets + 2 * stride;
  const float* odd_larger = offsets + 3 * stride;
  for (int64_t k = 0; k < n; ++k) {
    const int32_t point = points[k], magnitude = point < 0 ? -point : point;
    const bool is_one = magnitude <= 2;
    const float of_one = ones[k], of_larger = larger[k], of_odd_one = odd_ones[k], of_odd_larger = odd_larger[k];
    const float of_even = is_one ? of_one : of_larger, of_odd = is_one ? of_odd_one : of_odd_larger;
    const float offset = point & 1 ? of_odd : of_even, half = static_cast<float>(point) / 2;
    const float moved = half - (point < 0 ? -offset : offset);
    coefficients[k] = (point == 0 ? 0.0f : moved) * step;
  }
}

constexpr int64_t kTogether = 64;

// Many coefficients are 0 where few bits are spent.
[[gnu::always_inline]] inline void FillUsed(const int32_t* points, int64_t n, const float* offsets, float step,
                                            float* coefficients) {
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    int32_t bits = 0;
    for (int64_t k = first; k < first + count; ++k) bits |= points[k];
    if (bits == 0) {
      std::fill_n(coefficients + first, count, 0.0f);
    } else {
      Fill(points + first, count, offsets + first, n, step, coefficients + first);
    }
  }
}

using FillBlock = void (*)(const int32_t*, int64_t, const float*, float, float*);

NVC_FOR_AVX512 void FillByAvx512(const int32_t* points, int64_t n, const float* offsets, float step, float* to) {
  FillUsed(points, n, offsets, step, to);
}
NVC_FOR_AVX2 void FillByAvx2(const int32_t* points, int64_t n, const float* offsets, float step, float* to) {
  FillUsed(points, n, offsets, step, to);
}
void FillAnywhere(const int32_t* points, int64_t n, const float* offsets, float step, float* to) {
  FillUsed(points, n, offsets, step, to);
}

ffi::Error Dequantize(S32 points, S32 firsts, S32 classes, S32 tables, F32 offsets, F32 step, int32_t n_tables,
                      Out<F32> coefficients) {
  static const FillBlock fill = PickForm(FillByAvx512, FillByAvx2, FillAnywhere);
  const int64_t n_blocks = Rows(points), n = points.dimensions()[1], n_classes = Rows(tables);
  if (tables.dimensions()[1] != n || n_tables < 1 || Rows(offsets) % n_tables != 0 || Rows(offsets) == 0 ||
      static_cast<int64_t>(firsts.element_count()) != n_blocks ||
      static_cast<int64_t>(classes.element_count()) != n_blocks ||
      coefficients->element_count() != points.element_count()) {
    return ffi::Error::InvalidArgument("arrays do not suit the blocks");
  }
  const float size = *step.typed_data();
  const auto dequantize_block = [&](int64_t block, std::vector<Offsets>& by_class) {
    const int64_t block_class = std::clamp<int64_t>(classes.typed_data()[block], 0, n_classes - 1);
    float* row = coefficients->typed_data() + block * n;
    Offsets& own = by_class[block_class];
    if (own.empty()) {
      own = OffsetsOfClass(tables.typed_data() + block_class * n, n, offsets.typed_data(), n_tables,
                           static_cast<int64_t>(Rows(offsets)) / n_tables);
    }
    fill(points.typed_data() + block * n, n, own.data(), size, row);
    row[0] = static_cast<float>(firsts.typed_data()[block]) * size;
  };
  ForParts(n_blocks, kBlocksOfPart, [&](Parts& parts) {
    std::vector<Offsets> by_class(n_classes);
    parts.ForEach([&](int64_t block) { dequantize_block(block, by_class); });
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_dequantize, Dequantize,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<F32>().Arg<F32>()
                                  .Attr<int32_t>("n_tables")
                                  .Ret<F32>());

}  // namespace nvc
