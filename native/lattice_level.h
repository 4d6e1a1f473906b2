// A level of the lattice while it is coded: its phases, their prediction, and the contexts of their codes.
//
// The specification is nvc_jax/lattice: prediction.py and walk.py.

#ifndef NVC_LATTICE_LEVEL_H_
#define NVC_LATTICE_LEVEL_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "idle_cores.h"
#include "lattice_geometry.h"
#include "rans.h"
#include "targets.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr int kLevels = 5;
constexpr int kPasses = 1 + kPhases;
constexpr int kCell = 4;
constexpr int kHalo = 2;
constexpr int kRangeBits = 2;
constexpr int kMagnitudeBits = 6;
constexpr int kMaxContextMagnitude = 255;
constexpr std::array<int, 5> kMagnitudeLimits = {1, 13, 38, 96, 256};
constexpr std::array<int, 7> kRangeLimits = {1, 2, 4, 8, 16, 32, 64};
constexpr int kMagnitudes = kMagnitudeLimits.size() + 1;
constexpr int kRanges = kRangeLimits.size() + 1;
constexpr int kContextsPerClass = kActivities * kMagnitudes;
constexpr int kContextsPerGroup = 3 * kContextsPerClass;
constexpr int kFirstFlagContext = kLevelGroups * kContextsPerGroup;
constexpr int kContexts = kFirstFlagContext + kLevelGroups * kRanges;

// Calls fill(z) for planes from 0 to n, on idle cores as well, where there are enough of them.
template <typename Fill>
void ForPlanesInParts(int64_t n, Fill fill) {
  constexpr int64_t kPlanesOfPart = 16;
  ForEachInParts(n, kPlanesOfPart, fill);
}

// Most points that are predicted at once. They are read and written in whole blocks: behind them there is room.
constexpr int kBlock = 16;

struct Rules {
  int32_t fraction_bits, low, high;
  std::array<int64_t, 3> valid;
};

// Places of the points of all phases in one array, each phase with a halo.
class Layout {
 public:
  // There is room for as many points along each axis as are `needed` of any phase.
  Layout(const Shape& shape, const Shape& needed)
      : shape_(shape), pitch_(needed.x + 2 * kHalo), plane_((needed.y + 2 * kHalo) * pitch_),
        phase_((needed.z + 2 * kHalo) * plane_) {}

  const Shape& shape() const { return shape_; }
  // Distance of the rows of a plane, which lie one behind the other.
  int64_t pitch() const { return pitch_; }
  int64_t size() const { return 8 * phase_ + kBlock; }
  int64_t phase_size() const { return phase_; }
  // First point of a row.
  int64_t Row(int phase, int64_t z, int64_t y) const {
    return phase * phase_ + (z + kHalo) * plane_ + (y + kHalo) * pitch_ + kHalo;
  }
  // Distance of a neighbour from a point of a phase.
  int64_t Offset(int phase, const Neighbour& neighbour) const {
    const auto [z, y, x] = neighbour.shift;
    return (neighbour.phase - phase) * phase_ + z * plane_ + y * pitch_ + x;
  }
  // Mirrors the points next to each end of a phase, of which the first ones along each axis are needed, at least as many
  // as the halo has.
  template <typename T>
  void FillHalo(int phase, const Shape& needed, T* points) const {
    const auto mirror = [](int64_t index, int64_t n) {
      if (index < 0) index = -1 - index;
      if (index >= n) index = 2 * n - 1 - index;
      return std::clamp<int64_t>(index, 0, n - 1);
    };
    // Behind the points there is a halo where all of them are needed.
    const bool has_ends[] = {needed.z == shape_.z, needed.y == shape_.y, needed.x == shape_.x};
    const int64_t length = needed.x + 2 * kHalo;
    const auto copy_row = [&](int64_t from_z, int64_t from_y, int64_t z, int64_t y) {
      std::copy_n(points + Row(phase, from_z, from_y) - kHalo, length, points + Row(phase, z, y) - kHalo);
    };
    const auto for_halo = [](int64_t n, bool has_end, auto fill) {
      for (int64_t index = -kHalo; index < 0; ++index) fill(index);
      for (int64_t index = n; index < n + kHalo && has_end; ++index) fill(index);
    };
    const int64_t second_last = mirror(shape_.x + 1, shape_.x), second = mirror(-2, shape_.x);
    const auto fill_plane = [&](int64_t z) {
      T* row = points + Row(phase, z, 0);
      for (int64_t y = 0; y < needed.y; ++y, row += pitch_) {
        row[-2] = row[second], row[-1] = row[0];
        if (has_ends[2]) row[shape_.x] = row[shape_.x - 1], row[shape_.x + 1] = row[second_last];
      }
      for_halo(shape_.y, has_ends[1], [&](int64_t y) { copy_row(z, mirror(y, shape_.y), z, y); });
    };
    ForPlanesInParts(needed.z, fill_plane);
    for_halo(shape_.z, has_ends[0], [&](int64_t z) {
      for (int64_t y = -kHalo; y < needed.y + kHalo; ++y) copy_row(mirror(z, shape_.z), y, z, y);
    });
  }

