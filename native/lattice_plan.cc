// Plan of a lattice stream: samples of a volume, prediction weights fitted to them, and their codes.
//
// The specification is nvc_jax/lattice: samples.py, weight_fit.py and estimate.py. Floating-point numbers are
// computed in the same order, so the weights are equal bit for bit.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "buffers.h"
#include "idle_cores.h"
#include "lattice_geometry.h"
#include "lattice_values.h"
#include "narrow_vectors.h"

namespace nvc {
namespace {

constexpr std::array<int, kLevelGroups> kSamplesPerRow = {2000, 1000, 500};
constexpr int kMaxSamples = 2000;
constexpr int kRows = kLevelGroups * kPhases;
constexpr int kSumBits = 3;
constexpr int32_t kMaxSum = (1 << 23) - 1;
constexpr uint32_t kHashesPerSample = 16;
constexpr int kMaxNeighbours = 40;
constexpr int kHashBits = 24;
constexpr int kNoiseBits = 10;
constexpr int kCostBits = 8;
constexpr int kCostClasses = 32;
constexpr int32_t kOne = 1 << kWeightBits;
constexpr int32_t kMaxTotal = 255;

constexpr int kSteps = 12;
constexpr float kSmallResidual = 0.5f;
constexpr float kLargeResidual = 8.0f;
constexpr float kChange = 0.25f / kOne;
constexpr int kLeastSamples = 4;
constexpr double kSmallestShare = 1e-6;
constexpr double kSmallest = 1e-9;
constexpr int kOfTypical = 4;
constexpr int kSums = 2 * kNarrow;  // partial sums of samples


int64_t Hash(uint32_t sample, uint32_t which) {
  uint32_t value = sample * kHashesPerSample + which;
  value *= 0x9E3779B1u, value ^= value >> 15;
  value *= 0x85EBCA77u, value ^= value >> 13;
  value *= 0xC2B2AE3Du, value ^= value >> 16;
  return value >> (32 - kHashBits);
}

int64_t NoiseWidth(int n_neighbours, int fraction_bits) {
  const int64_t width = n_neighbours == 2 ? 5793 : n_neighbours == 4 ? 4096 : 2896;
  return (width << fraction_bits) >> kNoiseBits;
}

// Samples of a row: a column of sums for each known group. Behind them there is room for a vector.
struct Row {
  int n = 0;
  std::array<int32_t, kMaxSamples + kNarrow> targets;
  std::array<std::array<int32_t, kMaxSamples + kNarrow>, kGroups> sums;
};

// Values in fixed point, and floats of which those that are looked at are turned to it.
struct FixedPoint {
  using Number = int32_t;
  const int32_t* values;

  const int32_t* Fix(int, const int32_t* seen, int32_t*) const { return seen; }
};

struct FloatValues {
  using Number = float;
  const float* values;
  double low, spacing, scale;

  const int32_t* Fix(int n, const float* seen, int32_t* fixed) const {
    if (scale == 1) {
      FixNearest(n, seen, low, spacing, fixed);
    } else {
      FixDown(n, seen, low, spacing, scale, fixed);
    }
    return fixed;
  }
};

template <typename Values>
struct Volume {
  Values fixed;
  const bool* counted;
  Shape lattice;
  std::array<int64_t, 3> sides;
  int fraction_bits;
  int thinning;
};

// Indices of a neighbour's places along each axis.
using Steps = std::array<uint8_t, 3>;
constexpr int kReach = 7;

// Points of a phase along an axis, and their neighbours at distances −3 to 3, mirrored at the ends.
class Axis {
 public:
  Axis() = default;

