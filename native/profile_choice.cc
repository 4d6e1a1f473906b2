// The profile that costs least, in bits and error, for a sample of blocks.
//
// The specification is nvc_jax/spectral/profiles.py. Costs are sums of floating-point numbers, equal up to rounding, so
// profiles of nearly the same cost may be taken for each other.

#include <cstdint>
#include <limits>
#include <vector>

#include "buffers.h"
#include "class_costs.h"
#include "rounding_errors.h"

namespace nvc {
namespace {

constexpr int64_t kCoefficients = 512;
constexpr float kCostUnits = 1024;

// Blocks of a sample, in steps of one quantiser, and their weights.
struct Sample {
  std::vector<float> values;
  const float* weights;
  int64_t n;
};

// Cost of a sample in a profile.
double CostOf(const Sample& sample, const ClassTables& tables, const float* signalling_bits,
              const ThresholdTables& thresholds, const ClassRule& rule, float bits_per_error, float largest) {
  ClassCosts counter(tables);
  RoundingErrors rounding(thresholds, largest);
  std::vector<int32_t> costs(tables.n_classes);
  double total = 0;
  for (int64_t block = 0; block < sample.n; ++block) {
    const float* values = &sample.values[block * kCoefficients];
    counter.Count(values, rule, costs.data());
    float least = std::numeric_limits<float>::infinity();
    int64_t cheapest = 0;
    for (int64_t k = 0; k < tables.n_classes; ++k) {
      const float bits = static_cast<float>(costs[k]) / kCostUnits + signalling_bits[k];
      if (bits < least) least = bits, cheapest = k;
    }
    total += sample.weights[block] * (least + bits_per_error * rounding.Sum(values, cheapest));
  }
  return total;
}

ffi::Error ChooseProfile(F32 values, S32 drawn, F32 weights, S32 tables, S32 pairs, S32 zero_cost, S32 signalling_cost,
                         F32 signalling_bits, F32 first, F32 further, int32_t narrow, int32_t wide, int32_t more,
                         float single_steps, float bits_per_error, float largest, Out<S32> profile) {
  const auto n = static_cast<int64_t>(drawn.element_count());
  const auto n_blocks = static_cast<int64_t>(values.element_count()) / kCoefficients;
  const auto shape = tables.dimensions();
  if (shape.size() != 3 || shape[0] == 0 || shape[1] == 0 || shape[2] != kCoefficients ||
      first.dimensions().size() != 2) {
    return ffi::Error::InvalidArgument("there are no tables of profiles");
  }
  const int64_t n_profiles = shape[0], n_classes = shape[1], n_tables = first.dimensions()[1];
  const auto has = [&](const auto& buffer, int64_t n_each) {
    return static_cast<int64_t>(buffer.element_count()) == n_profiles * n_each;
  };
  if (static_cast<int64_t>(weights.element_count()) != n || n_tables == 0 || narrow > wide ||
      !has(pairs, n_classes * kCoefficients) ||
      !has(zero_cost, n_classes) || !has(signalling_cost, n_classes) || !has(signalling_bits, n_classes) ||
      !has(further, n_tables)) {
    return ffi::Error::InvalidArgument("tables of profiles do not suit each other");
  }
  Sample sample{std::vector<float>(n * kCoefficients), weights.typed_data(), n};
  for (int64_t k = 0; k < n; ++k) {
    const int64_t block = drawn.typed_data()[k];
    if (block < 0 || block >= n_blocks) return ffi::Error::InvalidArgument("a block is drawn that is none");
    for (int64_t i = 0; i < kCoefficients; ++i) {
      sample.values[k * kCoefficients + i] = values.typed_data()[block * kCoefficients + i] * single_steps;
    }
  }
  double least = std::numeric_limits<double>::infinity();
  *profile->typed_data() = 0;
  for (int64_t k = 0; k < n_profiles; ++k) {
    const int32_t* of_classes = tables.typed_data() + k * n_classes * kCoefficients;
    const ClassTables own{pairs.typed_data() + k * n_classes * kCoefficients, zero_cost.typed_data() + k * n_classes,
                          signalling_cost.typed_data() + k * n_classes, n_classes};
    const ThresholdTables thresholds{of_classes, first.typed_data() + k * n_tables, further.typed_data() + k * n_tables,
                                     n_classes, n_tables};
    const double cost = CostOf(sample, own, signalling_bits.typed_data() + k * n_classes, thresholds,
                               {narrow, wide, more, 1.0f}, bits_per_error, largest);
    if (cost < least) least = cost, *profile->typed_data() = static_cast<int32_t>(k);
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_choose_profile, ChooseProfile,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<S32>().Arg<F32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<F32>().Arg<F32>().Arg<F32>()
                                  .Attr<int32_t>("narrow").Attr<int32_t>("wide").Attr<int32_t>("further")
                                  .Attr<float>("single_steps").Attr<float>("bits_per_error").Attr<float>("largest")
                                  .Ret<S32>());

}  // namespace nvc
