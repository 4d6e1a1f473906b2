// Contexts of labels: the items of a block that are coded together, and what is known around each of them.
//
// The specification is nvc_jax/entropy/label_contexts.py.

#ifndef NVC_LABEL_CONTEXTS_H_
#define NVC_LABEL_CONTEXTS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "rans.h"

namespace nvc {
namespace {

constexpr int kBlock = 16;
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

// Narrow contexts by what is known in the slice, and by what the slices before tell.
constexpr int kEarlier = 5 * 5 * 4;
constexpr int kOfDiagonals = kEarlier, kOfNear = 5 * kOfDiagonals, kOfKnown = 16 * kOfNear;
constexpr int kNarrowContexts = kClasses * kOfKnown;

constexpr int kOfBroad = 0;
constexpr int kOfNarrow = kOfBroad + kClasses * 9 * 9 * 4;
constexpr int kSecond = kOfNarrow + kNarrowContexts;
constexpr int kThird = kSecond + kClasses * 9 * 9;
constexpr int kFlag = kThird + kClasses * 9 * 9;
constexpr int kFlagContexts = 2 * 2 * 5;
constexpr int kContexts = kFlag + kFlagContexts;

// Voxels of a block that are coded together: from each start on in steps of `stride`.
struct Pass {
  int distance;
  int known;
  std::vector<std::array<int, 2>> starts;
  int stride;

  int of_row() const { return kBlock / stride; }
  int of_start() const { return of_row() * of_row(); }
  int size() const { return static_cast<int>(starts.size()) * of_start(); }

  // Place of the item with a number in its block: y and x.
  std::array<int, 2> Place(int item) const {
    const auto& [y, x] = starts[item / of_start()];
    const int rest = item % of_start();
    return {y + rest / of_row() * stride, x + rest % of_row() * stride};
  }
};

inline std::vector<Pass> MakePasses() {
  std::vector<Pass> passes = {{1, 0, {{0, 0}}, kBlock}};
  for (int d : {8, 4, 2}) {
    passes.push_back({d, 1, {{d, d}}, 2 * d});
    passes.push_back({d, 2, {{0, d}, {d, 0}}, 2 * d});
  }
  passes.push_back({1, 1, {{1, 1}}, 2});
  passes.push_back({1, 2, {{0, 1}}, 2});
  passes.push_back({1, 3, {{1, 0}}, 2});
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
  void Learn(int context, uint32_t n_answers, uint32_t n_ones) {
    totals_[context] += n_answers;
    ones_[context] += n_ones;
  }

 private:
  std::vector<uint32_t> totals_, ones_;
};

inline uint32_t Clip(uint32_t probability) { return std::clamp<uint32_t>(probability, 3, kWhole - 3); }

// Probabilities in contexts without answers, by class and number of missing neighbours.
inline std::array<uint32_t, kClasses * 9> MakeStarting() {
  std::array<uint32_t, kClasses * 9> starting;
  for (int known = 0; known < kClasses; ++known) {
    for (uint32_t missing = 0; missing < 9; ++missing) {
      const uint32_t rise = missing * kMost / static_cast<uint32_t>(std::max(kKnown[known], 1));
      starting[known * 9 + missing] = std::min(kStarting[known] + rise, kMost);
    }
  }
  return starting;
}

// Number of the bits of a neighbourhood that are set.
constexpr std::array<int8_t, 16> kSetBits = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};

// The broad context that holds a narrow one, and the place of their probability without answers.
struct BroadContext {
  explicit BroadContext(int narrow) {
    const int history = narrow % 4, before = narrow % kEarlier / 4, known = narrow / kOfKnown;
    const int n_diagonal = narrow / kOfDiagonals % 5, near = narrow / kOfNear % 16;
    const int missing = known == 0 ? 0 : kKnown[known] - kSetBits[near] - n_diagonal;
    context = kOfBroad + ((known * 9 + before / 5 + before % 5) * 9 + missing) * 4 + history;
    starting = known * 9 + missing;
  }

  int context, starting;
};

// Rows of 16 labels.
typedef uint8_t Labels __attribute__((vector_size(kBlock)));
typedef uint16_t Contexts __attribute__((vector_size(2 * kBlock)));

inline Labels LoadLabels(const uint8_t* row) {
  Labels labels;
  std::memcpy(&labels, row, sizeof labels);
  return labels;
}

// 1 where labels are equal, else 0.
inline Labels AreEqual(const Labels& a, const Labels& b) { return (Labels)(a == b) & 1; }

// A slice of labels, with margins on the left and on the right that repeat the labels at its ends.
class Plane {
 public:
  static constexpr int kMargin = kBlock;

