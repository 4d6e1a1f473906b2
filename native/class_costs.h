// Costs of blocks in every class.

#ifndef NVC_CLASS_COSTS_H_
#define NVC_CLASS_COSTS_H_

#include <cstdint>
#include <vector>

#include "vectorize.h"

namespace nvc {

// What the costs of a model's classes are made of; see DecisionCosts in nvc_jax/spectral/class_decision.py.
struct ClassTables {
  const int32_t *pairs, *zero_cost, *signalling_cost;
  int64_t n_classes;
};

// Dead zones of integers, in 1/128 step, and the scale of coefficients.
struct ClassRule {
  int32_t narrow, wide, further;
  float single_steps;
};

constexpr int kCoefficientsOfBlock = 512;

// Coefficients other than 0: their indices, and for each the pair (1, integer) in 16 bits each.
struct Terms {
  int n = 0;
  int32_t indices[kCoefficientsOfBlock + kWidth];
  int32_t factors[kCoefficientsOfBlock + kWidth];
};

// A block, rounded with either dead zone: integers that the wide one keeps, those between the two, and squared errors.
struct RoundedBlock {
  Terms kept, between;
  int32_t error_of_narrow, error_of_wide;

  // `values` are 512 coefficients.
  RoundedBlock(const float* values, const ClassRule& rule);
};

// Counts the costs of blocks, one after the other. The tables must outlive it.
class ClassCosts {
 public:
  explicit ClassCosts(const ClassTables& tables);

  // Costs of a block in each class.
  void Count(const RoundedBlock& block, int32_t* costs);

 private:
  ClassTables tables_;
  int64_t n_padded_;  // classes, with some more that cost nothing
  std::vector<int32_t> padded_pairs_, zero_, of_wide_, of_narrow_;
  const int32_t* pairs_;  // (512, n_padded_)
};

}  // namespace nvc

#endif  // NVC_CLASS_COSTS_H_
