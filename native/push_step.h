// A step of the rANS encoder: an integer of each of a group's 32 lanes at once.
//
// It equals PushInteger of rans.h for one lane after the other. States are computed for all lanes in vectors, as which
// lanes give words does not depend on the words.

#ifndef NVC_PUSH_STEP_H_
#define NVC_PUSH_STEP_H_

#include <algorithm>
#include <cstdint>
#include <memory>

#include "narrow_vectors.h"
#include "rans.h"
#include "token_vectors.h"

namespace nvc {
namespace {

inline constexpr int kWordsOfLane = 2;  // at most, of a step: for extra bits, then for the token
inline constexpr int kWordsPerStep = kWordsOfLane * kGroupLanes;

// Tables of which all are at hand for PushStep.
struct EncodingTables {
  explicit EncodingTables(const Tables& tables) : entries(new uint32_t[tables.n_rows() * kTokens + kTokensOfAny]) {
    const Tables::Entry* entry = tables.row(0);
    for (size_t i = 0; i < tables.n_rows() * kTokens; ++i, ++entry) {
      entries[i] = uint32_t{entry->frequency} | uint32_t{entry->start} << kWordBits;
    }
    std::fill_n(&entries[tables.n_rows() * kTokens], kTokensOfAny, 0);
  }

  std::unique_ptr<uint32_t[]> entries;  // frequency and start of each token
};

// Pushes an integer of each of 32 lanes, from that of the last one to the first. The stack must have room for
// kWordsPerStep words. Tells whether it did: where a token has no frequency, or more extra bits than a word, nothing is
// pushed.
NVC_VECTORIZE
bool PushStep(const EncodingTables& tables, const uint32_t* rows, const int32_t* values, uint32_t* states,
              PushStack& stack) {
  alignas(Integers) int32_t tokens[kGroupLanes], n_bits[kGroupLanes], extra[kGroupLanes];
  for (int lane = 0; lane < kGroupLanes; lane += kNarrow) {
    ToTokens(values + lane, tokens + lane, n_bits + lane, extra + lane);
  }
  alignas(Integers) uint32_t entries[kGroupLanes];
  int32_t last_token = 0;
  bool is_escaped = false;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    entries[lane] = tables.entries[rows[lane] * kTokens + static_cast<uint32_t>(tokens[lane])];
    last_token = std::max(last_token, tokens[lane]);
    is_escaped |= (entries[lane] & (kLowest - 1)) == 0;
  }
  if (is_escaped || last_token >= static_cast<int32_t>(kFirstLong)) return false;

  alignas(Integers) int32_t has_word[kWordsOfLane][kGroupLanes];
  alignas(Integers) uint32_t words[kWordsOfLane][kGroupLanes];
  const bool has_extra = last_token >= static_cast<int32_t>(kFirstExtra);
  for (int k = 0; k < kGroupLanes / kNarrow; ++k) {
    Unsigned state = (Unsigned)NVC_LOAD_INTEGERS(states + k * kNarrow);
    if (has_extra) {
      const Unsigned count = (Unsigned)NVC_LOAD_INTEGERS(n_bits + k * kNarrow);
      const Integers is_full = (state >> kWordBits >> (kWordBits - count)) != 0;
      NVC_STORE_INTEGERS(words[0] + k * kNarrow, (Integers)state);
      NVC_STORE_INTEGERS(has_word[0] + k * kNarrow, -is_full);
      state = is_full ? state >> kWordBits : state;
      state = state << count | (Unsigned)NVC_LOAD_INTEGERS(extra + k * kNarrow);
    }
    const Unsigned entry = (Unsigned)NVC_LOAD_INTEGERS(entries + k * kNarrow);
    const Unsigned frequency = entry & (kLowest - 1);
    const Integers is_full = (state >> (2 * kWordBits - kPrecision)) >= frequency;
    NVC_STORE_INTEGERS(words[1] + k * kNarrow, (Integers)state);
    NVC_STORE_INTEGERS(has_word[1] + k * kNarrow, -is_full);
    state = is_full ? state >> kWordBits : state;
    Integers quotient, rest;  // the quotient is below 2^20
    NVC_DIVIDE(state, frequency, quotient, rest);
    NVC_STORE_INTEGERS(states + k * kNarrow, (quotient << kPrecision) + rest + (Integers)(entry >> kWordBits));
  }
  uint16_t* top = stack.words + stack.top;
  for (int lane = kGroupLanes - 1; lane >= 0; --lane) {
    if (has_extra) {
      *top = static_cast<uint16_t>(words[0][lane]);
      top += has_word[0][lane];
    }
    *top = static_cast<uint16_t>(words[1][lane]);
    top += has_word[1][lane];
  }
  stack.top = top - stack.words;
  return true;
}

}  // namespace
}  // namespace nvc

#endif  // NVC_PUSH_STEP_H_
