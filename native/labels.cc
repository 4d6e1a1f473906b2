// Label coder: the labels of a volume, slice by slice, in batches of items whose intervals are known.
//
// The specification is nvc_jax/entropy: label_coding.py, label_walk.py, label_contexts.py and intervals.py. Words
// and labels are equal bit for bit.

#include <algorithm>
#include <array>
#include <vector>

#include "buffers.h"

namespace nvc {
namespace {

constexpr int kBlock = 16;
constexpr int kBatch = 128;
constexpr int kClasses = 4;
constexpr int kNeighbours = 8;
constexpr uint32_t kWhole = 1u << kWordBits;
constexpr std::array<int, kNeighbours> kDy = {-1, 1, 0, 0, -1, -1, 1, 1};
constexpr std::array<int, kNeighbours> kDx = {0, 0, -1, 1, -1, 1, -1, 1};
constexpr std::array<int, kClasses> kKnown = {0, 4, 4, 8};
constexpr std::array<uint32_t, kClasses> kStarting = {13107, 6554, 3277, 1311};
constexpr uint32_t kMost = 58982;
constexpr uint32_t kStartingFlag = 19661;
constexpr uint32_t kNarrowWeight = 4;
constexpr int kCountBits = 15;

constexpr int kBroad = 0;
constexpr int kNarrow = kBroad + kClasses * 9 * 9 * 4;
constexpr int kSecond = kNarrow + kClasses * 16 * 5 * 5 * 5 * 4;
constexpr int kThird = kSecond + kClasses * 9 * 9;
constexpr int kFlag = kThird + kClasses * 9 * 9;
constexpr int kContexts = kFlag + 2 * 2 * 5;

constexpr float kUnitsPerLane = 16 * 2400;  // 1/16 bits
constexpr float kItemsPerLane = 16384;

// Voxels of a block that are coded together.
struct Pass {
  int distance;
  int known;
  std::vector<std::array<int, 2>> positions;
};

std::vector<Pass> MakePasses() {
  const auto pass_of = [](int distance, int known, std::vector<std::array<int, 2>> starts, int stride) {
    Pass pass{distance, known, {}};
    for (const auto& [y, x] : starts) {
      for (int i = 0; i < kBlock; i += stride) {
        for (int j = 0; j < kBlock; j += stride) pass.positions.push_back({y + i, x + j});
      }
    }
    return pass;
  };
  std::vector<Pass> passes = {pass_of(1, 0, {{0, 0}}, kBlock)};
  for (int d : {8, 4, 2}) {
    passes.push_back(pass_of(d, 1, {{d, d}}, 2 * d));
    passes.push_back(pass_of(d, 2, {{0, d}, {d, 0}}, 2 * d));
  }
  passes.push_back(pass_of(1, 1, {{1, 1}}, 2));
  passes.push_back(pass_of(1, 2, {{0, 1}}, 2));
  passes.push_back(pass_of(1, 3, {{1, 0}}, 2));
  return passes;
}

// Answers in each context.
class Counts {
 public:
  Counts() : totals_(kContexts), ones_(kContexts) {}

  uint32_t Probability(int context, uint32_t start, uint32_t weight) const {
    uint32_t total = totals_[context], ones = ones_[context];
    const int n_bits = total == 0 ? 0 : 32 - __builtin_clz(total);
    const int shift = std::max(n_bits - kCountBits, 0);
    total >>= shift, ones >>= shift;
    return ((ones << kWordBits) + weight * start) / (total + weight);
  }
  void Learn(int context, bool answer) {
    ++totals_[context];
    ones_[context] += answer;
  }

 private:
  std::vector<uint32_t> totals_, ones_;
};

uint32_t Clip(uint32_t probability) { return std::clamp<uint32_t>(probability, 3, kWhole - 3); }

// An item of a batch.
struct Item {
  uint32_t ends[3];
  uint8_t candidates[3];
  bool is_valid;
  int32_t z, y, x;
  int32_t contexts[4];  // broad, narrow, of the second and of the third candidate

  void MakeCertain() {
    std::fill_n(ends, 3, kWhole);
    is_valid = false;
  }
  uint32_t Start(int symbol) const { return symbol == 0 ? 0 : ends[symbol - 1]; }
  uint32_t Stop(int symbol) const { return symbol == 3 ? kWhole : ends[symbol]; }
};

struct Sides {
  int32_t depth, height, width;  // of the arrays, whole blocks
  int32_t valid_depth, valid_height, valid_width;

