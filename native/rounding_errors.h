// Errors of coefficients that are rounded for the classes of their blocks.

#ifndef NVC_ROUNDING_ERRORS_H_
#define NVC_ROUNDING_ERRORS_H_

#include <cstdint>
#include <memory>
#include <vector>

namespace nvc {

// Tables of a model's classes, and for each table the magnitude from which a coefficient becomes 1, and the remainder
// from which it becomes one more.
struct ThresholdTables {
  const int32_t* tables;
  const float *first, *further;
  int64_t n_classes, n_tables;
};

// Thresholds of a class's coefficients.
struct Thresholds {
  float first[512], further[512];
};

// Sums the errors of blocks, one after the other.
class RoundingErrors {
 public:
  RoundingErrors(const ThresholdTables& tables, float largest)
      : tables_(tables), largest_(largest), by_class_(tables.n_classes) {}

  // Sum of the squared errors of a block's coefficients but DC.
  float Sum(const float* values, int64_t block_class);

 private:
  ThresholdTables tables_;
  float largest_;
  std::vector<std::unique_ptr<const Thresholds>> by_class_;  // found when a class first has a block
};

}  // namespace nvc

#endif  // NVC_ROUNDING_ERRORS_H_
