// Floats of a volume to fixed point.

#ifndef NVC_LATTICE_VALUES_H_
#define NVC_LATTICE_VALUES_H_

#include <cstdint>

namespace nvc {

// Values in fixed point, rounded down; none of them is below `low`. `scale` is 2 to the power of the fraction bits.
void FixDown(int64_t n, const float* values, double low, double spacing, double scale, int32_t* fixed);

// Values in fixed point without fraction bits: rounded to the nearest.
void FixNearest(int64_t n, const float* values, double low, double spacing, int32_t* fixed);

}  // namespace nvc

#endif  // NVC_LATTICE_VALUES_H_