  Axis(int64_t side, int level, int parity, int64_t stride)
      : n_(std::max<int64_t>(0, CeilDivide(side - (int64_t{parity} << level), int64_t{2} << level))), parity_(parity),
        distance_(stride << level) {
    const int64_t last = (side - 1) >> level;
    for (int k = 0; k < 2 * kNearEnd; ++k) {
      const int64_t place = 2 * (k < kNearEnd ? k : n_ + k - 2 * kNearEnd) + parity;
      for (int step = 0; step < kReach; ++step) {
        int64_t moved = std::abs(place + step - kReach / 2);
        if (moved > last) moved = 2 * last - moved;
        of_ends_[k][step] = (std::clamp<int64_t>(moved, 0, last) - place) * distance_;
      }
    }
    for (int step = 0; step < kReach; ++step) of_inner_[step] = (step - kReach / 2) * distance_;
  }

  int64_t n() const { return n_; }

  // Position of a point.
  int64_t PositionOf(int64_t point) const { return (2 * point + parity_) * distance_; }

  const int64_t* of_inner() const { return of_inner_; }
  bool IsInner(int64_t point) const { return point >= kNearEnd && point < n_ - kNearEnd; }

  // Distances of the neighbours from a point.
  const int64_t* OffsetsOf(int64_t point) const {
    if (IsInner(point)) return of_inner_;
    return of_ends_[point < kNearEnd ? point : point - n_ + 2 * kNearEnd];
  }

 private:
  static constexpr int kNearEnd = (kReach / 2 + 1) / 2;
  int64_t n_ = 0, parity_ = 0, distance_ = 0;
  int64_t of_ends_[2 * kNearEnd][kReach], of_inner_[kReach];
};

// Recipe of the mean of a group's neighbours.
struct Column {
  int n;
  Steps neighbours[8];
  int scale;
  uint32_t hash;
  int64_t noise_width;
};

std::vector<Column> MakeColumns(const Triple& parity, const Groups& groups, int fraction_bits) {
  std::vector<Column> columns;
  for (const Group& group : groups) {
    Column column{static_cast<int>(group.neighbours.size()), {}, group.scale(), 3u + group.number, 0};
    column.noise_width = NoiseWidth(column.n, fraction_bits);
    for (int k = 0; k < column.n; ++k) {
      const Neighbour& neighbour = group.neighbours[k];
      for (int axis = 0; axis < 3; ++axis) {
        const int step = 2 * neighbour.shift[axis] + (neighbour.phase >> (2 - axis) & 1) - parity[axis];
        column.neighbours[k][axis] = static_cast<uint8_t>(kReach / 2 + step);
      }
    }
    columns.push_back(column);
  }
  return columns;
}

// Samples and the values around them, some samples at once: of each neighbour, those of one group after the other.
template <typename Number>
struct Surroundings {
  alignas(Integers) Number values[1 + kMaxNeighbours][kNarrow];
  alignas(Integers) int32_t fixed[1 + kMaxNeighbours][kNarrow];  // unless the values are
  alignas(Integers) int32_t sums[kGroups][kNarrow];
  bool counted[kNarrow];
};

// Adds up the values of each group, and the noise of the samples that are numbered from `first` on.
NVC_VECTORIZE
void AddUp(const Column* columns, int n_columns, int n_neighbours, int fraction_bits, uint32_t first,
           const int32_t* values, int32_t (*sums)[kNarrow]) {
  const int32_t half = (1 << fraction_bits) >> 1;
  Unsigned names;
  for (uint32_t lane = 0; lane < kNarrow; ++lane) names[lane] = first + lane;
  const Integers nearest = (NVC_LOAD_INTEGERS(values) + half) >> fraction_bits;
  Integers has_noise = {};
  for (int k = 1; k < n_neighbours; ++k) {
    has_noise |= ((NVC_LOAD_INTEGERS(values + k * kNarrow) + half) >> fraction_bits) != nearest;
  }
  if (fraction_bits == 0) has_noise = Integers{};
  int k = 0;
  for (int i = 0; i < n_columns; ++i) {
    const Column& column = columns[i];
    Integers total = {};
    for (const int end = k + column.n; k < end; ++k) total += NVC_LOAD_INTEGERS(values + k * kNarrow);
    total *= column.scale;
    const auto width = static_cast<uint32_t>(column.noise_width);
    Unsigned hash = names * kHashesPerSample + column.hash;
    hash *= 0x9E3779B1u, hash ^= hash >> 15;
    hash *= 0x85EBCA77u, hash ^= hash >> 13;
    hash *= 0xC2B2AE3Du, hash ^= hash >> 16;
    hash >>= 32 - kHashBits;
    // The product has more than 32 bits.
    const Unsigned scaled = ((hash >> 8) * width + (((hash & 255) * width) >> 8)) >> (kHashBits - 8);
    total += ((Integers)scaled - static_cast<int32_t>(width >> 1)) & has_noise;
    total = total < -kMaxSum ? -kMaxSum - Integers{} : total;
    total = total > kMaxSum ? kMaxSum - Integers{} : total;
    NVC_STORE_INTEGERS(sums[i], total);
  }
}

// Draws the samples of a row.
template <typename Values>
class RowSampler {
 public:
  RowSampler(const Volume<Values>& volume, int level, int number, const Groups& groups, uint32_t first)
      : volume_(volume), level_(level), first_(first),
        columns_(MakeColumns(kParities[number], groups, volume.fraction_bits)) {
    const std::array<int64_t, 3> strides = {volume.lattice.y * volume.lattice.x, volume.lattice.x, 1};
    for (int axis = 0; axis < 3; ++axis) {
      axes_[axis] = Axis(volume.sides[axis], level, kParities[number][axis], strides[axis]);
    }
    for (const Column& column : columns_) steps_.insert(steps_.end(), column.neighbours, column.neighbours + column.n);
    for (const auto [z, y, x] : steps_) {
      offsets_.push_back(axes_[0].of_inner()[z] + axes_[1].of_inner()[y] + axes_[2].of_inner()[x]);
    }
  }

