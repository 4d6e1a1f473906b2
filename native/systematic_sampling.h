// Systematic sampling.
//
// The specification is nvc_jax/core/systematic_sampling.py; sums of sizes are floating-point numbers, equal up to
// rounding, so that in rare cases another item may be drawn.

#ifndef NVC_SYSTEMATIC_SAMPLING_H_
#define NVC_SYSTEMATIC_SAMPLING_H_

#include <algorithm>
#include <cstdint>
#include <vector>

namespace nvc {

// Least sizes and divisors.
struct Floors {
  float share_of_mean, size, share;
};

struct Draw {
  int32_t index;
  float weight;
};

// Draws items at equal distances along the running sum of their sizes, in the order of `order`; items of a negative size
// are not drawn.
inline std::vector<Draw> DrawSystematic(const std::vector<float>& sizes, const int32_t* order, int64_t n_drawn,
                                        const Floors& floors) {
  const auto n = static_cast<int64_t>(sizes.size());
  float sum = 0;
  int64_t n_existing = 0;
  for (const float size : sizes) {
    if (size < 0) continue;
    sum += size;
    ++n_existing;
  }
  const float mean = sum / static_cast<float>(std::max<int64_t>(n_existing, 1));
  const float floor = std::max(floors.share_of_mean * mean, floors.size);
  std::vector<float> shares(n), ends(n);
  float end = 0;
  for (int64_t k = 0; k < n; ++k) {
    const float size = sizes[order[k]];
    shares[k] = size < 0 ? 0 : size + floor;
    ends[k] = end += shares[k];
  }
  const float distance = end / static_cast<float>(n_drawn);
  std::vector<Draw> drawn;
  int64_t place = 0;
  for (int64_t k = 0; k < n_drawn; ++k) {
    const float mark = (static_cast<float>(k) + 0.5f) * distance;
    while (place < n - 1 && ends[place] < mark) ++place;
    drawn.push_back({order[place], distance / std::max(shares[place], floors.share)});
  }
  return drawn;
}

}  // namespace nvc

#endif  // NVC_SYSTEMATIC_SAMPLING_H_