  int64_t slice() const { return int64_t{height} * width; }
};

// Goes through a volume. `Source` has Get(items, n, of_blocks, symbols, labels), which gets symbols.
template <typename Source>
class Walk {
 public:
  Walk(const Sides& sides, const bool* repeats, int32_t n_labels, uint8_t* labels, Source& source)
      : sides_(sides), repeats_(repeats), n_labels_(n_labels), labels_(labels), source_(source),
        passes_(MakePasses()), rows_(sides.height / kBlock), columns_(sides.width / kBlock),
        zeros_(sides.slice()), flags_(rows_ * columns_), starting_(kClasses * 9) {
    for (int known = 0; known < kClasses; ++known) {
      for (uint32_t missing = 0; missing < 9; ++missing) {
        const uint32_t rise = missing * kMost / static_cast<uint32_t>(std::max(kKnown[known], 1));
        starting_[known * 9 + missing] = std::min(kStarting[known] + rise, kMost);
      }
    }
  }

  void Run() {
    for (int32_t z = 0; z < sides_.valid_depth; ++z) {
      current_ = labels_ + z * sides_.slice();
      before_ = z > 0 ? current_ - sides_.slice() : zeros_.data();
      earlier_ = z > 1 ? before_ - sides_.slice() : zeros_.data();
      std::copy_n(before_, sides_.slice(), current_);
      CodeFlags(z);
      CodeVoxels(z);
    }
  }

 private:
  void CodeFlags(int32_t z) {
    const int32_t n_blocks = rows_ * columns_;
    const std::vector<uint8_t> differed = flags_;
    std::fill(flags_.begin(), flags_.end(), 0);
    if (repeats_[z]) return;
    for (int32_t first = 0; first < n_blocks; first += kBatch) {
      const int n = std::min(n_blocks - first, kBatch);
      for (int i = 0; i < n; ++i) {
        Item& item = items_[i];
        const int32_t row = (first + i) / columns_, column = (first + i) % columns_;
        item.MakeCertain();
        item.z = z, item.y = row * kBlock, item.x = column * kBlock;
        item.is_valid = item.y < sides_.valid_height && item.x < sides_.valid_width;
        if (!item.is_valid) continue;
        item.contexts[0] = FlagContext(differed, row, column);
        item.ends[0] = kWhole - Clip(counts_.Probability(item.contexts[0], kStartingFlag, 1));
      }
      source_.Get(items_.data(), n, true, symbols_.data(), taken_.data());
      for (int i = 0; i < n; ++i) {
        if (!items_[i].is_valid) continue;
        flags_[first + i] = symbols_[i] > 0;
        counts_.Learn(items_[i].contexts[0], symbols_[i] > 0);
      }
    }
  }

  int FlagContext(const std::vector<uint8_t>& differed, int32_t row, int32_t column) const {
    const auto at = [&](int32_t r, int32_t c) {
      return r >= 0 && r < rows_ && c >= 0 && c < columns_ ? differed[r * columns_ + c] : 0;
    };
    const int around = at(row - 1, column) + at(row + 1, column) + at(row, column - 1) + at(row, column + 1);
    return kFlag + (IsUniform(row, column) * 2 + at(row, column)) * 5 + around;
  }

  // Tells whether a block of the slice before and the voxels next to it have one label.
  bool IsUniform(int32_t row, int32_t column) const {
    const int32_t top = std::max(row * kBlock - 1, 0), left = std::max(column * kBlock - 1, 0);
    const int32_t bottom = std::min((row + 1) * kBlock + 1, sides_.valid_height);
    const int32_t right = std::min((column + 1) * kBlock + 1, sides_.valid_width);
    const uint8_t label = before_[int64_t{top} * sides_.width + left];
    for (int32_t y = top; y < bottom; ++y) {
      const uint8_t* line = before_ + int64_t{y} * sides_.width;
      for (int32_t x = left; x < right; ++x) {
        if (line[x] != label) return false;
      }
    }
    return true;
  }

