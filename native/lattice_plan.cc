// Plan of a lattice stream: samples of a volume, prediction weights fitted to them, and their codes.
//
// The specification is nvc_jax/lattice: samples.py, weight_fit.py and estimate.py. Floating-point numbers are
// computed in the same order, so the weights are equal bit for bit.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include "buffers.h"
#include "lattice_geometry.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr std::array<int, kLevelGroups> kSamplesPerRow = {4000, 2000, 1000};
constexpr int kMaxSamples = 4000;
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

typedef float Floats __attribute__((vector_size(4 * kWidth)));
typedef float UnalignedFloats __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));
#define NVC_LOAD_FLOATS(address) (*reinterpret_cast<const UnalignedFloats*>(address))
#define NVC_STORE_FLOATS(address, vector) (*reinterpret_cast<UnalignedFloats*>(address) = (vector))

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

// Samples of a row: a column of sums for each known group.
struct Row {
  int n = 0;
  std::array<int32_t, kMaxSamples> targets;
  std::array<std::array<int32_t, kMaxSamples>, kGroups> sums;
};

struct Volume {
  const int32_t* fixed;
  const bool* counted;
  Shape lattice;
  std::array<int64_t, 3> sides;
  int fraction_bits;
  int thinning;
};

// Indices of a neighbour's places along each axis.
using Steps = std::array<uint8_t, 3>;
constexpr int kReach = 7;

// Places along an axis of the neighbours at distances −3 to 3 of a sample, mirrored at the ends.
std::array<int64_t, kReach> Places(int64_t place, int64_t side, int level, int64_t stride) {
  const int64_t last = (side - 1) >> level;
  std::array<int64_t, kReach> places;
  for (int step = 0; step < kReach; ++step) {
    int64_t moved = std::abs(place + step - kReach / 2);
    if (moved > last) moved = 2 * last - moved;
    places[step] = (std::clamp<int64_t>(moved, 0, last) << level) * stride;
  }
  return places;
}

// Recipe of the mean of a group's neighbours.
struct Column {
  int n;
  Steps neighbours[8];
  int64_t offsets[8];  // of positions, where no neighbour is beyond the volume
  int scale;
  uint32_t hash;
  int64_t noise_width;
};

std::vector<Column> MakeColumns(const Triple& parity, const Groups& groups, int fraction_bits,
                                const std::array<int64_t, 3>& distances) {
  std::vector<Column> columns;
  for (const Group& group : groups) {
    Column column{static_cast<int>(group.neighbours.size()), {}, {}, group.scale(), 3u + group.number, 0};
    column.noise_width = NoiseWidth(column.n, fraction_bits);
    for (int k = 0; k < column.n; ++k) {
      const Neighbour& neighbour = group.neighbours[k];
      for (int axis = 0; axis < 3; ++axis) {
        const int step = 2 * neighbour.shift[axis] + (neighbour.phase >> (2 - axis) & 1) - parity[axis];
        column.neighbours[k][axis] = static_cast<uint8_t>(kReach / 2 + step);
        column.offsets[k] += step * distances[axis];
      }
    }
    columns.push_back(column);
  }
  return columns;
}

// A sampled point of a phase.
struct Sample {
  std::array<int64_t, 3> place;  // in the level's distances
  int64_t own;  // position in the volume
  bool is_inner;  // whether no neighbour is beyond the volume
};

// Draws the samples of a row, some at once: the processor fetches what is around all of them at the same time.
class RowSampler {
 public:
  RowSampler(const Volume& volume, int level, int number, const Groups& groups, uint32_t first)
      : volume_(volume), level_(level), parity_(kParities[number]), first_(first),
        strides_{volume.lattice.y * volume.lattice.x, volume.lattice.x, 1},
        columns_(MakeColumns(parity_, groups, volume.fraction_bits,
                             {strides_[0] << level, strides_[1] << level, strides_[2] << level})) {
    for (int axis = 0; axis < 3; ++axis) {
      counts_[axis] = std::max<int64_t>(
          0, CeilDivide(volume.sides[axis] - (int64_t{parity_[axis]} << level), int64_t{2} << level));
    }
  }

