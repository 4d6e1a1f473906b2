// rANS coder: the steps of one lane, and the stack of words that the lanes of a group share.
//
// The specification is nvc_jax/entropy/rans.py. Every function here does for one lane what that module does for
// all lanes at once, in the order in which a group's lanes take turns: see nvc_jax/entropy/word_stack.py.

#ifndef NVC_RANS_H_
#define NVC_RANS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace nvc {

inline constexpr int kGroupLanes = 32;
inline constexpr int kWordBits = 16;
inline constexpr uint32_t kLowest = 1u << kWordBits;

inline constexpr int kPrecision = 12;
inline constexpr uint32_t kSlots = 1u << kPrecision;
inline constexpr int kTokens = 64;
inline constexpr uint32_t kEscape = kTokens - 1;
inline constexpr int kEscapeBits = 24;
inline constexpr uint32_t kSmallMagnitudes = 9;
inline constexpr uint32_t kSmallTokens = 2 * kSmallMagnitudes - 1;
// Tokens from which on integers have extra bits, and more of them than a word.
inline constexpr uint32_t kFirstExtra = kSmallTokens + 2;
inline constexpr uint32_t kFirstLong = kSmallTokens + 2 * (kWordBits + 1);

// An integer as a token and extra bits.
struct Token {
  uint32_t token;
  uint32_t extra;
  uint32_t n_bits;
};

inline Token ToToken(int32_t value) {
  const uint32_t magnitude = value < 0 ? 0u - static_cast<uint32_t>(value) : static_cast<uint32_t>(value);
  const uint32_t is_negative = value < 0;
  if (magnitude < kSmallMagnitudes) return {2 * magnitude - is_negative, 0, 0};
  const uint32_t beyond = magnitude - (kSmallMagnitudes - 1);
  const uint32_t n_bits = 31 - static_cast<uint32_t>(__builtin_clz(beyond));
  return {kSmallTokens + 1 + 2 * n_bits - is_negative, beyond - (1u << n_bits), n_bits};
}

inline uint32_t ExtraBits(uint32_t token) {
  if (token < kSmallTokens) return 0;
  return token == kEscape ? kEscapeBits : (token - kSmallTokens) >> 1;
}

inline int32_t FromToken(uint32_t token, uint32_t extra) {
  if (token == kEscape) return static_cast<int32_t>(extra) - (1 << (kEscapeBits - 1));
  const uint32_t magnitude = token < kSmallTokens
                                 ? (token + 1) >> 1
                                 : (1u << ExtraBits(token)) + extra + (kSmallMagnitudes - 1);
  const auto positive = static_cast<int32_t>(magnitude);
  return token & 1 ? -positive : positive;
}

// Frequency tables: for each token its frequency, and the first of its slots.
class Tables {
 public:
  struct Entry {
    uint16_t frequency;
    uint16_t start;
  };

  // `frequencies` has 64 columns. A row that does not sum to kSlots, as of a damaged model, is cut to fit.
  Tables(const uint16_t* frequencies, size_t n_rows) : n_rows_(n_rows), entries_(new Entry[n_rows * kTokens]) {
    for (size_t row = 0; row < n_rows; ++row) {
      uint32_t starts[kTokens + 1];
      starts[0] = 0;
      for (int token = 0; token < kTokens; ++token) starts[token + 1] = starts[token] + frequencies[row * kTokens + token];
      for (uint32_t& start : starts) start = start < kSlots ? start : kSlots;
      for (int token = 0; token < kTokens; ++token) {
        entries_[row * kTokens + token] = {static_cast<uint16_t>(starts[token + 1] - starts[token]),
                                           static_cast<uint16_t>(starts[token])};
      }
    }
  }

  size_t n_rows() const { return n_rows_; }
  // A row that exists.
  uint16_t Row(size_t row) const { return static_cast<uint16_t>(std::min(row, n_rows_ - 1)); }
  const Entry* row(size_t row) const { return &entries_[std::min(row, n_rows_ - 1) * kTokens]; }

 private:
  size_t n_rows_;
  std::unique_ptr<Entry[]> entries_;
};

// Token of each slot of a few tables, computed when a table is first used.
class SlotTokens {
 public:
  explicit SlotTokens(const Tables& tables)
      : tables_(tables), is_ready_(tables.n_rows()), tokens_(tables.n_rows() * kSlots) {}

  // Gets a row that exists ready; returns its number.
  uint32_t Prepare(size_t row) {
    row = std::min(row, tables_.n_rows() - 1);
    if (!is_ready_[row]) {
      Fill(tables_.row(row), &tokens_[row * kSlots]);
      is_ready_[row] = 1;
    }
    return static_cast<uint32_t>(row);
  }
  // Gets rows that exist ready: those of a step together, as they mostly are.
  void PrepareAll(const uint32_t* rows, int count) {
    const uint8_t* is_ready = is_ready_.data();
    uint32_t are_ready = 1;
    for (int i = 0; i < count; ++i) are_ready &= is_ready[rows[i]];
    if (are_ready) return;
    for (int i = 0; i < count; ++i) Prepare(rows[i]);
  }
  const uint8_t* prepared(uint32_t row) const { return &tokens_[row * kSlots]; }
  const uint8_t* row(size_t row) { return prepared(Prepare(row)); }

 private:
  static void Fill(const Tables::Entry* entries, uint8_t* tokens) {
    for (int token = 0; token < kTokens; ++token) {
      std::fill_n(tokens + entries[token].start, entries[token].frequency, static_cast<uint8_t>(token));
    }
  }

