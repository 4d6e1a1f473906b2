// Classes of blocks, each given the classes of the blocks before and after it.
//
// The specification is nvc_jax/spectral/class_choice.py. Sums have the order that it states, so classes are equal bit
// for bit; the sum of all bits is equal up to rounding.

#include <cstdint>
#include <limits>
#include <vector>

#include "buffers.h"
#include "float_vectors.h"
#include "idle_cores.h"
#include "targets.h"

namespace nvc {
namespace {

constexpr float kCostUnits = 1024;

// Costs of a block's classes: its own in units, the bits given the class before, and those of the class after.
struct Costs {
  const int32_t* units;
  const float *given_before, *of_after;
  int64_t n_classes;
};

// The first class of the lowest cost.
template <int Width>
[[gnu::always_inline]] inline int32_t FindCheapest(const Costs& costs) {
  typedef typename Lanes<Width>::Floats Floats;
  typedef typename Lanes<Width>::Integers Integers;
  Floats least = Floats{} + std::numeric_limits<float>::infinity();
  Integers number, best = {};
  for (int i = 0; i < Width; ++i) number[i] = i;
  int64_t first = 0;
  for (; first + Width <= costs.n_classes; first += Width, number += Width) {
    Integers units;
    Floats given_before, of_after;
    Load(costs.units + first, units);
    Load(costs.given_before + first, given_before);
    Load(costs.of_after + first, of_after);
    const Floats cost = __builtin_convertvector(units, Floats) * (1 / kCostUnits) + given_before + of_after;
    const Integers is_less = cost < least;
    least = is_less ? cost : least;
    best = is_less ? number : best;
  }
  float lowest = least[0];
  int32_t cheapest = best[0];
  for (int i = 1; i < Width; ++i) {
    if (least[i] < lowest || (least[i] == lowest && best[i] < cheapest)) lowest = least[i], cheapest = best[i];
  }
  for (; first < costs.n_classes; ++first) {
    const float bits = static_cast<float>(costs.units[first]) * (1 / kCostUnits);
    const float cost = bits + costs.given_before[first] + costs.of_after[first];
    if (cost < lowest) lowest = cost, cheapest = static_cast<int32_t>(first);
  }
  return cheapest;
}

using Find = int32_t (*)(const Costs&);

NVC_FOR_AVX512 int32_t FindBy16(const Costs& costs) { return FindCheapest<16>(costs); }
NVC_FOR_AVX2 int32_t FindBy8(const Costs& costs) { return FindCheapest<8>(costs); }
int32_t FindAnywhere(const Costs& costs) { return FindCheapest<4>(costs); }

ffi::Error ChooseClasses(S32 costs, F32 class_bits, F32 given_before, F32 of_after, S32 order, S32 n_blocks,
                         Out<S32> classes, Out<F32> estimated_bits) {
  static const Find find = PickForm(FindBy16, FindBy8, FindAnywhere);
  const int64_t n = Rows(costs), n_classes = class_bits.element_count(), none = n_classes;
  if (n == 0 || costs.dimensions()[1] != n_classes || static_cast<int64_t>(order.element_count()) != n ||
      static_cast<int64_t>(Rows(given_before)) != n_classes + 1 ||
      static_cast<int64_t>(Rows(of_after)) != n_classes + 1 || static_cast<int64_t>(classes->element_count()) != n) {
    return ffi::Error::InvalidArgument("arrays do not suit the blocks and the classes");
  }
  const int32_t* in_order = order.typed_data();
  for (int64_t k = 0; k < n; ++k) {
    if (in_order[k] < 0 || in_order[k] >= n) return ffi::Error::InvalidArgument("the order has a block that is none");
  }
  const auto units_of = [&](int64_t k) { return costs.typed_data() + in_order[k] * n_classes; };
  const std::vector<float> nothing(n_classes, 0.0f);
  std::vector<int32_t> chosen(n);
  ForEachInParts(n, kBlocksOfPart, [&](int64_t k) {
    chosen[k] = find({units_of(k), class_bits.typed_data(), nothing.data(), n_classes});
  });
  const int64_t n_coded = *n_blocks.typed_data();
  const auto class_at = [&](int64_t k) { return k >= 0 && k < n && k < n_coded ? chosen[k] : none; };
  for (int64_t parity = 0; parity < 2; ++parity) {
    ForEachInParts(CeilDivide(n - parity, 2), kBlocksOfPart, [&](int64_t pair) {
      const int64_t k = 2 * pair + parity;
      chosen[k] = find({units_of(k), given_before.typed_data() + class_at(k - 1) * n_classes,
                        of_after.typed_data() + class_at(k + 1) * n_classes, n_classes});
    });
  }
  Zero(classes);
  double total = 0;
  for (int64_t k = 0; k < n; ++k) {
    classes->typed_data()[in_order[k]] = chosen[k];
    if (k < n_coded) total += units_of(k)[chosen[k]] / kCostUnits + class_bits.typed_data()[chosen[k]];
  }
  *estimated_bits->typed_data() = static_cast<float>(total);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_choose_classes, ChooseClasses,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<S32>().Arg<S32>()
                                  .Ret<S32>().Ret<F32>());

}  // namespace nvc
