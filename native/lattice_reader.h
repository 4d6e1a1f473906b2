// Lattice coder: items of a pass taken from a stream, the lanes of a group at once.
//
// The specification is programs.decode_reference in nvc_jax/lattice. A step of a group takes an item from each of
// its lanes. States are computed for all lanes in vectors, as which lanes need words does not depend on the words.

#ifndef NVC_LATTICE_READER_H_
#define NVC_LATTICE_READER_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "buffers.h"
#include "narrow_vectors.h"

namespace nvc {
namespace {


// Tables of contexts, at hand for decoding.
class ContextTables {
 public:
  ContextTables(const U16& frequencies, const S32& rows, int n_contexts)
      : tables_(frequencies.typed_data(), Rows(frequencies)), slot_tokens_(tables_), rows_(n_contexts) {
    for (size_t context = 0; context < rows_.size(); ++context) {
      const auto row = static_cast<size_t>(rows.typed_data()[std::min(context, rows.element_count() - 1)]);
      rows_[context] = static_cast<uint32_t>(std::min(row, tables_.n_rows() - 1));
      slot_tokens_.row(row);
    }
  }

  const Tables::Entry* entries(uint16_t context) const { return tables_.row(rows_[context]); }
  const uint8_t* tokens(uint16_t context) { return slot_tokens_.row(rows_[context]); }
  const uint32_t* rows() const { return rows_.data(); }
  const Tables::Entry* all_entries() const { return tables_.row(0); }
  const uint8_t* all_tokens() { return slot_tokens_.row(0); }

 private:
  Tables tables_;
  SlotTokens slot_tokens_;
  std::vector<uint32_t> rows_;
};

// What PopStep looks up.
struct PopTables {
  const uint32_t* rows;
  const Tables::Entry* entries;
  const uint8_t* tokens;
};

// Takes an item from each of 32 lanes; the stack has words for all. Tells whether it could: where an item has more
// extra bits than a word, nothing is taken.
NVC_VECTORIZE
bool PopStep(const PopTables& tables, const uint16_t* contexts, uint32_t* states, PopStack& stack, int32_t* items) {
  alignas(Integers) int32_t tokens[kGroupLanes], frequencies[kGroupLanes], starts[kGroupLanes];
  int32_t last_token = 0;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    const uint32_t row = tables.rows[contexts[lane]];
    const int32_t token = tables.tokens[row * kSlots + (states[lane] & (kSlots - 1))];
    const Tables::Entry entry = tables.entries[row * kTokens + static_cast<uint32_t>(token)];
    tokens[lane] = token;
    frequencies[lane] = entry.frequency;
    starts[lane] = entry.start;
    last_token = std::max(last_token, token);
  }
  if (last_token >= static_cast<int32_t>(kFirstLong)) return false;

