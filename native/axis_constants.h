// Constants and shapes of axes, taken from buffers and checked.

#ifndef NVC_AXIS_CONSTANTS_H_
#define NVC_AXIS_CONSTANTS_H_

#include <algorithm>
#include <array>
#include <cstdint>

#include "axis_factors.h"
#include "buffers.h"

namespace nvc {

// False if the buffers do not hold the constants.
inline bool TakeConstants(const F32& cosines, const F32& filters, const F32& inverses, const F32& corners,
                          const F32& error_weights, AxisConstants& constants) {
  int64_t n = 1;
  while (n * n < static_cast<int64_t>(cosines.element_count())) ++n;
  constants = {cosines.typed_data(), n - 1, filters.typed_data(), inverses.typed_data(),
               static_cast<int64_t>(filters.element_count()) / kBorder, corners.typed_data(),
               error_weights.typed_data()};
  return n * n == static_cast<int64_t>(cosines.element_count()) && n > 1 && constants.n_filters > 0 &&
         inverses.element_count() == filters.element_count() &&
         corners.element_count() == 4 * kReach * kReach && error_weights.element_count() == kReach;
}

// The shape of an axis; numbers that no axis has are replaced by the nearest that one has.
inline AxisShape MakeAxisShape(int64_t side, int32_t valid, int32_t length_index, int32_t filter,
                               const AxisConstants& constants, const std::array<bool, 2>& has_boundary) {
  int32_t longest = 0;  // whose last segment, half as long again, has cosines
  while ((kSide << (longest + 1)) * 3 / 2 <= constants.max_length) ++longest;
  return {side, std::clamp<int64_t>(valid, 1, side), std::clamp(length_index, 0, longest),
          std::clamp(filter, 0, static_cast<int32_t>(constants.n_filters) - 1), {has_boundary[0], has_boundary[1]}};
}

}  // namespace nvc

#endif  // NVC_AXIS_CONSTANTS_H_
