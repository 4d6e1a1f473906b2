// The walk of the label coder through a volume, slice by slice, in batches of items whose intervals are known.
//
// The specification is nvc_jax/entropy/label_walk.py. What is known around the items of a pass does not depend on the
// items: only the candidates of those that differ from the slice before may, and they are found one by one.

#ifndef NVC_LABEL_WALK_H_
#define NVC_LABEL_WALK_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "label_contexts.h"

namespace nvc {
namespace {

constexpr int kBatch = 128;
// Marks of an item: beside its context, that its label differs from the one before; and that it does not exist.
constexpr uint16_t kDiffers = 1u << 15;
constexpr uint16_t kNoItem = kDiffers - 1;
static_assert(kNarrowContexts <= kNoItem);

struct Sides {
  int32_t depth, height, width;  // of the arrays, whole blocks
  int32_t valid_depth, valid_height, valid_width;

  int64_t slice() const { return int64_t{height} * width; }
};

// Ends of the intervals of an item's first three symbols; that of the fourth ends with the whole.
struct Ends {
  uint32_t of[3];

  uint32_t Start(int symbol) const { return symbol == 0 ? 0 : of[symbol - 1]; }
  uint32_t Stop(int symbol) const { return symbol == 3 ? kWhole : of[symbol]; }
};

// A voxel that differs from the slice before: its candidates after that one's label, and their contexts.
struct Change {
  int32_t y, x;
  uint8_t label, candidates[3];
  int symbol, contexts[2];
};

// Contexts that occur in a batch, with their probabilities and how often they occur.
class BatchContexts {
 public:
  BatchContexts() : places_(kDiffers) {}

  void Start() {
    size_ = 0;
    if (++batch_ >> 24 == 0) return;
    batch_ = 1;
    std::fill(places_.begin(), places_.end(), 0);
  }

  // Finds the place of a context, which is new if it did not occur; then `find_end` gets the broad context, too.
  template <typename FindEnd>
  int Find(uint16_t context, const FindEnd& find_end) {
    const uint32_t place = places_[context];
    return place >> 8 == batch_ ? static_cast<int>(place & 255) : Add(context, find_end);
  }

  uint32_t end(int place) const { return ends_[place]; }

  // Counts item `item` of the batch: in turn in several arrays, so that it need not wait for the one before.
  void Count(int item, int place, bool differs) { ++counts_[item % kTurns][2 * place + differs]; }

  // Gives each context with the broad one, how many items are the same as before, and how many differ.
  template <typename Use>
  void ForEach(Use use) const {
    for (int place = 0; place < size_; ++place) {
      if (contexts_[place] == kNoItem) continue;
      uint32_t same = 0, differ = 0;
      for (const auto& counts : counts_) same += counts[2 * place], differ += counts[2 * place + 1];
      use(contexts_[place], broad_[place], ends_[place], same, differ);
    }
  }

 private:
  // Not inlined, so that the loop over the items needs few registers.
  template <typename FindEnd>
  [[gnu::noinline]] int Add(uint16_t context, const FindEnd& find_end) {
    contexts_[size_] = context;
    if (context == kNoItem) {
      ends_[size_] = kWhole;
    } else {
      const BroadContext broad(context);
      broad_[size_] = broad.context;
      ends_[size_] = find_end(context, broad);
    }
    for (auto& counts : counts_) counts[2 * size_] = counts[2 * size_ + 1] = 0;
    places_[context] = batch_ << 8 | static_cast<uint32_t>(size_);
    return size_++;
  }

  static constexpr int kTurns = 4;
  static_assert(kBatch <= 256);

  uint32_t batch_ = 0;
  int size_ = 0;
  std::vector<uint32_t> places_;  // the batch in which a context was last, and its place there
  std::array<uint16_t, kBatch> contexts_;
  std::array<int, kBatch> broad_;
  std::array<uint32_t, kBatch> ends_;
  std::array<std::array<uint32_t, 2 * kBatch>, kTurns> counts_;
};

// Goes through a volume. `Coder` encodes labels that it has, or decodes them:
//   kEncodes: whether it knows labels beforehand;
//   StartBatch(n), EndBatch();
//   Flag(z, y, x, end): codes whether a block differs, with the end of the interval of those that do not;
//   AddDifferences(z, y, x, label, row): adds kDiffers for the voxels of a row that differ, if it encodes;
//   Same(end, differs): codes whether a voxel has another label than before, and returns that;
//   Symbol(z, ends, change): of more than two labels codes which other one a voxel has, right after that;
//   Weigh(frequency, n): counts the bits of n intervals, if it encodes; and
//   EndSlice(z, plane): takes the labels of a slice.
template <typename Coder>
class Walk {
 public:
  Walk(const Sides& sides, const bool* repeats, int32_t n_labels, Coder& coder)
      : sides_(sides), repeats_(repeats), n_labels_(n_labels), coder_(coder), passes_(MakePasses()),
        starting_(MakeStarting()), rows_(sides.height / kBlock), columns_(sides.width / kBlock),
        earlier_(sides.valid_height, sides.valid_width), before_(earlier_), current_(earlier_),
        flags_(rows_ * columns_), differed_(flags_) {}

