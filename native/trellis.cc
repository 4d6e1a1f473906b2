// Trellis quantisation: rate-distortion-optimal integers of blocks with two quantisers.
//
// The specification is nvc_jax/spectral/trellis.py with trellis_costs.py. All costs are integers, so the points
// are equal bit for bit. kWidth blocks of like lengths advance together, one in each place of a vector.

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "buffers.h"
#include "fixed_point.h"
#include "idle_cores.h"
#include "scan.h"
#include "transpose.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr int kEnds = kCoefficients / kEndUnit + 1;
constexpr int kStates = 4;

constexpr int kCostBits = 7;
constexpr int kWeightBits = 4;
constexpr int32_t kUnreachable = 1 << 29;
constexpr int32_t kMaxDropped = 16 << kMagnitudeBits;
constexpr int32_t kCostOfDroppingMore = 1 << 22;
constexpr int32_t kMaxIntegerCost = 36 << kCostBits;
constexpr int32_t kMaxFurther = 1 << 12;

// A block's coefficients in fixed point.
NVC_VECTORIZE
void ToFixed(const float* values, int32_t* fixed) {
  for (int i = 0; i < kCoefficients; ++i) {
    const int32_t magnitude = FixedMagnitude(values[i]);
    fixed[i] = values[i] < 0 ? -magnitude : magnitude;
  }
}

// Rates of a class's coefficients by the rows of their tables.
NVC_VECTORIZE
void TakeRates(const int32_t* tables, const int32_t* rates, int32_t last_table, int32_t* taken) {
  for (int i = 0; i < kCoefficients; ++i) taken[i] = rates[std::clamp(tables[i], 0, last_table)];
}

// Rates of classes' coefficients for either quantiser: by coefficient, and in the order of the scan of whole blocks. Those
// of a class are found when it first has a block.
class RatesOfClasses {
 public:
  RatesOfClasses(const S32& tables, const S32& rates, const int32_t* whole_scan)
      : tables_(tables.typed_data()),
        rates_(rates.typed_data()),
        n_tables_(static_cast<int32_t>(rates.element_count()) / 2),
        whole_scan_(whole_scan),
        is_ready_(Rows(tables)),
        of_classes_(new OfClass[is_ready_.size()]) {}

  // Writes the rates at the first positions of a block.
  void Take(int32_t block_class, int quantizer, bool is_whole, const int32_t* scan, int n_positions, int32_t* taken) {
    OfClass& own = of_classes_[block_class];
    if (!is_ready_[block_class]) {
      Fill(block_class, own);
      is_ready_[block_class] = 1;
    }
    if (is_whole) {
      std::copy_n(own.in_scan[quantizer], n_positions, taken);
    } else {
      TakeInScan(own.by_coefficient[quantizer], scan, n_positions, taken);
    }
  }

 private:
  struct OfClass {
    int32_t by_coefficient[2][kCoefficients], in_scan[2][kCoefficients];
  };

  void Fill(int32_t block_class, OfClass& own) const {
    for (int quantizer = 0; quantizer < 2; ++quantizer) {
      int32_t* by_coefficient = own.by_coefficient[quantizer];
      TakeRates(tables_ + int64_t{block_class} * kCoefficients, rates_ + quantizer * n_tables_, n_tables_ - 1,
                by_coefficient);
      TakeInScan(by_coefficient, whole_scan_, kCoefficients, own.in_scan[quantizer]);
    }
  }

  const int32_t *tables_, *rates_;
  int32_t n_tables_;
  const int32_t* whole_scan_;
  std::vector<uint8_t> is_ready_;
  std::unique_ptr<OfClass[]> of_classes_;
};

// Macros, as functions cannot be inlined into versions for other instruction sets with vectors as arguments.
#define NVC_ERROR_COST(error, weight) \
  ((error) * (error) * (weight) >> (kWeightBits + 2 * kMagnitudeBits - kCostBits))