  void CodeVoxels(int32_t z) {
    std::vector<std::array<int32_t, 2>> blocks;
    for (int32_t block = 0; block < rows_ * columns_; ++block) {
      if (flags_[block]) blocks.push_back({block / columns_ * kBlock, block % columns_ * kBlock});
    }
    for (const Pass& pass : passes_) {
      const size_t size = pass.positions.size();
      const auto count = static_cast<int64_t>(blocks.size() * size);
      size_t block = 0, position = 0;
      for (int64_t first = 0; first < count; first += kBatch) {
        const int n = static_cast<int>(std::min<int64_t>(count - first, kBatch));
        for (int i = 0; i < n; ++i) {
          const auto& [dy, dx] = pass.positions[position];
          Item& item = items_[i];
          item.MakeCertain();
          item.z = z, item.y = blocks[block][0] + dy, item.x = blocks[block][1] + dx;
          if (++position == size) position = 0, ++block;
          item.is_valid = item.y < sides_.valid_height && item.x < sides_.valid_width;
          if (item.is_valid) Examine(item, pass);
        }
        source_.Get(items_.data(), n, false, symbols_.data(), taken_.data());
        for (int i = 0; i < n; ++i) {
          const Item& item = items_[i];
          if (!item.is_valid) continue;
          current_[int64_t{item.y} * sides_.width + item.x] = taken_[i];
          LearnVoxel(item, symbols_[i]);
        }
      }
    }
  }

  void LearnVoxel(const Item& item, int symbol) {
    counts_.Learn(item.contexts[0], symbol > 0);
    counts_.Learn(item.contexts[1], symbol > 0);
    if (n_labels_ <= 2) return;
    if (symbol >= 1) counts_.Learn(item.contexts[2], symbol > 1);
    if (symbol >= 2) counts_.Learn(item.contexts[3], symbol > 2);
  }

  // Finds contexts, candidates and intervals of a voxel.
  void Examine(Item& item, const Pass& pass) {
    const int64_t place = int64_t{item.y} * sides_.width + item.x;
    const uint8_t label = before_[place];
    uint8_t neighbours[2 * kNeighbours];
    Around(current_, item, pass.distance, neighbours);
    Around(before_, item, 1, neighbours + kNeighbours);
    int axis_bits = 0, diagonal_bits = 0, n_axis = 0, n_diagonal = 0, before_axis = 0, before_diagonal = 0;
    for (int k = 0; k < 4; ++k) {
      const int axis = neighbours[k] == label, diagonal = neighbours[4 + k] == label;
      axis_bits |= axis << k, diagonal_bits |= diagonal << k;
      n_axis += axis, n_diagonal += diagonal;
      before_axis += neighbours[kNeighbours + k] == label;
      before_diagonal += neighbours[kNeighbours + 4 + k] == label;
    }
    const int known = pass.known;
    const int near = known == 1 ? diagonal_bits : known == 0 ? 15 : axis_bits;
    const int n_known = (known == 1 ? n_diagonal : n_axis) + (known == 3 ? n_diagonal : 0);
    const int missing = known == 0 ? 0 : kKnown[known] - n_known;
    const int history = 2 * (label == 0) + (earlier_[place] == label);
    item.contexts[0] = kBroad + ((known * 9 + before_axis + before_diagonal) * 9 + missing) * 4 + history;
    const int narrow = (known * 16 + near) * 5 + (known == 3 ? n_diagonal : 0);
    item.contexts[1] = kNarrow + ((narrow * 5 + before_axis) * 5 + before_diagonal) * 4 + history;

    uint32_t change = starting_[known * 9 + missing];
    change = counts_.Probability(item.contexts[0], change, 1);
    change = Clip(counts_.Probability(item.contexts[1], change, kNarrowWeight));
    item.ends[0] = kWhole - change;
    item.candidates[0] = label;
    if (n_labels_ <= 2) {
      item.candidates[1] = item.candidates[2] = static_cast<uint8_t>(1 - label);
      return;
    }
    item.contexts[2] = kSecond + FindCandidate(neighbours, known, item.candidates, 1);
    item.contexts[3] = kThird + FindCandidate(neighbours, known, item.candidates, 2);
    const uint32_t second = 1 + ((change - 3) * (kWhole - Wrong(item.contexts[2])) >> kWordBits);
    const uint32_t rest = change - second;
    const uint32_t third = 1 + ((rest - 2) * (kWhole - Wrong(item.contexts[3])) >> kWordBits);
    item.ends[1] = item.ends[0] + second;
    item.ends[2] = item.ends[1] + third;
  }

  uint32_t Wrong(int context) const { return std::min(counts_.Probability(context, kWhole / 2, 1), kWhole - 1); }

