// Errors of coefficients that are rounded for the classes of their blocks.
//
// The specification is nvc_jax/spectral/rounding_errors.py; errors are sums of floating-point numbers, equal up to rounding.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "rounding_errors.h"

#include "buffers.h"
#include "targets.h"

namespace nvc {
namespace {

constexpr int kCoefficients = 512;
constexpr int kLanes = 16;

std::unique_ptr<const Thresholds> ThresholdsOf(const ThresholdTables& tables, int64_t block_class) {
  std::unique_ptr<Thresholds> thresholds(new Thresholds);
  for (int i = 0; i < kCoefficients; ++i) {
    const int64_t table = std::clamp<int64_t>(tables.tables[block_class * kCoefficients + i], 0, tables.n_tables - 1);
    thresholds->first[i] = tables.first[table];
    thresholds->further[i] = tables.further[table];
  }
  return thresholds;
}

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Integers __attribute__((vector_size(4 * kLanes)));

// Sum of the squared errors of a block's coefficients but DC.
[[gnu::always_inline]] inline float SumErrors(const float* values, const Thresholds& thresholds, float largest) {
  Floats sums = {};
  for (int i = 0; i < kCoefficients; i += kLanes) {
    Floats value, first, further;
    std::memcpy(&value, values + i, sizeof(value));
    std::memcpy(&first, thresholds.first + i, sizeof(first));
    std::memcpy(&further, thresholds.further + i, sizeof(further));
    if (i == 0) value[0] = 0;
    const Floats magnitude = value < 0 ? -value : value, above = magnitude + 1 - further;
    const Floats within = above < largest ? above : Floats{} + largest;
    const Integers rounded = __builtin_convertvector(within > 1 ? within : Floats{} + 1, Integers);
    const Floats kept = magnitude < first ? Floats{} : __builtin_convertvector(rounded, Floats);
    const Floats error = magnitude - kept;
    sums += error * error;
  }
  float sum = 0;
  for (int k = 0; k < kLanes; ++k) sum += sums[k];
  return sum;
}

using SumForm = float (*)(const float*, const Thresholds&, float);

NVC_FOR_AVX512 float SumByAvx512(const float* values, const Thresholds& thresholds, float largest) {
  return SumErrors(values, thresholds, largest);
}
NVC_FOR_AVX2 float SumByAvx2(const float* values, const Thresholds& thresholds, float largest) {
  return SumErrors(values, thresholds, largest);
}
float SumAnywhere(const float* values, const Thresholds& thresholds, float largest) {
  return SumErrors(values, thresholds, largest);
}

}  // namespace

float RoundingErrors::Sum(const float* values, int64_t block_class) {
  static const SumForm sum = PickForm(SumByAvx512, SumByAvx2, SumAnywhere);
  const int64_t own = std::clamp<int64_t>(block_class, 0, tables_.n_classes - 1);
  if (!by_class_[own]) by_class_[own] = ThresholdsOf(tables_, own);
  return sum(values, *by_class_[own], largest_);
}

namespace {

ffi::Error SumErrorsOfBlocks(F32 values, S32 classes, S32 tables, F32 first, F32 further, float largest, Out<F32> errors) {
  const auto n = static_cast<int64_t>(classes.element_count()), n_classes = static_cast<int64_t>(Rows(tables));
  if (static_cast<int64_t>(values.element_count()) != n * kCoefficients || n_classes == 0 ||
      static_cast<int64_t>(tables.element_count()) != n_classes * kCoefficients || first.element_count() == 0 ||
      further.element_count() != first.element_count() || static_cast<int64_t>(errors->element_count()) != n) {
    return ffi::Error::InvalidArgument("arrays do not suit the blocks");
  }
  RoundingErrors rounding({tables.typed_data(), first.typed_data(), further.typed_data(), n_classes,
                           static_cast<int64_t>(first.element_count())},
                          largest);
  for (int64_t block = 0; block < n; ++block) {
    errors->typed_data()[block] = rounding.Sum(values.typed_data() + block * kCoefficients, classes.typed_data()[block]);
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_rounding_errors, SumErrorsOfBlocks,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<S32>().Arg<S32>().Arg<F32>().Arg<F32>()
                                  .Attr<float>("largest")
                                  .Ret<F32>());

}  // namespace nvc
