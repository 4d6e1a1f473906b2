// Lattice coder: integers of a volume by interpolation from coarse to fine.
//
// The specification is nvc_jax/lattice: geometry.py, prediction.py, walk.py, programs.py and items.py. All values
// are integers and equal bit for bit, within the volume; what lies beyond it may differ.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "buffers.h"
#include "lattice_geometry.h"
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
constexpr int kClasses = kTokens / 2;

struct Rules {
  int32_t fraction_bits, low, high;
  std::array<int64_t, 3> valid;
};

// Values or magnitudes of a phase with its halo.
template <typename T>
struct Extended {
  Shape shape;  // without halo
  std::vector<T> values;

  void Resize(const Shape& to) {
    shape = to;
    values.resize((to.z + 2 * kHalo) * (to.y + 2 * kHalo) * (to.x + 2 * kHalo) + kWidth);
  }
  // First point of a row.
  T* Row(int64_t z, int64_t y) {
    return values.data() + ((z + kHalo) * (shape.y + 2 * kHalo) + y + kHalo) * (shape.x + 2 * kHalo) + kHalo;
  }
  // Mirrors the values next to each end.
  void FillHalo() {
    const auto mirror = [](int64_t index, int64_t n) {
      if (index < 0) index = -1 - index;
      if (index >= n) index = 2 * n - 1 - index;
      return std::clamp<int64_t>(index, 0, n - 1);
    };
    for (int64_t z = 0; z < shape.z; ++z) {
      for (int64_t y = 0; y < shape.y; ++y) {
        T* row = Row(z, y);
        for (int64_t x : {-2, -1}) row[x] = row[mirror(x, shape.x)];
        for (int64_t x : {shape.x, shape.x + 1}) row[x] = row[mirror(x, shape.x)];
      }
      for (int64_t y : {int64_t{-2}, int64_t{-1}, shape.y, shape.y + 1}) CopyRow(z, mirror(y, shape.y), z, y);
    }
    for (int64_t z : {int64_t{-2}, int64_t{-1}, shape.z, shape.z + 1}) {
      for (int64_t y = -kHalo; y < shape.y + kHalo; ++y) CopyRow(mirror(z, shape.z), y, z, y);
    }
  }
  void CopyRow(int64_t from_z, int64_t from_y, int64_t z, int64_t y) {
    std::copy_n(Row(from_z, from_y) - kHalo, shape.x + 2 * kHalo, Row(z, y) - kHalo);
  }
};

// What the prediction of a row reads and writes.
struct RowTask {
  struct Part {
    int32_t weight;  // times the group's scale
    int32_t closeness;  // 0 if the group is far
    int n;
    const int32_t* values[8];
    const int32_t* magnitudes[8];
  };

  int n_parts;
  Part parts[kGroups];
  int64_t length;
  int32_t low, high;
  int32_t base;  // first context of the phase's class
  int32_t activity_limits[kActivityLimits.size()];
  int32_t magnitude_limits[kMagnitudeLimits.size()];
  int32_t* predicted;
  int32_t* context;
};

NVC_VECTORIZE
void PredictRow(const RowTask& task) {
  // Rows are read and written in whole vectors: behind each there is room for one more.
  for (int64_t start = 0; start < task.length; start += kWidth) {
    Vector weighted = {}, magnitude = {}, activity = {};
    for (int part = 0; part < task.n_parts; ++part) {
      const RowTask::Part& own = task.parts[part];
      Vector sum = {};
      for (int k = 0; k < own.n; ++k) sum += NVC_LOAD(own.values[k] + start);
      weighted += own.weight * sum;
      if (own.closeness == 0) continue;
      Vector total = {};
      for (int k = 0; k < own.n; ++k) total += NVC_LOAD(own.magnitudes[k] + start);
      magnitude += own.closeness * total;
    }
    Vector predicted = (weighted + (1 << (kWeightBits + 2))) >> (kWeightBits + 3);
    predicted = predicted < task.low ? task.low - Vector{} : predicted;
    predicted = predicted > task.high ? task.high - Vector{} : predicted;
    for (int part = 0; part < task.n_parts; ++part) {
      const RowTask::Part& own = task.parts[part];
      if (own.closeness == 0) continue;
      Vector sum = {};
      for (int k = 0; k < own.n; ++k) {
        const Vector difference = NVC_LOAD(own.values[k] + start) - predicted;
        sum += NVC_ABS(difference);
      }
      activity += own.closeness * sum;
    }
    Vector quiet = {}, large = {};
    for (int32_t limit : task.activity_limits) quiet -= activity >= limit;
    for (int32_t limit : task.magnitude_limits) large -= magnitude >= limit;
    const Vector rank = (large & 1) != 0 ? kActivities - 1 - quiet : quiet;
    NVC_STORE(task.predicted + start, predicted);
    NVC_STORE(task.context + start, task.base + large * kActivities + rank);
  }
}

