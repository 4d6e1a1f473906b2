// Lattice coder: items pushed onto a stream, the lanes of a group at once.
//
// The specification is programs.push_reference in nvc_jax/lattice.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "buffers.h"
#include "push_step.h"

namespace nvc {
namespace {

constexpr int kMostContexts = 1 << 16;
constexpr int64_t kGroupsOfPart = 8;
constexpr int64_t kStepsAhead = 2;

// Contexts and tables of a stream.
struct Coding {
  Coding(const S32& rows, const U16& frequencies)
      : tables(frequencies.typed_data(), Rows(frequencies)), encoding(tables) {
    const auto n_contexts = std::min<size_t>(rows.element_count(), kMostContexts);
    const auto row_of = [&](size_t context) { return tables.Row(static_cast<size_t>(rows.typed_data()[context])); };
    // Contexts that there are not are like the last.
    rows_of_contexts.resize(kMostContexts, row_of(n_contexts - 1));
    for (size_t context = 0; context < n_contexts; ++context) rows_of_contexts[context] = row_of(context);
  }

  const Tables::Entry* table(uint16_t context) const { return tables.row(rows_of_contexts[context]); }

  Tables tables;
  EncodingTables encoding;
  std::vector<uint32_t> rows_of_contexts;
};

// Pushes items one by one, from that of the last lane to the first.
void PushSlowly(const Coding& coding, const uint16_t* contexts, const int32_t* values, int n_lanes, uint32_t* states,
                PushStack& stack) {
  for (int lane = n_lanes - 1; lane >= 0; --lane) {
    PushInteger(states[lane], values[lane], coding.table(contexts[lane]), stack);
  }
}

// The lanes of a group while it is encoded.
struct GroupWriter {
  uint32_t states[kGroupLanes];
  PushStack stack;
};

// Begins to encode the groups of a stream, each in its share of the words' buffer.
std::vector<GroupWriter> OpenWriters(int64_t n_lanes, Out<U16>& words) {
  std::vector<GroupWriter> writers(CeilDivide(n_lanes, kGroupLanes));
  const auto share = static_cast<int64_t>(words->element_count() / writers.size());
  for (size_t group = 0; group < writers.size(); ++group) {
    std::fill_n(writers[group].states, kGroupLanes, kLowest);
    writers[group].stack = {words->typed_data() + static_cast<int64_t>(group) * share, share, 0};
  }
  return writers;
}

// Ends all groups and puts their words together; what lies behind the last is left as it is.
ffi::Error JoinGroups(int64_t n_lanes, std::vector<GroupWriter>& writers, Out<U16>& words, Out<S32>& group_words) {
  Zero(group_words);
  uint16_t* end = words->typed_data();
  for (size_t group = 0; group < writers.size(); ++group) {
    auto& [states, stack] = writers[group];
    FinishGroup(states, LanesOfGroup(n_lanes, static_cast<int64_t>(group)), stack);
    if (stack.top > stack.capacity) return ffi::Error::Internal("a stream is longer than its buffer");
    end = std::copy_n(stack.words, stack.top, end);
    group_words->typed_data()[group] = static_cast<int32_t>(stack.top);
  }
  return ffi::Error::Success();
}

ffi::Error Push(S32 rows, U16 contexts, S32 values, S32 counts, S32 n_lanes_buffer, U16 frequencies, Out<U16> words,
                Out<S32> group_words) {
  const Coding coding(rows, frequencies);
  int64_t n_items = 0;
  for (size_t pass = 0; pass < counts.element_count(); ++pass) n_items += std::max(counts.typed_data()[pass], 0);
  if (n_items > static_cast<int64_t>(std::min(values.element_count(), contexts.element_count()))) {
    return ffi::Error::InvalidArgument("passes have more items than there are");
  }
  const int64_t n_lanes = LanesOfStream(n_lanes_buffer, static_cast<int64_t>(group_words->element_count()));
  std::vector<GroupWriter> writers = OpenWriters(n_lanes, words);
  const auto push_step = [&](int64_t first_item, int64_t count, int64_t step, int64_t group) {
    auto& [states, stack] = writers[group];
    const int64_t lane = group * kGroupLanes, item = step * n_lanes + lane;
    const auto n = static_cast<int>(std::clamp<int64_t>(std::min(count - item, n_lanes - lane), 0, kGroupLanes));
    const uint16_t* own_contexts = contexts.typed_data() + first_item + item;
    const int32_t* own_values = values.typed_data() + first_item + item;
    if (item >= kStepsAhead * n_lanes) {  // the items of one step lie far from those of the next
      const int64_t ahead = first_item + item - kStepsAhead * n_lanes;
      __builtin_prefetch(contexts.typed_data() + ahead);
      for (int i = 0; i < kGroupLanes; i += kNarrow) __builtin_prefetch(values.typed_data() + ahead + i);
    }
    if (n == kGroupLanes && stack.top + kWordsPerStep <= stack.capacity) {
      uint32_t own_rows[kGroupLanes];
      for (int i = 0; i < kGroupLanes; ++i) own_rows[i] = coding.rows_of_contexts[own_contexts[i]];
      if (PushStep(coding.encoding, own_rows, own_values, states, stack)) return;
    }
    PushSlowly(coding, own_contexts, own_values, n, states, stack);
  };
  // Groups side by side take items that lie side by side.
  ForParts(static_cast<int64_t>(writers.size()), kGroupsOfPart, [&](Parts& parts) {
    for (int64_t first, end; parts.Take(first, end);) {
      int64_t first_item = n_items;
      for (auto pass = static_cast<int64_t>(counts.element_count()) - 1; pass >= 0; --pass) {
        const int64_t count = std::max(counts.typed_data()[pass], 0);
        first_item -= count;
        for (int64_t step = CeilDivide(count, n_lanes) - 1; step >= 0; --step) {
          for (int64_t group = first; group < end; ++group) push_step(first_item, count, step, group);
        }
      }
    }
  });
  return JoinGroups(n_lanes, writers, words, group_words);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_lattice_push, Push,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<U16>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<U16>()
                                  .Ret<U16>().Ret<S32>());

}  // namespace nvc