  void Draw(Row& row) const {
    constexpr int kAtOnce = 8;
    const int64_t n_points = counts_[0] * counts_[1] * counts_[2];
    const auto n = static_cast<int>(std::min<int64_t>(kSamplesPerRow[level_] >> volume_.thinning, n_points));
    std::array<Sample, kAtOnce> samples;
    row.n = 0;
    for (int start = 0; start < n; start += kAtOnce) {
      const int end = std::min(start + kAtOnce, n);
      for (int i = start; i < end; ++i) samples[i - start] = Place(first_ + static_cast<uint32_t>(i));
      for (int i = start; i < end; ++i) Measure(first_ + static_cast<uint32_t>(i), samples[i - start], row);
    }
  }

 private:
  Sample Place(uint32_t name) const {
    Sample sample{{}, 0, true};
    for (int axis = 0; axis < 3; ++axis) {
      int64_t& place = sample.place[axis];
      place = 2 * ((Hash(name, axis) * counts_[axis]) >> kHashBits) + parity_[axis];
      sample.own += (place << level_) * strides_[axis];
      sample.is_inner = sample.is_inner && place >= kReach / 2 && place + kReach / 2 <= (volume_.sides[axis] - 1) >> level_;
    }
    __builtin_prefetch(volume_.fixed + sample.own);
    __builtin_prefetch(volume_.counted + sample.own);
    if (!sample.is_inner) return sample;
    for (const Column& column : columns_) {
      for (int k = 0; k < column.n; ++k) __builtin_prefetch(volume_.fixed + sample.own + column.offsets[k]);
    }
    return sample;
  }

  // Values of the neighbours of a sample, those of one group after the other; returns their number.
  int Find(const Sample& sample, int32_t* found) const {
    int n = 0;
    if (sample.is_inner) {
      for (const Column& column : columns_) {
        for (int k = 0; k < column.n; ++k) found[n++] = volume_.fixed[sample.own + column.offsets[k]];
      }
      return n;
    }
    std::array<std::array<int64_t, kReach>, 3> places;
    for (int axis = 0; axis < 3; ++axis) {
      places[axis] = Places(sample.place[axis], volume_.sides[axis], level_, strides_[axis]);
    }
    for (const Column& column : columns_) {
      for (int k = 0; k < column.n; ++k) {
        const auto [z, y, x] = column.neighbours[k];
        found[n++] = volume_.fixed[places[0][z] + places[1][y] + places[2][x]];
      }
    }
    return n;
  }

  // Adds a sample to the row if its value counts.
  void Measure(uint32_t name, const Sample& sample, Row& row) const {
    int32_t found[kMaxNeighbours];
    const int n_neighbours = Find(sample, found);
    const int32_t half = (1 << volume_.fraction_bits) >> 1;
    const auto rounded = [&](int32_t value) { return (value + half) >> volume_.fraction_bits; };
    bool has_noise = false;
    for (int k = 1; k < n_neighbours; ++k) has_noise |= rounded(found[k]) != rounded(found[0]);
    has_noise &= volume_.fraction_bits > 0;
    const int32_t* first_of_group = found;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const Column& column = columns_[i];
      int32_t total = 0;
      for (int k = 0; k < column.n; ++k) total += *first_of_group++;
      total *= column.scale;
      if (has_noise) {
        total += static_cast<int32_t>((Hash(name, column.hash) * column.noise_width) >> kHashBits) -
                 static_cast<int32_t>(column.noise_width >> 1);
      }
      row.sums[i][row.n] = std::clamp(total, -kMaxSum, kMaxSum);
    }
    row.targets[row.n] = volume_.fixed[sample.own];
    row.n += volume_.counted[sample.own];
  }

  const Volume& volume_;
  int level_;
  Triple parity_;
  uint32_t first_;
  std::array<int64_t, 3> strides_, counts_;
  std::vector<Column> columns_;
};

// Unknown weights' differences, then what they should add up to, for all samples of a row; behind them zeros.
struct Equations {
  int n_padded;
  std::array<std::array<float, kMaxSamples + kWidth>, kGroups> unknowns;
  std::array<float, kMaxSamples + kWidth> importance;
  std::array<float, kMaxSamples> residual;
  std::array<std::array<float, kGroups>, kGroups> sums;
};

NVC_VECTORIZE
void SumUp(int n_unknowns, Equations& equations) {
  for (int i = 0; i < n_unknowns; ++i) {
    Floats partial[kGroups] = {};
    for (int start = 0; start < equations.n_padded; start += kWidth) {
      const Floats scaled =
          NVC_LOAD_FLOATS(&equations.importance[start]) * NVC_LOAD_FLOATS(&equations.unknowns[i][start]);
      for (int j = 0; j <= i; ++j) partial[j] += scaled * NVC_LOAD_FLOATS(&equations.unknowns[j][start]);
    }
    for (int j = 0; j <= i; ++j) {
      for (int half = kWidth / 2; half > 0; half /= 2) {
        for (int k = 0; k < half; ++k) partial[j][k] += partial[j][k + half];
      }
      equations.sums[i][j] = partial[j][0];
    }
  }
}