  void Run() {
    for (int32_t z = 0; z < sides_.valid_depth; ++z) {
      CodeFlags(z);
      for (size_t i = 0; i < blocks_.size(); ++i) FindEarlier(i);
      for (const Pass& pass : passes_) CodePass(z, pass);
      coder_.EndSlice(z, current_);
      std::swap(earlier_, before_);
      before_ = current_;
    }
  }

 private:
  bool IsValid(int32_t y, int32_t x) const { return y < sides_.valid_height && x < sides_.valid_width; }

  void CodeFlags(int32_t z) {
    std::swap(flags_, differed_);
    std::fill(flags_.begin(), flags_.end(), 0);
    blocks_.clear();
    if (repeats_[z]) return;
    const int32_t n_blocks = rows_ * columns_;
    for (int32_t first = 0; first < n_blocks; first += kBatch) {
      const int n = std::min(n_blocks - first, kBatch);
      uint32_t n_flags[kFlagContexts] = {}, n_set[kFlagContexts] = {}, ends[kFlagContexts];
      for (int k = 0; k < kFlagContexts; ++k) {
        ends[k] = kWhole - Clip(counts_.Probability(kFlag + k, kStartingFlag, 1));
      }
      coder_.StartBatch(n);
      for (int32_t block = first; block < first + n; ++block) {
        const int32_t row = block / columns_, column = block % columns_, y = row * kBlock, x = column * kBlock;
        if (!IsValid(y, x)) {
          coder_.Flag(z, y, x, kWhole);
          continue;
        }
        const int context = FlagContext(row, column);
        const bool is_set = coder_.Flag(z, y, x, ends[context]);
        ++n_flags[context], n_set[context] += is_set;
        if (!is_set) continue;
        flags_[block] = 1;
        blocks_.push_back({y, x});
      }
      coder_.EndBatch();
      for (int k = 0; k < kFlagContexts; ++k) counts_.Learn(kFlag + k, n_flags[k], n_set[k]);
    }
  }

  int FlagContext(int32_t row, int32_t column) const {
    const auto at = [&](int32_t r, int32_t c) {
      return r >= 0 && r < rows_ && c >= 0 && c < columns_ ? differed_[r * columns_ + c] : 0;
    };
    const int around = at(row - 1, column) + at(row + 1, column) + at(row, column - 1) + at(row, column + 1);
    return (before_.IsUniform(row * kBlock, column * kBlock) * 2 + at(row, column)) * 5 + around;
  }

  // Finds what the slices before tell of the voxels of a block.
  void FindEarlier(size_t block) {
    of_earlier_.resize(std::max(of_earlier_.size(), blocks_.size() * kBlock * kBlock));
    const auto& [y, x] = blocks_[block];
    uint8_t* contexts = of_earlier_.data() + block * kBlock * kBlock;
    for (int32_t k = 0; k < std::min(kBlock, sides_.valid_height - y); ++k) {
      const Labels row = EarlierContexts(before_, earlier_, y + k, x);
      std::memcpy(contexts + k * kBlock, &row, sizeof row);
    }
  }

  // Finds the contexts of the items of a block.
  void FindContexts(int32_t z, const Pass& pass, size_t block, uint16_t* contexts) const {
    const auto& [block_y, x] = blocks_[block];
    const uint8_t* of_earlier = of_earlier_.data() + block * kBlock * kBlock;
    const int n_valid = std::min(kBlock, sides_.valid_width - x);
    for (const auto& [start_y, start_x] : pass.starts) {
      for (int dy = start_y; dy < kBlock; dy += pass.stride, contexts += pass.of_row()) {
        const int32_t y = block_y + dy;
        if (y >= sides_.valid_height) {
          std::fill_n(contexts, pass.of_row(), kNoItem);
          continue;
        }
        const Labels label = LoadLabels(before_.row(y) + x);
        Contexts row;
        NarrowContexts(current_, label, pass, y, x, of_earlier + dy * kBlock, row);
        if constexpr (Coder::kEncodes) coder_.AddDifferences(z, y, x, label, row);
        uint16_t each[kBlock];
        std::memcpy(each, &row, sizeof row);
        std::fill(each + n_valid, each + kBlock, kNoItem);
        for (int k = 0; k < pass.of_row(); ++k) contexts[k] = each[start_x + k * pass.stride];
      }
    }
  }

  void CodePass(int32_t z, const Pass& pass) {
    const size_t size = pass.size(), count = blocks_.size() * size;
    contexts_.resize(std::max(contexts_.size(), count));
    for (size_t block = 0; block < blocks_.size(); ++block) {
      FindContexts(z, pass, block, contexts_.data() + block * size);
    }
    for (size_t first = 0; first < count; first += kBatch) {
      CodeBatch(z, pass, first, static_cast<int>(std::min<size_t>(count - first, kBatch)));
    }
  }

