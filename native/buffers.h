// Buffers of XLA's foreign-function interface, by short names.

#ifndef NVC_BUFFERS_H_
#define NVC_BUFFERS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "rans.h"
#include "xla/ffi/api/ffi.h"

namespace nvc {

namespace ffi = xla::ffi;

using U8 = ffi::Buffer<ffi::U8>;
using U16 = ffi::Buffer<ffi::U16>;
using U32 = ffi::Buffer<ffi::U32>;
using S32 = ffi::Buffer<ffi::S32>;
using F32 = ffi::Buffer<ffi::F32>;
using Pred = ffi::Buffer<ffi::PRED>;
template <typename T>
using Out = ffi::Result<T>;

// Number of rows of a matrix.
template <typename T>
size_t Rows(const T& buffer) {
  return static_cast<size_t>(buffer.dimensions().front());
}

template <typename T>
void Zero(Out<T>& buffer) {
  std::memset(buffer->untyped_data(), 0, buffer->size_bytes());
}

// Clears the words behind those of a stream, and tells whether all fitted.
inline ffi::Error FinishWords(Out<U16>& words, const PushStack& stack) {
  if (stack.top > stack.capacity) return ffi::Error::Internal("a stream is longer than its buffer");
  std::fill(words->typed_data() + stack.top, words->typed_data() + stack.capacity, uint16_t{0});
  return ffi::Error::Success();
}

}  // namespace nvc

#endif  // NVC_BUFFERS_H_