  void Around(const uint8_t* plane, const Item& item, int distance, uint8_t* neighbours) const {
    if (item.y >= distance && item.y + distance < sides_.valid_height && item.x >= distance &&
        item.x + distance < sides_.valid_width) {
      const uint8_t* centre = plane + int64_t{item.y} * sides_.width + item.x;
      const int64_t line = int64_t{distance} * sides_.width;
      for (int k = 0; k < kNeighbours; ++k) neighbours[k] = centre[kDy[k] * line + kDx[k] * distance];
      return;
    }
    for (int k = 0; k < kNeighbours; ++k) {
      const int32_t y = std::clamp(item.y + kDy[k] * distance, 0, sides_.valid_height - 1);
      const int32_t x = std::clamp(item.x + kDx[k] * distance, 0, sides_.valid_width - 1);
      neighbours[k] = plane[int64_t{y} * sides_.width + x];
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
  uint8_t* labels_;
  Source& source_;
  std::vector<Pass> passes_;
  int32_t rows_, columns_;
  std::vector<uint8_t> zeros_, flags_;
  std::vector<uint32_t> starting_;
  const uint8_t* earlier_ = nullptr;
  const uint8_t* before_ = nullptr;
  uint8_t* current_ = nullptr;
  Counts counts_;
  std::array<Item, kBatch> items_;
  std::array<int, kBatch> symbols_;
  std::array<uint8_t, kBatch> taken_;
};

// Takes symbols from a stream.
struct StreamSource {
  uint32_t states[kGroupLanes];
  PopStack stack;
  int n_lanes;
  const uint8_t* escaped;
  int64_t escaped_size;
  int64_t n_escaped = 0;

  void Get(const Item* items, int n, bool of_blocks, int* symbols, uint8_t* taken) {
    for (int i = 0; i < n; ++i) {
      const Item& item = items[i];
      uint32_t& state = states[i % n_lanes];
      const uint32_t slot = state & (kWhole - 1);
      const int symbol = (slot >= item.ends[0]) + (slot >= item.ends[1]) + (slot >= item.ends[2]);
      state = (item.Stop(symbol) - item.Start(symbol)) * (state >> kWordBits) + slot - item.Start(symbol);
      Refill(state, stack);
      symbols[i] = symbol;
      if (of_blocks) continue;
      if (symbol < 3) {
        taken[i] = item.candidates[symbol];
      } else {
        taken[i] = escaped[std::min(n_escaped, escaped_size - 1)];
        ++n_escaped;
      }
    }
  }
};

// Takes symbols from labels, and notes their intervals.
struct LabelSource {
  const uint8_t* labels;
  Sides sides;
  uint8_t* escaped;
  int64_t n_escaped = 0;
  std::vector<uint32_t> intervals = {};
  std::vector<int> batches = {};
  int32_t units = 0;

  void Get(const Item* items, int n, bool of_blocks, int* symbols, uint8_t* taken) {
    uint32_t units_of_batch = 0;
    for (int i = 0; i < n; ++i) {
      const Item& item = items[i];
      int symbol = 0;
      if (item.is_valid && of_blocks) {
        symbol = BlockDiffers(item);
      } else if (item.is_valid) {
        taken[i] = labels[(int64_t{item.z} * sides.height + item.y) * sides.width + item.x];
        while (symbol < 3 && item.candidates[symbol] != taken[i]) ++symbol;
        if (symbol == 3) escaped[n_escaped++] = taken[i];
      }
      symbols[i] = symbol;
      const uint32_t frequency = item.Stop(symbol) - item.Start(symbol);
      intervals.push_back(item.Start(symbol) | (frequency - 1) << kWordBits);
      units_of_batch += UnitsOf(frequency);
    }
    batches.push_back(n);
    units += static_cast<int32_t>(units_of_batch >> 4);
  }

  // Bits of an interval, in 1/256, linear between powers of two.
  static uint32_t UnitsOf(uint32_t frequency) {
    const int exponent = 31 - __builtin_clz(frequency);
    const uint32_t mantissa = exponent >= 8 ? frequency >> (exponent - 8) : frequency << (8 - exponent);
    return 256 * kWordBits - (static_cast<uint32_t>(exponent) * 256 + mantissa - 256);
  }

  int BlockDiffers(const Item& item) const {
    const uint8_t* slice = labels + item.z * sides.slice();
    for (int32_t y = item.y; y < item.y + kBlock; ++y) {
      for (int32_t x = item.x; x < item.x + kBlock; ++x) {
        const int64_t place = int64_t{y} * sides.width + x;
        if (slice[place] != (item.z > 0 ? slice[place - sides.slice()] : 0)) return 1;
      }
    }
    return 0;
  }
};

template <typename T>
Sides ReadSides(S32& shape, const T& dimensions) {
  const int32_t* valid = shape.typed_data();
  const auto side = [&](int axis) { return static_cast<int32_t>(dimensions[axis]); };
  return {side(0), side(1), side(2), std::clamp(valid[0], 0, side(0)), std::clamp(valid[1], 1, side(1)),
          std::clamp(valid[2], 1, side(2))};
}

ffi::Error Decode(U16 words, S32 group_words, S32 n_lanes, S32 shape, Pred repeats, S32 n_labels, U8 escaped,
                  Out<U8> labels, Out<S32> n_escaped, Out<Pred> ends_well) {
  const Sides sides = ReadSides(shape, labels->dimensions());
  const int32_t top = *group_words.typed_data();
  StreamSource source{};
  source.stack = {words.typed_data(), static_cast<int32_t>(words.element_count()), top};
  source.n_lanes = std::clamp(*n_lanes.typed_data(), 1, kGroupLanes);
  source.escaped = escaped.typed_data();
  source.escaped_size = static_cast<int64_t>(escaped.element_count());
  StartGroup(source.states, source.n_lanes, source.stack);
  Zero(labels);
  Walk<StreamSource>(sides, repeats.typed_data(), *n_labels.typed_data(), labels->typed_data(), source).Run();
  *n_escaped->typed_data() = static_cast<int32_t>(source.n_escaped);
  *ends_well->typed_data() = source.stack.top == 0 && std::all_of(source.states, source.states + source.n_lanes,
                                                                 [](uint32_t state) { return state == kLowest; });
  return ffi::Error::Success();
}

ffi::Error Encode(U8 labels, S32 shape, Pred repeats, S32 n_labels, Out<U16> words, Out<S32> group_words,
                  Out<S32> n_lanes_out, Out<U8> escaped, Out<S32> n_escaped) {
  const Sides sides = ReadSides(shape, labels.dimensions());
  Zero(escaped);
  LabelSource source{labels.typed_data(), sides, escaped->typed_data()};
  std::vector<uint8_t> walked(labels.element_count());
  Walk<LabelSource>(sides, repeats.typed_data(), *n_labels.typed_data(), walked.data(), source).Run();
  *n_escaped->typed_data() = static_cast<int32_t>(source.n_escaped);

  const float wanted = std::max(static_cast<float>(source.units) / kUnitsPerLane,
                                static_cast<float>(source.intervals.size()) / kItemsPerLane);
  const auto n_lanes = static_cast<int>(std::clamp(wanted, 1.0f, static_cast<float>(kGroupLanes)));
  *n_lanes_out->typed_data() = n_lanes;
  uint32_t states[kGroupLanes];
  std::fill_n(states, kGroupLanes, kLowest);
  PushStack stack{words->typed_data(), static_cast<int64_t>(words->element_count()), 0};
  auto end = static_cast<int64_t>(source.intervals.size());
  for (auto batch = source.batches.rbegin(); batch != source.batches.rend(); ++batch) {
    for (int i = *batch - 1; i >= 0; --i) {
      const uint32_t interval = source.intervals[end - *batch + i];
      uint32_t& state = states[i % n_lanes];
      const uint32_t frequency = (interval >> kWordBits) + 1;
      if (state >> kWordBits >= frequency) {
        stack.Append(state);
        state >>= kWordBits;
      }
      const uint32_t quotient = state / frequency;
      state = (quotient << kWordBits) + (state - quotient * frequency) + (interval & (kWhole - 1));
    }
    end -= *batch;
  }
  FinishGroup(states, n_lanes, stack);
  *group_words->typed_data() = static_cast<int32_t>(stack.top);
  return FinishWords(words, stack);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_labels_decode, Decode,
                              ffi::Ffi::Bind()
                                  .Arg<U16>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<Pred>().Arg<S32>().Arg<U8>()
                                  .Ret<U8>().Ret<S32>().Ret<Pred>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_labels_encode, Encode,
                              ffi::Ffi::Bind()
                                  .Arg<U8>().Arg<S32>().Arg<Pred>().Arg<S32>()
                                  .Ret<U16>().Ret<S32>().Ret<S32>().Ret<U8>().Ret<S32>());

}  // namespace nvc
