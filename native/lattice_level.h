// A level of the lattice while it is coded: its phases, their prediction, and the contexts of their codes.
//
// The specification is nvc_jax/lattice: prediction.py and walk.py.

#ifndef NVC_LATTICE_LEVEL_H_
#define NVC_LATTICE_LEVEL_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "lattice_geometry.h"
#include "rans.h"
#include "narrow_vectors.h"

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

// Points of a row that are predicted at once. Rows are read and written in whole blocks: behind each there is room.
constexpr int kBlock = kNarrow;

struct Rules {
  int32_t fraction_bits, low, high;
  std::array<int64_t, 3> valid;
};

// Places of the points of all phases in one array, each phase with a halo.
class Layout {
 public:
  explicit Layout(const Shape& shape)
      : shape_(shape), pitch_(shape.x + 2 * kHalo), plane_((shape.y + 2 * kHalo) * pitch_),
        phase_((shape.z + 2 * kHalo) * plane_) {}

  const Shape& shape() const { return shape_; }
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
  // Mirrors the points next to each end of a phase.
  template <typename T>
  void FillHalo(int phase, T* points) const {
    const auto mirror = [](int64_t index, int64_t n) {
      if (index < 0) index = -1 - index;
      if (index >= n) index = 2 * n - 1 - index;
      return std::clamp<int64_t>(index, 0, n - 1);
    };
    const auto copy = [&](int64_t from, int64_t to, int64_t n) {
      std::copy_n(points + from - kHalo, n, points + to - kHalo);
    };
    const int64_t second_last = mirror(shape_.x + 1, shape_.x), second = mirror(-2, shape_.x);
    for (int64_t z = 0; z < shape_.z; ++z) {
      T* row = points + Row(phase, z, 0);
      for (int64_t y = 0; y < shape_.y; ++y, row += pitch_) {
        row[-2] = row[second], row[-1] = row[0];
        row[shape_.x] = row[shape_.x - 1], row[shape_.x + 1] = row[second_last];
      }
      for (int64_t y : {int64_t{-2}, int64_t{-1}, shape_.y, shape_.y + 1}) {
        copy(Row(phase, z, mirror(y, shape_.y)), Row(phase, z, y), pitch_);
      }
    }
    for (int64_t z : {int64_t{-2}, int64_t{-1}, shape_.z, shape_.z + 1}) {
      copy(Row(phase, mirror(z, shape_.z), -kHalo), Row(phase, z, -kHalo), plane_);
    }
  }

 private:
  Shape shape_;
  int64_t pitch_, plane_, phase_;
};

// What the prediction of a phase rests on.
struct PhaseTask {
  int64_t offsets[kGroups][8];  // of the neighbours of each known group
  int32_t weights[kGroups];  // times the groups' scales
  int32_t low, high;
  int32_t activity_limits[kActivityLimits.size()];
  int16_t magnitude_limits[kMagnitudeLimits.size()];
  int16_t base;  // first context of the phase's class
};

// Adds up the values and magnitudes around 8 points, group by group.
template <int kNumber, size_t kPart = 0>
[[gnu::always_inline]] inline void AddNeighbours(const PhaseTask& task, const int32_t* values,
                                                 const uint8_t* magnitudes, Integers* weighted,
                                                 ShortIntegers* magnitude) {
  constexpr const Group& kGroup = kKnownGroups[kNumber][kPart];
  Integers sum = {};
  ShortIntegers total = {};
  for (size_t k = 0; k < kGroup.neighbours.size(); ++k) {
    const int64_t offset = task.offsets[kPart][k];
    sum += NVC_LOAD_INTEGERS(values + offset);
    if constexpr (!kGroup.is_far()) {
      const Bytes bytes = *reinterpret_cast<const UnalignedBytes*>(magnitudes + offset);
      total += __builtin_convertvector(bytes, ShortIntegers);
    }
  }
  *weighted += task.weights[kPart] * sum;
  if constexpr (!kGroup.is_far()) *magnitude += static_cast<int16_t>(kGroup.closeness()) * total;
  if constexpr (kPart + 1 < kKnownGroups[kNumber].size()) {
    AddNeighbours<kNumber, kPart + 1>(task, values, magnitudes, weighted, magnitude);
  }
}

// Adds up the differences of the near values from the predictions of 8 points.
template <int kNumber, size_t kPart = 0>
[[gnu::always_inline]] inline void AddDifferences(const PhaseTask& task, const int32_t* values,
                                                  const Integers& predicted, Integers* activity) {
  constexpr const Group& kGroup = kKnownGroups[kNumber][kPart];
  if constexpr (!kGroup.is_far()) {
    Integers sum = {};
    for (size_t k = 0; k < kGroup.neighbours.size(); ++k) {
      const Integers difference = NVC_LOAD_INTEGERS(values + task.offsets[kPart][k]) - predicted;
      sum += NVC_ABS(difference);
    }
    *activity += kGroup.closeness() * sum;
  }
  if constexpr (kPart + 1 < kKnownGroups[kNumber].size()) {
    AddDifferences<kNumber, kPart + 1>(task, values, predicted, activity);
  }
}

