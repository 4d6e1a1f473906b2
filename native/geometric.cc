// Adaptive geometric coder: integers of blocks by tables that follow the magnitudes before them.
//
// The specification is nvc_jax/entropy/adaptive_geometric.py. Integers are (dimensions, blocks); words, integers
// and sums are equal bit for bit.

#include <cmath>
#include <cstdlib>
#include <vector>

#include "buffers.h"

namespace nvc {
namespace {

constexpr int kShifts = 17;
constexpr int kFirstShift = -8;
constexpr uint32_t kSumUnits = 256;
constexpr uint32_t kMaxSum = 1u << 26;
constexpr int32_t kMaxUnits = 36 << 10;
constexpr int64_t kBlocksOfSum = 4096;

// How the sum of a block's magnitudes shifts the tables of its dimensions.
class Adaptation {
 public:
  Adaptation(S32& scales, U32& start, U32& thresholds, int64_t n_tables)
      : scales_(scales.typed_data()),
        start_(*start.typed_data()),
        thresholds_(thresholds.typed_data()),
        last_(static_cast<int32_t>(n_tables) - 1) {}

  uint32_t start() const { return start_; }

  int32_t Table(uint32_t total, int64_t dimension) const {
    int32_t reached = 0;
    for (int k = 0; k < kShifts; ++k) reached += total >= thresholds_[dimension * kShifts + k];
    return std::clamp(scales_[dimension] + reached + (kFirstShift - 1), 0, last_);
  }

  static uint32_t Add(uint32_t total, int32_t value) {
    const uint32_t magnitude = value < 0 ? 0u - static_cast<uint32_t>(value) : static_cast<uint32_t>(value);
    return std::min(total + std::min(magnitude, kMaxSum / kSumUnits) * kSumUnits, kMaxSum);
  }

 private:
  const int32_t* scales_;
  uint32_t start_;
  const uint32_t* thresholds_;
  int32_t last_;
};

// Estimates the bits of kBlocksOfSum blocks each of every dimension, in 1/1024 bit.
ffi::Error Estimate(S32 values, S32 scales, U32 start, U32 thresholds, S32 zero, F32 further, Out<S32> units) {
  const auto n_dims = static_cast<int64_t>(Rows(values));
  const auto n_blocks = static_cast<int64_t>(values.dimensions().back());
  const Adaptation adaptation(scales, start, thresholds, static_cast<int64_t>(zero.element_count()));
  Zero(units);
  std::vector<uint32_t> totals(n_blocks, adaptation.start());
  for (int64_t dimension = 0; dimension < n_dims; ++dimension) {
    const int32_t* row = values.typed_data() + dimension * n_blocks;
    int32_t* sums = units->typed_data() + dimension * CeilDivide(n_blocks, kBlocksOfSum);
    for (int64_t block = 0; block < n_blocks; ++block) {
      const int32_t table = adaptation.Table(totals[block], dimension);
      const float steps = std::nearbyint(further.typed_data()[table] * static_cast<float>(std::abs(row[block])));
      const auto of_steps = static_cast<int32_t>(std::min(steps, static_cast<float>(kMaxUnits)));
      sums[block / kBlocksOfSum] += std::min(zero.typed_data()[table] + of_steps, kMaxUnits);
      totals[block] = Adaptation::Add(totals[block], row[block]);
    }
  }
  return ffi::Error::Success();
}

ffi::Error Encode(S32 values, S32 scales, U32 start, U32 thresholds, U16 frequencies, S32 count_buffer,
                  S32 n_lanes_buffer, Out<U16> words, Out<S32> group_words) {
  const auto n_dims = static_cast<int64_t>(Rows(values));
  const auto n_blocks = static_cast<int64_t>(values.dimensions().back());
  const int64_t count = std::clamp<int64_t>(*count_buffer.typed_data(), 0, n_blocks);
  const Tables tables(frequencies.typed_data(), Rows(frequencies));
  const Adaptation adaptation(scales, start, thresholds, static_cast<int64_t>(tables.n_rows()));
  std::vector<uint8_t> chosen(n_dims * n_blocks);
  for (int64_t block = 0; block < count; ++block) {
    uint32_t total = adaptation.start();
    for (int64_t dimension = 0; dimension < n_dims; ++dimension) {
      const int64_t index = dimension * n_blocks + block;
      chosen[index] = static_cast<uint8_t>(adaptation.Table(total, dimension));
      total = Adaptation::Add(total, values.typed_data()[index]);
    }
  }
  const auto push = [&](int64_t n_lanes, int64_t group, uint32_t* states, PushStack& stack) {
    const int64_t run = CeilDivide(count, n_lanes);
    const int lanes = LanesOfGroup(n_lanes, group);
    for (int64_t step = run - 1; step >= 0; --step) {
      for (int64_t dimension = n_dims - 1; dimension >= 0; --dimension) {
        for (int lane = lanes - 1; lane >= 0; --lane) {
          const int64_t block = (group * kGroupLanes + lane) * run + step;
          if (block >= count) continue;
          const int64_t index = dimension * n_blocks + block;
          PushInteger(states[lane], values.typed_data()[index], tables.row(chosen[index]), stack);
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
    uint32_t totals[kGroupLanes];
    const int lanes = LanesOfGroup(n_lanes, group);
    for (int64_t step = 0; step < run; ++step) {
      std::fill_n(totals, kGroupLanes, adaptation.start());
      for (int64_t dimension = 0; dimension < n_dims; ++dimension) {
        for (int lane = 0; lane < lanes; ++lane) {
          const int64_t block = (group * kGroupLanes + lane) * run + step;
          if (block >= count) break;
          const int32_t table = adaptation.Table(totals[lane], dimension);
          const int32_t value = PopInteger(states[lane], tables.row(table), slot_tokens.row(table), stack);
          values->typed_data()[dimension * n_blocks + block] = value;
          totals[lane] = Adaptation::Add(totals[lane], value);
        }
      }
    }
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_geometric_estimate, Estimate,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<U32>().Arg<U32>().Arg<S32>().Arg<F32>()
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