#define NVC_BELOW(magnitude, quantizer) \
  (((magnitude) + ((quantizer) << (kMagnitudeBits - 1))) >> kMagnitudeBits)

// A row of numbers for each of the blocks that advance together.
struct BlockRows {
  int32_t of_block[kWidth][kCoefficients];
};

// Puts the first positions of all rows side by side, and back.
NVC_VECTORIZE
void Interleave(const BlockRows& rows, int n_positions, Vector* columns) {
  for (int position = 0; position < n_positions; position += kSide) {
    for (int i = 0; i < kWidth; i += kSide) {
      Transpose(&rows.of_block[i][position], kCoefficients, reinterpret_cast<int32_t*>(columns + position) + i, kWidth);
    }
  }
}

NVC_VECTORIZE
void Separate(const Vector* columns, int n_positions, BlockRows& rows) {
  for (int position = 0; position < n_positions; position += kSide) {
    for (int i = 0; i < kWidth; i += kSide) {
      Transpose(reinterpret_cast<const int32_t*>(columns + position) + i, kWidth, &rows.of_block[i][position],
                kCoefficients);
    }
  }
}

// Blocks that advance together, one in each place of a vector.
struct Batch {
  int n_positions;  // of the longest block, in whole units
  Vector counts;
  Vector values[kCoefficients];
  Vector rates[2][kCoefficients];
  Vector end_costs[kEnds];
  Vector decisions[kCoefficients];
  Vector best_end;
  Vector best_state;
  Vector points[kCoefficients];
};

NVC_VECTORIZE
void SearchForwards(Batch& batch, int32_t weight) {
  const Vector zeros = {};
  const Vector unreachable = zeros + kUnreachable;
  Vector costs[kStates] = {zeros, unreachable, unreachable, unreachable};
  Vector best_cost = batch.end_costs[0], best_end = zeros, best_state = zeros;
  for (int begin = 0; begin < batch.n_positions; begin += kEndUnit) {
    for (int position = begin; position < begin + kEndUnit; ++position) {
      Vector cost_of_even[2], cost_of_odd[2], even_is_zero[2];
      const Vector value = batch.values[position], magnitude = NVC_ABS(value);
      const Vector clipped = magnitude < kMaxDropped ? magnitude : zeros + kMaxDropped;
      const Vector dropping = NVC_ERROR_COST(clipped, weight);
      const Vector dropping_more = magnitude > kMaxDropped ? zeros + kCostOfDroppingMore : zeros;
      for (int quantizer = 0; quantizer < 2; ++quantizer) {
        const Vector packed = batch.rates[quantizer][position];
        const Vector zero = packed & 2047, one = ((packed >> 11) & 2047) * 4, further = ((packed >> 22) & 1023) * 4;
        const Vector below = NVC_BELOW(magnitude, quantizer), is_odd = below & 1;
        Vector integers[2] = {below + is_odd, below + 1 - is_odd}, of_integers[2];
        for (int k = 0; k < 2; ++k) {
          const Vector beyond = integers[k] - 1;
          Vector bits = one + (beyond < kMaxFurther ? beyond : zeros + kMaxFurther) * further;
          bits = bits < kMaxIntegerCost ? bits : zeros + kMaxIntegerCost;
          const Vector error =
              magnitude - ((integers[k] << kMagnitudeBits) - (quantizer << (kMagnitudeBits - 1)));
          of_integers[k] = bits + NVC_ERROR_COST(error, weight) - dropping;
        }
        const Vector kept = integers[0] > 0 ? of_integers[0] : unreachable;
        const Vector dropped = zero + dropping_more;
        cost_of_even[quantizer] = NVC_MIN(kept, dropped);
        cost_of_odd[quantizer] = of_integers[1];
        even_is_zero[quantizer] = dropped <= kept;
      }
      const Vector first[kStates] = {costs[0] + cost_of_even[0], costs[0] + cost_of_odd[0],
                                     costs[1] + cost_of_even[1], costs[1] + cost_of_odd[1]};
      const Vector second[kStates] = {costs[2] + cost_of_odd[0], costs[2] + cost_of_even[0],
                                      costs[3] + cost_of_odd[1], costs[3] + cost_of_even[1]};
      const Vector active = position < batch.counts;
      Vector decision = (even_is_zero[0] & (1 << kStates)) | (even_is_zero[1] & (2 << kStates));
      for (int state = 0; state < kStates; ++state) {
        costs[state] = active ? NVC_MIN(first[state], second[state]) : costs[state];
        decision |= (second[state] < first[state]) & (1 << state);
      }
      batch.decisions[position] = decision;
    }
    const int unit = begin / kEndUnit;
    Vector cost = costs[0], state = zeros;
    for (int other = 1; other < kStates; ++other) {
      state = costs[other] < cost ? zeros + other : state;
      cost = NVC_MIN(cost, costs[other]);
    }
    cost += batch.end_costs[unit + 1];
    const Vector is_better = (begin < batch.counts) & (cost < best_cost);
    best_cost = is_better ? cost : best_cost;
    best_end = is_better ? zeros + (unit + 1) : best_end;
    best_state = is_better ? state : best_state;
  }
  batch.best_end = best_end;
  batch.best_state = best_state;
}

