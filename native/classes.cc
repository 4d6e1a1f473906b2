// Costs of blocks in every class.
//
// The specification is nvc_jax/spectral/class_decision.py, class_costs_reference. All costs are integers, so they
// are equal bit for bit. Only coefficients that become other than 0 are looked at.

#include <algorithm>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "buffers.h"
#include "class_costs.h"
#include "fixed_point.h"
#include "idle_cores.h"
#include "targets.h"
#include "vectorize.h"

namespace nvc {

namespace {

constexpr int64_t kClasses = 64;  // whose sums are computed together
constexpr int kCoefficients = kCoefficientsOfBlock;
constexpr int32_t kMaxCounted = 255;
constexpr int32_t kErrorWeight = 3;
constexpr int kErrorShift = 3;

// A block's coefficients in 1/128 step of one quantiser; DC, which does not count, as 0.
NVC_VECTORIZE
void ToMagnitudes(const float* values, float single_steps, int32_t* magnitudes) {
  for (int i = 0; i < kCoefficients; ++i) magnitudes[i] = FixedMagnitude(values[i] * single_steps);
  magnitudes[0] = 0;
}

// Squared errors of a block with either dead zone.
struct Errors {
  int32_t narrow, wide;
};

// Rounds magnitudes with the narrow dead zone. The wide one makes some of the integers 0.
NVC_VECTORIZE
Errors Round(const int32_t* magnitudes, int32_t narrow, int32_t wide, int32_t further, int32_t* integers) {
  Errors errors{0, 0};
  for (int i = 0; i < kCoefficients; ++i) {
    const int32_t magnitude = magnitudes[i];
    const int32_t rounded = std::max((magnitude + (1 << kMagnitudeBits) - further) >> kMagnitudeBits, 1);
    const int32_t of_narrow = magnitude < narrow ? 0 : rounded, of_wide = magnitude < wide ? 0 : rounded;
    const int32_t error = magnitude - (of_narrow << kMagnitudeBits);
    const int32_t error_of_wide = magnitude - (of_wide << kMagnitudeBits);
    errors.narrow += std::min(error * error, 1 << 2 * kMagnitudeBits);
    errors.wide += std::min(error_of_wide * error_of_wide, 1 << 2 * kMagnitudeBits);
    integers[i] = std::min(of_narrow, kMaxCounted);
  }
  return errors;
}

#if NVC_HAS_TARGETS
__attribute__((target("avx512f"))) void CollectBy16(const int32_t* magnitudes, const int32_t* integers, int32_t wide,
                                                    RoundedBlock& block) {
  const auto append = [](Terms& own, __mmask16 mask, __m512i indices,
                         __m512i factors) __attribute__((target("avx512f"), always_inline)) {
    _mm512_storeu_si512(own.indices + own.n, _mm512_maskz_compress_epi32(mask, indices));
    _mm512_storeu_si512(own.factors + own.n, _mm512_maskz_compress_epi32(mask, factors));
    own.n += __builtin_popcount(mask);
  };
  __m512i indices = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (int i = 0; i < kCoefficients; i += 16, indices = _mm512_add_epi32(indices, _mm512_set1_epi32(16))) {
    const __m512i own = _mm512_loadu_si512(integers + i);
    const __mmask16 counted = _mm512_test_epi32_mask(own, own);
    if (counted == 0) continue;
    const __mmask16 is_wide = _mm512_cmpge_epi32_mask(_mm512_loadu_si512(magnitudes + i), _mm512_set1_epi32(wide));
    const __m512i factors = _mm512_or_si512(_mm512_maskz_slli_epi32(counted, own, 16), _mm512_set1_epi32(1));
    append(block.kept, counted & is_wide, indices, factors);
    append(block.between, counted & static_cast<__mmask16>(~is_wide), indices, factors);
  }
}
#endif

void CollectAnywhere(const int32_t* magnitudes, const int32_t* integers, int32_t wide, RoundedBlock& block) {
  for (int i = 0; i < kCoefficients; ++i) {
    if (integers[i] == 0) continue;
    Terms& own = magnitudes[i] >= wide ? block.kept : block.between;
    own.indices[own.n] = i;
    own.factors[own.n] = 1 | integers[i] << 16;
    ++own.n;
  }
}

// Pairs of weights, of [magnitude > 0] and of a step, in kClasses classes: those of a coefficient are `stride` apart
// from those of the one before.
struct ClassWeights {
  const int32_t* pairs;
  int64_t stride;

  const int32_t* of_coefficient(int32_t index) const { return pairs + index * stride; }
};

#if NVC_HAS_TARGETS
__attribute__((target("avx512f,avx512bw"))) void AddBy16(const ClassWeights& weights, const Terms& terms, int32_t* sums) {
  __m512i totals[4];
  for (int k = 0; k < 4; ++k) totals[k] = _mm512_loadu_si512(sums + 16 * k);
  for (int i = 0; i < terms.n; ++i) {
    const __m512i factor = _mm512_set1_epi32(terms.factors[i]);
    const int32_t* pairs = weights.of_coefficient(terms.indices[i]);
    for (int k = 0; k < 4; ++k) {
      totals[k] = _mm512_add_epi32(totals[k], _mm512_madd_epi16(_mm512_loadu_si512(pairs + 16 * k), factor));
    }
  }
  for (int k = 0; k < 4; ++k) _mm512_storeu_si512(sums + 16 * k, totals[k]);
}

__attribute__((target("avx2"))) void AddBy8(const ClassWeights& weights, const Terms& terms, int32_t* sums) {
  __m256i totals[8];
  for (int k = 0; k < 8; ++k) totals[k] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + 8 * k));
  for (int i = 0; i < terms.n; ++i) {
    const __m256i factor = _mm256_set1_epi32(terms.factors[i]);
    const int32_t* pairs = weights.of_coefficient(terms.indices[i]);
    for (int k = 0; k < 8; ++k) {
      const __m256i own = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs + 8 * k));
      totals[k] = _mm256_add_epi32(totals[k], _mm256_madd_epi16(own, factor));
    }
  }
  for (int k = 0; k < 8; ++k) _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 8 * k), totals[k]);
}
#endif