// Values of a row by its codes, and the magnitudes that contexts rest on.
NVC_VECTORIZE
void FinishRow(int64_t n, const int32_t* predicted, const int32_t* codes, int fraction_bits, int32_t* values,
               int32_t* magnitudes) {
  for (int64_t x = 0; x < n; ++x) {
    values[x] = predicted[x] + (codes[x] << fraction_bits);
    magnitudes[x] = std::min(std::abs(codes[x]), kMaxContextMagnitude);
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

// Takes every second number of a row, as the finest level does.
template <typename T>
[[gnu::always_inline]] inline void TakeEverySecond(int64_t n, const T* row, T* out) {
  for (int64_t x = 0; x < n; ++x) out[x] = row[2 * x];
}
NVC_VECTORIZE
void TakeEverySecondValue(int64_t n, const int32_t* row, int32_t* out) { TakeEverySecond(n, row, out); }
NVC_VECTORIZE
void TakeEverySecondMark(int64_t n, const bool* row, bool* out) { TakeEverySecond(n, row, out); }

// Codes of a row.
NVC_VECTORIZE
void QuantizeRow(int64_t n, const int32_t* wanted, const int32_t* predicted, int fraction_bits, int32_t* codes) {
  const int32_t half = (1 << fraction_bits) >> 1;
  for (int64_t x = 0; x < n; ++x) codes[x] = (wanted[x] - predicted[x] + half) >> fraction_bits;
}

// A level while it is coded.
class Level {
 public:
  Level(const Shape& lattice, const int32_t* weights, const Rules& rules) : lattice_(lattice), weights_(weights), rules_(rules) {}

  // Goes to a level, whose even points have `values`.
  void Enter(int level, const std::vector<int32_t>& values) {
    level_ = level;
    shape_ = {lattice_.z >> (level + 1), lattice_.y >> (level + 1), lattice_.x >> (level + 1)};
    for (auto& phase : values_) phase.Resize(shape_);
    for (auto& phase : magnitudes_) phase.Resize(shape_);
    std::fill(magnitudes_[0].values.begin(), magnitudes_[0].values.end(), 0);
    for (int64_t z = 0; z < shape_.z; ++z) {
      for (int64_t y = 0; y < shape_.y; ++y) {
        std::copy_n(values.data() + (z * shape_.y + y) * shape_.x, shape_.x, values_[0].Row(z, y));
      }
    }
    values_[0].FillHalo();
    predicted_.resize(shape_.x + kWidth);
    context_.resize(shape_.x + kWidth);
  }

  int group() const { return std::min(level_, kLevelGroups - 1); }
  const Shape& shape() const { return shape_; }
  Shape cells() const {
    return {CeilDivide(shape_.z, kCell), CeilDivide(shape_.y, kCell), CeilDivide(shape_.x, kCell)};
  }

  // Points of a phase along each axis that lie in the volume.
  Shape Valid(const Triple& parity) const {
    const auto count = [&](int axis, int64_t side) {
      const int64_t n = CeilDivide(rules_.valid[axis] - (int64_t{parity[axis]} << level_), int64_t{2} << level_);
      return std::clamp<int64_t>(n, 0, side);
    };
    return {count(0, shape_.z), count(1, shape_.y), count(2, shape_.x)};
  }
  Shape ValidCells() const {
    const Shape valid = Valid({0, 0, 0});
    return {CeilDivide(valid.z, kCell), CeilDivide(valid.y, kCell), CeilDivide(valid.x, kCell)};
  }

  // Context of a cell's flag: the range of its known values.
  int32_t FlagContext(int64_t cell_z, int64_t cell_y, int64_t cell_x) {
    int32_t low = values_[0].Row(cell_z * kCell, cell_y * kCell)[cell_x * kCell], high = low;
    for (int64_t z = cell_z * kCell; z < std::min((cell_z + 1) * kCell, shape_.z); ++z) {
      for (int64_t y = cell_y * kCell; y < std::min((cell_y + 1) * kCell, shape_.y); ++y) {
        const int32_t* row = values_[0].Row(z, y);
        for (int64_t x = cell_x * kCell; x < std::min((cell_x + 1) * kCell, shape_.x); ++x) {
          low = std::min(low, row[x]);
          high = std::max(high, row[x]);
        }
      }
    }
    int32_t context = kFirstFlagContext + group() * kRanges;
    for (int limit : kRangeLimits) context += high - low >= Limit(limit, kRangeBits);
    return context;
  }

  // Predicts all rows of a phase; `code` gets z, y, predictions and contexts, and returns the codes of a row.
  template <typename Code>
  void WalkPhase(int number, const std::vector<Group>& groups, Code code) {
    const int phase = PhaseNumber(kParities[number]);
    RowTask task = MakeTask(number, groups);
    for (int64_t z = 0; z < shape_.z; ++z) {
      for (int64_t y = 0; y < shape_.y; ++y) {
        for (size_t part = 0; part < groups.size(); ++part) {
          for (size_t k = 0; k < groups[part].neighbours.size(); ++k) {
            const Neighbour& neighbour = groups[part].neighbours[k];
            const auto [dz, dy, dx] = neighbour.shift;
            task.parts[part].values[k] = values_[neighbour.phase].Row(z + dz, y + dy) + dx;
            task.parts[part].magnitudes[k] = magnitudes_[neighbour.phase].Row(z + dz, y + dy) + dx;
          }
        }
        PredictRow(task);
        const int32_t* codes = code(z, y, predicted_.data(), context_.data());
        int32_t* values = values_[phase].Row(z, y);
        int32_t* magnitudes = magnitudes_[phase].Row(z, y);
        FinishRow(shape_.x, predicted_.data(), codes, rules_.fraction_bits, values, magnitudes);
      }
    }
    values_[phase].FillHalo();
    magnitudes_[phase].FillHalo();
  }

  // Joins the phases: the values of the level, twice as many along each axis.
  void Join(std::vector<int32_t>& values) {
    const Shape whole{2 * shape_.z, 2 * shape_.y, 2 * shape_.x};
    values.resize(whole.size());
    for (int64_t z = 0; z < whole.z; ++z) {
      for (int64_t y = 0; y < whole.y; ++y) {
        const int phase = PhaseNumber({static_cast<int>(z & 1), static_cast<int>(y & 1), 0});
        Interleave(shape_.x, values_[phase].Row(z / 2, y / 2), values_[phase + 1].Row(z / 2, y / 2),
                   values.data() + (z * whole.y + y) * whole.x);
      }
    }
  }

 private:
  int32_t Limit(int steps, int n_bits) const {
    return std::max((steps << rules_.fraction_bits) >> n_bits, 1);
  }

  RowTask MakeTask(int number, const std::vector<Group>& groups) {
    RowTask task{};
    task.n_parts = static_cast<int>(groups.size());
    task.length = shape_.x;
    task.low = rules_.low;
    task.high = rules_.high;
    task.base = group() * kContextsPerGroup + kPhaseClasses[number] * kContextsPerClass;
    task.predicted = predicted_.data();
    task.context = context_.data();
    int total = 0;
    for (size_t part = 0; part < groups.size(); ++part) {
      const Group& own = groups[part];
      task.parts[part].weight =
          own.scale() * weights_[(group() * kPhases + number) * kGroups + own.number];
      task.parts[part].closeness = own.is_far() ? 0 : own.closeness();
      task.parts[part].n = static_cast<int>(own.neighbours.size());
      total += task.parts[part].closeness * task.parts[part].n;
    }
    for (size_t i = 0; i < kActivityLimits.size(); ++i) {
      task.activity_limits[i] = Limit(kActivityLimits[i] * total, kActivityBits);
    }
    for (size_t i = 0; i < kMagnitudeLimits.size(); ++i) {
      task.magnitude_limits[i] = static_cast<int32_t>(CeilDivide(kMagnitudeLimits[i] * total, 1 << kMagnitudeBits));
    }
    return task;
  }

  Shape lattice_;
  const int32_t* weights_;
  Rules rules_;
  int level_ = 0;
  Shape shape_{};
  std::array<Extended<int32_t>, 8> values_;
  std::array<Extended<int32_t>, 8> magnitudes_;
  std::vector<int32_t> predicted_, context_;
};

Rules ReadRules(S32& fraction_bits, S32& low, S32& high, S32& valid, const Shape& lattice) {
  const int32_t* sides = valid.typed_data();
  return {std::clamp(*fraction_bits.typed_data(), 0, 30), *low.typed_data(), *high.typed_data(),
          {std::clamp<int64_t>(sides[0], 0, lattice.z), std::clamp<int64_t>(sides[1], 0, lattice.y),
           std::clamp<int64_t>(sides[2], 0, lattice.x)}};
}

// Takes the items of passes from a stream.
class Reader {
 public:
  Reader(U16& words, S32& group_words, int64_t n_lanes)
      : n_lanes_(n_lanes), groups_(OpenGroups(words, group_words, n_lanes)) {}

  void BeginPass() { lane_ = 0; }

  int32_t Take(const Tables& tables, SlotTokens& slot_tokens, size_t row) {
    auto& [states, stack] = groups_[lane_ / kGroupLanes];
    const int32_t value =
        PopInteger(states[lane_ % kGroupLanes], tables.row(row), slot_tokens.row(row), stack);
    if (++lane_ == n_lanes_) lane_ = 0;
    return value;
  }

 private:
  int64_t n_lanes_;
  int64_t lane_ = 0;
  std::vector<GroupReader> groups_;
};

ffi::Error Decode(U16 words, S32 group_words, S32 n_lanes, U16 frequencies, S32 rows, S32 anchors, S32 weights,
                  S32 fraction_bits, S32 low, S32 high, S32 valid, Out<S32> decoded) {
  const Shape lattice = ShapeOf(decoded->dimensions());
  const Rules rules = ReadRules(fraction_bits, low, high, valid, lattice);
  const Tables tables(frequencies.typed_data(), Rows(frequencies));
  SlotTokens slot_tokens(tables);
  const auto known = KnownGroups();
  Reader reader(words, group_words, LanesOfStream(n_lanes, static_cast<int64_t>(group_words.element_count())));
  const int32_t* row_of = rows.typed_data();

  std::vector<int32_t> values(anchors.typed_data(), anchors.typed_data() + anchors.element_count());
  Level level(lattice, weights.typed_data(), rules);
  std::vector<uint8_t> flags;
  std::vector<int32_t> codes;
  for (int number = kLevels - 1; number >= 0; --number) {
    level.Enter(number, values);
    const Shape cells = level.cells(), valid_cells = level.ValidCells();
    flags.assign(cells.size(), 0);
    reader.BeginPass();
    for (int64_t z = 0; z < valid_cells.z; ++z) {
      for (int64_t y = 0; y < valid_cells.y; ++y) {
        for (int64_t x = 0; x < valid_cells.x; ++x) {
          const int32_t flag = reader.Take(tables, slot_tokens, row_of[level.FlagContext(z, y, x)]);
          flags[(z * cells.y + y) * cells.x + x] = flag > 0;
        }
      }
    }
    for (int phase = 0; phase < kPhases; ++phase) {
      const Shape inside = level.Valid(kParities[phase]);
      reader.BeginPass();
      codes.assign(level.shape().x, 0);
      level.WalkPhase(phase, known[phase], [&](int64_t z, int64_t y, const int32_t*, const int32_t* context) {
        std::fill(codes.begin(), codes.end(), 0);
        if (z < inside.z && y < inside.y) {
          const uint8_t* row = &flags[(z / kCell * cells.y + y / kCell) * cells.x];
          for (int64_t x = 0; x < inside.x; ++x) {
            if (row[x / kCell]) codes[x] = reader.Take(tables, slot_tokens, row_of[context[x]]);
          }
        }
        return codes.data();
      });
    }
    level.Join(values);
  }
  std::copy(values.begin(), values.end(), decoded->typed_data());
  return ffi::Error::Success();
}

// Items of a stream, in the order of coding.
struct Items {
  int32_t* values;
  uint16_t* contexts;
  int32_t* counts;  // of each pass
  int32_t* histogram;  // (contexts, classes of magnitudes and the negative ones)
  int64_t capacity;
  int64_t n = 0;

  // Adds items next to each other in a row; what does not fit is counted and dropped.
  void Add(const int32_t* row_values, const int32_t* row_contexts, int64_t length) {
    const int64_t fitting = std::clamp<int64_t>(capacity - n, 0, length);
    std::copy_n(row_values, fitting, values + n);
    for (int64_t i = 0; i < fitting; ++i) contexts[n + i] = static_cast<uint16_t>(row_contexts[i]);
    n += length;
    for (int64_t i = 0; i < length; ++i) {
      int32_t* row = histogram + row_contexts[i] * (kClasses + 1);
      ++row[(ToToken(row_values[i]).token + 1) / 2];
      row[kClasses] += row_values[i] < 0;
    }
  }
};

// The points of a row that a level takes of a volume.
class PointTaker {
 public:
  PointTaker(const Shape& lattice, const int32_t* fixed, const bool* counted)
      : lattice_(lattice), fixed_(fixed), counted_(counted), wanted_(lattice.x), marks_(new bool[lattice.x]),
        all_count_(std::memchr(counted, 0, lattice.size()) == nullptr) {}

  // Codes of the first `n` points of a row of a phase; 0 for points that do not count.
  void Quantize(int level, const Triple& parity, int64_t z, int64_t y, int64_t n, const int32_t* predicted,
                int fraction_bits, int32_t* codes) {
    const int64_t start =
        (((2 * z + parity[0]) << level) * lattice_.y + ((2 * y + parity[1]) << level)) * lattice_.x +
        (int64_t{parity[2]} << level);
    if (level == 0) {
      TakeEverySecondValue(n, fixed_ + start, wanted_.data());
    } else {
      for (int64_t x = 0; x < n; ++x) wanted_[x] = fixed_[start + ((2 * x) << level)];
    }
    QuantizeRow(n, wanted_.data(), predicted, fraction_bits, codes);
    if (all_count_) return;
    if (level == 0) {
      TakeEverySecondMark(n, counted_ + start, marks_.get());
    } else {
      for (int64_t x = 0; x < n; ++x) marks_[x] = counted_[start + ((2 * x) << level)];
    }
    for (int64_t x = 0; x < n; ++x) codes[x] = marks_[x] ? codes[x] : 0;
  }

 private:
  Shape lattice_;
  const int32_t* fixed_;
  const bool* counted_;
  std::vector<int32_t> wanted_;
  std::unique_ptr<bool[]> marks_;
  bool all_count_;
};

// Codes and contexts of a phase.
struct PhaseCodes {
  std::vector<int32_t> codes, contexts;
};

// Codes a phase, and flags the cells with a code that is not 0.
void QuantizePhase(Level& level, int number, int phase, const std::vector<Group>& groups, const Rules& rules,
                   PointTaker& points, PhaseCodes& coded, std::vector<uint8_t>& flags) {
  const Triple parity = kParities[phase];
  const Shape shape = level.shape(), inside = level.Valid(parity), cells = level.cells();
  coded.codes.assign(shape.size(), 0);
  coded.contexts.resize(shape.size());
  level.WalkPhase(phase, groups, [&](int64_t z, int64_t y, const int32_t* predicted, const int32_t* context) {
    int32_t* row = &coded.codes[(z * shape.y + y) * shape.x];
    std::copy_n(context, shape.x, &coded.contexts[(z * shape.y + y) * shape.x]);
    if (z < inside.z && y < inside.y) {
      points.Quantize(number, parity, z, y, inside.x, predicted, rules.fraction_bits, row);
      uint8_t* flag = &flags[(z / kCell * cells.y + y / kCell) * cells.x];
      for (int64_t x = 0; x < inside.x; ++x) flag[x / kCell] |= row[x] != 0;
    }
    return row;
  });
}

// Collects the items of a phase: the codes of all cells that are flagged.
void CollectPhase(const Level& level, int phase, const PhaseCodes& coded, const std::vector<uint8_t>& flags,
                  Items& items) {
  const Shape shape = level.shape(), inside = level.Valid(kParities[phase]), cells = level.cells();
  for (int64_t z = 0; z < inside.z; ++z) {
    for (int64_t y = 0; y < inside.y; ++y) {
      const int64_t start = (z * shape.y + y) * shape.x;
      const uint8_t* flag = &flags[(z / kCell * cells.y + y / kCell) * cells.x];
      const int64_t n_cells = CeilDivide(inside.x, kCell);
      for (int64_t first = 0, end = 0; first < n_cells; first = end) {
        for (end = first + 1; end < n_cells && flag[end] == flag[first];) ++end;
        if (!flag[first]) continue;
        const int64_t x = first * kCell, length = std::min(end * kCell, inside.x) - x;
        items.Add(&coded.codes[start + x], &coded.contexts[start + x], length);
      }
    }
  }
}

ffi::Error Quantize(S32 fixed, Pred counted, S32 anchors, S32 weights, S32 fraction_bits, S32 low, S32 high,
                    S32 valid, Out<S32> decoded, Out<S32> item_values, Out<U16> item_contexts,
                    Out<S32> counts, Out<S32> histogram) {
  const Shape lattice = ShapeOf(decoded->dimensions());
  const Rules rules = ReadRules(fraction_bits, low, high, valid, lattice);
  const auto known = KnownGroups();
  Items items{item_values->typed_data(), item_contexts->typed_data(), counts->typed_data(), histogram->typed_data(),
              static_cast<int64_t>(item_values->element_count())};
  Zero(counts), Zero(histogram);

  std::vector<int32_t> values(anchors.typed_data(), anchors.typed_data() + anchors.element_count());
  Level level(lattice, weights.typed_data(), rules);
  PointTaker points(lattice, fixed.typed_data(), counted.typed_data());
  std::array<PhaseCodes, kPhases> coded;
  std::vector<uint8_t> flags;
  int pass = 0;
  const auto end_pass = [&](int64_t before) { items.counts[pass++] = static_cast<int32_t>(items.n - before); };
  for (int number = kLevels - 1; number >= 0; --number) {
    level.Enter(number, values);
    const Shape cells = level.cells(), valid_cells = level.ValidCells();
    flags.assign(cells.size(), 0);
    for (int phase = 0; phase < kPhases; ++phase) {
      QuantizePhase(level, number, phase, known[phase], rules, points, coded[phase], flags);
    }
    int64_t before = items.n;
    for (int64_t z = 0; z < valid_cells.z; ++z) {
      for (int64_t y = 0; y < valid_cells.y; ++y) {
        for (int64_t x = 0; x < valid_cells.x; ++x) {
          const int32_t flag = flags[(z * cells.y + y) * cells.x + x], context = level.FlagContext(z, y, x);
          items.Add(&flag, &context, 1);
        }
      }
    }
    end_pass(before);
    for (int phase = 0; phase < kPhases; ++phase) {
      before = items.n;
      CollectPhase(level, phase, coded[phase], flags, items);
      end_pass(before);
    }
    level.Join(values);
  }
  if (items.n > items.capacity) return ffi::Error::Internal("a lattice has more items than expected");
  std::fill(items.values + items.n, items.values + items.capacity, 0);
  std::fill(items.contexts + items.n, items.contexts + items.capacity, uint16_t{0});
  std::copy(values.begin(), values.end(), decoded->typed_data());
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_lattice_decode, Decode,
                              ffi::Ffi::Bind()
                                  .Arg<U16>().Arg<S32>().Arg<S32>().Arg<U16>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Ret<S32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_lattice_quantize, Quantize,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<Pred>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Ret<S32>().Ret<S32>().Ret<U16>().Ret<S32>().Ret<S32>());

}  // namespace nvc
