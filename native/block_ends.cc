// Numbers of integers of blocks that may be other than 0: those up to the last one in scan order, and some more.
//
// The specification is nvc_jax/spectral/block_ends.py; numbers are equal bit for bit.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "buffers.h"
#include "float_vectors.h"
#include "idle_cores.h"
#include "scan.h"
#include "targets.h"

namespace nvc {
namespace {

// A block's coefficients, the magnitudes from which they may be coded, and their positions in the scan.
struct Block {
  const float *values, *thresholds;
  const int32_t* positions;
  float single_steps;
};

// The last position that may be coded; −1 if there is none.
template <int Width>
[[gnu::always_inline]] inline int32_t FindLast(const Block& block) {
  typename Lanes<Width>::Floats values, thresholds;
  typename Lanes<Width>::Integers positions, ends = {};
  for (int i = 0; i < kCoefficients; i += Width) {
    Load(block.values + i, values);
    Load(block.thresholds + i, thresholds);
    Load(block.positions + i, positions);
    const auto scaled = values * block.single_steps, magnitudes = scaled < 0 ? -scaled : scaled;
    const auto end = (magnitudes >= thresholds) & (positions + 1);
    ends = end > ends ? end : ends;
  }
  int32_t last = 0;
  for (int k = 0; k < Width; ++k) last = std::max(last, ends[k]);
  return last - 1;
}

// Thresholds of classes' coefficients, found when a class first has a block.
class ThresholdsOfClasses {
 public:
  ThresholdsOfClasses(const S32& tables, const F32& thresholds, int32_t n_classes)
      : tables_(tables.typed_data()),
        thresholds_(thresholds.typed_data()),
        last_table_(static_cast<int32_t>(thresholds.element_count()) - 1),
        is_ready_(n_classes),
        found_(new float[int64_t{n_classes} * kCoefficients]) {}

  const float* Get(int32_t block_class) {
    const int64_t first = int64_t{block_class} * kCoefficients;
    float* own = &found_[first];
    if (!is_ready_[block_class]) {
      for (int i = 0; i < kCoefficients; ++i) own[i] = thresholds_[std::clamp(tables_[first + i], 0, last_table_)];
      is_ready_[block_class] = 1;
    }
    return own;
  }

 private:
  const int32_t* tables_;
  const float* thresholds_;
  int32_t last_table_;
  std::vector<uint8_t> is_ready_;
  std::unique_ptr<float[]> found_;
};

using Find = int32_t (*)(const Block&);

NVC_FOR_AVX512 int32_t FindByAvx512(const Block& block) { return FindLast<16>(block); }
NVC_FOR_AVX2 int32_t FindByAvx2(const Block& block) { return FindLast<8>(block); }
int32_t FindAnywhere(const Block& block) { return FindLast<8>(block); }

ffi::Error CountIntegers(F32 values, S32 classes, S32 tables, F32 thresholds, S32 positions, S32 counts_of_type,
                         S32 partial_types, Pred inside, float single_steps, int32_t more_units, Out<S32> counts) {
  static const Find find = PickForm(FindByAvx512, FindByAvx2, FindAnywhere);
  const auto n = static_cast<int64_t>(counts->element_count());
  const auto n_classes = static_cast<int32_t>(tables.element_count() / kCoefficients);
  if (static_cast<int64_t>(values.element_count()) != n * kCoefficients ||
      static_cast<int64_t>(classes.element_count()) != n || static_cast<int64_t>(partial_types.element_count()) != n ||
      static_cast<int64_t>(inside.element_count()) != n || counts_of_type.element_count() != kTypes ||
      positions.element_count() != kTypes * kCoefficients || n_classes == 0 ||
      thresholds.element_count() == 0) {
    return ffi::Error::InvalidArgument("there is not a class, a type and 512 values for each block");
  }
  const auto count_block = [&](int64_t k, ThresholdsOfClasses& thresholds_of_classes) {
    const int32_t block_class = std::clamp(classes.typed_data()[k], 0, n_classes - 1);
    const int32_t type = partial_types.typed_data()[k] & (kTypes - 1);
    const int32_t last = find({values.typed_data() + k * kCoefficients, thresholds_of_classes.Get(block_class),
                               positions.typed_data() + type * kCoefficients, single_steps});
    const int32_t units = (last + kEndUnit) / kEndUnit, possible = units > 0 ? (units + more_units) * kEndUnit : 0;
    counts->typed_data()[k] = inside.typed_data()[k] ? std::min(possible, counts_of_type.typed_data()[type]) : 0;
  };
  ForParts(n, kBlocksOfPart, [&](Parts& parts) {
    ThresholdsOfClasses thresholds_of_classes(tables, thresholds, n_classes);
    parts.ForEach([&](int64_t k) { count_block(k, thresholds_of_classes); });
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_count_integers, CountIntegers,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<S32>().Arg<S32>().Arg<F32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<Pred>()
                                  .Attr<float>("single_steps").Attr<int32_t>("more_units")
                                  .Ret<S32>());

}  // namespace nvc
