// The correction of decoded voxels by a small network.
//
// The specification is nvc_jax/spectral/post_filter.py. Sums of products are floating-point numbers, which other devices
// round differently, so results are equal up to rounding. Here every sum is taken in the order of the inputs, product by
// product, and the bias comes last.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "buffers.h"
#include "filter_surroundings.h"
#include "logarithms.h"
#include "targets.h"

namespace nvc {
namespace {

constexpr int64_t kInputs = kDifferences + kActivities + 4;
constexpr float kMaxCorrection = 4, kSoftness = 4;
constexpr int64_t kUnits = 6;  // of a layer that are computed together

// Weights of a layer, and the biases of its units. Those of `kUnits` units follow each other, for each input.
struct Layer {
  int64_t n_inputs, n_groups;
  std::vector<float> weights, biases;

  Layer(const F32& of_units, const F32& biases_of_units)
      : n_inputs(of_units.dimensions()[1]), n_groups(CeilDivide(static_cast<int64_t>(Rows(of_units)), kUnits)) {
    const auto n_units = static_cast<int64_t>(Rows(of_units));
    weights.resize(n_groups * n_inputs * kUnits);
    biases.assign(biases_of_units.typed_data(), biases_of_units.typed_data() + n_units);
    biases.resize(n_groups * kUnits);
    for (int64_t unit = 0; unit < n_units; ++unit) {
      float* first = &weights[unit / kUnits * n_inputs * kUnits + unit % kUnits];
      for (int64_t k = 0; k < n_inputs; ++k) first[k * kUnits] = of_units.typed_data()[unit * n_inputs + k];
    }
  }
};

struct Network {
  Layer first, second;
  std::vector<float> last_weights;  // as many as units that are computed
  float last_bias;
};

// Units of voxels, and a list of those that are not 0 for all of them.
template <int Width, int Vectors>
struct Units {
  struct alignas(4 * Width) Unit {
    typename Lanes<Width>::Floats lanes[Vectors];
  };
  std::vector<Unit> units;
  std::vector<int32_t> used;
  int64_t n_used;

  // All units, none of which is 0.
  explicit Units(int64_t n) : units(n), used(n), n_used(n) { std::iota(used.begin(), used.end(), 0); }

  // Puts a unit on the list if it is not 0 for all voxels.
  [[gnu::always_inline]] void List(int64_t unit) {
    used[n_used] = static_cast<int32_t>(unit);
    n_used += IsUsed(units[unit]);
  }