  const bool has_extra = last_token >= static_cast<int32_t>(kFirstExtra);
  alignas(Integers) uint32_t removed[kGroupLanes], words[2][kGroupLanes] = {};
  alignas(Integers) int32_t is_low[2][kGroupLanes], n_bits[kGroupLanes];
  for (int lane = 0; lane < kGroupLanes; lane += kNarrow) {
    const Unsigned before = (Unsigned)NVC_LOAD_INTEGERS(states + lane);
    const Unsigned state = (Unsigned)NVC_LOAD_INTEGERS(frequencies + lane) * (before >> kPrecision) +
                           (before & (kSlots - 1)) - (Unsigned)NVC_LOAD_INTEGERS(starts + lane);
    const Integers needs_word = state < kLowest;
    NVC_STORE_INTEGERS(removed + lane, (Integers)state);
    NVC_STORE_INTEGERS(is_low[0] + lane, -needs_word);
    if (!has_extra) continue;
    const Integers beyond = NVC_LOAD_INTEGERS(tokens + lane) - static_cast<int32_t>(kSmallTokens);
    const Integers count = (beyond > 0 ? beyond : Integers{}) >> 1;
    const Unsigned high = needs_word ? state : state >> kWordBits;  // bits of the state above the lowest word
    NVC_STORE_INTEGERS(n_bits + lane, count);
    NVC_STORE_INTEGERS(is_low[1] + lane, -((high >> (Unsigned)count) == 0));
  }
  const uint16_t* top = stack.words + stack.top;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    words[0][lane] = top[-1];
    top -= is_low[0][lane];
    if (has_extra) {
      words[1][lane] = top[-1];
      top -= is_low[1][lane];
    }
  }
  stack.top = static_cast<int32_t>(top - stack.words);
  for (int lane = 0; lane < kGroupLanes; lane += kNarrow) {
    const Integers token = NVC_LOAD_INTEGERS(tokens + lane);
    Unsigned state = (Unsigned)NVC_LOAD_INTEGERS(removed + lane);
    state = NVC_LOAD_INTEGERS(is_low[0] + lane) != 0
                ? state << kWordBits | (Unsigned)NVC_LOAD_INTEGERS(words[0] + lane)
                : state;
    Integers magnitude = (token + 1) >> 1;
    if (has_extra) {
      const Unsigned count = (Unsigned)NVC_LOAD_INTEGERS(n_bits + lane);
      const Unsigned one = Unsigned{} + 1;
      const Integers large =
          (Integers)((one << count) + (state & ((one << count) - 1))) + static_cast<int32_t>(kSmallMagnitudes - 1);
      magnitude = token >= static_cast<int32_t>(kFirstExtra) ? large : magnitude;
      state >>= count;
      state = NVC_LOAD_INTEGERS(is_low[1] + lane) != 0
                  ? state << kWordBits | (Unsigned)NVC_LOAD_INTEGERS(words[1] + lane)
                  : state;
    }
    const Integers sign = -(token & 1);
    NVC_STORE_INTEGERS(states + lane, (Integers)state);
    NVC_STORE_INTEGERS(items + lane, (magnitude ^ sign) - sign);
  }
  return true;
}

// Takes the items of passes from a stream.
class Reader {
 public:
  Reader(U16& words, S32& group_words, const S32& n_lanes, const U16& frequencies, const S32& rows, int n_contexts)
      : n_lanes_(LanesOfStream(n_lanes, static_cast<int64_t>(group_words.element_count()))),
        tables_(frequencies, rows, n_contexts), groups_(OpenGroups(words, group_words, n_lanes_)) {}

  // Takes a pass, given the contexts of its items.
  void TakePass(const uint16_t* contexts, int64_t n, int32_t* items) {
    const PopTables tables{tables_.rows(), tables_.all_entries(), tables_.all_tokens()};
    for (int64_t first = 0; first < n; first += n_lanes_) {
      for (size_t group = 0; group < groups_.size(); ++group) {
        const int64_t lane = static_cast<int64_t>(group) * kGroupLanes, item = first + lane;
        const auto count = std::clamp<int64_t>(std::min(n - item, n_lanes_ - lane), 0, kGroupLanes);
        auto& [states, stack] = groups_[group];
        const bool has_words = stack.top >= kWordsPerStep && stack.top <= stack.capacity;
        const bool is_whole = count == kGroupLanes && has_words;
        if (is_whole && PopStep(tables, contexts + item, states, stack, items + item)) continue;
        for (int64_t i = 0; i < count; ++i) {
          const uint16_t context = contexts[item + i];
          items[item + i] = PopInteger(states[i], tables_.entries(context), tables_.tokens(context), stack);
        }
      }
    }
  }

 private:
  static constexpr int kWordsPerStep = 2 * kGroupLanes + 1;  // at most, and one that is read in vain

  int64_t n_lanes_;
  ContextTables tables_;
  std::vector<GroupReader> groups_;
};

}  // namespace
}  // namespace nvc

#endif  // NVC_LATTICE_READER_H_
