// Buffers of XLA's foreign-function interface, by short names.

#ifndef NVC_BUFFERS_H_
#define NVC_BUFFERS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "idle_cores.h"
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

// Sets all to 0, on idle cores as well.
template <typename T>
void ZeroInParts(Out<T>& buffer) {
  constexpr int64_t kBytesOfPart = 1 << 18;
  auto* bytes = static_cast<uint8_t*>(buffer->untyped_data());
  ForParts(static_cast<int64_t>(buffer->size_bytes()), kBytesOfPart, [&](Parts& parts) {
    for (int64_t first, end; parts.Take(first, end);) std::memset(bytes + first, 0, end - first);
  });
}

// Clears the words behind those of a stream, if that is wanted, and tells whether all fitted.
inline ffi::Error FinishWords(Out<U16>& words, const PushStack& stack, bool clears = true) {
  if (stack.top > stack.capacity) return ffi::Error::Internal("a stream is longer than its buffer");
  if (clears) std::fill(words->typed_data() + stack.top, words->typed_data() + stack.capacity, uint16_t{0});
  return ffi::Error::Success();
}

// Number of lanes of a stream, as many as its groups may have.
inline int64_t LanesOfStream(const S32& n_lanes, int64_t n_groups) {
  return std::clamp<int64_t>(*n_lanes.typed_data(), 1, n_groups * kGroupLanes);
}

// Encodes a stream: `push` gets a group of lanes, its states and its stack, and pushes the group's items from the last to
// the first, of several groups at a time. Words behind the stream are cleared if that is wanted.
template <typename Push>
ffi::Error EncodeGroups(const S32& n_lanes_buffer, Out<U16>& words, Out<S32>& group_words, Push push,
                        bool clears = true) {
  const int64_t n_lanes = LanesOfStream(n_lanes_buffer, static_cast<int64_t>(group_words->element_count()));
  const auto capacity = static_cast<int64_t>(words->element_count());
  std::vector<std::vector<uint16_t>> of_groups(CeilDivide(n_lanes, kGroupLanes));
  Zero(group_words);
  ForParts(static_cast<int64_t>(of_groups.size()), 1, [&](Parts& parts) {
    const std::unique_ptr<uint16_t[]> own(new uint16_t[capacity]);  // not set
    parts.ForEach([&](int64_t group) {
      uint32_t states[kGroupLanes];
      std::fill_n(states, kGroupLanes, kLowest);
      PushStack stack{own.get(), capacity, 0};
      push(n_lanes, group, states, stack);
      FinishGroup(states, LanesOfGroup(n_lanes, group), stack);
      group_words->typed_data()[group] = static_cast<int32_t>(stack.top);
      of_groups[group].assign(own.get(), own.get() + std::min(stack.top, capacity));
    });
  });
  PushStack stack{words->typed_data(), capacity, 0};
  for (size_t group = 0; group < of_groups.size(); ++group) {
    if (stack.top + group_words->typed_data()[group] <= capacity) {
      std::copy(of_groups[group].begin(), of_groups[group].end(), stack.words + stack.top);
    }
    stack.top += group_words->typed_data()[group];
  }
  return FinishWords(words, stack, clears);
}

// The lanes of a group while it is decoded.
struct GroupReader {
  uint32_t states[kGroupLanes];
  PopStack stack;
};

// Begins to decode the groups of a stream.
inline std::vector<GroupReader> OpenGroups(const U16& words, const S32& group_words, int64_t n_lanes) {
  std::vector<GroupReader> readers(CeilDivide(n_lanes, kGroupLanes));
  uint32_t top = 0;
  for (size_t group = 0; group < readers.size(); ++group) {
    top += static_cast<uint32_t>(group_words.typed_data()[group]);
    readers[group].stack = {words.typed_data(), static_cast<int32_t>(words.element_count()),
                            static_cast<int32_t>(top)};
    StartGroup(readers[group].states, LanesOfGroup(n_lanes, static_cast<int64_t>(group)), readers[group].stack);
  }
  return readers;
}

}  // namespace nvc

#endif  // NVC_BUFFERS_H_