  void Draw(Row& row) const {
    const int64_t n_points = axes_[0].n() * axes_[1].n() * axes_[2].n();
    const auto n = static_cast<int>(std::min<int64_t>(kSamplesPerRow[level_] >> volume_.thinning, n_points));
    const auto n_neighbours = static_cast<int>(offsets_.size());
    Around around{};
    row.n = 0;
    for (int start = 0; start < n; start += kNarrow) {
      const int count = std::min(kNarrow, n - start);
      const uint32_t name = first_ + static_cast<uint32_t>(start);
      for (int lane = 0; lane < kNarrow; ++lane) {
        const int own = std::min(lane, count - 1);
        Look(name + static_cast<uint32_t>(own), (start + own) * axes_[0].n() / n, lane, around);
      }
      const int32_t* fixed = volume_.fixed.Fix((1 + n_neighbours) * kNarrow, around.values[0], around.fixed[0]);
      AddUp(columns_.data(), static_cast<int>(columns_.size()), n_neighbours, volume_.fraction_bits, name,
            fixed + kNarrow, around.sums);
      Add(count, fixed, around, row);
    }
  }

 private:
  using Around = Surroundings<typename Values::Number>;

  // Finds the value of a sample and those around it; its point along z is given.
  void Look(uint32_t name, int64_t z, int lane, Around& around) const {
    const auto* values = volume_.fixed.values;
    const int64_t y = (Hash(name, 1) * axes_[1].n()) >> kHashBits, x = (Hash(name, 2) * axes_[2].n()) >> kHashBits;
    const int64_t own = axes_[0].PositionOf(z) + axes_[1].PositionOf(y) + axes_[2].PositionOf(x);
    around.values[0][lane] = values[own];
    around.counted[lane] = volume_.counted[own];
    int n = 1;
    if (axes_[0].IsInner(z) && axes_[1].IsInner(y) && axes_[2].IsInner(x)) {
      for (const int64_t offset : offsets_) around.values[n++][lane] = values[own + offset];
      return;
    }
    const int64_t *along_z = axes_[0].OffsetsOf(z), *along_y = axes_[1].OffsetsOf(y), *along_x = axes_[2].OffsetsOf(x);
    for (const auto [step_z, step_y, step_x] : steps_) {
      around.values[n++][lane] = values[own + along_z[step_z] + along_y[step_y] + along_x[step_x]];
    }
  }

