// Lattice coder: items pushed onto a stream, the lanes of a group at once.
//
// The specification is programs.push_reference in nvc_jax/lattice. A step of a group pushes an item of each of its
// lanes. Tokens and states are computed for all lanes in vectors; then the words are appended, from the last
// lane to the first.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "buffers.h"
#include "token_vectors.h"
#include "narrow_vectors.h"

namespace nvc {
namespace {

constexpr int kVectors = kGroupLanes / kNarrow;
constexpr int kMostContexts = 1 << 16;
constexpr int kWordsPerLane = 2;  // of a step in vectors: extra bits, then the token


// Contexts and tables of a stream.
struct Coding {
  Coding(const S32& rows, const U16& frequencies) : tables(frequencies.typed_data(), Rows(frequencies)) {
    const auto n_contexts = std::min<size_t>(rows.element_count(), kMostContexts);
    const auto first_entry = [&](size_t context) {
      return static_cast<uint32_t>(tables.row(rows.typed_data()[context]) - tables.row(0));
    };
    // Contexts that there are not are like the last.
    first_entries.resize(kMostContexts, first_entry(n_contexts - 1));
    for (size_t context = 0; context < n_contexts; ++context) first_entries[context] = first_entry(context);
    const Tables::Entry* entry = tables.row(0);
    for (size_t i = 0; i < tables.n_rows() * kTokens; ++i, ++entry) {
      entries[i] = uint32_t{entry->frequency} | uint32_t{entry->start} << kWordBits;
    }
  }

  const Tables::Entry* table(uint16_t context) const { return tables.row(0) + first_entries[context]; }

  Tables tables;
  std::vector<uint32_t> first_entries;  // of each context's table
  // Frequency and start of each token.
  std::vector<uint32_t> entries = std::vector<uint32_t>(tables.n_rows() * kTokens + kTokensOfAny);
};

// Pushes items one by one, from that of the last lane to the first.
void PushSlowly(const Coding& coding, const uint16_t* contexts, const int32_t* values, int n_lanes, uint32_t* states,
                PushStack& stack) {
  for (int lane = n_lanes - 1; lane >= 0; --lane) {
    PushInteger(states[lane], values[lane], coding.table(contexts[lane]), stack);
  }
}

// Pushes an item of each of 32 lanes; the stack has room for them.
NVC_VECTORIZE
void PushStep(const Coding& coding, const uint16_t* contexts, const int32_t* values, uint32_t* states,
              PushStack& stack) {
  alignas(Integers) int32_t tokens[kGroupLanes], n_bits[kGroupLanes], extra[kGroupLanes];
  for (int lane = 0; lane < kGroupLanes; lane += kNarrow)
    ToTokens(values + lane, tokens + lane, n_bits + lane, extra + lane);
  alignas(Integers) uint32_t entries[kGroupLanes];
  int32_t last_token = 0;
  bool is_escaped = false;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    entries[lane] = coding.entries[coding.first_entries[contexts[lane]] + static_cast<uint32_t>(tokens[lane])];
    last_token = std::max(last_token, tokens[lane]);
    is_escaped |= (entries[lane] & (kLowest - 1)) == 0;
  }
  if (is_escaped || last_token >= static_cast<int32_t>(kFirstLong)) {
    PushSlowly(coding, contexts, values, kGroupLanes, states, stack);
    return;
  }

  alignas(Integers) int32_t has_word[kWordsPerLane][kGroupLanes];
  alignas(Integers) uint32_t words[kWordsPerLane][kGroupLanes];
  const bool has_extra = last_token >= static_cast<int32_t>(kFirstExtra);
  for (int k = 0; k < kVectors; ++k) {
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
    // The quotient is below 2^20: in floats it is off by at most 1.
    const Floats ratio =
        __builtin_convertvector(state, Floats) / __builtin_convertvector((Integers)frequency, Floats);
    Integers quotient = __builtin_convertvector(ratio, Integers);
    Integers rest = (Integers)(state - (Unsigned)quotient * frequency);
    const Integers is_above = rest < 0;
    quotient += is_above;
    rest += is_above & (Integers)frequency;
    const Integers is_below = rest >= (Integers)frequency;
    quotient -= is_below;
    rest -= is_below & (Integers)frequency;
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
  int64_t end = n_items;
  for (auto pass = static_cast<int64_t>(counts.element_count()) - 1; pass >= 0; --pass) {
    const int64_t count = std::max(counts.typed_data()[pass], 0);
    end -= count;
    for (int64_t step = CeilDivide(count, n_lanes) - 1; step >= 0; --step) {
      for (size_t group = writers.size(); group-- > 0;) {
        auto& [states, stack] = writers[group];
        const int64_t lane = static_cast<int64_t>(group) * kGroupLanes, item = step * n_lanes + lane;
        const auto n = static_cast<int>(std::clamp<int64_t>(std::min(count - item, n_lanes - lane), 0, kGroupLanes));
        if (n == kGroupLanes && stack.top + kWordsPerLane * kGroupLanes <= stack.capacity) {
          PushStep(coding, contexts.typed_data() + end + item, values.typed_data() + end + item, states, stack);
        } else {
          PushSlowly(coding, contexts.typed_data() + end + item, values.typed_data() + end + item, n, states, stack);
        }
      }
    }
  }
  return JoinGroups(n_lanes, writers, words, group_words);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_lattice_push, Push,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<U16>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<U16>()
                                  .Ret<U16>().Ret<S32>());

}  // namespace nvc