 private:
  Shape shape_;
  int64_t pitch_, plane_, phase_;
};

// What the prediction of a phase rests on.
struct PhaseTask {
  int64_t offsets[kGroups][8];  // of the neighbours of each known group
  int32_t weights[kGroups];  // times the groups' scales
  int32_t low, high, fraction_bits;
  int32_t activity_limits[kActivityLimits.size() + 1];  // and one of no meaning
  int16_t magnitude_limits[kMagnitudeLimits.size()];
  int16_t base;  // first context of the phase's class
};

// Vectors of the points of a row that are predicted at once.
template <int kLanes>
struct Points {
  static constexpr int kCount = kLanes;
  typedef int32_t Integers __attribute__((vector_size(4 * kLanes)));
  typedef int16_t Shorts __attribute__((vector_size(2 * kLanes)));
  typedef uint8_t Bytes __attribute__((vector_size(kLanes)));
  typedef int32_t UnalignedIntegers __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
  typedef int16_t UnalignedShorts __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));
  typedef uint8_t UnalignedBytes __attribute__((vector_size(kLanes), aligned(1), may_alias));
};
#define NVC_POINTS(type, address) (*reinterpret_cast<const typename V::Unaligned##type*>(address))
#define NVC_STORE_POINTS(type, address, vector) (*reinterpret_cast<typename V::Unaligned##type*>(address) = (vector))

// Adds up the values and magnitudes around some points, group by group.
template <typename V, int kNumber, size_t kPart = 0>
[[gnu::always_inline]] inline void AddNeighbours(const PhaseTask& task, const int32_t* values,
                                                 const uint8_t* magnitudes, typename V::Integers* weighted,
                                                 typename V::Shorts* magnitude) {
  constexpr const Group& kGroup = kKnownGroups[kNumber][kPart];
  typename V::Integers sum = {};
  typename V::Shorts total = {};
  for (size_t k = 0; k < kGroup.neighbours.size(); ++k) {
    const int64_t offset = task.offsets[kPart][k];
    sum += NVC_POINTS(Integers, values + offset);
    if constexpr (!kGroup.is_far()) {
      const typename V::Bytes bytes = NVC_POINTS(Bytes, magnitudes + offset);
      total += __builtin_convertvector(bytes, typename V::Shorts);
    }
  }
  *weighted += task.weights[kPart] * sum;
  if constexpr (!kGroup.is_far()) *magnitude += static_cast<int16_t>(kGroup.closeness()) * total;
  if constexpr (kPart + 1 < kKnownGroups[kNumber].size()) {
    AddNeighbours<V, kNumber, kPart + 1>(task, values, magnitudes, weighted, magnitude);
  }
}