// Predictions of a row and the contexts of its codes, given where its values and magnitudes begin.
template <int kNumber>
[[gnu::always_inline]] inline void PredictRowOf(const PhaseTask& task, int64_t length, const int32_t* values,
                                                const uint8_t* magnitudes, int32_t* predictions, uint16_t* contexts) {
  for (int64_t start = 0; start < length; start += kNarrow) {
    Integers weighted = {}, activity = {};
    ShortIntegers magnitude = {};
    AddNeighbours<kNumber>(task, values + start, magnitudes + start, &weighted, &magnitude);
    Integers predicted = (weighted + (1 << (kWeightBits + 2))) >> (kWeightBits + 3);
    predicted = predicted < task.low ? task.low - Integers{} : predicted;
    predicted = predicted > task.high ? task.high - Integers{} : predicted;
    NVC_STORE_INTEGERS(predictions + start, predicted);
    AddDifferences<kNumber>(task, values + start, predicted, &activity);
    Integers reached = {};
    for (int32_t limit : task.activity_limits) reached -= activity >= limit;
    const ShortIntegers quiet = __builtin_convertvector(reached, ShortIntegers);
    ShortIntegers large = {};
    for (int16_t limit : task.magnitude_limits) large -= magnitude >= limit;
    // Activities run up and down in turn.
    const ShortIntegers is_odd = -(large & 1);
    const ShortIntegers rank = (quiet ^ is_odd) + (is_odd & kActivities);
    *reinterpret_cast<UnalignedShortIntegers*>(contexts + start) = task.base + large * kActivities + rank;
  }
}

#define NVC_PREDICT_ROW(number)                                                                                 \
  NVC_VECTORIZE void PredictRow##number(const PhaseTask& task, int64_t length, const int32_t* values,           \
                                        const uint8_t* magnitudes, int32_t* predictions, uint16_t* contexts) {  \
    PredictRowOf<number>(task, length, values, magnitudes, predictions, contexts);                              \
  }
NVC_PREDICT_ROW(0)
NVC_PREDICT_ROW(1)
NVC_PREDICT_ROW(2)
NVC_PREDICT_ROW(3)
NVC_PREDICT_ROW(4)
NVC_PREDICT_ROW(5)
NVC_PREDICT_ROW(6)
#undef NVC_PREDICT_ROW

// Values of a row, at first its predictions, by its codes, and the magnitudes that contexts rest on.
NVC_VECTORIZE
void FinishRow(int64_t n, const int32_t* codes, int fraction_bits, int32_t* values, uint8_t* magnitudes) {
  for (int64_t x = 0; x < n; ++x) {
    values[x] += codes[x] << fraction_bits;
    magnitudes[x] = static_cast<uint8_t>(std::min(std::abs(codes[x]), kMaxContextMagnitude));
  }
}

