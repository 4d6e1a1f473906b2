// The order in which the coefficients of a block are coded.
//
// The specification is nvc_jax/spectral/scan_order.py.

#ifndef NVC_SCAN_H_
#define NVC_SCAN_H_

#include <algorithm>
#include <cstdint>

#include "vectorize.h"

namespace nvc {
namespace {

constexpr int kCoefficients = 512;
constexpr int kPositions = kCoefficients - 1;  // DC is coded apart
constexpr int kEndUnit = 16;                   // blocks end at multiples of so many positions
constexpr int kTypes = 8;                      // of partial blocks; 0 is a whole block

// Takes the numbers of coefficients in the order of a scan; the position behind it gets the last one.
[[maybe_unused]] NVC_VECTORIZE
void TakeInScan(const int32_t* numbers, const int32_t* scan, int n_positions, int32_t* taken) {
  for (int position = 0; position < n_positions; ++position) {
    taken[position] = numbers[scan[std::min(position, kPositions - 1)] & (kCoefficients - 1)];
  }
}

}  // namespace
}  // namespace nvc

#endif  // NVC_SCAN_H_
