// Adaptive geometric coder: integers of blocks by tables that follow the magnitudes before them.
//
// The specification is nvc_jax/entropy/adaptive_geometric.py. Integers are (dimensions, blocks); words, integers
// and sums are equal bit for bit.

#include <cmath>
#include <cstdlib>
#include <vector>

#include "buffers.h"
#include "pop_step.h"
#include "push_step.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr int kShifts = 17;
constexpr int kFirstShift = -8;
constexpr uint32_t kSumUnits = 256;
constexpr uint32_t kMaxSum = 1u << 26;
constexpr uint32_t kMinStart = kSumUnits / 2;
constexpr int kStartShareBits = 6;
constexpr int kRatioBits = 12;
constexpr int32_t kMaxUnits = 36 << 10;
constexpr int64_t kBlocksOfSum = 4096;

// How the sum of a block's magnitudes shifts the tables of its dimensions.
class Adaptation {
 public:
  // Thresholds are those of each dimension, kShifts of them.
  Adaptation(const int32_t* scales, uint32_t start, const uint32_t* thresholds, int64_t n_tables)
      : scales_(scales), start_(start), thresholds_(thresholds), last_(static_cast<int32_t>(n_tables) - 1) {}

  Adaptation(S32& scales, U32& start, U32& thresholds, int64_t n_tables)
      : Adaptation(scales.typed_data(), *start.typed_data(), thresholds.typed_data(), n_tables) {}

  uint32_t start() const { return start_; }

  // Tables of one dimension of several blocks: of `n`, rounded up to whole vectors.
  void Tables(const int32_t* totals, int64_t n, int64_t dimension, int32_t* tables) const {
    // No sum is larger than kMaxSum, so larger thresholds are as good as infinite.
    int32_t thresholds[kShifts];
    for (int k = 0; k < kShifts; ++k) {
      thresholds[k] = static_cast<int32_t>(std::min(thresholds_[dimension * kShifts + k], kMaxSum + 1));
    }
    ChooseTables(totals, n, thresholds, scales_[dimension] + (kFirstShift - 1), last_, tables);
  }

  static uint32_t Add(uint32_t total, int32_t value) {
    const uint32_t magnitude = value < 0 ? 0u - static_cast<uint32_t>(value) : static_cast<uint32_t>(value);
    return std::min(total + std::min(magnitude, kMaxSum / kSumUnits) * kSumUnits, kMaxSum);
  }

 private:
  NVC_VECTORIZE static void ChooseTables(const int32_t* totals, int64_t n, const int32_t* thresholds,
                                         int32_t lowest, int32_t last, int32_t* tables) {
    for (int64_t i = 0; i < n; i += kWidth) {
      const Vector total = NVC_LOAD(totals + i);
      Vector table = Vector{} + lowest;
      for (int k = 0; k < kShifts; ++k) table -= total >= thresholds[k];
      table = NVC_MAX(table, Vector{});
      NVC_STORE(tables + i, NVC_MIN(table, Vector{} + last));
    }
  }

  const int32_t* scales_;
  uint32_t start_;
  const uint32_t* thresholds_;
  int32_t last_;
};

// Adds magnitudes to the sums of blocks; see Adaptation::Add.
NVC_VECTORIZE void AddMagnitudes(const int32_t* values, int64_t n, int32_t* totals) {
  for (int64_t i = 0; i < n; ++i) totals[i] = static_cast<int32_t>(Adaptation::Add(totals[i], values[i]));
}

// Adds up the units of integers of one dimension.
NVC_VECTORIZE int32_t SumUnits(const int32_t* values, const int32_t* tables, int64_t n, const int32_t* zero,
                               const float* further) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float steps = std::nearbyint(further[tables[i]] * static_cast<float>(std::abs(values[i])));
    const auto of_steps = static_cast<int32_t>(std::min(steps, static_cast<float>(kMaxUnits)));
    sum += std::min(zero[tables[i]] + of_steps, kMaxUnits);
  }
  return sum;
}

// Integers of blocks, of which the first ones count.
struct Blocks {
  const int32_t* values;
  int64_t n_dims, n_blocks, count;