// Adds up the differences of the near values from the predictions of some points.
template <typename V, int kNumber, size_t kPart = 0>
[[gnu::always_inline]] inline void AddDifferences(const PhaseTask& task, const int32_t* values,
                                                  const typename V::Integers& predicted,
                                                  typename V::Integers* activity) {
  constexpr const Group& kGroup = kKnownGroups[kNumber][kPart];
  if constexpr (!kGroup.is_far()) {
    typename V::Integers sum = {};
    for (size_t k = 0; k < kGroup.neighbours.size(); ++k) {
      const typename V::Integers difference = NVC_POINTS(Integers, values + task.offsets[kPart][k]) - predicted;
      sum += NVC_ABS(difference);
    }
    *activity += kGroup.closeness() * sum;
  }
  if constexpr (kPart + 1 < kKnownGroups[kNumber].size()) {
    AddDifferences<V, kNumber, kPart + 1>(task, values, predicted, activity);
  }
}

// Counts the limits, of which there are 15 in ascending order and a sixteenth that no activity reaches.
template <typename V>
[[gnu::always_inline]] inline void CountReached(const int32_t* limits, const typename V::Integers& activity,
                                                typename V::Integers* count) {
  typename V::Integers reached = {};
  if constexpr (V::kCount == 1 + kActivityLimits.size()) {
    // One vector holds them all.
    const typename V::Integers all = NVC_POINTS(Integers, limits);
    for (int step = V::kCount / 2; step > 0; step /= 2) {
      const typename V::Integers next = __builtin_shuffle(all, reached + (step - 1));
      reached = activity >= next ? reached + step : reached;
    }
  } else {
    for (size_t i = 0; i < kActivityLimits.size(); ++i) reached -= activity >= limits[i];
  }
  *count = reached;
}

// Predicts some points, and finds the contexts of their codes.
template <typename V, int kNumber>
[[gnu::always_inline]] inline void PredictPoints(const PhaseTask& task, const int32_t* values,
                                                 const uint8_t* magnitudes, typename V::Integers* predictions,
                                                 uint16_t* contexts) {
  using Integers = typename V::Integers;
  using Shorts = typename V::Shorts;
  Integers weighted = {}, activity = {}, reached;
  Shorts magnitude = {};
  AddNeighbours<V, kNumber>(task, values, magnitudes, &weighted, &magnitude);
  Integers predicted = (weighted + (1 << (kWeightBits + 2))) >> (kWeightBits + 3);
  predicted = predicted < task.low ? task.low - Integers{} : predicted;
  predicted = predicted > task.high ? task.high - Integers{} : predicted;
  AddDifferences<V, kNumber>(task, values, predicted, &activity);
  CountReached<V>(task.activity_limits, activity, &reached);
  const Shorts quiet = __builtin_convertvector(reached, Shorts);
  Shorts large = {};
  for (int16_t limit : task.magnitude_limits) large -= magnitude >= limit;
  // Activities run up and down in turn.
  const Shorts is_odd = -(large & 1);
  const Shorts rank = (quiet ^ is_odd) + (is_odd & kActivities);
  NVC_STORE_POINTS(Shorts, contexts, task.base + large * kActivities + rank);
  *predictions = predicted;
}

// Points of a phase that lie one behind the other, as the rows of a plane do with what is between them, and places for
// their contexts.
struct PhasePoints {
  int64_t n;
  int32_t* values;
  uint8_t* magnitudes;
  uint16_t* contexts;
};

// Sets the values of points to their predictions.
template <typename V, int kNumber>
[[gnu::always_inline]] inline void SetToPredictions(const PhaseTask& task, const PhasePoints& points) {
  for (int64_t x = 0; x < points.n; x += V::kCount) {
    typename V::Integers predicted;
    PredictPoints<V, kNumber>(task, points.values + x, points.magnitudes + x, &predicted, points.contexts + x);
    NVC_STORE_POINTS(Integers, points.values + x, predicted);
  }
}

