// Floats of a volume to fixed point and back, on NumPy's arrays.
//
// The specification is nvc_jax/lattice/values.py. All is in float64, in the order in which NumPy computes it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "lattice_values.h"
#include "vectorize.h"

namespace nvc {

NVC_VECTORIZE
void FixDown(int64_t n, const float* values, double low, double spacing, double scale, int32_t* fixed) {
  for (int64_t i = 0; i < n; ++i) {
    // No value is below the lowest, so that this rounds down.
    fixed[i] = static_cast<int32_t>((static_cast<double>(values[i]) - low) / spacing * scale);
  }
}

NVC_VECTORIZE
void FixNearest(int64_t n, const float* values, double low, double spacing, int32_t* fixed) {
  for (int64_t i = 0; i < n; ++i) {
    fixed[i] = static_cast<int32_t>(std::rint((static_cast<double>(values[i]) - low) / spacing));
  }
}

namespace {

constexpr double kEnd = std::numeric_limits<float>::max();
constexpr double kLargestFixed = 2147483648.0;

NVC_VECTORIZE
void Restore(int64_t n, const int32_t* fixed, double low, double unit, float* values) {
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(low + fixed[i] * unit);
}

void RestoreWithin(int64_t n, const int32_t* fixed, double low, double unit, float* values) {
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(std::clamp(low + fixed[i] * unit, -kEnd, kEnd));
}

}  // namespace

#define NVC_EXPORT extern "C" __attribute__((visibility("default")))

// Values in fixed point, rounded down, or to the nearest without fraction bits.
NVC_EXPORT void nvc_fix_floats(int64_t n, const float* values, double low, double spacing, int64_t fraction_bits,
                               int32_t* fixed) {
  if (fraction_bits == 0) return FixNearest(n, values, low, spacing, fixed);
  FixDown(n, values, low, spacing, static_cast<double>(1 << std::clamp<int64_t>(fraction_bits, 0, 30)), fixed);
}

// Values of numbers in fixed point; those beyond the ends of floats become the ends.
NVC_EXPORT void nvc_restore_floats(int64_t n, const int32_t* fixed, double low, double unit, float* values) {
  const bool is_within = std::abs(low) + kLargestFixed * std::abs(unit) < kEnd;
  (is_within ? Restore : RestoreWithin)(n, fixed, low, unit, values);
}

}  // namespace nvc