  Blocks(const S32& values, const S32& count)
      : values(values.typed_data()),
        n_dims(static_cast<int64_t>(Rows(values))),
        n_blocks(static_cast<int64_t>(values.dimensions().back())),
        count(std::clamp<int64_t>(*count.typed_data(), 0, n_blocks)) {}
};

// Units of integers by table: of a zero, and of each step of the magnitude.
struct UnitsOfTables {
  const int32_t* zero;
  const float* further;
};

// Estimates the bits of kBlocksOfSum blocks each of every dimension, in 1/1024 bit; `add` gets the dimension, the number
// of the blocks' part, and their units.
template <typename Add>
void EstimateParts(const Blocks& blocks, const Adaptation& adaptation, const UnitsOfTables& of_tables, Add add) {
  std::vector<int32_t> totals(kBlocksOfSum), tables(kBlocksOfSum);
  for (int64_t part = 0; part < CeilDivide(blocks.count, kBlocksOfSum); ++part) {
    const int64_t n = std::min(blocks.count - part * kBlocksOfSum, kBlocksOfSum);
    std::fill(totals.begin(), totals.end(), static_cast<int32_t>(adaptation.start()));
    for (int64_t dimension = 0; dimension < blocks.n_dims; ++dimension) {
      const int32_t* row = blocks.values + dimension * blocks.n_blocks + part * kBlocksOfSum;
      adaptation.Tables(totals.data(), n, dimension, tables.data());
      add(dimension, part, SumUnits(row, tables.data(), n, of_tables.zero, of_tables.further));
      AddMagnitudes(row, n, totals.data());
    }
  }
}

ffi::Error Estimate(S32 values, S32 scales, U32 start, U32 thresholds, S32 zero, F32 further, S32 count,
                    Out<S32> units) {
  const Blocks blocks(values, count);
  const Adaptation adaptation(scales, start, thresholds, static_cast<int64_t>(zero.element_count()));
  const int64_t n_sums = CeilDivide(blocks.n_blocks, kBlocksOfSum);
  Zero(units);
  EstimateParts(blocks, adaptation, {zero.typed_data(), further.typed_data()},
                [&](int64_t dimension, int64_t part, int32_t sum) { units->typed_data()[dimension * n_sums + part] = sum; });
  return ffi::Error::Success();
}

// The sum that every block begins with, and the thresholds of the later sums.
struct Expectation {
  uint32_t start;
  std::vector<uint32_t> thresholds;
};

// Expects magnitudes of the scales of dimensions, by those of each scale and the ratios of thresholds to them.
Expectation Expect(const int32_t* scales, int64_t n_dims, const U32& units, const U32& ratios) {
  const auto last = static_cast<int32_t>(units.element_count()) - 1;
  const auto of = [&](int64_t dimension) { return units.typed_data()[std::clamp(scales[dimension], 0, last)]; };
  uint32_t total = 0, before = 0;
  for (int64_t dimension = 0; dimension < n_dims; ++dimension) total += of(dimension);
  Expectation expectation{std::clamp(total >> kStartShareBits, kMinStart, kMaxSum), {}};
  for (int64_t dimension = 0; dimension < n_dims; ++dimension) {
    const uint32_t sum = std::min(before + expectation.start, kMaxSum);
    for (int k = 0; k < kShifts; ++k) {
      const uint32_t ratio = ratios.typed_data()[k], low = (sum & ((1u << kRatioBits) - 1)) * ratio >> kRatioBits;
      expectation.thresholds.push_back((sum >> kRatioBits) * ratio + low);
    }
    before += of(dimension);
  }
  return expectation;
}

ffi::Error FindThresholds(S32 scales, U32 units, U32 ratios, Out<U32> start, Out<U32> thresholds) {
  const auto n_dims = static_cast<int64_t>(scales.element_count());
  if (units.element_count() == 0 || ratios.element_count() != kShifts ||
      static_cast<int64_t>(thresholds->element_count()) != n_dims * kShifts) {
    return ffi::Error::InvalidArgument("there are not the magnitudes of scales, or not a threshold for each shift");
  }
  const Expectation expectation = Expect(scales.typed_data(), n_dims, units, ratios);
  *start->typed_data() = expectation.start;
  std::copy(expectation.thresholds.begin(), expectation.thresholds.end(), thresholds->typed_data());
  return ffi::Error::Success();
}

