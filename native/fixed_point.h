// Coefficients as integers, in 1/128 step.
//
// The specification is nvc_jax/spectral/fixed_point.py.

#ifndef NVC_FIXED_POINT_H_
#define NVC_FIXED_POINT_H_

#include <cmath>
#include <cstdint>

namespace nvc {

inline constexpr int kMagnitudeBits = 7;
inline constexpr int32_t kMaxMagnitude = 1 << 30;

// Magnitude of a value, to the nearest integer, ties to even: above 2**23 floats have no fractions.
[[gnu::always_inline]] inline int32_t FixedMagnitude(float value) {
  const float scaled = std::fabs(value) * (1 << kMagnitudeBits);
  const float nearest = scaled < 8388608.0f ? (scaled + 8388608.0f) - 8388608.0f : scaled;
  return scaled < static_cast<float>(kMaxMagnitude) ? static_cast<int32_t>(nearest) : kMaxMagnitude;
}

}  // namespace nvc

#endif  // NVC_FIXED_POINT_H_