NVC_VECTORIZE
void TraceBack(Batch& batch) {
  const Vector zeros = {};
  const Vector last = kEndUnit * batch.best_end, ends = NVC_MIN(last, batch.counts);
  Vector state = batch.best_state;
  for (int position = batch.n_positions - 1; position >= 0; --position) {
    state = position + 1 == ends ? batch.best_state : state;
    const Vector value = batch.values[position], magnitude = NVC_ABS(value);
    const Vector decision = batch.decisions[position];
    const Vector is_second = (decision >> state) & 1, quantizer = state >> 1;
    const Vector below = NVC_BELOW(magnitude, quantizer), is_odd = below & 1;
    const Vector is_zero = (decision >> (kStates + quantizer)) & 1;
    const Vector even = is_zero != 0 ? zeros : below + is_odd;
    const Vector integer = ((state & 1) ^ is_second) != 0 ? below + 1 - is_odd : even;
    const Vector point = 2 * integer - (integer > 0 ? quantizer : zeros);
    const Vector active = position < ends;
    batch.points[position] = active ? (value < 0 ? -point : point) : zeros;
    state = active ? quantizer + 2 * is_second : state;
  }
}

// Blocks, and what their points are found by.
struct Blocks {
  const float* values;
  const int32_t *classes, *partial_types, *counts;
  const int32_t* coefficients;  // (8, 511), scans
  const S32 &tables, &rates, &end_costs;
  int32_t error_weight;

  int Count(int32_t block) const { return std::clamp(counts[block], 0, kPositions); }
};

// Finds the points of blocks, some at a time.
class Quantizer {
 public:
  explicit Quantizer(const Blocks& blocks)
      : blocks_(blocks), rates_of_classes_(blocks.tables, blocks.rates, blocks.coefficients), batch_(new Batch) {
    for (auto* rows : {&values_, &points_, &rates_[0], &rates_[1]}) rows->reset(new BlockRows);
  }

  // Finds the points of up to kWidth blocks, the longest of which is the last.
  void Quantize(const int32_t* blocks, int32_t width, int32_t* points) {
    const int32_t* scans[kWidth];
    batch_->n_positions = static_cast<int>(CeilDivide(blocks_.Count(blocks[width - 1]), kEndUnit)) * kEndUnit;
    for (int32_t i = 0; i < kWidth; ++i) scans[i] = Take(blocks[std::min(i, width - 1)], i);
    Interleave(*values_, batch_->n_positions, batch_->values);
    for (int q = 0; q < 2; ++q) Interleave(*rates_[q], batch_->n_positions, batch_->rates[q]);
    SearchForwards(*batch_, blocks_.error_weight);
    TraceBack(*batch_);
    Separate(batch_->points, batch_->n_positions, *points_);
    for (int32_t i = 0; i < width; ++i) {
      const int count = batch_->counts[i];
      const int32_t *scan = scans[i], *own = points_->of_block[i];
      int32_t* out = points + int64_t{blocks[i]} * kCoefficients;
      std::fill_n(out, kCoefficients, 0);
      for (int position = 0; position < count; ++position) out[scan[position] & (kCoefficients - 1)] = own[position];
    }
  }