// The one scale of all dimensions that takes the fewest bits, of those some steps below that of the mean magnitude.
ffi::Error ChooseCommonScale(S32 values, S32 count, F32 borders, S32 offsets, U32 units, U32 ratios, S32 zero, F32 further,
                             Out<S32> scale) {
  const Blocks blocks(values, count);
  const auto n_tables = static_cast<int64_t>(zero.element_count());
  if (n_tables == 0 || static_cast<int64_t>(further.element_count()) != n_tables || ratios.element_count() != kShifts ||
      static_cast<int64_t>(units.element_count()) != n_tables || offsets.element_count() == 0) {
    return ffi::Error::InvalidArgument("there are not the units of scales, or no scales to choose from");
  }
  double total = 0;
  for (int64_t k = 0; k < blocks.n_dims * blocks.n_blocks; ++k) total += std::abs(static_cast<double>(blocks.values[k]));
  const float mean = static_cast<float>(total) / static_cast<float>(std::max<int64_t>(blocks.count * blocks.n_dims, 1));
  const float *first = borders.typed_data(), *end = first + borders.element_count();
  const auto usual = static_cast<int32_t>(std::count_if(first, end, [&](float border) { return mean >= border; }));
  int64_t least = 0;
  for (size_t k = 0; k < offsets.element_count(); ++k) {
    const int32_t candidate = std::max(usual - offsets.typed_data()[k], 0);
    const std::vector<int32_t> scales(blocks.n_dims, candidate);
    const Expectation own = Expect(scales.data(), blocks.n_dims, units, ratios);
    int64_t bits = 0;
    EstimateParts(blocks, Adaptation(scales.data(), own.start, own.thresholds.data(), n_tables),
                  {zero.typed_data(), further.typed_data()}, [&](int64_t, int64_t, int32_t sum) { bits += sum; });
    if (k == 0 || bits < least) least = bits, *scale->typed_data() = candidate;
  }
  return ffi::Error::Success();
}

// Lanes of a group that have a block at some step, of which `first` is that of the first lane.
int ActiveLanes(int lanes, int64_t first, int64_t run, int64_t count) {
  return run == 0 ? 0 : static_cast<int>(std::clamp<int64_t>(CeilDivide(count - first, run), 0, lanes));
}

ffi::Error Encode(S32 values, S32 scales, U32 start, U32 thresholds, U16 frequencies, S32 count_buffer,
                  S32 n_lanes_buffer, Out<U16> words, Out<S32> group_words) {
  const auto n_dims = static_cast<int64_t>(Rows(values));
  const auto n_blocks = static_cast<int64_t>(values.dimensions().back());
  const int64_t count = std::clamp<int64_t>(*count_buffer.typed_data(), 0, n_blocks);
  const Tables tables(frequencies.typed_data(), Rows(frequencies));
  const Adaptation adaptation(scales, start, thresholds, static_cast<int64_t>(tables.n_rows()));
  // By whole vectors.
  const int64_t n_padded = CeilDivide(count, kWidth) * kWidth;
  std::vector<int32_t> totals(n_padded, static_cast<int32_t>(adaptation.start())), row(n_padded);
  std::vector<uint8_t> chosen(n_dims * n_blocks);
  for (int64_t dimension = 0; dimension < n_dims; ++dimension) {
    adaptation.Tables(totals.data(), count, dimension, row.data());
    std::copy_n(row.data(), count, chosen.data() + dimension * n_blocks);
    AddMagnitudes(values.typed_data() + dimension * n_blocks, count, totals.data());
  }
  const EncodingTables encoding(tables);
  const auto push = [&](int64_t n_lanes, int64_t group, uint32_t* states, PushStack& stack) {
    const int64_t run = CeilDivide(count, n_lanes), first = group * kGroupLanes * run;
    for (int64_t step = run - 1; step >= 0; --step) {
      const int active = ActiveLanes(LanesOfGroup(n_lanes, group), first + step, run, count);
      for (int64_t dimension = n_dims - 1; dimension >= 0; --dimension) {
        const int64_t index = dimension * n_blocks + first + step;
        uint32_t own_rows[kGroupLanes];
        int32_t integers[kGroupLanes];
        for (int lane = 0; lane < active; ++lane) {
          own_rows[lane] = chosen[index + lane * run];
          integers[lane] = values.typed_data()[index + lane * run];
        }
        if (active == kGroupLanes && stack.top + kWordsPerStep <= stack.capacity &&
            PushStep(encoding, own_rows, integers, states, stack)) {
          continue;
        }
        for (int lane = active - 1; lane >= 0; --lane) {
          PushInteger(states[lane], integers[lane], tables.row(own_rows[lane]), stack);
        }
      }
    }
  };
  return EncodeGroups(n_lanes_buffer, words, group_words, push);
}

