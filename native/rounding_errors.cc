// Errors of coefficients that are rounded for the classes of their blocks.
//
// The specification is nvc_jax/spectral/rounding_errors.py; errors are sums of floating-point numbers, equal up to rounding.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>

#include "buffers.h"
#include "targets.h"

namespace nvc {
namespace {

constexpr int kCoefficients = 512;
constexpr int kLanes = 16;

// Thresholds of a class's coefficients: magnitudes from which they become 1, and remainders from which they become one
// more.
struct Thresholds {
  float first[kCoefficients], further[kCoefficients];
};

Thresholds ThresholdsOf(const int32_t* tables, const F32& first, const F32& further) {
  const auto last = static_cast<int64_t>(first.element_count()) - 1;
  Thresholds thresholds;
  for (int i = 0; i < kCoefficients; ++i) {
    const int64_t table = std::clamp<int64_t>(tables[i], 0, last);
    thresholds.first[i] = first.typed_data()[table];
    thresholds.further[i] = further.typed_data()[table];
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

using Sum = float (*)(const float*, const Thresholds&, float);

NVC_FOR_AVX512 float SumByAvx512(const float* values, const Thresholds& thresholds, float largest) {
  return SumErrors(values, thresholds, largest);
}
NVC_FOR_AVX2 float SumByAvx2(const float* values, const Thresholds& thresholds, float largest) {
  return SumErrors(values, thresholds, largest);
}
float SumAnywhere(const float* values, const Thresholds& thresholds, float largest) {
  return SumErrors(values, thresholds, largest);
}

ffi::Error RoundingErrors(F32 values, S32 classes, S32 tables, F32 first, F32 further, float largest, Out<F32> errors) {
  static const Sum sum = PickForm(SumByAvx512, SumByAvx2, SumAnywhere);
  const auto n = static_cast<int64_t>(classes.element_count()), n_classes = static_cast<int64_t>(Rows(tables));
  if (static_cast<int64_t>(values.element_count()) != n * kCoefficients || n_classes == 0 ||
      static_cast<int64_t>(tables.element_count()) != n_classes * kCoefficients || first.element_count() == 0 ||
      further.element_count() != first.element_count() || static_cast<int64_t>(errors->element_count()) != n) {
    return ffi::Error::InvalidArgument("arrays do not suit the blocks");
  }
  std::map<int64_t, Thresholds> by_class;
  for (int64_t block = 0; block < n; ++block) {
    const int64_t own = std::clamp<int64_t>(classes.typed_data()[block], 0, n_classes - 1);
    auto place = by_class.find(own);
    if (place == by_class.end()) {
      place = by_class.emplace(own, ThresholdsOf(tables.typed_data() + own * kCoefficients, first, further)).first;
    }
    errors->typed_data()[block] = sum(values.typed_data() + block * kCoefficients, place->second, largest);
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_rounding_errors, RoundingErrors,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<S32>().Arg<S32>().Arg<F32>().Arg<F32>()
                                  .Attr<float>("largest")
                                  .Ret<F32>());

}  // namespace nvc