// What points are to be.
struct Wanted {
  const int32_t* values;
  const uint8_t* counted;  // 255 where the value counts, and 0 where the point is as predicted; null where all count
  int32_t* codes;
};

// Quantises points, and finds their codes and magnitudes.
template <typename V, int kNumber>
[[gnu::always_inline]] inline void QuantizePoints(const PhaseTask& task, const PhasePoints& points, const Wanted& wanted) {
  using Integers = typename V::Integers;
  using Bytes = typename V::Bytes;
  const int32_t half = (1 << task.fraction_bits) >> 1;
  for (int64_t x = 0; x < points.n; x += V::kCount) {
    Integers predicted;
    PredictPoints<V, kNumber>(task, points.values + x, points.magnitudes + x, &predicted, points.contexts + x);
    Integers difference = NVC_POINTS(Integers, wanted.values + x) - predicted;
    if (wanted.counted != nullptr) {
      const Bytes counted = NVC_POINTS(Bytes, wanted.counted + x);
      difference = __builtin_convertvector(counted, Integers) != 0 ? difference : Integers{};
    }
    const Integers code = (difference + half) >> task.fraction_bits;
    const Integers magnitude = NVC_ABS(code);
    const Integers limited = magnitude < kMaxContextMagnitude ? magnitude : kMaxContextMagnitude - Integers{};
    NVC_STORE_POINTS(Integers, points.values + x, predicted + (code << task.fraction_bits));
    NVC_STORE_POINTS(Integers, wanted.codes + x, code);
    NVC_STORE_POINTS(Bytes, points.magnitudes + x, __builtin_convertvector(limited, Bytes));
  }
}