 private:
  // Takes a block to a place of the vectors; returns its scan.
  const int32_t* Take(int32_t block, int32_t place) {
    const int32_t type = blocks_.partial_types[block] & (kTypes - 1);
    const int32_t n_classes = static_cast<int32_t>(Rows(blocks_.tables));
    const int32_t last_end = static_cast<int32_t>(blocks_.end_costs.element_count()) - 1;
    const int32_t block_class = std::clamp(blocks_.classes[block], 0, n_classes - 1);
    const int32_t* scan = blocks_.coefficients + type * kPositions;
    batch_->counts[place] = blocks_.Count(block);
    for (int end = 0; end <= batch_->n_positions / kEndUnit; ++end) {
      batch_->end_costs[end][place] = blocks_.end_costs.typed_data()[std::min(block_class * kEnds + end, last_end)];
    }
    int32_t fixed[kCoefficients];
    ToFixed(blocks_.values + int64_t{block} * kCoefficients, fixed);
    TakeInScan(fixed, scan, batch_->n_positions, values_->of_block[place]);
    for (int quantizer = 0; quantizer < 2; ++quantizer) {
      int32_t* taken = rates_[quantizer]->of_block[place];
      rates_of_classes_.Take(block_class, quantizer, type == 0, scan, batch_->n_positions, taken);
    }
    return scan;
  }

  const Blocks& blocks_;
  RatesOfClasses rates_of_classes_;
  const std::unique_ptr<Batch> batch_;  // whose arrays take long to clear
  std::unique_ptr<BlockRows> values_, points_, rates_[2];
};

// The blocks in the order of their numbers of integers; `n_empty` of them have none.
std::vector<int32_t> OrderByCount(const Blocks& blocks, int32_t n, int32_t& n_empty) {
  std::vector<int32_t> starts(kPositions + 2), order(n);
  for (int32_t block = 0; block < n; ++block) ++starts[blocks.Count(block) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  n_empty = starts[1];
  for (int32_t block = 0; block < n; ++block) order[starts[blocks.Count(block)]++] = block;
  return order;
}

ffi::Error Quantize(F32 values, S32 classes, S32 partial_types, S32 counts, S32 coefficients, S32 tables,
                    S32 rates, S32 end_costs, int32_t error_weight, Out<S32> points) {
  const Blocks blocks{values.typed_data(), classes.typed_data(), partial_types.typed_data(), counts.typed_data(),
                      coefficients.typed_data(), tables, rates, end_costs, error_weight};
  const auto n = static_cast<int32_t>(Rows(values));
  int32_t n_empty;
  const std::vector<int32_t> order = OrderByCount(blocks, n, n_empty);
  int32_t* out = points->typed_data();
  ForEachInParts(n_empty, kBlocksOfPart, [&](int64_t place) {
    std::fill_n(out + int64_t{order[place]} * kCoefficients, kCoefficients, 0);
  });
  ForParts(CeilDivide(n - n_empty, kWidth), kBlocksOfPart / kWidth, [&](Parts& parts) {
    Quantizer quantizer(blocks);
    parts.ForEach([&](int64_t batch) {
      const auto start = static_cast<int32_t>(n_empty + batch * kWidth);
      quantizer.Quantize(&order[start], std::min(kWidth, n - start), out);
    });
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_trellis, Quantize,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Attr<int32_t>("error_weight").Ret<S32>());

}  // namespace nvc