  // Adds the samples that count to the row.
  void Add(int count, const int32_t* targets, const Around& around, Row& row) const {
    if (std::find(around.counted, around.counted + count, false) == around.counted + count) {
      std::copy_n(targets, kNarrow, &row.targets[row.n]);
      for (size_t i = 0; i < columns_.size(); ++i) std::copy_n(around.sums[i], kNarrow, &row.sums[i][row.n]);
      row.n += count;
      return;
    }
    for (int lane = 0; lane < count; ++lane) {
      row.targets[row.n] = targets[lane];
      for (size_t i = 0; i < columns_.size(); ++i) row.sums[i][row.n] = around.sums[i][lane];
      row.n += around.counted[lane];
    }
  }

  const Volume<Values>& volume_;
  int level_;
  uint32_t first_;
  std::vector<Column> columns_;
  Axis axes_[3];
  std::vector<Steps> steps_;     // to all neighbours
  std::vector<int64_t> offsets_;  // of all neighbours, where none is beyond the volume
};

// Unknown weights' differences, then what they should add up to, for all samples of a row; behind them zeros.
struct Equations {
  int n_padded;
  std::array<std::array<float, kMaxSamples + kSums>, kGroups> unknowns;
  std::array<float, kMaxSamples + kSums> importance;
  std::array<float, kMaxSamples> residual;
  std::array<std::array<float, kGroups>, kGroups> sums;
};

NVC_VECTORIZE
void SumUp(int n_unknowns, Equations& equations) {
  for (int i = 0; i < n_unknowns; ++i) {
    Floats partial[kGroups] = {}, others[kGroups] = {};  // sums 0 to 7, and 8 to 15
    for (int start = 0; start < equations.n_padded; start += kSums) {
      const int middle = start + kNarrow;
      const Floats scaled =
          NVC_LOAD_FLOATS(&equations.importance[start]) * NVC_LOAD_FLOATS(&equations.unknowns[i][start]);
      const Floats scaled_others =
          NVC_LOAD_FLOATS(&equations.importance[middle]) * NVC_LOAD_FLOATS(&equations.unknowns[i][middle]);
      for (int j = 0; j <= i; ++j) {
        partial[j] += scaled * NVC_LOAD_FLOATS(&equations.unknowns[j][start]);
        others[j] += scaled_others * NVC_LOAD_FLOATS(&equations.unknowns[j][middle]);
      }
    }
    for (int j = 0; j <= i; ++j) {
      partial[j] += others[j];
      for (int half = kNarrow / 2; half > 0; half /= 2) {
        for (int k = 0; k < half; ++k) partial[j][k] += partial[j][k + half];
      }
      equations.sums[i][j] = partial[j][0];
    }
  }
}

NVC_VECTORIZE
void FindResiduals(int n, int n_weights, const float* weights, Equations& equations) {
  for (int start = 0; start < n; start += kNarrow) {
    Floats sum = {};
    for (int i = 0; i < n_weights; ++i) sum += NVC_LOAD_FLOATS(&equations.unknowns[i][start]) * weights[i];
    const Floats residual = NVC_LOAD_FLOATS(&equations.unknowns[n_weights][start]) - sum;
    NVC_STORE_FLOATS(&equations.residual[start], NVC_ABS(residual));
  }
}

NVC_VECTORIZE
void Weigh(int n, float small, float large, Equations& equations) {
  for (int start = 0; start < n; start += kNarrow) {
    const Floats residual = NVC_LOAD_FLOATS(&equations.residual[start]);
    const Floats at_least = residual > small ? residual : small - Floats{};
    NVC_STORE_FLOATS(&equations.importance[start], 1.0f / (at_least * (residual + large)));
  }
  std::fill(equations.importance.begin() + n, equations.importance.begin() + equations.n_padded, 0.0f);
}

NVC_VECTORIZE
void WeighAtFirst(const Row& row, int n_groups, float step, Equations& equations) {
  const auto count = static_cast<float>(n_groups);
  for (int start = 0; start < row.n; start += kNarrow) {
    Floats total = __builtin_convertvector(NVC_LOAD_INTEGERS(&row.sums[0][start]), Floats), activity = {};
    for (int i = 1; i < n_groups; ++i) {
      total += __builtin_convertvector(NVC_LOAD_INTEGERS(&row.sums[i][start]), Floats);
    }
    const Floats center = total / count;
    for (int i = 0; i < n_groups; ++i) {
      const Floats difference = __builtin_convertvector(NVC_LOAD_INTEGERS(&row.sums[i][start]), Floats) - center;
      activity += NVC_ABS(difference);
    }
    const Floats spread = activity / (count * (1 << kSumBits)) + step;
    NVC_STORE_FLOATS(&equations.importance[start], 1.0f / (spread * spread));
  }
  std::fill(equations.importance.begin() + row.n, equations.importance.begin() + equations.n_padded, 0.0f);
}

// Cholesky's method; tells whether there is a solution.
bool Solve(int n, const Equations& equations, float* solution) {
  double rows[kGroups][kGroups];
  double trace = 0;
  for (int i = 0; i <= n; ++i) std::copy_n(equations.sums[i].begin(), i + 1, rows[i]);
  for (int i = 0; i < n; ++i) trace += rows[i][i];
  for (int i = 0; i < n; ++i) rows[i][i] += kSmallestShare * trace + kSmallest;
  for (int i = 0; i <= n; ++i) {
    for (int j = 0; j <= std::min(i, n - 1); ++j) {
      double rest = rows[i][j];
      for (int k = 0; k < j; ++k) rest -= rows[i][k] * rows[j][k];
      if (i > j) {
        rows[i][j] = rest / rows[j][j];
      } else if (rest > 0) {
        rows[i][i] = std::sqrt(rest);
      } else {
        return false;
      }
    }
  }
  double found[kGroups];
  std::copy_n(rows[n], n, found);
  for (int i = n - 1; i >= 0; --i) {
    for (int k = i + 1; k < n; ++k) found[i] -= rows[k][i] * found[k];
    found[i] /= rows[i][i];
  }
  std::copy_n(found, n, solution);
  return true;
}

// The number of the given rank among some that are not negative; behind them there is room for a vector.
NVC_VECTORIZE
int32_t Select(int n, int rank, int32_t* numbers) {
  std::fill_n(numbers + n, kNarrow, INT32_MAX);
  int32_t found = 0;
  for (int32_t bit = 1 << 30; bit > 0; bit >>= 1) {
    const int32_t next = found | bit;
    Integers below = {};
    for (int start = 0; start < n; start += kNarrow) below -= NVC_LOAD_INTEGERS(numbers + start) < next;
    int total = 0;
    for (int lane = 0; lane < kNarrow; ++lane) total += below[lane];
    if (total <= rank) found = next;
  }
  return found;
}

float TypicalResidual(int n, const Equations& equations) {
  // Floats that are not negative are in the order of their bits.
  std::array<int32_t, kMaxSamples / kOfTypical + kNarrow> taken;
  int count = 0;
  for (int sample = 0; sample < n; sample += kOfTypical) {
    std::memcpy(&taken[count++], &equations.residual[sample], sizeof(float));
  }
  const int32_t bits = Select(count, count / 2, taken.data());
  float typical;
  std::memcpy(&typical, &bits, sizeof(float));
  return typical;
}

// Sets the differences of the unknown weights' neighbours, and of the samples, from the first group's neighbours.
NVC_VECTORIZE
void SetUnknowns(const Row& row, int n_groups, Equations& equations) {
  constexpr float kScale = 1.0f / (1 << kSumBits);
  for (int i = 0; i < n_groups; ++i) {
    auto& own = equations.unknowns[i];
    const bool is_target = i == n_groups - 1;
    const int32_t *values = is_target ? row.targets.data() : row.sums[i + 1].data(), *first = row.sums[0].data();
    const int shift = is_target ? kSumBits : 0;
    for (int sample = 0; sample < row.n; ++sample) {
      own[sample] = static_cast<float>((values[sample] << shift) - first[sample]) * kScale;
    }
    std::fill(own.begin() + row.n, own.begin() + equations.n_padded, 0.0f);
  }
}

// Fits the weights of all groups of a row but the first.
void FitRow(const Row& row, int n_groups, int fraction_bits, Equations& equations, float* solution) {
  const auto step = static_cast<float>(1 << fraction_bits);
  const int n = n_groups - 1;
  equations.n_padded = static_cast<int>(CeilDivide(row.n, kSums) * kSums);
  SetUnknowns(row, n_groups, equations);
  WeighAtFirst(row, n_groups, step, equations);
  std::fill_n(solution, n, 0.0f);
  for (int iteration = 0; iteration < kSteps; ++iteration) {
    SumUp(n_groups, equations);
    float last[kGroups];
    std::copy_n(solution, n, last);
    if (!Solve(n, equations, solution)) return;
    float change = 0;
    for (int i = 0; i < n; ++i) change = std::max(change, std::fabs(solution[i] - last[i]));
    if (change < kChange) return;
    FindResiduals(row.n, n, solution, equations);
    const float typical = TypicalResidual(row.n, equations);
    Weigh(row.n, std::max(kSmallResidual * step, typical / 2), std::max(kLargeResidual * step, typical * 2),
          equations);
  }
}

// Weights in fixed point.
void QuantizeWeights(const Groups& groups, const float* solution, int32_t* row) {
  std::fill_n(row, kGroups, 0);
  int32_t total = 0, magnitudes = 0;
  for (size_t i = 1; i < groups.size(); ++i) {
    const float rounded = std::nearbyint(solution[i - 1] * kOne);
    const auto weight = static_cast<int32_t>(std::clamp(rounded, -128.0f, 127.0f));
    row[groups[i].number] = weight;
    total += weight;
    magnitudes += std::abs(weight);
  }
  row[groups[0].number] = kOne - total;
  if (magnitudes + std::abs(kOne - total) <= kMaxTotal) return;
  std::fill_n(row, kGroups, 0);
  row[std::find_if(groups.begin(), groups.end(), [](const Group& group) { return !group.is_far(); })->number] = kOne;
}

// What codes of samples are counted by, given weights.
struct CountTask {
  int n_groups;
  int32_t weights[kGroups];
  int32_t factors[kGroups];  // in the activity
  int fraction_bits;
  int32_t limits[kActivityLimits.size()];
};

CountTask MakeCountTask(const Groups& groups, const int32_t* weights, int fraction_bits) {
  CountTask task{};
  task.n_groups = static_cast<int>(groups.size());
  task.fraction_bits = fraction_bits;
  int32_t total = 0;
  for (int i = 0; i < task.n_groups; ++i) {
    const Group& group = groups[i];
    task.weights[i] = weights[group.number];
    task.factors[i] = group.is_far() ? 0 : group.closeness() * static_cast<int>(group.neighbours.size());
    total += task.factors[i];
  }
  for (size_t i = 0; i < kActivityLimits.size(); ++i) {
    const int32_t limit = ((kActivityLimits[i] * total) << fraction_bits) >> kActivityBits;
    task.limits[i] = std::max(limit, 1) << kSumBits;
  }
  return task;
}

// Cost of the codes of 8 samples, and what is counted of them: squares of errors, and cells of the histogram.
[[gnu::always_inline]] inline void CountVector(const CountTask& task, const Row& row, int start, Integers* cost,
                                               Integers* squared_error, int32_t* cells) {
  constexpr int kShift = kWeightBits + kSumBits;
  constexpr int kFloatFractionBits = 23, kFloatBias = 127;
  Integers weighted = Integers{} + ((1 << kShift) >> 1);
  for (int i = 0; i < task.n_groups; ++i) weighted += task.weights[i] * NVC_LOAD_INTEGERS(&row.sums[i][start]);
  const Integers predicted = weighted >> kShift;
  const Integers residual = NVC_LOAD_INTEGERS(&row.targets[start]) - predicted;
  const Integers doubled = 2 * NVC_ABS(residual), least = Integers{} + (1 << task.fraction_bits);
  const Integers size = doubled < least ? least : doubled;
  // Sizes are below 2^24, so that floats hold them.
  const Integers exponent = ((Integers)__builtin_convertvector(size, Floats) >> kFloatFractionBits) - kFloatBias;
  *cost = (exponent << kCostBits) + (((size - (1 << exponent)) << kCostBits) >> exponent);
  if (cells == nullptr) return;
  const Integers code = (residual + ((1 << task.fraction_bits) >> 1)) >> task.fraction_bits;
  const Integers error = residual - (code << task.fraction_bits);
  *squared_error = error * error;
  const Integers magnitude = NVC_ABS(code);
  const Integers exponent_of_code =
      ((Integers) __builtin_convertvector(magnitude, Floats) >> kFloatFractionBits) - kFloatBias;
  const Integers large = exponent_of_code + 5;
  const Integers of_code = magnitude < 8              ? magnitude
                           : large > kCostClasses - 1 ? kCostClasses - 1 - Integers{}
                                                      : large;
  Integers activity = {}, context = {};
  for (int i = 0; i < task.n_groups; ++i) {
    const Integers difference = NVC_LOAD_INTEGERS(&row.sums[i][start]) - (predicted << kSumBits);
    activity += task.factors[i] * NVC_ABS(difference);
  }
  for (int32_t limit : task.limits) context -= activity >= limit;
  NVC_STORE_INTEGERS(cells, context * kCostClasses + of_code);
}

// Cost of all codes; where there is a histogram, codes and squares of errors are counted too.
NVC_VECTORIZE
int32_t Count(const CountTask& task, const Row& row, int32_t* histogram, int32_t& squared_error) {
  alignas(Integers) int32_t cells[kNarrow];
  Integers costs = {}, squares = {};
  for (int start = 0; start < row.n; start += kNarrow) {
    Integers cost, square = {};
    CountVector(task, row, start, &cost, &square, histogram == nullptr ? nullptr : cells);
    const int count = std::min(kNarrow, row.n - start);
    for (int lane = count; lane < kNarrow; ++lane) cost[lane] = square[lane] = 0;
    costs += cost;
    squares += square;
    for (int lane = 0; lane < count && histogram != nullptr; ++lane) ++histogram[cells[lane]];
  }
  int32_t total = 0;
  for (int lane = 0; lane < kNarrow; ++lane) {
    total += costs[lane];
    squared_error += squares[lane];
  }
  return total;
}

// What is found about a volume, for each row or for both kinds of weights.
struct Findings {
  int32_t *rows, *n_samples, *costs, *histograms, *squared_errors;
};

constexpr int64_t kCells = kActivities * kCostClasses;  // of a histogram

// Histograms and squares of errors of a row of the finest level, by weights of either kind.
struct FinestCounts {
  int32_t histograms[2][kCells] = {};
  int32_t squared_errors[2] = {};
};

// Room for a row.
struct RowScratch {
  Row row;
  Equations equations;
  FinestCounts not_used;
};

template <typename Values>
void FindRow(const Volume<Values>& volume, int index, const int32_t* default_rows, RowScratch& scratch,
             const Findings& findings, FinestCounts& counts) {
  Row& row = scratch.row;
  const int level = index / kPhases, number = index % kPhases;
  const Groups& groups = kKnownGroups[number];
  const auto n_groups = static_cast<int>(groups.size());
  int32_t* fitted = findings.rows + index * kGroups;
  const int32_t* usual = default_rows + index * kGroups;
  int n_before = number * kSamplesPerRow[level];
  for (int before = 0; before < level; ++before) n_before += kPhases * kSamplesPerRow[before];
  RowSampler<Values>(volume, level, number, groups, static_cast<uint32_t>(n_before)).Draw(row);
  findings.n_samples[index] = row.n;
  if (row.n < kLeastSamples * n_groups) {
    std::copy_n(usual, kGroups, fitted);
  } else {
    float solution[kGroups];
    FitRow(row, n_groups, volume.fraction_bits, scratch.equations, solution);
    QuantizeWeights(groups, solution, fitted);
  }
  for (int option = 0; option < 2; ++option) {
    const CountTask task = MakeCountTask(groups, option == 0 ? usual : fitted, volume.fraction_bits);
    findings.costs[option * kRows + index] =
        Count(task, row, level == 0 ? counts.histograms[option] : nullptr, counts.squared_errors[option]);
  }
}

template <typename Values>
void FindIn(const Volume<Values>& volume, const int32_t* default_rows, const Findings& findings) {
  std::array<FinestCounts, kPhases> finest;
  ForParts(kRows, 1, [&](Parts& parts) {
    const std::unique_ptr<RowScratch> scratch(new RowScratch);  // not set
    parts.ForEach([&](int64_t index) {
      FinestCounts& counts = index < kPhases ? finest[index] : scratch->not_used;
      FindRow(volume, static_cast<int>(index), default_rows, *scratch, findings, counts);
    });
  });
  std::fill_n(findings.histograms, 2 * kCells, 0);
  std::fill_n(findings.squared_errors, 2, 0);
  for (const FinestCounts& counts : finest) {
    for (int option = 0; option < 2; ++option) {
      for (int64_t k = 0; k < kCells; ++k) findings.histograms[option * kCells + k] += counts.histograms[option][k];
      findings.squared_errors[option] += counts.squared_errors[option];
    }
  }
}

ffi::Error Find(S32 fixed, Pred counted, S32 sides, S32 fraction_bits, S32 thinning, S32 default_rows, Out<S32> rows,
                Out<S32> n_samples, Out<S32> costs, Out<S32> histograms, Out<S32> squared_errors) {
  const Shape lattice = ShapeOf(fixed.dimensions());
  const int32_t* stated = sides.typed_data();
  const Volume<FixedPoint> volume{
      {fixed.typed_data()}, counted.typed_data(), lattice,
      {std::clamp<int64_t>(stated[0], 1, lattice.z), std::clamp<int64_t>(stated[1], 1, lattice.y),
       std::clamp<int64_t>(stated[2], 1, lattice.x)},
      std::clamp(*fraction_bits.typed_data(), 0, 6), std::clamp(*thinning.typed_data(), 0, 8)};
  FindIn(volume, default_rows.typed_data(), {rows->typed_data(), n_samples->typed_data(), costs->typed_data(),
                                             histograms->typed_data(), squared_errors->typed_data()});
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_lattice_find, Find,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<Pred>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Ret<S32>().Ret<S32>().Ret<S32>().Ret<S32>().Ret<S32>());

// The same of floats of a volume, on NumPy's arrays: `sides` are three, and no value is below `low`.
extern "C" __attribute__((visibility("default"))) void nvc_lattice_find_in_floats(
    const float* values, const bool* counted, const int64_t* sides, double low, double spacing, int64_t fraction_bits,
    int64_t thinning, const int32_t* default_rows, int32_t* rows, int32_t* n_samples, int32_t* costs,
    int32_t* histograms, int32_t* squared_errors) {
  const auto bits = static_cast<int>(std::clamp<int64_t>(fraction_bits, 0, 6));
  const Volume<FloatValues> volume{{values, low, spacing, static_cast<double>(1 << bits)},
                              counted,
                              {sides[0], sides[1], sides[2]},
                              {sides[0], sides[1], sides[2]},
                              bits,
                              static_cast<int>(std::clamp<int64_t>(thinning, 0, 8))};
  FindIn(volume, default_rows, {rows, n_samples, costs, histograms, squared_errors});
}

}  // namespace nvc
