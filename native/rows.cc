// Rows of several arrays at once, as those of one profile of a model; and arrays that nobody reads.
//
// The specifications are nvc_jax/native/rows.py and nvc_jax/native/unset_arrays.py.

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "buffers.h"

namespace nvc {
namespace {

ffi::Error TakeRows(S32 index, ffi::RemainingArgs arrays, ffi::RemainingRets rows) {
  if (index.element_count() != 1 || arrays.size() != rows.size()) {
    return ffi::Error::InvalidArgument("there is not one index, or not a row for each array");
  }
  for (size_t k = 0; k < arrays.size(); ++k) {
    const auto array = arrays.get<ffi::AnyBuffer>(k);
    auto row = rows.get<ffi::AnyBuffer>(k);
    if (!array.has_value() || !row.has_value()) return ffi::Error::InvalidArgument("there are no such arrays");
    if (array->dimensions().size() == 0 || array->dimensions().front() == 0 ||
        array->size_bytes() != (*row)->size_bytes() * static_cast<size_t>(array->dimensions().front())) {
      return ffi::Error::InvalidArgument("a row is not as long as those of its array");
    }
    const int64_t n = array->dimensions().front(), wanted = *index.typed_data();
    const auto start = static_cast<size_t>(std::clamp<int64_t>(wanted < 0 ? wanted + n : wanted, 0, n - 1));
    const size_t n_bytes = (*row)->size_bytes();
    std::memcpy((*row)->untyped_data(), static_cast<const char*>(array->untyped_data()) + start * n_bytes, n_bytes);
  }
  return ffi::Error::Success();
}

ffi::Error LeaveUnset(ffi::RemainingRets) { return ffi::Error::Success(); }

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_take_rows, TakeRows, ffi::Ffi::Bind().Arg<S32>().RemainingArgs().RemainingRets());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_leave_unset, LeaveUnset, ffi::Ffi::Bind().RemainingRets());

}  // namespace nvc