NVC_VECTORIZE
void FindResiduals(int n, int n_weights, const float* weights, Equations& equations) {
  for (int start = 0; start < n; start += kWidth) {
    Floats sum = {};
    for (int i = 0; i < n_weights; ++i) sum += NVC_LOAD_FLOATS(&equations.unknowns[i][start]) * weights[i];
    const Floats residual = NVC_LOAD_FLOATS(&equations.unknowns[n_weights][start]) - sum;
    NVC_STORE_FLOATS(&equations.residual[start], NVC_ABS(residual));
  }
}

NVC_VECTORIZE
void Weigh(int n, float small, float large, Equations& equations) {
  for (int start = 0; start < n; start += kWidth) {
    const Floats residual = NVC_LOAD_FLOATS(&equations.residual[start]);
    const Floats at_least = residual > small ? residual : small - Floats{};
    NVC_STORE_FLOATS(&equations.importance[start], 1.0f / (at_least * (residual + large)));
  }
  std::fill(equations.importance.begin() + n, equations.importance.begin() + equations.n_padded, 0.0f);
}

void WeighAtFirst(const Row& row, int n_groups, float step, Equations& equations) {
  const auto count = static_cast<float>(n_groups);
  for (int sample = 0; sample < row.n; ++sample) {
    auto total = static_cast<float>(row.sums[0][sample]);
    for (int i = 1; i < n_groups; ++i) total += static_cast<float>(row.sums[i][sample]);
    const float center = total / count;
    float activity = 0;
    for (int i = 0; i < n_groups; ++i) activity += std::fabs(static_cast<float>(row.sums[i][sample]) - center);
    const float spread = activity / (count * (1 << kSumBits)) + step;
    equations.importance[sample] = 1.0f / (spread * spread);
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

float TypicalResidual(int n, Equations& equations) {
  std::array<float, kMaxSamples / kOfTypical> taken;
  int count = 0;
  for (int sample = 0; sample < n; sample += kOfTypical) taken[count++] = equations.residual[sample];
  std::nth_element(taken.begin(), taken.begin() + count / 2, taken.begin() + count);
  return taken[count / 2];
}

// Fits the weights of all groups of a row but the first.
void FitRow(const Row& row, int n_groups, int fraction_bits, Equations& equations, float* solution) {
  const auto step = static_cast<float>(1 << fraction_bits);
  const int n = n_groups - 1;
  constexpr float kScale = 1.0f / (1 << kSumBits);
  equations.n_padded = static_cast<int>(CeilDivide(row.n, kWidth) * kWidth);
  for (int i = 0; i < n_groups; ++i) {
    auto& own = equations.unknowns[i];
    for (int sample = 0; sample < row.n; ++sample) {
      const int32_t first = row.sums[0][sample];
      const int32_t value = i < n ? row.sums[i + 1][sample] : row.targets[sample] << kSumBits;
      own[sample] = static_cast<float>(value - first) * kScale;
    }
    std::fill(own.begin() + row.n, own.begin() + equations.n_padded, 0.0f);
  }
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

int FloorLog2(int64_t number) { return 63 - __builtin_clzll(static_cast<uint64_t>(number)); }

// Counts the codes of a row's samples, given weights.
class CodeCounter {
 public:
  CodeCounter(const Groups& groups, const int32_t* weights, int fraction_bits)
      : groups_(groups), weights_(weights), fraction_bits_(fraction_bits) {
    int64_t total = 0;
    for (const Group& group : groups) total += Factor(group);
    for (int i = 0; i < static_cast<int>(kActivityLimits.size()); ++i) {
      const int64_t limit = ((kActivityLimits[i] * total) << fraction_bits) >> kActivityBits;
      limits_[i] = std::max<int64_t>(limit, 1) << kSumBits;
    }
  }

  // Cost of all codes; where there is a histogram, codes and squares of errors are counted too.
  int32_t Count(const Row& row, int32_t* histogram, int32_t& squared_error) const {
    constexpr int kShift = kWeightBits + kSumBits;
    const int32_t half = (1 << fraction_bits_) >> 1;
    int64_t cost = 0;
    for (int sample = 0; sample < row.n; ++sample) {
      int32_t weighted = (1 << kShift) >> 1;
      for (size_t i = 0; i < groups_.size(); ++i) weighted += row.sums[i][sample] * weights_[groups_[i].number];
      const int32_t predicted = weighted >> kShift;
      const int32_t residual = row.targets[sample] - predicted;
      const int64_t size = std::max<int64_t>(2 * std::abs(int64_t{residual}), int64_t{1} << fraction_bits_);
      const int exponent = FloorLog2(size);
      cost += (int64_t{exponent} << kCostBits) + (((size - (int64_t{1} << exponent)) << kCostBits) >> exponent);
      if (histogram == nullptr) continue;
      const int32_t code = (residual + half) >> fraction_bits_;
      const int32_t error = residual - (code << fraction_bits_);
      squared_error += error * error;
      ++histogram[Context(row, sample, predicted) * kCostClasses + Class(code)];
    }
    return static_cast<int32_t>(cost);
  }

 private:
  static int64_t Factor(const Group& group) {
    return group.is_far() ? 0 : int64_t{group.closeness()} * static_cast<int64_t>(group.neighbours.size());
  }
  static int Class(int32_t code) {
    const int magnitude = std::abs(code);
    return magnitude < 8 ? magnitude : std::min(5 + FloorLog2(magnitude), kCostClasses - 1);
  }
  int Context(const Row& row, int sample, int32_t predicted) const {
    int64_t activity = 0;
    for (size_t i = 0; i < groups_.size(); ++i) {
      activity += Factor(groups_[i]) * std::abs(int64_t{row.sums[i][sample]} - (int64_t{predicted} << kSumBits));
    }
    int context = 0;
    for (int64_t limit : limits_) context += activity >= limit;
    return context;
  }

  const Groups& groups_;
  const int32_t* weights_;
  int fraction_bits_;
  std::array<int64_t, kActivityLimits.size()> limits_;
};

ffi::Error Find(S32 fixed, Pred counted, S32 sides, S32 fraction_bits, S32 thinning, S32 default_rows, Out<S32> rows,
                Out<S32> n_samples, Out<S32> costs, Out<S32> histograms, Out<S32> squared_errors) {
  const Shape lattice = ShapeOf(fixed.dimensions());
  const int32_t* stated = sides.typed_data();
  const Volume volume{fixed.typed_data(), counted.typed_data(), lattice,
                      {std::clamp<int64_t>(stated[0], 1, lattice.z), std::clamp<int64_t>(stated[1], 1, lattice.y),
                       std::clamp<int64_t>(stated[2], 1, lattice.x)},
                      std::clamp(*fraction_bits.typed_data(), 0, 6), std::clamp(*thinning.typed_data(), 0, 8)};
  Zero(histograms), Zero(squared_errors);
  const auto row = std::make_unique<Row>();
  const auto equations = std::make_unique<Equations>();
  uint32_t first = 0;
  for (int index = 0; index < kRows; ++index) {
    const int level = index / kPhases, number = index % kPhases;
    const Groups& groups = kKnownGroups[number];
    const auto n_groups = static_cast<int>(groups.size());
    int32_t* fitted = rows->typed_data() + index * kGroups;
    const int32_t* usual = default_rows.typed_data() + index * kGroups;
    RowSampler(volume, level, number, groups, first).Draw(*row);
    first += static_cast<uint32_t>(kSamplesPerRow[level]);
    n_samples->typed_data()[index] = row->n;
    if (row->n < kLeastSamples * n_groups) {
      std::copy_n(usual, kGroups, fitted);
    } else {
      float solution[kGroups];
      FitRow(*row, n_groups, volume.fraction_bits, *equations, solution);
      QuantizeWeights(groups, solution, fitted);
    }
    for (int option = 0; option < 2; ++option) {
      int32_t* histogram = histograms->typed_data() + option * (kActivities * kCostClasses);
      const CodeCounter counter(groups, option == 0 ? usual : fitted, volume.fraction_bits);
      costs->typed_data()[option * kRows + index] =
          counter.Count(*row, level == 0 ? histogram : nullptr, squared_errors->typed_data()[option]);
    }
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_lattice_find, Find,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<Pred>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Ret<S32>().Ret<S32>().Ret<S32>().Ret<S32>().Ret<S32>());

}  // namespace nvc