  const Tables& tables_;
  std::vector<uint8_t> is_ready_;
  std::vector<uint8_t> tokens_;
};

// Finds the token of a slot without SlotTokens, for tables that are used seldom.
inline uint32_t FindToken(const Tables::Entry* entries, uint32_t slot) {
  uint32_t token = 0;
  while (token < kTokens - 1 && entries[token].start + uint32_t{entries[token].frequency} <= slot) ++token;
  return token;
}

// The words of a group while it is decoded; words below the first are 0.
struct PopStack {
  const uint16_t* words;
  int32_t capacity;
  int32_t top;

  uint32_t Take() {
    --top;
    return top < 0 ? 0u : words[std::min(top, capacity - 1)];
  }
};

// The words of a group while it is encoded. What does not fit is counted and dropped.
struct PushStack {
  uint16_t* words;
  int64_t capacity;
  int64_t top;

  void Append(uint32_t state) {
    if (top < capacity) words[top] = static_cast<uint16_t>(state);
    ++top;
  }
};

inline void Refill(uint32_t& state, PopStack& stack) {
  if (state < kLowest) state = state << kWordBits | stack.Take();
}

// Takes the part of a token out of a state; the state may be too low afterwards.
inline void RemoveToken(uint32_t& state, Tables::Entry entry) {
  state = entry.frequency * (state >> kPrecision) + (state & (kSlots - 1)) - entry.start;
}

inline uint32_t PopBits(uint32_t& state, uint32_t n_bits, PopStack& stack) {
  const uint32_t bits = state & ((1u << n_bits) - 1);
  state >>= n_bits;
  Refill(state, stack);
  return bits;
}

inline uint32_t PopToken(uint32_t& state, const Tables::Entry* entries, PopStack& stack) {
  const uint32_t token = FindToken(entries, state & (kSlots - 1));
  RemoveToken(state, entries[token]);
  Refill(state, stack);
  return token;
}

// Takes the extra bits of a token and makes its integer.
inline int32_t PopExtra(uint32_t& state, uint32_t token, PopStack& stack) {
  if (token < kSmallTokens + 2) return FromToken(token, 0);  // tokens with at most 0 extra bits
  const uint32_t n_bits = ExtraBits(token);
  const uint32_t n_low = std::min<uint32_t>(n_bits, kWordBits);
  uint32_t extra = PopBits(state, n_low, stack);
  if (n_bits > n_low) extra |= PopBits(state, n_bits - n_low, stack) << kWordBits;
  return FromToken(token, extra);
}

inline int32_t PopInteger(uint32_t& state, const Tables::Entry* entries, PopStack& stack) {
  return PopExtra(state, PopToken(state, entries, stack), stack);
}

// As PopInteger, with the tokens of all slots at hand.
inline int32_t PopInteger(uint32_t& state, const Tables::Entry* entries, const uint8_t* slot_tokens,
                          PopStack& stack) {
  const uint32_t token = slot_tokens[state & (kSlots - 1)];
  RemoveToken(state, entries[token]);
  Refill(state, stack);
  return PopExtra(state, token, stack);
}

inline void PushBits(uint32_t& state, uint32_t bits, uint32_t n_bits, PushStack& stack) {
  if (n_bits == 0) return;
  if (state >> kWordBits >> (kWordBits - n_bits) > 0) {
    stack.Append(state);
    state >>= kWordBits;
  }
  state = state << n_bits | (bits & ((1u << n_bits) - 1));
}

inline void PushToken(uint32_t& state, Tables::Entry entry, PushStack& stack) {
  const uint32_t frequency = std::max<uint32_t>(entry.frequency, 1);
  if (state >> (2 * kWordBits - kPrecision) >= frequency) {
    stack.Append(state);
    state >>= kWordBits;
  }
  const uint32_t quotient = state / frequency;
  state = (quotient << kPrecision) + (state - quotient * frequency) + entry.start;
}

inline void PushInteger(uint32_t& state, int32_t value, const Tables::Entry* entries, PushStack& stack) {
  Token token = ToToken(value);
  if (entries[token.token].frequency == 0) {
    token = {kEscape, static_cast<uint32_t>(value + (1 << (kEscapeBits - 1))), kEscapeBits};
  }
  if (token.n_bits > 0) {
    const uint32_t n_low = std::min<uint32_t>(token.n_bits, kWordBits);
    PushBits(state, token.extra >> kWordBits, token.n_bits - n_low, stack);
    PushBits(state, token.extra, n_low, stack);
  }
  PushToken(state, entries[token.token], stack);
}

// Takes the initial states of a group's lanes from the end of its words.
inline void StartGroup(uint32_t* states, int n_lanes, PopStack& stack) {
  for (int lane = 0; lane < n_lanes; ++lane) {
    const uint32_t low = stack.Take();
    states[lane] = low | stack.Take() << kWordBits;
  }
}

// Appends the final states of a group's lanes.
inline void FinishGroup(const uint32_t* states, int n_lanes, PushStack& stack) {
  for (int lane = n_lanes - 1; lane >= 0; --lane) {
    stack.Append(states[lane] >> kWordBits);
    stack.Append(states[lane]);
  }
}

// Lanes of group `group` of a stream.
inline int LanesOfGroup(int64_t n_lanes, int64_t group) {
  return static_cast<int>(std::clamp<int64_t>(n_lanes - group * kGroupLanes, 0, kGroupLanes));
}

inline int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace nvc

#endif  // NVC_RANS_H_