void AddAnywhere(const ClassWeights& weights, const Terms& terms, int32_t* sums) {
  for (int i = 0; i < terms.n; ++i) {
    const int32_t* pairs = weights.of_coefficient(terms.indices[i]);
    const int32_t integer = terms.factors[i] >> 16;
    for (int64_t k = 0; k < kClasses; ++k) sums[k] += static_cast<int16_t>(pairs[k]) + integer * (pairs[k] >> 16);
  }
}

// The least of sums of two numbers each.
NVC_VECTORIZE
int32_t LeastSum(const int32_t* first, const int32_t* second, int64_t n) {
  int32_t least = first[0] + second[0];
  for (int64_t k = 1; k < n; ++k) least = std::min(least, first[k] + second[k]);
  return least;
}

// Functions for a processor.
struct Forms {
  void (*collect)(const int32_t*, const int32_t*, int32_t, RoundedBlock&);
  void (*add)(const ClassWeights&, const Terms&, int32_t*);
};

Forms PickForms() {
#if NVC_HAS_TARGETS
  if (__builtin_cpu_supports("avx512bw")) return {CollectBy16, AddBy16};
  if (__builtin_cpu_supports("avx2")) return {CollectAnywhere, AddBy8};
#endif
  return {CollectAnywhere, AddAnywhere};
}

const Forms& ProcessorForms() {
  static const Forms forms = PickForms();
  return forms;
}

}  // namespace

ClassCosts::ClassCosts(const ClassTables& tables)
    : tables_(tables), n_padded_(CeilDivide(tables.n_classes, kClasses) * kClasses), zero_(n_padded_), pairs_(tables.pairs) {
  std::copy_n(tables.zero_cost, tables.n_classes, zero_.begin());
  if (n_padded_ == tables.n_classes) return;
  padded_pairs_.resize(kCoefficients * n_padded_);
  for (int64_t i = 0; i < kCoefficients; ++i) {
    std::copy_n(tables.pairs + i * tables.n_classes, tables.n_classes, &padded_pairs_[i * n_padded_]);
  }
  pairs_ = padded_pairs_.data();
}

RoundedBlock::RoundedBlock(const float* values, const ClassRule& rule) {
  int32_t magnitudes[kCoefficients], integers[kCoefficients];
  ToMagnitudes(values, rule.single_steps, magnitudes);
  const Errors errors = Round(magnitudes, rule.narrow, rule.wide, rule.further, integers);
  error_of_narrow = errors.narrow;
  error_of_wide = errors.wide;
  ProcessorForms().collect(magnitudes, integers, rule.wide, *this);
}

void ClassCosts::Count(const RoundedBlock& block, int32_t* costs) {
  const Forms& forms = ProcessorForms();
  const auto add = [&](const Terms& own, std::vector<int32_t>& sums) {
    for (int64_t k = 0; k < n_padded_; k += kClasses) forms.add({pairs_ + k, n_padded_}, own, &sums[k]);
  };
  of_wide_ = zero_;
  add(block.kept, of_wide_);
  of_narrow_ = of_wide_;
  add(block.between, of_narrow_);
  const auto total = [&](const std::vector<int32_t>& own, int32_t squared) {
    const int32_t least = LeastSum(own.data(), tables_.signalling_cost, tables_.n_classes);
    return int64_t{least} + ((squared * kErrorWeight) >> kErrorShift);
  };
  const bool is_wide = total(of_wide_, block.error_of_wide) < total(of_narrow_, block.error_of_narrow);
  std::copy_n((is_wide ? of_wide_ : of_narrow_).begin(), tables_.n_classes, costs);
}

namespace {

ffi::Error CountCosts(S32 pairs, S32 zero_cost, S32 signalling_cost, F32 values, int32_t narrow, int32_t wide,
                      int32_t further, float single_steps, Out<S32> costs) {
  const auto n = static_cast<int64_t>(Rows(values)), n_classes = static_cast<int64_t>(zero_cost.element_count());
  if (narrow > wide) return ffi::Error::InvalidArgument("the narrow dead zone is wider than the wide one");
  if (n_classes == 0 || static_cast<int64_t>(pairs.element_count()) != n_classes * kCoefficients) {
    return ffi::Error::InvalidArgument("there is not a pair of weights for each coefficient of a class");
  }
  const ClassTables class_tables{pairs.typed_data(), zero_cost.typed_data(), signalling_cost.typed_data(), n_classes};
  const ClassRule rule{narrow, wide, further, single_steps};
  ForParts(n, kBlocksOfPart, [&](Parts& parts) {
    ClassCosts counter(class_tables);
    parts.ForEach([&](int64_t block) {
      const RoundedBlock rounded(values.typed_data() + block * kCoefficients, rule);
      counter.Count(rounded, costs->typed_data() + block * n_classes);
    });
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_class_costs, CountCosts,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<F32>()
                                  .Attr<int32_t>("narrow").Attr<int32_t>("wide").Attr<int32_t>("further")
                                  .Attr<float>("single_steps")
                                  .Ret<S32>());

}  // namespace nvc
