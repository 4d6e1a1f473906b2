// Costs of blocks in every class.
//
// The specification is nvc_jax/spectral/class_decision.py, class_costs_reference. All costs are integers, so they
// are equal bit for bit. Only coefficients that become other than 0 are looked at.

#include <cmath>
#include <vector>

#include "buffers.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr int kCoefficients = 512;
constexpr int kMagnitudeBits = 7;
constexpr float kMaxMagnitude = 1 << 30;
constexpr int32_t kMaxCounted = 255;
constexpr int32_t kErrorWeight = 3;
constexpr int kErrorShift = 3;

// A block's coefficients in 1/128 step.
NVC_VECTORIZE
void ToMagnitudes(const float* values, int32_t* magnitudes) {
  for (int i = 0; i < kCoefficients; ++i) {
    const float scaled = std::fabs(values[i]) * (1 << kMagnitudeBits);
    // To the nearest integer, ties to even: above 2**23 there are no fractions.
    const float nearest = scaled < 8388608.0f ? (scaled + 8388608.0f) - 8388608.0f : scaled;
    magnitudes[i] = scaled < kMaxMagnitude ? static_cast<int32_t>(nearest) : 1 << 30;
  }
}

// Rounds magnitudes with a dead zone; returns the squared errors, DC left out.
NVC_VECTORIZE
int32_t Round(const int32_t* magnitudes, int32_t first, int32_t further, int32_t* integers) {
  int32_t squared = 0;
  for (int i = 0; i < kCoefficients; ++i) {
    const int32_t rounded = (magnitudes[i] + (1 << kMagnitudeBits) - further) >> kMagnitudeBits;
    const int32_t integer = magnitudes[i] < first ? 0 : std::max(rounded, 1);
    const int32_t error = magnitudes[i] - (integer << kMagnitudeBits);
    const int32_t square = std::min(error * error, 1 << 2 * kMagnitudeBits);
    squared += i > 0 ? square : 0;
    integers[i] = std::min(integer, kMaxCounted);
  }
  return squared;
}

NVC_VECTORIZE
void Add(const int16_t* weights, int32_t magnitude, int64_t n_classes, int32_t* costs) {
  const int16_t* of_nonzero = weights;
  const int16_t* of_step = weights + n_classes;
  for (int64_t i = 0; i < n_classes; ++i) costs[i] += of_nonzero[i] + magnitude * of_step[i];
}

ffi::Error ClassCosts(ffi::Buffer<ffi::S16> weights, S32 zero_cost, S32 signalling_cost, F32 values,
                      int32_t narrow, int32_t wide, int32_t further, Out<S32> costs) {
  const auto n = static_cast<int64_t>(Rows(values));
  const auto n_classes = static_cast<int64_t>(zero_cost.element_count());
  int32_t magnitudes[kCoefficients], integers[kCoefficients];
  std::vector<int32_t> other(n_classes);
  for (int64_t block = 0; block < n; ++block) {
    ToMagnitudes(values.typed_data() + block * kCoefficients, magnitudes);
    int32_t* best = costs->typed_data() + block * n_classes;
    int64_t best_total = 0;
    for (int candidate = 0; candidate < 2; ++candidate) {
      int32_t* own = candidate == 0 ? best : other.data();
      const int32_t squared = Round(magnitudes, candidate == 0 ? narrow : wide, further, integers);
      std::copy_n(zero_cost.typed_data(), n_classes, own);
      for (int i = 1; i < kCoefficients; ++i) {
        if (integers[i] != 0) Add(weights.typed_data() + i * 2 * n_classes, integers[i], n_classes, own);
      }
      int32_t least = own[0] + signalling_cost.typed_data()[0];
      for (int64_t k = 1; k < n_classes; ++k) least = std::min(least, own[k] + signalling_cost.typed_data()[k]);
      const int64_t total = int64_t{least} + ((squared * kErrorWeight) >> kErrorShift);
      if (candidate == 1 && total < best_total) std::copy_n(own, n_classes, best);
      best_total = total;
    }
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_class_costs, ClassCosts,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::S16>>().Arg<S32>().Arg<S32>().Arg<F32>()
                                  .Attr<int32_t>("narrow").Attr<int32_t>("wide").Attr<int32_t>("further")
                                  .Ret<S32>());

}  // namespace nvc