// Codes of a row whose values are at first those that are wanted; then these are those that are decoded.
NVC_VECTORIZE
void QuantizeRow(int64_t n, const int32_t* predicted, int fraction_bits, int32_t* values, int32_t* codes,
                 uint8_t* magnitudes) {
  const int32_t half = (1 << fraction_bits) >> 1;
  for (int64_t x = 0; x < n; ++x) {
    const int32_t code = (values[x] - predicted[x] + half) >> fraction_bits;
    codes[x] = code;
    values[x] = predicted[x] + (code << fraction_bits);
    magnitudes[x] = static_cast<uint8_t>(std::min(std::abs(code), kMaxContextMagnitude));
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

// Takes a row of twice `n` values apart.
NVC_VECTORIZE
void Separate(int64_t n, const int32_t* row, int32_t* even, int32_t* odd) {
  for (int64_t x = 0; x < n; ++x) {
    even[x] = row[2 * x];
    odd[x] = row[2 * x + 1];
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
        layout_(PhaseShape(lattice, number)),
        values_(new int32_t[layout_.size()]), magnitudes_(new uint8_t[layout_.size()]),
        predicted_(new int32_t[shape().x + kBlock]) {
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

  // Context of a cell's flag: the range of its known values.
  int32_t FlagContext(int64_t cell_z, int64_t cell_y, int64_t cell_x) {
    const int64_t first = cell_x * kCell, end = std::min(first + kCell, shape().x);
    int32_t low = Values(0, cell_z * kCell, cell_y * kCell)[first], high = low;
    for (int64_t z = cell_z * kCell; z < std::min((cell_z + 1) * kCell, shape().z); ++z) {
      for (int64_t y = cell_y * kCell; y < std::min((cell_y + 1) * kCell, shape().y); ++y) {
        const int32_t* row = Values(0, z, y);
        for (int64_t x = first; x < end; ++x) {
          low = std::min(low, row[x]);
          high = std::max(high, row[x]);
        }
      }
    }
    int32_t context = kFirstFlagContext + group() * kRanges;
    for (int limit : kRangeLimits) context += high - low >= Limit(limit, kRangeBits);
    return context;
  }

  // Takes a volume apart into the phases, where it has values; `row` gets z and y and returns a row of it.
  template <typename Row>
  void Split(Row row) {
    const Shape even = Valid({0, 0, 0});
    for (int64_t z = 0; z < 2 * even.z; ++z) {
      for (int64_t y = 0; y < 2 * even.y; ++y) {
        const int phase = PhaseNumber({static_cast<int>(z & 1), static_cast<int>(y & 1), 0});
        Separate(even.x, row(z, y), Values(phase, z / 2, y / 2), Values(phase + 1, z / 2, y / 2));
      }
    }
  }

  // Joins the phases to the values of the level, as many along each axis as in `wanted`; `row` as above.
  template <typename Row>
  void Join(const Shape& wanted, Row row) {
    for (int64_t z = 0; z < wanted.z; ++z) {
      for (int64_t y = 0; y < wanted.y; ++y) {
        const int phase = PhaseNumber({static_cast<int>(z & 1), static_cast<int>(y & 1), 0});
        Interleave(CeilDivide(wanted.x, 2), Values(phase, z / 2, y / 2), Values(phase + 1, z / 2, y / 2), row(z, y));
      }
    }
  }

  // Begins, with the even points known.
  void Enter() { layout_.FillHalo(0, values_.get()); }

  // Predicts all rows of a phase. `code` gets z, y and the predictions, and sets the values and magnitudes of the row.
  // Before, the row's contexts are in `contexts`, which has room for a block more than the row.
  template <typename Code>
  void WalkPhase(int number, uint16_t* contexts, Code code) {
    const int phase = PhaseNumber(kParities[number]);
    const PhaseTask task = MakeTask(number);
    for (int64_t z = 0; z < Needed(phase).z; ++z) {
      for (int64_t y = 0; y < Needed(phase).y; ++y) {
        int32_t* values = Values(phase, z, y);
        uint8_t* magnitudes = magnitudes_.get() + layout_.Row(phase, z, y);
        Predict(number, task, Needed(phase).x, values, magnitudes, contexts);
        code(z, y, predicted_.get(), values, magnitudes);
      }
    }
  }

  // Ends a phase, after all rows have been gone through once more: `finish` gets z, y, values and magnitudes of each.
  template <typename Finish>
  void FinishPhase(int number, Finish finish) {
    const int phase = PhaseNumber(kParities[number]);
    for (int64_t z = 0; z < Needed(phase).z; ++z) {
      for (int64_t y = 0; y < Needed(phase).y; ++y) {
        finish(z, y, Values(phase, z, y), magnitudes_.get() + layout_.Row(phase, z, y));
      }
    }
    FinishPhase(number);
  }
  // Ends a phase all of whose values and magnitudes are set.
  void FinishPhase(int number) {
    const int phase = PhaseNumber(kParities[number]);
    layout_.FillHalo(phase, values_.get());
    layout_.FillHalo(phase, magnitudes_.get());
  }

 private:
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
    task.base = static_cast<int16_t>(group() * kContextsPerGroup + kPhaseClasses[number] * kContextsPerClass);
    for (size_t i = 0; i < kActivityLimits.size(); ++i) {
      task.activity_limits[i] = Limit(kActivityLimits[i] * total, kActivityBits);
    }
    for (size_t i = 0; i < kMagnitudeLimits.size(); ++i) {
      task.magnitude_limits[i] = static_cast<int16_t>(CeilDivide(kMagnitudeLimits[i] * total, 1 << kMagnitudeBits));
    }
    return task;
  }

  void Predict(int number, const PhaseTask& task, int64_t length, const int32_t* values, const uint8_t* magnitudes,
               uint16_t* contexts) {
    constexpr std::array kPredictRows = {PredictRow0, PredictRow1, PredictRow2, PredictRow3,
                                         PredictRow4, PredictRow5, PredictRow6};
    kPredictRows[number](task, length, values, magnitudes, predicted_.get(), contexts);
  }

  int number_;
  const int32_t* weights_;
  Rules rules_;
  std::array<Shape, 1 + kPhases> needed_;
  Layout layout_;
  std::unique_ptr<int32_t[]> values_;
  std::unique_ptr<uint8_t[]> magnitudes_;
  std::unique_ptr<int32_t[]> predicted_;
};

}  // namespace
}  // namespace nvc

#endif  // NVC_LATTICE_LEVEL_H_