  void CodeBatch(int32_t z, const Pass& pass, size_t first, int n) {
    const auto find_end = [this](int narrow, const BroadContext& broad) { return FindEnd(narrow, broad); };
    batch_.Start();
    coder_.StartBatch(n);
    int n_changes = 0;
    for (int i = 0; i < n; ++i) {
      const uint16_t item = contexts_[first + i];
      const int place = batch_.Find(item & kNoItem, find_end);
      const bool differs = coder_.Same(batch_.end(place), (item & kDiffers) != 0);
      batch_.Count(i, place, differs);
      if (differs) CodeChange(z, pass, first + i, batch_.end(place), changes_[n_changes++]);
    }
    batch_.ForEach([&](uint16_t context, int broad, uint32_t end, uint32_t same, uint32_t differ) {
      coder_.Weigh(end, same);
      if (n_labels_ <= 2) coder_.Weigh(kWhole - end, differ);
      counts_.Learn(kOfNarrow + context, same + differ, differ);
      counts_.Learn(broad, same + differ, differ);
    });
    coder_.EndBatch();
    for (int i = 0; i < n_changes; ++i) {
      const Change& change = changes_[i];
      current_.Set(change.y, change.x, change.label);
      if (n_labels_ <= 2) continue;
      counts_.Learn(change.contexts[0], 1, change.symbol > 1);
      if (change.symbol > 1) counts_.Learn(change.contexts[1], 1, change.symbol > 2);
    }
  }

  // Finds the end of the interval of the voxels of a narrow context that have the label of the slice before.
  uint32_t FindEnd(int narrow, const BroadContext& broad) const {
    const uint32_t start = counts_.Probability(broad.context, starting_[broad.starting], 1);
    return kWhole - Clip(counts_.Probability(kOfNarrow + narrow, start, kNarrowWeight));
  }

  // Codes the label of a voxel that differs from the slice before.
  [[gnu::noinline]] void CodeChange(int32_t z, const Pass& pass, size_t item, uint32_t end, Change& change) {
    const size_t size = pass.size();
    const auto& [block_y, block_x] = blocks_[item / size];
    const auto [dy, dx] = pass.Place(static_cast<int>(item % size));
    change.y = block_y + dy, change.x = block_x + dx;
    const uint8_t label = before_.row(change.y)[change.x];
    if (n_labels_ <= 2) {
      change.symbol = 1;
      change.label = static_cast<uint8_t>(1 - label);
      return;
    }
    uint8_t neighbours[2 * kNeighbours];
    Around(current_, change, pass.distance, neighbours);
    Around(before_, change, 1, neighbours + kNeighbours);
    change.candidates[0] = label;
    change.contexts[0] = kSecond + FindCandidate(neighbours, pass.known, change.candidates, 1);
    change.contexts[1] = kThird + FindCandidate(neighbours, pass.known, change.candidates, 2);
    const uint32_t differ = kWhole - end;
    const uint32_t second = 1 + ((differ - 3) * (kWhole - Wrong(change.contexts[0])) >> kWordBits);
    const uint32_t rest = differ - second;
    const uint32_t third = 1 + ((rest - 2) * (kWhole - Wrong(change.contexts[1])) >> kWordBits);
    coder_.Symbol(z, {{end, end + second, end + second + third}}, change);
  }

  uint32_t Wrong(int context) const { return std::min(counts_.Probability(context, kWhole / 2, 1), kWhole - 1); }

  static void Around(const Plane& plane, const Change& change, int distance, uint8_t* neighbours) {
    for (int k = 0; k < kNeighbours; ++k) {
      neighbours[k] = plane.row(change.y + kDy[k] * distance)[change.x + kDx[k] * distance];
    }
  }

  // Finds the next candidate after `n`; returns its context.
  static int FindCandidate(const uint8_t* neighbours, int known, uint8_t* candidates, int n) {
    const auto is_taken = [&](uint8_t label) {
      return label == candidates[0] || (n == 2 && label == candidates[1]);
    };
    uint8_t smallest = 0;
    for (int round = 0; round < n; ++round) smallest = static_cast<uint8_t>(smallest + is_taken(smallest));
    uint8_t candidate = smallest;
    for (int k = 0; k < 2 * kNeighbours; ++k) {
      if (!is_taken(neighbours[k])) {
        candidate = neighbours[k];
        break;
      }
    }
    candidates[n] = candidate;
    int here = 0, before = 0;
    for (int k = 0; k < kNeighbours; ++k) {
      here += neighbours[k] == candidate;
      before += neighbours[kNeighbours + k] == candidate;
    }
    return (known * 9 + here) * 9 + before;
  }

  Sides sides_;
  const bool* repeats_;
  int32_t n_labels_;
  Coder& coder_;
  std::vector<Pass> passes_;
  std::array<uint32_t, kClasses * 9> starting_;
  int32_t rows_, columns_;
  Plane earlier_, before_, current_;
  std::vector<uint8_t> flags_, differed_;
  std::vector<std::array<int32_t, 2>> blocks_;  // those that differ: y and x
  std::vector<uint8_t> of_earlier_;
  std::vector<uint16_t> contexts_;
  Counts counts_;
  BatchContexts batch_;
  std::array<Change, kBatch> changes_;
};

}  // namespace
}  // namespace nvc

#endif  // NVC_LABEL_WALK_H_
