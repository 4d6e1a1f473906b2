// Contexts of block headers; the specification is nvc_jax/spectral/header_contexts.py.

#ifndef NVC_HEADER_CONTEXTS_H_
#define NVC_HEADER_CONTEXTS_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "buffers.h"
#include "neighbour_contexts.h"

namespace nvc {
namespace {

constexpr int kLevelShift = 4;

struct HeaderContext {
  int32_t of_class = 0;
  int32_t of_first = 0;
};

// Rows of tables by context; none of a model without contexts of headers.
class HeaderRows {
 public:
  HeaderRows(S32 levels, S32 class_rows, S32 first_rows)
      : levels_(levels.typed_data()),
        class_rows_(class_rows.typed_data()),
        first_rows_(first_rows.typed_data()),
        n_contexts_(std::min({Rows(class_rows), Rows(first_rows), size_t{kContexts}})),
        n_classes_(static_cast<int64_t>(levels.element_count())) {}

  explicit operator bool() const { return n_contexts_ > 0 && n_classes_ > 0; }

  size_t OfClass(HeaderContext context, int32_t before) const {
    return std::max(class_rows_[Limit(context.of_class) * (n_classes_ + 1) + before], 0);
  }
  size_t OfFirst(HeaderContext context, int32_t block_class) const {
    return std::max(first_rows_[Limit(context.of_first) * n_classes_ + block_class], 0);
  }

  // The context of the block at a place in the order, before which its lane has `step` blocks. `sides` are the
  // blocks inside along z, y, x.
  HeaderContext Find(const int32_t* sides, const int32_t* order, const int32_t* classes, const int32_t* first,
                     int64_t place, int64_t step) const {
    // Divisions of 32 bits take a third of the time.
    const auto n_y = static_cast<uint32_t>(std::max(sides[1], 1));
    const auto n_x = static_cast<uint32_t>(std::max(sides[2], 1));
    const auto index = static_cast<uint32_t>(place);
    const uint32_t row = index / n_x;
    const bool has_lower[] = {row >= n_y, row % n_y > 0, index > row * n_x};
    const int64_t distances[] = {int64_t{n_x} * n_y, n_x, 1};
    int32_t level = 0, n_levels = 0;
    uint32_t magnitude = 0, n_known = 0;
    for (int axis = 0; axis < kAxes; ++axis) {
      if (!has_lower[axis] || distances[axis] > step) continue;
      const int32_t block = order[place - distances[axis]];
      magnitude += static_cast<uint32_t>(std::abs(first[block]));
      ++n_known;
      if (axis == 2) continue;
      level += levels_[classes[block]];
      ++n_levels;
    }
    const int32_t mean = n_levels == 1 ? level : level >> 1;
    const int32_t last = static_cast<int32_t>(kContexts) - 2;
    HeaderContext context;
    if (n_levels > 0) context.of_class = 1 + std::clamp(mean >> kLevelShift, 0, last);
    context.of_first = static_cast<int32_t>(ContextOfSum(magnitude, n_known));
    return context;
  }

 private:
  int64_t Limit(int32_t context) const { return std::min<int64_t>(context, static_cast<int64_t>(n_contexts_) - 1); }

  const int32_t* levels_;
  const int32_t* class_rows_;
  const int32_t* first_rows_;
  size_t n_contexts_;
  int64_t n_classes_;
};

}  // namespace
}  // namespace nvc

#endif  // NVC_HEADER_CONTEXTS_H_
