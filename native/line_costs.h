// Costs of lines with a transform, by which its shape is decided.
//
// The specification is nvc_jax/spectral/line_costs.py; costs are sums of floating-point numbers, equal up to rounding.

#ifndef NVC_LINE_COSTS_H_
#define NVC_LINE_COSTS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "axis_transform.h"

namespace nvc {

// Prices of a coefficient in bits.
struct Prices {
  float squared_step, coded, octave;
};

// Lines of voxels: columns of a matrix, whose rows are `stride` apart.
struct Lines {
  const float* values;
  int64_t n_lines, stride;
  float step;
  const bool* is_dc;      // For each 8 rows of coefficients, whether the first one is a frequency 0,
  const bool* are_means;  // which is DC in these lines, and does not count.
};

// Finds the costs of coefficients in steps.
template <typename Vector>
[[gnu::always_inline]] inline void FindCosts(const Vector& scaled, const Prices& prices, Vector& costs) {
  typedef int32_t Bits __attribute__((vector_size(sizeof(Vector))));
  const Vector magnitude = scaled < 0 ? -scaled : scaled, above = magnitude + 1;
  Bits bits;
  std::memcpy(&bits, &above, sizeof(bits));
  const Vector octaves = __builtin_convertvector(bits - (127 << 23), Vector) * 0x1p-23f;
  const Vector dropped = prices.squared_step * magnitude * magnitude;
  const Vector coded = prices.coded + prices.octave * octaves;
  costs = dropped < coded ? dropped : coded;
}

// Takes the first `n_lanes` of a row; all others are 0.
template <int Width>
[[gnu::always_inline]] inline void TakeLanes(const float* from, int64_t n_lanes, Row<Width>& row) {
  if (n_lanes == Width) {
    std::memcpy(&row, from, sizeof(row));
  } else {
    row.lanes = typename Row<Width>::Vector{};
    std::memcpy(&row, from, 4 * n_lanes);
  }
}

// Sums of the costs of each line's coefficients.
template <int Width>
[[gnu::always_inline]] inline void SumCosts(const Axis& axis, const Lines& lines, const Prices& prices, float* costs) {
  typedef typename Row<Width>::Vector Vector;
  std::vector<Row<Width>> strip(axis.n), coefficients(axis.n);
  for (int64_t first = 0; first < lines.n_lines; first += Width) {
    const int64_t n_lanes = std::min<int64_t>(Width, lines.n_lines - first);
    for (int64_t k = 0; k < axis.n; ++k) TakeLanes<Width>(lines.values + k * lines.stride + first, n_lanes, strip[k]);
    AnalyzeStrip<Width>(axis, strip.data(), coefficients.data());
    Vector sum = {}, counts = {};
    for (int64_t lane = 0; lane < n_lanes; ++lane) counts[lane] = lines.are_means[first + lane] ? 0 : 1;
    for (int64_t k = 0; k < axis.n; ++k) {
      const Vector scaled = coefficients[k].lanes / lines.step;
      const bool may_be_dc = k % 8 == 0 && lines.is_dc[k / 8];
      Vector costs_of_row;
      FindCosts(scaled, prices, costs_of_row);
      sum += may_be_dc ? counts * costs_of_row : costs_of_row;
    }
    std::memcpy(costs + first, &sum, 4 * n_lanes);
  }
}

}  // namespace nvc

#endif  // NVC_LINE_COSTS_H_