  Plane(int32_t height, int32_t width)
      : height_(height), width_(width), stride_(2 * kMargin + (width + kBlock - 1) / kBlock * kBlock),
        labels_(static_cast<size_t>(height) * stride_) {}

  // A row, the nearest one where there is no such row.
  const uint8_t* row(int32_t y) const {
    return labels_.data() + int64_t{std::clamp(y, 0, height_ - 1)} * stride_ + kMargin;
  }

  void Set(int32_t y, int32_t x, uint8_t label) {
    uint8_t* row = labels_.data() + int64_t{y} * stride_ + kMargin;
    row[x] = label;
    if (x == 0) std::memset(row - kMargin, label, kMargin);
    if (x == width_ - 1) std::memset(row + width_, label, stride_ - kMargin - width_);
  }

  // Tells whether a block and the voxels next to it have one label.
  bool IsUniform(int32_t y, int32_t x) const {
    const Labels label = Labels{} + row(std::max(y - 1, 0))[std::max(x - 1, 0)];
    Labels differences = {};
    for (int32_t at = std::max(y - 1, 0); at < std::min(y + kBlock + 1, height_); ++at) {
      differences |= (LoadLabels(row(at) + x - 1) ^ label) | (LoadLabels(row(at) + x + 1) ^ label);
    }
    uint64_t halves[2];
    std::memcpy(halves, &differences, sizeof halves);
    return (halves[0] | halves[1]) == 0;
  }

 private:
  int32_t height_, width_, stride_;
  std::vector<uint8_t> labels_;
};

// What the slices before tell of 16 voxels in a row.
inline Labels EarlierContexts(const Plane& before, const Plane& earlier, int32_t y, int32_t x) {
  const uint8_t *above = before.row(y - 1) + x, *here = before.row(y) + x, *below = before.row(y + 1) + x;
  const Labels label = LoadLabels(here);
  const auto equals = [&](const uint8_t* row) __attribute__((always_inline)) {
    return AreEqual(LoadLabels(row), label);
  };
  const Labels axis = equals(above) + equals(below) + equals(here - 1) + equals(here + 1);
  const Labels diagonal = equals(above - 1) + equals(above + 1) + equals(below - 1) + equals(below + 1);
  const Labels axes = axis + axis + axis + axis + axis + diagonal;
  const Labels pairs = axes + axes, is_zero = AreEqual(label, Labels{});
  return pairs + pairs + is_zero + is_zero + equals(earlier.row(y) + x);
}

// Narrow contexts of 16 voxels in a row, of which those of a pass are of use.
inline void NarrowContexts(const Plane& current, const Labels& label, const Pass& pass, int32_t y, int32_t x,
                           const uint8_t* of_earlier, Contexts& contexts) {
  const int d = pass.distance, known = pass.known;
  const uint8_t *above = current.row(y - d) + x, *here = current.row(y) + x, *below = current.row(y + d) + x;
  const auto equals = [&](const uint8_t* row) __attribute__((always_inline)) {
    return AreEqual(LoadLabels(row), label);
  };
  Labels near = Labels{} + 15, n_diagonal = {};
  const auto combine = [&](const Labels& a, const Labels& b, const Labels& c, const Labels& e)
                           __attribute__((always_inline)) {
    const Labels high = e + e + c, pairs = high + high;  // bits of a, b, c and e, from the lowest on
    const Labels upper = pairs + b;
    near = upper + upper + a;
  };
  if (known == 1) {
    combine(equals(above - d), equals(above + d), equals(below - d), equals(below + d));
  } else if (known > 1) {
    combine(equals(above), equals(below), equals(here - d), equals(here + d));
  }
  if (known == 3) n_diagonal = equals(above - d) + equals(above + d) + equals(below - d) + equals(below + d);
  const Contexts of_near = __builtin_convertvector(near, Contexts), of_diagonals = __builtin_convertvector(n_diagonal, Contexts);
  const Contexts of_slice = __builtin_convertvector(LoadLabels(of_earlier), Contexts);
  contexts = of_near * kOfNear + of_diagonals * kOfDiagonals + of_slice + static_cast<uint16_t>(known * kOfKnown);
}

}  // namespace
}  // namespace nvc

#endif  // NVC_LABEL_CONTEXTS_H_
