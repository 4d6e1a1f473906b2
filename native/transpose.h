// Transposition of small matrices.

#ifndef NVC_TRANSPOSE_H_
#define NVC_TRANSPOSE_H_

#include <cstdint>
#include <cstring>

namespace nvc {

constexpr int64_t kSide = 8;  // of a small matrix, and of a block

// Transposes 8 by 8 numbers of four bytes.
template <typename Number>
[[gnu::always_inline]] inline void Transpose(const Number* in, int64_t in_stride, Number* out, int64_t out_stride) {
  typedef Number Vector __attribute__((vector_size(4 * kSide)));
  typedef int32_t Indices __attribute__((vector_size(4 * kSide)));
  Vector rows[kSide], pairs[kSide], quads[kSide];
  for (int r = 0; r < kSide; ++r) std::memcpy(&rows[r], in + r * in_stride, sizeof(Vector));
  for (int r = 0; r < kSide; r += 2) {
    pairs[r] = __builtin_shuffle(rows[r], rows[r + 1], Indices{0, 8, 1, 9, 4, 12, 5, 13});
    pairs[r + 1] = __builtin_shuffle(rows[r], rows[r + 1], Indices{2, 10, 3, 11, 6, 14, 7, 15});
  }
  for (int r = 0; r < kSide; r += 4) {
    for (int k = 0; k < 2; ++k) {
      quads[r + 2 * k] = __builtin_shuffle(pairs[r + k], pairs[r + k + 2], Indices{0, 1, 8, 9, 4, 5, 12, 13});
      quads[r + 2 * k + 1] = __builtin_shuffle(pairs[r + k], pairs[r + k + 2], Indices{2, 3, 10, 11, 6, 7, 14, 15});
    }
  }
  for (int k = 0; k < 4; ++k) {
    rows[k] = __builtin_shuffle(quads[k], quads[k + 4], Indices{0, 1, 2, 3, 8, 9, 10, 11});
    rows[k + 4] = __builtin_shuffle(quads[k], quads[k + 4], Indices{4, 5, 6, 7, 12, 13, 14, 15});
  }
  for (int r = 0; r < kSide; ++r) std::memcpy(out + r * out_stride, &rows[r], sizeof(Vector));
}

}  // namespace nvc

#endif  // NVC_TRANSPOSE_H_
