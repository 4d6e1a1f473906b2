// Transforms of axes, kept from one decision to the next: most chunks of a volume have axes of the same shapes.

#ifndef NVC_AXIS_CACHE_H_
#define NVC_AXIS_CACHE_H_

#include <cstdint>
#include <cstring>
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
      are_same = are_same && place + n <= numbers_.size() && std::memcmp(numbers, &numbers_[place], n * sizeof(float)) == 0;
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

  AxisCache(const AxisConstants& constants, Make make, size_t most_kept = 512)
      : constants_(constants), make_(make), most_kept_(most_kept), kept_(Latest()) {
    if (kept_ && !kept_->constants->AreOf(constants)) kept_ = nullptr;
  }

  AxisCache(const AxisCache&) = delete;
  AxisCache& operator=(const AxisCache&) = delete;

  ~AxisCache() {
    if (added_.empty()) return;
    const std::shared_ptr<const Kept> latest = Latest();  // to which another thread may have added
    const bool is_of_same = latest && kept_ && latest->constants == kept_->constants;
    const std::shared_ptr<const Kept>& before = is_of_same ? latest : kept_;
    auto made = std::make_shared<Kept>();
    made->constants = before ? before->constants : std::make_shared<KeptConstants>(constants_);
    made->made = std::move(added_);
    if (before && before->made.size() + made->made.size() <= most_kept_) {
      made->made.insert(before->made.begin(), before->made.end());
    }
    std::shared_ptr<const Kept> shared = std::move(made);
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (lock) shared_.swap(shared);
  }

  const Made& Get(const AxisShape& shape) {
    const Key key{shape.side, shape.valid, shape.length_index, shape.filter, shape.has_boundary[0], shape.has_boundary[1]};
    if (kept_) {
      const auto found = kept_->made.find(key);
      if (found != kept_->made.end()) return *found->second;
    }
    std::shared_ptr<const Made>& place = added_[key];
    if (!place) place = std::make_shared<const Made>(make_(AxisFactors(shape, constants_)));
    return *place;
  }

 private:
  using Key = std::tuple<int64_t, int64_t, int32_t, int32_t, bool, bool>;
  using AllMade = std::map<Key, std::shared_ptr<const Made>>;
  struct Kept {
    std::shared_ptr<const KeptConstants> constants;
    AllMade made;
  };

  static std::shared_ptr<const Kept> Latest() {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    return lock ? shared_ : nullptr;
  }

  static inline std::mutex mutex_;
  static inline std::shared_ptr<const Kept> shared_;

  const AxisConstants& constants_;
  Make make_;
  size_t most_kept_;
  std::shared_ptr<const Kept> kept_;
  AllMade added_;
};

}  // namespace nvc

#endif  // NVC_AXIS_CACHE_H_
