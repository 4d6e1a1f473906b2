// Transforms of axes, kept from one decision to the next: most chunks of a volume have axes of the same shapes.

#ifndef NVC_AXIS_CACHE_H_
#define NVC_AXIS_CACHE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "axis_constants.h"
#include "axis_factors.h"

namespace nvc {

// Copies of what transforms are made of.
class KeptConstants {
 public:
  explicit KeptConstants(const AxisConstants& constants) {
    const auto keep = [this](const float* numbers, int64_t n) { numbers_.insert(numbers_.end(), numbers, numbers + n); };
    ForEach(constants, keep);
  }

  bool AreOf(const AxisConstants& constants) const {
    size_t place = 0;
    bool are_same = true;
    ForEach(constants, [&](const float* numbers, int64_t n) {
      are_same = are_same && place + n <= numbers_.size() && std::equal(numbers, numbers + n, &numbers_[place]);
      place += n;
    });
    return are_same && place == numbers_.size();
  }

 private:
  template <typename Function>
  static void ForEach(const AxisConstants& constants, Function function) {
    const int64_t side = constants.max_length + 1, n_entries = constants.n_filters * kBorder;
    function(constants.cosines, side * side);
    function(constants.filters, n_entries);
    function(constants.inverses, n_entries);
    function(constants.corners, 4 * kReach * kReach);
    function(constants.error_weights, kReach);
  }

  std::vector<float> numbers_;
};

// Makes things of the shapes of axes, and keeps them. A cache belongs to one call of a kernel, and shares what it keeps
// with the calls after it. It never waits for another thread: where one is at the shared things, it does without them.
template <typename Made>
class AxisCache {
 public:
  using Make = Made (*)(const AxisFactors&);

  AxisCache(const AxisConstants& constants, Make make) : constants_(constants), make_(make) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (lock && shared_.constants && shared_.constants->AreOf(constants)) own_ = shared_;
  }

  AxisCache(const AxisCache&) = delete;
  AxisCache& operator=(const AxisCache&) = delete;

  ~AxisCache() {
    if (!is_changed_) return;
    if (!own_.constants) own_.constants = std::make_shared<KeptConstants>(constants_);
    if (own_.made.size() > kMostKept) own_.made.clear();
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (lock) shared_ = std::move(own_);
  }

  const Made& Get(const AxisShape& shape) {
    const Key key{shape.side, shape.valid, shape.length_index, shape.filter, shape.has_boundary[0], shape.has_boundary[1]};
    std::shared_ptr<const Made>& place = own_.made[key];
    if (!place) {
      place = std::make_shared<const Made>(make_(AxisFactors(shape, constants_)));
      is_changed_ = true;
    }
    return *place;
  }

 private:
  using Key = std::tuple<int64_t, int64_t, int32_t, int32_t, bool, bool>;
  struct Kept {
    std::shared_ptr<const KeptConstants> constants;
    std::map<Key, std::shared_ptr<const Made>> made;
  };
  static constexpr size_t kMostKept = 512;

  static inline std::mutex mutex_;
  static inline Kept shared_;

  const AxisConstants& constants_;
  Make make_;
  Kept own_;
  bool is_changed_ = false;
};

}  // namespace nvc

#endif  // NVC_AXIS_CACHE_H_
