// A step of the rANS decoder: an integer of each of a group's 32 lanes at once.
//
// It equals PopInteger of rans.h for one lane after the other. States are computed for all lanes in vectors, as which
// lanes need words does not depend on the words.

#ifndef NVC_POP_STEP_H_
#define NVC_POP_STEP_H_

#include <algorithm>
#include <cstdint>

#include "narrow_vectors.h"
#include "rans.h"

namespace nvc {
namespace {

// Words of a step at most: for the token of each lane, then for its extra bits.
inline constexpr int kWordsOfPopStep = 2 * kGroupLanes;

// What PopStep looks up: entries of all tables, and tokens of all slots of the tables in use.
struct DecodingTables {
  const Tables::Entry* entries;
  const uint8_t* tokens;
};

// Tells whether a stack has the words of a step, and one that is read in vain.
inline bool HasWordsOfStep(const PopStack& stack) {
  return stack.top > kWordsOfPopStep && stack.top <= stack.capacity;
}

// Takes an integer from each of 32 lanes; the stack must have the words of a step. Tells whether it did: where an
// integer has more extra bits than a word, nothing is taken.
NVC_VECTORIZE
bool PopStep(const DecodingTables& tables, const uint32_t* rows, uint32_t* states, PopStack& stack, int32_t* items) {
  alignas(Integers) int32_t tokens[kGroupLanes], frequencies[kGroupLanes], starts[kGroupLanes];
  int32_t last_token = 0;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    const uint32_t row = rows[lane];
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

// Takes an integer from each active lane, given rows of tables that exist and are prepared.
inline void PopIntegersOfLanes(const Tables& tables, const SlotTokens& slot_tokens, const uint32_t* rows, int active,
                               uint32_t* states, PopStack& stack, int32_t* integers) {
  const DecodingTables decoding{tables.row(0), slot_tokens.prepared(0)};
  if (active == kGroupLanes && HasWordsOfStep(stack) && PopStep(decoding, rows, states, stack, integers)) return;
  for (int lane = 0; lane < active; ++lane) {
    integers[lane] = PopInteger(states[lane], tables.row(rows[lane]), slot_tokens.prepared(rows[lane]), stack);
  }
}

}  // namespace
}  // namespace nvc

#endif  // NVC_POP_STEP_H_
