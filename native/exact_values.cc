// Counts of bit patterns, and the jumps at the borders of the values that have them, on NumPy's arrays.
//
// The specifications are in nvc_jax/chunks/exact_values.py. Sums of jumps are equal up to rounding.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectorize.h"

namespace {

constexpr int64_t kTogether = 4096;
constexpr int8_t kOrdinary = -1, kOther = -2;

// Counts the numbers that equal a pattern, of at most kTogether.
NVC_VECTORIZE
int32_t CountEqual(const uint32_t* bits, int64_t n, uint32_t pattern) {
  int32_t count = 0;
  for (int64_t k = 0; k < n; ++k) count += bits[k] == pattern;
  return count;
}

// Classes of voxels: the number of their pattern, kOrdinary for other valid ones, or kOther.
NVC_VECTORIZE
void Classify(const uint32_t* bits, const uint8_t* valid, int64_t n, const uint32_t* patterns, int n_patterns,
              int8_t* __restrict classes) {
  for (int64_t k = 0; k < n; ++k) classes[k] = static_cast<int8_t>(valid[k] ? kOrdinary : kOther);
  for (int i = 0; i < n_patterns; ++i) {
    const uint32_t pattern = patterns[i];
    for (int64_t k = 0; k < n; ++k) classes[k] = static_cast<int8_t>(bits[k] == pattern ? i : classes[k]);
  }
}

// Sums of steps, by pattern: those at the border of its values, and those that follow between ordinary values.
struct Jumps {
  double *at_border, *beyond;

  // Adds two steps, the first one from a value of a pattern.
  void Add(int8_t pattern, float exact, float next, float last) {
    at_border[pattern] += std::fabs(static_cast<double>(next) - static_cast<double>(exact));
    beyond[pattern] += std::fabs(static_cast<double>(last) - static_cast<double>(next));
  }
};

// Adds the jumps along one axis, in lines that lie `distance` apart along the others.
void AddAlong(int axis, const std::array<int64_t, 3>& sides, int64_t distance, const float* values, const int8_t* classes,
              Jumps& jumps) {
  const std::array<int64_t, 3> strides = {sides[1] * sides[2], sides[2], 1};
  std::array<int64_t, 3> ends = sides, steps = {distance, distance, distance};
  ends[axis] -= 2, steps[axis] = 1;
  const int64_t stride = strides[axis];
  for (int64_t z = 0; z < ends[0]; z += steps[0]) {
    for (int64_t y = 0; y < ends[1]; y += steps[1]) {
      const int64_t row = z * strides[0] + y * strides[1];
      for (int64_t place = row; place < row + ends[2]; place += steps[2]) {
        const int64_t middle = place + stride, last = middle + stride;
        if (classes[middle] != kOrdinary || (classes[place] < 0 && classes[last] < 0)) continue;
        if (classes[last] == kOrdinary) jumps.Add(classes[place], values[place], values[middle], values[last]);
        if (classes[place] == kOrdinary) jumps.Add(classes[last], values[last], values[middle], values[place]);
      }
    }
  }
}

}  // namespace

// Counts the numbers of each pattern.
extern "C" __attribute__((visibility("default"))) void nvc_count_patterns(int64_t n, const uint32_t* bits,
                                                                          int64_t n_patterns, const uint32_t* patterns,
                                                                          int64_t* counts) {
  std::fill_n(counts, n_patterns, int64_t{0});
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    for (int64_t i = 0; i < n_patterns; ++i) counts[i] += CountEqual(bits + first, count, patterns[i]);
  }
}

// Sums the jumps of at most 127 patterns in a volume.
extern "C" __attribute__((visibility("default"))) void nvc_sum_jumps(int64_t z, int64_t y, int64_t x, const float* values,
                                                                     const uint8_t* valid, int64_t n_patterns,
                                                                     const uint32_t* patterns, int64_t distance,
                                                                     double* at_border, double* beyond) {
  const std::array<int64_t, 3> sides = {z, y, x};
  const int64_t n = z * y * x;
  std::vector<int8_t> classes(n);
  std::vector<uint32_t> bits(kTogether);
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    std::memcpy(bits.data(), values + first, count * sizeof(float));
    Classify(bits.data(), valid + first, count, patterns, static_cast<int>(n_patterns), classes.data() + first);
  }
  std::fill_n(at_border, n_patterns, 0.0);
  std::fill_n(beyond, n_patterns, 0.0);
  Jumps jumps{at_border, beyond};
  for (int axis = 0; axis < 3; ++axis) AddAlong(axis, sides, distance, values, classes.data(), jumps);
}