ffi::Error Decode(U16 words, S32 group_words, S32 n_lanes_buffer, S32 scales, U32 start, U32 thresholds,
                  U16 frequencies, S32 count_buffer, Out<S32> values) {
  const auto n_dims = static_cast<int64_t>(values->dimensions().front());
  const auto n_blocks = static_cast<int64_t>(values->dimensions().back());
  const int64_t count = std::clamp<int64_t>(*count_buffer.typed_data(), 0, n_blocks);
  const Tables tables(frequencies.typed_data(), Rows(frequencies));
  SlotTokens slot_tokens(tables);
  const Adaptation adaptation(scales, start, thresholds, static_cast<int64_t>(tables.n_rows()));
  const int64_t n_lanes = LanesOfStream(n_lanes_buffer, static_cast<int64_t>(group_words.element_count()));
  const int64_t run = CeilDivide(count, n_lanes);
  Zero(values);
  std::vector<GroupReader> readers = OpenGroups(words, group_words, n_lanes);
  for (int64_t group = 0; group < static_cast<int64_t>(readers.size()); ++group) {
    auto& [states, stack] = readers[group];
    const int lanes = LanesOfGroup(n_lanes, group);
    const int64_t first = group * kGroupLanes * run;
    int32_t totals[kGroupLanes], chosen[kGroupLanes], integers[kGroupLanes];
    uint32_t rows[kGroupLanes] = {};
    for (int64_t step = 0; step < run; ++step) {
      const int active = ActiveLanes(lanes, first + step, run, count);
      std::fill_n(totals, kGroupLanes, static_cast<int32_t>(adaptation.start()));
      for (int64_t dimension = 0; dimension < n_dims; ++dimension) {
        adaptation.Tables(totals, kGroupLanes, dimension, chosen);
        for (int lane = 0; lane < active; ++lane) rows[lane] = slot_tokens.Prepare(chosen[lane]);
        PopIntegersOfLanes(tables, slot_tokens, rows, active, states, stack, integers);
        AddMagnitudes(integers, active, totals);
        int32_t* own = values->typed_data() + dimension * n_blocks + first + step;
        for (int lane = 0; lane < active; ++lane) own[lane * run] = integers[lane];
      }
    }
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_geometric_estimate, Estimate,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<U32>().Arg<U32>().Arg<S32>().Arg<F32>().Arg<S32>()
                                  .Ret<S32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_geometric_thresholds, FindThresholds,
                              ffi::Ffi::Bind().Arg<S32>().Arg<U32>().Arg<U32>().Ret<U32>().Ret<U32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_geometric_scale, ChooseCommonScale,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<F32>().Arg<S32>()
                                  .Arg<U32>().Arg<U32>().Arg<S32>().Arg<F32>()
                                  .Ret<S32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_geometric_encode, Encode,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<U32>().Arg<U32>().Arg<U16>().Arg<S32>().Arg<S32>()
                                  .Ret<U16>().Ret<S32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_geometric_decode, Decode,
                              ffi::Ffi::Bind()
                                  .Arg<U16>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<U32>().Arg<U32>().Arg<U16>()
                                  .Arg<S32>().Ret<S32>());

}  // namespace nvc
