// Trellis quantisation: rate-distortion-optimal integers of blocks with two quantisers.
//
// The specification is nvc_jax/spectral/trellis.py with trellis_costs.py. All costs are integers, so the points
// are equal bit for bit. kWidth blocks of like lengths advance together, one in each place of a vector.

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "buffers.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr int kCoefficients = 512;
constexpr int kPositions = kCoefficients - 1;
constexpr int kEndUnit = 16;
constexpr int kEnds = kCoefficients / kEndUnit + 1;
constexpr int kStates = 4;
constexpr int kTypes = 8;
constexpr int kWidth = 16;

constexpr int kCostBits = 7;
constexpr int kMagnitudeBits = 7;
constexpr int kWeightBits = 4;
constexpr int32_t kUnreachable = 1 << 29;
constexpr int32_t kMaxMagnitude = 1 << 30;
constexpr int32_t kMaxDropped = 16 << kMagnitudeBits;
constexpr int32_t kCostOfDroppingMore = 1 << 22;
constexpr int32_t kMaxIntegerCost = 36 << kCostBits;
constexpr int32_t kMaxFurther = 1 << 12;

using Vector = std::array<int32_t, kWidth>;

int32_t ToFixed(float value) {
  const float scaled = std::fabs(value) * (1 << kMagnitudeBits);
  const int32_t magnitude =
      scaled < static_cast<float>(kMaxMagnitude) ? static_cast<int32_t>(std::nearbyint(scaled)) : kMaxMagnitude;
  return value < 0 ? -magnitude : magnitude;
}

inline int32_t ErrorCost(int32_t error, int32_t weight) {
  return error * error * weight >> (kWeightBits + 2 * kMagnitudeBits - kCostBits);
}

// The even and the odd integer whose points enclose a magnitude.
inline int32_t BelowInteger(int32_t magnitude, int32_t quantizer) {
  return (magnitude + (quantizer << (kMagnitudeBits - 1))) >> kMagnitudeBits;
}

inline int32_t CostOfInteger(int32_t integer, int32_t magnitude, int32_t quantizer, int32_t one,
                             int32_t further, int32_t dropping, int32_t weight) {
  const int32_t bits = std::min(one + std::min(integer - 1, kMaxFurther) * further, kMaxIntegerCost);
  const int32_t point = (integer << kMagnitudeBits) - (quantizer << (kMagnitudeBits - 1));
  return bits + ErrorCost(magnitude - point, weight) - dropping;
}

// Blocks that advance together.
struct Batch {
  int n_positions;  // of the longest block, in whole units
  Vector counts;
  Vector values[kCoefficients];
  Vector rates[2][kCoefficients];
  Vector end_costs[kEnds];
  uint8_t decisions[kCoefficients][kWidth];
  Vector best_end;
  Vector best_state;
  int32_t points[kCoefficients][kWidth];
};

// Costs of the branches of one position: even and odd integers of either quantiser.
struct Branches {
  Vector even[2], odd[2], even_is_zero[2];
};

NVC_VECTORIZE
void SearchForwards(Batch& batch, int32_t weight) {
  Vector costs[kStates];
  for (int state = 0; state < kStates; ++state) costs[state].fill(state == 0 ? 0 : kUnreachable);
  Vector best_cost = batch.end_costs[0];
  batch.best_end.fill(0);
  batch.best_state.fill(0);
  for (int begin = 0; begin < batch.n_positions; begin += kEndUnit) {
    for (int position = begin; position < begin + kEndUnit; ++position) {
      Branches branches;
      for (int quantizer = 0; quantizer < 2; ++quantizer) {
        for (int i = 0; i < kWidth; ++i) {
          const int32_t value = batch.values[position][i], packed = batch.rates[quantizer][position][i];
          const int32_t magnitude = value < 0 ? -value : value;
          const int32_t zero = packed & 2047;
          const int32_t one = ((packed >> 11) & 2047) * 4;
          const int32_t further = ((packed >> 22) & 1023) * 4;
          const int32_t dropping = ErrorCost(std::min(magnitude, kMaxDropped), weight);
          const int32_t below = BelowInteger(magnitude, quantizer);
          const int32_t is_odd = below & 1;
          const int32_t even = below + is_odd, odd = below + 1 - is_odd;
          const int32_t cost_of_even =
              CostOfInteger(even, magnitude, quantizer, one, further, dropping, weight);
          const int32_t kept = even > 0 ? cost_of_even : kUnreachable;
          const int32_t dropped = zero + (magnitude > kMaxDropped ? kCostOfDroppingMore : 0);
          branches.even[quantizer][i] = std::min(kept, dropped);
          branches.odd[quantizer][i] =
              CostOfInteger(odd, magnitude, quantizer, one, further, dropping, weight);
          branches.even_is_zero[quantizer][i] = dropped <= kept;
        }
      }
      for (int i = 0; i < kWidth; ++i) {
        const int32_t c0 = costs[0][i], c1 = costs[1][i], c2 = costs[2][i], c3 = costs[3][i];
        const int32_t even0 = branches.even[0][i], odd0 = branches.odd[0][i];
        const int32_t even1 = branches.even[1][i], odd1 = branches.odd[1][i];
        const int32_t a0 = c0 + even0, b0 = c2 + odd0;
        const int32_t a1 = c0 + odd0, b1 = c2 + even0;
        const int32_t a2 = c1 + even1, b2 = c3 + odd1;
        const int32_t a3 = c1 + odd1, b3 = c3 + even1;
        const bool active = position < batch.counts[i];
        costs[0][i] = active ? std::min(a0, b0) : c0;
        costs[1][i] = active ? std::min(a1, b1) : c1;
        costs[2][i] = active ? std::min(a2, b2) : c2;
        costs[3][i] = active ? std::min(a3, b3) : c3;
        const int32_t decision = (b0 < a0) | (b1 < a1) << 1 | (b2 < a2) << 2 | (b3 < a3) << 3 |
                                 branches.even_is_zero[0][i] << 4 | branches.even_is_zero[1][i] << 5;
        batch.decisions[position][i] = static_cast<uint8_t>(decision);
      }
    }
    const int unit = begin / kEndUnit;
    for (int i = 0; i < kWidth; ++i) {
      int32_t cost = costs[0][i], state = 0;
      for (int other = 1; other < kStates; ++other) {
        state = costs[other][i] < cost ? other : state;
        cost = std::min(cost, costs[other][i]);
      }
      cost += batch.end_costs[unit + 1][i];
      const bool is_better = begin < batch.counts[i] && cost < best_cost[i];
      best_cost[i] = is_better ? cost : best_cost[i];
      batch.best_end[i] = is_better ? unit + 1 : batch.best_end[i];
      batch.best_state[i] = is_better ? state : batch.best_state[i];
    }
  }
}

