// Lattice coder: items of a pass taken from a stream, the lanes of a group at once.
//
// The specification is programs.decode_reference in nvc_jax/lattice.

#ifndef NVC_LATTICE_READER_H_
#define NVC_LATTICE_READER_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "buffers.h"
#include "pop_step.h"

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

  const Tables& tables() const { return tables_; }
  const SlotTokens& slot_tokens() const { return slot_tokens_; }
  uint32_t row(uint16_t context) const { return rows_[context]; }

 private:
  Tables tables_;
  SlotTokens slot_tokens_;
  std::vector<uint32_t> rows_;
};

// Takes the items of passes from a stream.
class Reader {
 public:
  Reader(U16& words, S32& group_words, const S32& n_lanes, const U16& frequencies, const S32& rows, int n_contexts)
      : n_lanes_(LanesOfStream(n_lanes, static_cast<int64_t>(group_words.element_count()))),
        tables_(frequencies, rows, n_contexts), groups_(OpenGroups(words, group_words, n_lanes_)) {}

  // Takes a pass, given the contexts of its items.
  void TakePass(const uint16_t* contexts, int64_t n, int32_t* items) {
    for (int64_t first = 0; first < n; first += n_lanes_) {
      for (size_t group = 0; group < groups_.size(); ++group) {
        const int64_t lane = static_cast<int64_t>(group) * kGroupLanes, item = first + lane;
        const auto count = static_cast<int>(std::clamp<int64_t>(std::min(n - item, n_lanes_ - lane), 0, kGroupLanes));
        auto& [states, stack] = groups_[group];
        uint32_t rows[kGroupLanes];
        for (int i = 0; i < count; ++i) rows[i] = tables_.row(contexts[item + i]);
        PopIntegersOfLanes(tables_.tables(), tables_.slot_tokens(), rows, count, states, stack, items + item);
      }
    }
  }

 private:
  int64_t n_lanes_;
  ContextTables tables_;
  std::vector<GroupReader> groups_;
};

}  // namespace
}  // namespace nvc

#endif  // NVC_LATTICE_READER_H_
