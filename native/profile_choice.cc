// The profile that costs least, in bits and error, for a sample of blocks.
//
// The specification is nvc_jax/spectral/profiles.py. Costs are sums of floating-point numbers, equal up to rounding, so
// profiles of nearly the same cost may be taken for each other.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "buffers.h"
#include "class_costs.h"
#include "rounding_errors.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr int64_t kCoefficients = 512;
constexpr float kCostUnits = 1024;

// The least of the numbers of bits, and the first class that has it.
struct Cheapest {
  float bits;
  int64_t block_class;
};

// Finds the cheapest class; `n` is a multiple of kWidth.
NVC_VECTORIZE
Cheapest FindCheapest(const int32_t* costs, const float* signalling_bits, int64_t n) {
  typedef float Floats __attribute__((vector_size(4 * kWidth)));
  Floats least = Floats{} + std::numeric_limits<float>::infinity();
  Vector found = {}, here = {};
  for (int64_t k = 0; k < n; k += kWidth, here += kWidth) {
    Floats signalling;
    std::memcpy(&signalling, signalling_bits + k, sizeof(signalling));
    const Floats bits = __builtin_convertvector(NVC_LOAD(costs + k), Floats) / kCostUnits + signalling;
    found = bits < least ? here : found;
    least = bits < least ? bits : least;
  }
  Cheapest cheapest{std::numeric_limits<float>::infinity(), 0};
  for (int lane = 0; lane < kWidth; ++lane) {
    const int64_t block_class = found[lane] + lane;
    const bool is_before = least[lane] == cheapest.bits && block_class < cheapest.block_class;
    if (least[lane] < cheapest.bits || is_before) cheapest = {least[lane], block_class};
  }
  return cheapest;
}

// Adds up the cost of a sample in a profile, block by block.
class ProfileCost {
 public:
  ProfileCost(const ClassTables& tables, const float* signalling_bits, const ThresholdTables& thresholds,
              float bits_per_error, float largest)
      : counter_(tables),
        rounding_(thresholds, largest),
        costs_(CeilDivide(tables.n_classes, kWidth) * kWidth),
        signalling_bits_(costs_.size(), std::numeric_limits<float>::infinity()),
        bits_per_error_(bits_per_error) {
    std::copy_n(signalling_bits, tables.n_classes, signalling_bits_.begin());
  }

  // `values` are those of the block, in steps of one quantiser.
  void Add(const float* values, const RoundedBlock& block, float weight) {
    counter_.Count(block, costs_.data());
    const Cheapest cheapest = FindCheapest(costs_.data(), signalling_bits_.data(), static_cast<int64_t>(costs_.size()));
    total_ += weight * (cheapest.bits + bits_per_error_ * rounding_.Sum(values, cheapest.block_class));
  }
  double total() const { return total_; }

 private:
  ClassCosts counter_;
  RoundingErrors rounding_;
  std::vector<int32_t> costs_;
  std::vector<float> signalling_bits_;
  float bits_per_error_;
  double total_ = 0;
};

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
  std::vector<ProfileCost> profiles;
  profiles.reserve(n_profiles);
  for (int64_t k = 0; k < n_profiles; ++k) {
    const int32_t* of_classes = tables.typed_data() + k * n_classes * kCoefficients;
    const ClassTables own{pairs.typed_data() + k * n_classes * kCoefficients, zero_cost.typed_data() + k * n_classes,
                          signalling_cost.typed_data() + k * n_classes, n_classes};
    const ThresholdTables thresholds{of_classes, first.typed_data() + k * n_tables, further.typed_data() + k * n_tables,
                                     n_classes, n_tables};
    profiles.emplace_back(own, signalling_bits.typed_data() + k * n_classes, thresholds, bits_per_error, largest);
  }
  for (int64_t k = 0; k < n; ++k) {
    const int64_t block = drawn.typed_data()[k];
    if (block < 0 || block >= n_blocks) return ffi::Error::InvalidArgument("a block is drawn that is none");
    float scaled[kCoefficients];
    for (int64_t i = 0; i < kCoefficients; ++i) scaled[i] = values.typed_data()[block * kCoefficients + i] * single_steps;
    const RoundedBlock rounded(scaled, {narrow, wide, more, 1.0f});
    for (ProfileCost& cost : profiles) cost.Add(scaled, rounded, weights.typed_data()[k]);
  }
  double least = std::numeric_limits<double>::infinity();
  *profile->typed_data() = 0;
  for (int64_t k = 0; k < n_profiles; ++k) {
    if (profiles[k].total() < least) least = profiles[k].total(), *profile->typed_data() = static_cast<int32_t>(k);
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