NVC_VECTORIZE
void TraceBack(Batch& batch) {
  Vector state = batch.best_state, ends;
  for (int i = 0; i < kWidth; ++i) ends[i] = std::min(kEndUnit * batch.best_end[i], batch.counts[i]);
  for (int position = batch.n_positions - 1; position >= 0; --position) {
    for (int i = 0; i < kWidth; ++i) {
      const int32_t here = position + 1 == ends[i] ? batch.best_state[i] : state[i];
      const int32_t value = batch.values[position][i], magnitude = value < 0 ? -value : value;
      const int32_t decision = batch.decisions[position][i];
      const int32_t is_second = (decision >> here) & 1;
      const int32_t quantizer = here >> 1;
      const int32_t below = BelowInteger(magnitude, quantizer), is_odd = below & 1;
      const int32_t even = (decision >> (kStates + quantizer)) & 1 ? 0 : below + is_odd;
      const int32_t integer = (here & 1) ^ is_second ? below + 1 - is_odd : even;
      const int32_t point = 2 * integer - (integer > 0 ? quantizer : 0);
      const bool active = position < ends[i];
      batch.points[position][i] = active ? (value < 0 ? -point : point) : 0;
      state[i] = active ? quantizer + 2 * is_second : here;
    }
  }
}

ffi::Error Quantize(F32 values, S32 classes, S32 partial_types, S32 counts, S32 coefficients, S32 tables,
                    S32 rates, S32 end_costs, int32_t error_weight, Out<S32> points) {
  const auto n = static_cast<int32_t>(Rows(values));
  const auto n_classes = static_cast<int32_t>(Rows(tables));
  const auto n_rates = static_cast<int32_t>(rates.element_count());
  Zero(points);
  const auto count_of = [&](int32_t block) { return std::clamp(counts.typed_data()[block], 0, kPositions); };
  // Blocks of like lengths together.
  std::vector<int32_t> starts(kPositions + 2), order(n);
  for (int32_t block = 0; block < n; ++block) ++starts[count_of(block) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  const int32_t first = starts[1];  // Blocks without integers stay 0.
  for (int32_t block = 0; block < n; ++block) order[starts[count_of(block)]++] = block;

  auto batch = std::make_unique<Batch>();
  for (int32_t start = first; start < n; start += kWidth) {
    const int32_t* scans[kWidth];
    const int32_t width = std::min(kWidth, n - start);
    batch->n_positions = static_cast<int>(CeilDivide(count_of(order[start + width - 1]), kEndUnit)) * kEndUnit;
    for (int32_t i = 0; i < kWidth; ++i) {
      const int32_t block = order[start + std::min(i, width - 1)];
      const int32_t* scan = coefficients.typed_data() + (partial_types.typed_data()[block] & (kTypes - 1)) * kPositions;
      const int32_t block_class = std::clamp(classes.typed_data()[block], 0, n_classes - 1);
      const int32_t* own_tables = tables.typed_data() + int64_t{block_class} * kCoefficients;
      const float* own_values = values.typed_data() + int64_t{block} * kCoefficients;
      scans[i] = scan;
      batch->counts[i] = count_of(block);
      for (int end = 0; end < kEnds; ++end) {
        batch->end_costs[end][i] = end_costs.typed_data()[block_class * kEnds + end];
      }
      for (int position = 0; position < batch->n_positions; ++position) {
        const int32_t coefficient = scan[std::min(position, kPositions - 1)] & (kCoefficients - 1);
        const int32_t row = std::clamp(own_tables[coefficient], 0, n_rates / 2 - 1);
        batch->values[position][i] = position < kPositions ? ToFixed(own_values[coefficient]) : 0;
        batch->rates[0][position][i] = rates.typed_data()[row];
        batch->rates[1][position][i] = rates.typed_data()[row + n_rates / 2];
      }
    }
    SearchForwards(*batch, error_weight);
    TraceBack(*batch);
    for (int32_t i = 0; i < width; ++i) {
      int32_t* out = points->typed_data() + int64_t{order[start + i]} * kCoefficients;
      for (int position = 0; position < batch->counts[i]; ++position) {
        out[scans[i][position] & (kCoefficients - 1)] = batch->points[position][i];
      }
    }
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_trellis, Quantize,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Attr<int32_t>("error_weight").Ret<S32>());

}  // namespace nvc