// Both, for a phase and a processor.
struct Forms {
  void (*predict)(const PhaseTask&, const PhasePoints&);
  void (*quantize)(const PhaseTask&, const PhasePoints&, const Wanted&);
};
#define NVC_FORMS(name, target, lanes)                                                              \
  template <int kNumber>                                                                            \
  target void Predict##name(const PhaseTask& task, const PhasePoints& points) {                     \
    SetToPredictions<Points<lanes>, kNumber>(task, points);                                         \
  }                                                                                                 \
  template <int kNumber>                                                                            \
  target void Quantize##name(const PhaseTask& task, const PhasePoints& points, const Wanted& wanted) { \
    QuantizePoints<Points<lanes>, kNumber>(task, points, wanted);                                   \
  }                                                                                                 \
  template <size_t... kNumbers>                                                                     \
  const Forms* Forms##name(std::index_sequence<kNumbers...>) {                                      \
    static constexpr Forms kForms[] = {{Predict##name<kNumbers>, Quantize##name<kNumbers>}...};     \
    return kForms;                                                                                  \
  }
NVC_FORMS(ByAvx512, NVC_FOR_AVX512, 16)
NVC_FORMS(ByAvx2, NVC_FOR_AVX2, 8)
NVC_FORMS(Anywhere, , 8)
#undef NVC_FORMS
#undef NVC_POINTS
#undef NVC_STORE_POINTS

inline const Forms& FormsOf(int number) {
  constexpr std::make_index_sequence<kPhases> kNumbers;
  static const Forms* forms = PickForm(FormsByAvx512(kNumbers), FormsByAvx2(kNumbers), FormsAnywhere(kNumbers));
  return forms[number];
}

// Values of a row, at first its predictions, by its codes, and the magnitudes that contexts rest on.
NVC_VECTORIZE
void FinishRow(int64_t n, const int32_t* codes, int fraction_bits, int32_t* values, uint8_t* magnitudes) {
  for (int64_t x = 0; x < n; ++x) {
    values[x] += codes[x] << fraction_bits;
    magnitudes[x] = static_cast<uint8_t>(std::min(std::abs(codes[x]), kMaxContextMagnitude));
  }
}

// Puts two rows together, their values in turn.
NVC_VECTORIZE
void Interleave(int64_t n, const int32_t* even, const int32_t* odd, int32_t* out) {
  for (int64_t x = 0; x < n; ++x) {
    out[2 * x] = even[x];
    out[2 * x + 1] = odd[x];
  }
}

// Takes every other one of a row's values.
NVC_VECTORIZE
void TakeEven(int64_t n, const int32_t* row, int32_t* even) {
  for (int64_t x = 0; x < n; ++x) even[x] = row[2 * x];
}

// Adds the bits of numbers to others.
NVC_VECTORIZE
void AddBits(int64_t n, const uint8_t* numbers, uint8_t* sums) {
  for (int64_t x = 0; x < n; ++x) sums[x] |= numbers[x];
}

// Smallest and largest values of each place of some rows that are one behind the other.
NVC_VECTORIZE
void FindRange(int64_t n, int64_t n_rows, const int32_t* const* rows, int32_t* low, int32_t* high) {
  for (int64_t x = 0; x < n; ++x) low[x] = high[x] = rows[0][x];
  for (int64_t row = 1; row < n_rows; ++row) {
    const int32_t* values = rows[row];
    for (int64_t x = 0; x < n; ++x) {
      low[x] = std::min(low[x], values[x]);
      high[x] = std::max(high[x], values[x]);
    }
  }
}

// Points of a phase along each axis that lie in the volume.
inline Shape ValidPoints(const Rules& rules, int level, const Shape& shape, const Triple& parity) {
  const auto count = [&](int axis, int64_t side) {
    const int64_t n = CeilDivide(rules.valid[axis] - (int64_t{parity[axis]} << level), int64_t{2} << level);
    return std::clamp<int64_t>(n, 0, side);
  };
  return {count(0, shape.z), count(1, shape.y), count(2, shape.x)};
}

inline Shape Larger(const Shape& a, const Shape& b) {
  return {std::max(a.z, b.z), std::max(a.y, b.y), std::max(a.x, b.x)};
}
inline Shape Smaller(const Shape& a, const Shape& b) {
  return {std::min(a.z, b.z), std::min(a.y, b.y), std::min(a.x, b.x)};
}

// Shape of the phases of a level.
inline Shape PhaseShape(const Shape& lattice, int level) {
  return {lattice.z >> (level + 1), lattice.y >> (level + 1), lattice.x >> (level + 1)};
}

// Points of each phase of each level, along each axis, on which those in the volume depend: where a volume is much
// smaller than its lattice, most are not needed.
using NeededPoints = std::array<std::array<Shape, 1 + kPhases>, kLevels>;
inline NeededPoints FindNeeded(const Shape& lattice, const Rules& rules) {
  NeededPoints needed{};
  for (int level = 0; level < kLevels; ++level) {
    auto& points = needed[level];
    const Shape shape = PhaseShape(lattice, level);
    // The range of a cell's values is that of all its points.
    const Shape even = ValidPoints(rules, level, shape, {0, 0, 0});
    const auto whole = [](int64_t n) { return CeilDivide(n, kCell) * kCell; };
    points[0] = Smaller(shape, {whole(even.z), whole(even.y), whole(even.x)});
    for (const Triple& parity : kParities) points[PhaseNumber(parity)] = ValidPoints(rules, level, shape, parity);
    for (int phase = 0; phase <= kPhases && level > 0; ++phase) {
      const Shape& below = needed[level - 1][0];
      const auto share = [](int64_t n, int parity) { return (n + 1 - parity) / 2; };
      points[phase] = Larger(points[phase],
                             {share(below.z, phase >> 2), share(below.y, phase >> 1 & 1), share(below.x, phase & 1)});
    }
    for (int number = kPhases - 1; number >= 0; --number) {
      const Shape own = points[PhaseNumber(kParities[number])];
      for (const Group& group : kKnownGroups[number]) {
        for (const Neighbour& neighbour : group.neighbours) {
          // The halo before the first point mirrors the first two.
          const auto [z, y, x] = neighbour.shift;
          const Shape reached = Larger({own.z + z, own.y + y, own.x + x}, {kHalo, kHalo, kHalo});
          points[neighbour.phase] = Larger(points[neighbour.phase], Smaller(shape, reached));
        }
      }
    }
  }
  return needed;
}

// A level while it is coded.
class Level {
 public:
  Level(const Shape& lattice, int number, const int32_t* weights, const Rules& rules, const NeededPoints& needed)
      : number_(number), weights_(weights), rules_(rules), needed_(needed[number]),
        layout_(PhaseShape(lattice, number), MostNeeded(needed_)), values_(new int32_t[layout_.size()]),
        magnitudes_(new uint8_t[layout_.size()]) {
    std::fill_n(magnitudes_.get(), layout_.phase_size(), uint8_t{0});
  }

  int number() const { return number_; }
  int group() const { return std::min(number_, kLevelGroups - 1); }
  const Shape& shape() const { return layout_.shape(); }
  Shape cells() const {
    return {CeilDivide(shape().z, kCell), CeilDivide(shape().y, kCell), CeilDivide(shape().x, kCell)};
  }
  int32_t* Values(int phase, int64_t z, int64_t y) { return values_.get() + layout_.Row(phase, z, y); }
  const uint8_t* Magnitudes(int phase, int64_t z, int64_t y) const {
    return magnitudes_.get() + layout_.Row(phase, z, y);
  }

  Shape Valid(const Triple& parity) const { return ValidPoints(rules_, number_, shape(), parity); }
  // Points of a phase that are predicted.
  const Shape& Needed(int phase) const { return needed_[phase]; }
  Shape ValidCells() const {
    const Shape valid = Valid({0, 0, 0});
    return {CeilDivide(valid.z, kCell), CeilDivide(valid.y, kCell), CeilDivide(valid.x, kCell)};
  }

  // Contexts of the flags of a row of cells: the ranges of their known values.
  void FindFlagContexts(int64_t cell_z, int64_t cell_y, int64_t n_cells, uint16_t* contexts) {
    std::array<const int32_t*, kCell * kCell> rows;
    int n_rows = 0;
    for (int64_t z = cell_z * kCell; z < std::min((cell_z + 1) * kCell, shape().z); ++z) {
      for (int64_t y = cell_y * kCell; y < std::min((cell_y + 1) * kCell, shape().y); ++y) rows[n_rows++] = Values(0, z, y);
    }
    low_.resize(shape().x), high_.resize(shape().x);
    FindRange(std::min(n_cells * kCell, shape().x), n_rows, rows.data(), low_.data(), high_.data());
    std::array<int32_t, kRangeLimits.size()> limits;
    std::transform(kRangeLimits.begin(), kRangeLimits.end(), limits.begin(),
                   [&](int limit) { return Limit(limit, kRangeBits); });
    for (int64_t cell = 0; cell < n_cells; ++cell) {
      const int64_t first = cell * kCell, end = std::min(first + kCell, shape().x);
      const int32_t range = *std::max_element(&high_[first], &high_[end]) - *std::min_element(&low_[first], &low_[end]);
      int32_t context = kFirstFlagContext + group() * kRanges;
      for (int32_t limit : limits) context += range >= limit;
      contexts[cell] = static_cast<uint16_t>(context);
    }
  }

  // Takes the even points of a volume, where it has values; `row` gets z and y and returns a row of it.
  template <typename Row>
  void TakeEvenPoints(Row row) {
    const Shape even = Valid({0, 0, 0});
    ForPlanesInParts(even.z, [&](int64_t z) {
      for (int64_t y = 0; y < even.y; ++y) TakeEven(even.x, row(2 * z, 2 * y), Values(0, z, y));
    });
  }

  // Joins the phases to the values of the level, as many along each axis as in `wanted`; `row` as above.
  template <typename Row>
  void Join(const Shape& wanted, Row row) {
    ForPlanesInParts(wanted.z, [&](int64_t z) {
      for (int64_t y = 0; y < wanted.y; ++y) {
        const int phase = PhaseNumber({static_cast<int>(z & 1), static_cast<int>(y & 1), 0});
        Interleave(CeilDivide(wanted.x, 2), Values(phase, z / 2, y / 2), Values(phase + 1, z / 2, y / 2), row(z, y));
      }
    });
  }

  // Begins, with the even points known.
  void Enter() { layout_.FillHalo(0, Needed(0), values_.get()); }

  // Sets the values of a phase to its predictions. `code` gets z and y of each row, and its contexts, behind which there is
  // room for a block.
  template <typename Code>
  void PredictPhase(int number, Code code) {
    const PhaseTask task = MakeTask(number);
    const auto predict = FormsOf(number).predict;
    ForPlanes(number, [&](int64_t z, const PhasePoints& points, Plane&) {
      predict(task, points);
      ForRows(number, [&](int64_t y, int64_t place) { code(z, y, points.contexts + place); });
    });
  }

  // Quantises a phase, planes of different cells at the same time. `want` gets z and y of each row in the volume, and places
  // for its values and for 255 where these count, of which it sets `n` each. It tells whether the latter are needed. `take`
  // gets z, y, and the row's codes, contexts and magnitudes, behind which there is room for a block.
  template <typename Want, typename Take>
  void QuantizePhase(int number, Want want, Take take) {
    const PhaseTask task = MakeTask(number);
    const auto quantize = FormsOf(number).quantize;
    const Shape& inside = Valid(kParities[number]);
    const Shape& needed = Needed(PhaseNumber(kParities[number]));
    ForPlanesOfCells(number, [&](int64_t z, const PhasePoints& points, Plane& plane) {
      const int64_t n_rows = z < inside.z ? inside.y : 0;
      bool all_count = n_rows == needed.y && inside.x == needed.x;
      if (!all_count) std::fill_n(plane.counted.begin(), points.n, uint8_t{0});
      for (int64_t y = 0; y < n_rows; ++y) {
        const int64_t place = y * layout_.pitch();
        all_count = want(z, y, &plane.wanted[place], &plane.counted[place]) && all_count;
      }
      quantize(task, points, {plane.wanted.data(), all_count ? nullptr : plane.counted.data(), plane.codes.data()});
      for (int64_t y = 0; y < n_rows; ++y) {
        const int64_t place = y * layout_.pitch();
        take(z, y, &plane.codes[place], points.contexts + place, points.magnitudes + place);
      }
    });
    FinishPhase(number);
  }

  // Ends a phase, after all rows have been gone through once more: `finish` gets z, y, values and magnitudes of each.
  template <typename Finish>
  void FinishPhase(int number, Finish finish) {
    ForPlanes(number, [&](int64_t z, const PhasePoints& points, Plane&) {
      ForRows(number, [&](int64_t y, int64_t place) { finish(z, y, points.values + place, points.magnitudes + place); });
    });
    FinishPhase(number);
  }
  // Ends a phase all of whose values and magnitudes are set.
  void FinishPhase(int number) {
    const int phase = PhaseNumber(kParities[number]);
    layout_.FillHalo(phase, Needed(phase), values_.get());
    layout_.FillHalo(phase, Needed(phase), magnitudes_.get());
  }

 private:
  static Shape MostNeeded(const std::array<Shape, 1 + kPhases>& needed) {
    Shape most{};
    for (const Shape& of_phase : needed) most = Larger(most, of_phase);
    return most;
  }

  // Numbers of the points of a plane, one row behind the other as in the phase.
  struct Plane {
    explicit Plane(size_t room) : contexts(room), wanted(room), codes(room), counted(room) {}

    std::vector<uint16_t> contexts;
    std::vector<int32_t> wanted, codes;
    std::vector<uint8_t> counted;
  };

  // Points of a plane from the first row to the last that is needed.
  int64_t PointsOfPlane(const Shape& needed) const {
    return needed.y > 0 ? (needed.y - 1) * layout_.pitch() + needed.x : 0;
  }

  // Goes through planes of a phase.
  template <typename Function>
  void ForPlanes(int number, int64_t first, int64_t end, Plane& plane, Function function) {
    const int phase = PhaseNumber(kParities[number]);
    const int64_t n = PointsOfPlane(Needed(phase));
    for (int64_t z = first; z < end; ++z) {
      const int64_t place = layout_.Row(phase, z, 0);
      function(z, PhasePoints{n, values_.get() + place, magnitudes_.get() + place, plane.contexts.data()}, plane);
    }
  }

  // Goes through the planes of a phase that are needed.
  template <typename Function>
  void ForPlanes(int number, Function function) {
    const Shape& needed = Needed(PhaseNumber(kParities[number]));
    Plane plane(PointsOfPlane(needed) + kBlock);
    ForPlanes(number, 0, needed.z, plane, function);
  }

  // The same, those of different cells at the same time.
  template <typename Function>
  void ForPlanesOfCells(int number, Function function) {
    const Shape& needed = Needed(PhaseNumber(kParities[number]));
    ForParts(needed.z, kCell, [&](Parts& parts) {
      Plane plane(PointsOfPlane(needed) + kBlock);
      for (int64_t first, end; parts.Take(first, end);) ForPlanes(number, first, end, plane, function);
    });
  }

  // Goes through the rows of a plane: y, and where it begins.
  template <typename Function>
  void ForRows(int number, Function function) {
    const int64_t n_rows = Needed(PhaseNumber(kParities[number])).y;
    for (int64_t y = 0; y < n_rows; ++y) function(y, y * layout_.pitch());
  }

  int32_t Limit(int steps, int n_bits) const {
    return std::max((steps << rules_.fraction_bits) >> n_bits, 1);
  }

  PhaseTask MakeTask(int number) const {
    PhaseTask task{};
    const Groups& groups = kKnownGroups[number];
    const int phase = PhaseNumber(kParities[number]);
    int total = 0;
    for (size_t part = 0; part < groups.size(); ++part) {
      const Group& own = groups[part];
      task.weights[part] = own.scale() * weights_[(group() * kPhases + number) * kGroups + own.number];
      for (size_t k = 0; k < own.neighbours.size(); ++k) {
        task.offsets[part][k] = layout_.Offset(phase, own.neighbours[k]);
      }
      if (!own.is_far()) total += own.closeness() * static_cast<int>(own.neighbours.size());
    }
    task.low = rules_.low;
    task.high = rules_.high;
    task.fraction_bits = rules_.fraction_bits;
    task.base = static_cast<int16_t>(group() * kContextsPerGroup + kPhaseClasses[number] * kContextsPerClass);
    for (size_t i = 0; i < kActivityLimits.size(); ++i) {
      task.activity_limits[i] = Limit(kActivityLimits[i] * total, kActivityBits);
    }
    for (size_t i = 0; i < kMagnitudeLimits.size(); ++i) {
      task.magnitude_limits[i] = static_cast<int16_t>(CeilDivide(kMagnitudeLimits[i] * total, 1 << kMagnitudeBits));
    }
    return task;
  }

  int number_;
  const int32_t* weights_;
  Rules rules_;
  std::array<Shape, 1 + kPhases> needed_;
  Layout layout_;
  std::unique_ptr<int32_t[]> values_;
  std::unique_ptr<uint8_t[]> magnitudes_;
  std::vector<int32_t> low_, high_;  // of a row of cells
};

}  // namespace
}  // namespace nvc

#endif  // NVC_LATTICE_LEVEL_H_