 private:
  [[gnu::always_inline]] static bool IsUsed(const Unit& unit) {
    constexpr int kWords = Width / 2;
    typename Lanes<Width>::Integers bits, any{};
    for (const auto& lanes : unit.lanes) {
      std::memcpy(&bits, &lanes, sizeof(bits));
      any |= bits;
    }
    uint64_t words[kWords];
    std::memcpy(words, &any, sizeof(words));
    uint64_t joined = 0;
    for (const uint64_t word : words) joined |= word;
    return joined != 0;
  }
};

// Computes the units of a layer from those that are not 0 before; `take` gets each with its values, which are 0 or above.
template <int Width, int Vectors, typename Take>
[[gnu::always_inline]] inline void Apply(const Layer& layer, const Units<Width, Vectors>& before, Take take) {
  using Floats = typename Lanes<Width>::Floats;
  for (int64_t group = 0; group < layer.n_groups; ++group) {
    const float* weights = &layer.weights[group * layer.n_inputs * kUnits];
    Floats sums[kUnits][Vectors];
    for (auto& of_unit : sums) {
      for (Floats& sum : of_unit) sum = Floats{};
    }
    for (int64_t i = 0; i < before.n_used; ++i) {
      const auto& values = before.units[before.used[i]].lanes;
      const float* of_input = weights + before.used[i] * kUnits;
      for (int unit = 0; unit < kUnits; ++unit) {
        for (int v = 0; v < Vectors; ++v) sums[unit][v] += values[v] * of_input[unit];
      }
    }
    for (int unit = 0; unit < kUnits; ++unit) {
      for (Floats& sum : sums[unit]) {
        sum += layer.biases[group * kUnits + unit];
        sum = sum < 0 ? Floats{} : sum;
      }
      take(group * kUnits + unit, sums[unit]);
    }
  }
}

// Numbers that are the same for all voxels: the noise, and the last inputs of the network.
struct Numbers {
  float noise, levels[2];
};

// Computes the inputs of the network for a vector of voxels, those of row `row` of a tile.
template <int Width, int Vectors>
[[gnu::always_inline]] inline void ReadInputs(const Surroundings<Width>& surroundings,
                                              const float* const (&rows)[kDifferences], int64_t z, int64_t y, int64_t x,
                                              const Numbers& numbers, int v, Units<Width, Vectors>& inputs) {
  using Floats = typename Lanes<Width>::Floats;
  Floats voxels, values;
  Load(surroundings.Voxels(z, y) + x, voxels);
  for (int64_t k = 0; k < kDifferences; ++k) {
    Load(rows[k] + x, values);
    const Floats difference = values - voxels, size = Magnitudes<Width>(difference / numbers.noise);
    inputs.units[k].lanes[v] = difference / (numbers.noise * (size * (1 / kSoftness) + 1.0f));
  }
  auto* next = &inputs.units[kDifferences];
  for (int64_t k = 0; k < kActivities; ++k) {
    Load(surroundings.Activities(k, y) + x, values);
    (next++)->lanes[v] = LogarithmsPlusOne<Width>(values / numbers.noise);
  }
  (next++)->lanes[v] = AreaSines<Width>(voxels / numbers.noise);
  (next++)->lanes[v] = voxels;
  for (const float level : numbers.levels) (next++)->lanes[v] = Floats{} + level;
}

// A volume, and how much of it counts.
struct Volume {
  const float* voxels;
  Sides strides, sides;
};

// Corrects a volume, a tile at a time: a vector of voxels in each of `Height` rows.
template <int Width, int Height>
[[gnu::always_inline]] inline void Correct(const Network& network, const Volume& volume, const Numbers& numbers,
                                           float* correction) {
  using Floats = typename Lanes<Width>::Floats;
  const Sides& sides = volume.sides;
  Surroundings<Width> surroundings(sides);
  Units<Width, Height> inputs(kInputs), hidden(static_cast<int64_t>(network.first.biases.size()));
  const float* rows[Height][kDifferences];
  for (int64_t z = 0; z < sides.z; ++z) {
    surroundings.Advance(z, volume.voxels, volume.strides);
    for (int64_t y = 0; y < sides.y; y += Height) {
      const int n_rows = static_cast<int>(std::min<int64_t>(Height, sides.y - y));
      for (int row = 0; row < n_rows; ++row) surroundings.List(z, y + row, rows[row]);
      for (int64_t x = 0; x < sides.x; x += Width) {
        for (int row = 0; row < n_rows; ++row) ReadInputs(surroundings, rows[row], z, y + row, x, numbers, row, inputs);
        hidden.n_used = 0;
        Apply(network.first, inputs, [&](int64_t unit, const Floats (&values)[Height]) __attribute__((always_inline)) {
          std::memcpy(hidden.units[unit].lanes, values, sizeof(values));
          if (unit < network.second.n_inputs) hidden.List(unit);
        });
        Floats sums[Height] = {};
        Apply(network.second, hidden, [&](int64_t unit, const Floats (&values)[Height]) __attribute__((always_inline)) {
          for (int row = 0; row < Height; ++row) sums[row] += values[row] * network.last_weights[unit];
        });
        for (int row = 0; row < n_rows; ++row) {
          Floats error = sums[row] + network.last_bias;
          error = error < -kMaxCorrection ? Floats{} - kMaxCorrection : error;
          error = numbers.noise * (error > kMaxCorrection ? Floats{} + kMaxCorrection : error);
          std::memcpy(correction + z * volume.strides.z + (y + row) * volume.strides.y + x, &error,
                      sizeof(float) * std::min<int64_t>(Width, sides.x - x));
        }
      }
    }
  }
}

using CorrectForm = void (*)(const Network&, const Volume&, const Numbers&, float*);

NVC_FOR_AVX512 void CorrectBy16(const Network& network, const Volume& volume, const Numbers& numbers, float* to) {
  Correct<16, 4>(network, volume, numbers, to);
}
NVC_FOR_AVX2 void CorrectBy8(const Network& network, const Volume& volume, const Numbers& numbers, float* to) {
  Correct<8, 2>(network, volume, numbers, to);
}
void CorrectAnywhere(const Network& network, const Volume& volume, const Numbers& numbers, float* to) {
  Correct<4, 2>(network, volume, numbers, to);
}

// Tells whether the arrays of a layer suit each other, and the number of its inputs.
bool IsLayer(const F32& weights, const F32& biases, int64_t n_inputs) {
  const auto shape = weights.dimensions();
  return shape.size() == 2 && shape[0] > 0 && shape[1] == n_inputs &&
         static_cast<int64_t>(biases.element_count()) == shape[0];
}

ffi::Error FindCorrection(F32 voxels, S32 valid_shape, F32 noise, F32 levels, F32 first_weights, F32 first_biases,
                          F32 second_weights, F32 second_biases, F32 last_weights, F32 last_biases,
                          Out<F32> correction) {
  static const CorrectForm form = PickForm(CorrectBy16, CorrectBy8, CorrectAnywhere);
  const auto shape = voxels.dimensions();
  if (shape.size() != 3 || valid_shape.element_count() != 3 || noise.element_count() != 1 ||
      levels.element_count() != 2 || correction->element_count() != voxels.element_count()) {
    return ffi::Error::InvalidArgument("a volume has not three axes, or arrays do not suit it");
  }
  if (!IsLayer(first_weights, first_biases, kInputs) ||
      !IsLayer(second_weights, second_biases, static_cast<int64_t>(Rows(first_weights))) ||
      !IsLayer(last_weights, last_biases, static_cast<int64_t>(Rows(second_weights))) || Rows(last_weights) != 1) {
    return ffi::Error::InvalidArgument("layers of a network do not suit each other");
  }
  if (voxels.element_count() == 0) return ffi::Error::Success();
  const auto side = [&](int axis) { return std::clamp<int64_t>(valid_shape.typed_data()[axis], 1, shape[axis]); };
  const Volume volume{voxels.typed_data(), {shape[1] * shape[2], shape[2], 1}, {side(0), side(1), side(2)}};
  Network network{Layer(first_weights, first_biases), Layer(second_weights, second_biases), {},
                  *last_biases.typed_data()};
  network.last_weights.assign(last_weights.typed_data(), last_weights.typed_data() + last_weights.element_count());
  network.last_weights.resize(network.second.biases.size());
  const Numbers numbers{*noise.typed_data(), {levels.typed_data()[0], levels.typed_data()[1]}};
  Zero(correction);
  form(network, volume, numbers, correction->typed_data());
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_find_correction, FindCorrection,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<S32>().Arg<F32>().Arg<F32>()
                                  .Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>()
                                  .Ret<F32>());

}  // namespace nvc
