// Sparse integers of a volume, on NumPy's arrays: where two volumes differ, and where gaps between ranks lead.
//
// The specification is nvc_jax/entropy/sparse_integers.py. Ranks go block by block of 8³ voxels.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectorize.h"

namespace {

constexpr int64_t kSide = 8;
constexpr int64_t kBlock = kSide * kSide * kSide;

// Marks the values of a row that differ by more than allowed, or are NaN, by 1.
NVC_VECTORIZE
void MarkRow(int64_t n, const float* a, const float* b, float allowed, uint8_t* marks) {
  for (int64_t i = 0; i < n; ++i) marks[i] = !(std::fabs(a[i] - b[i]) <= allowed);
}

// Appends the positions of the marked voxels of a row of a block; most rows have none.
int64_t* AppendRow(const uint8_t* marks, int64_t position, int64_t* end) {
  uint64_t row;
  std::memcpy(&row, marks, sizeof(row));
  if (row == 0) return end;
  for (int64_t x = 0; x < kSide; ++x) {
    *end = position + x;
    end += marks[x];
  }
  return end;
}

}  // namespace

// Finds the voxels of two volumes that differ by more than allowed, block by block. `positions` has room
// for all of them and one more.
extern "C" __attribute__((visibility("default"))) int64_t nvc_find_differing(const float* a, const float* b,
                                                                             int64_t side_z, int64_t side_y,
                                                                             int64_t side_x, double allowed,
                                                                             int64_t* positions) {
  const int64_t blocks_y = (side_y + kSide - 1) / kSide, blocks_x = (side_x + kSide - 1) / kSide;
  const int64_t row_marks = blocks_x * kSide, plane_marks = blocks_y * kSide * row_marks;
  std::vector<uint8_t> marks(kSide * plane_marks);
  int64_t* end = positions;
  for (int64_t z = 0; z < side_z; z += kSide) {
    const int64_t n_planes = side_z - z < kSide ? side_z - z : kSide;
    for (int64_t plane = 0; plane < n_planes; ++plane) {
      for (int64_t y = 0; y < side_y; ++y) {
        const int64_t first = ((z + plane) * side_y + y) * side_x;
        MarkRow(side_x, a + first, b + first, static_cast<float>(allowed),
                &marks[plane * plane_marks + y * row_marks]);
      }
    }
    for (int64_t block = 0; block < blocks_y * blocks_x; ++block) {
      const int64_t y = block / blocks_x * kSide, x = block % blocks_x * kSide;
      const int64_t n_rows = side_y - y < kSide ? side_y - y : kSide;
      for (int64_t plane = 0; plane < n_planes; ++plane) {
        for (int64_t row = y; row < y + n_rows; ++row) {
          end = AppendRow(&marks[plane * plane_marks + row * row_marks + x],
                          ((z + plane) * side_y + row) * side_x + x, end);
        }
      }
    }
  }
  return end - positions;
}

// Turns gaps between ranks, none of them negative, to positions. Tells whether all lie in the volume; if not, positions
// behind the first one that does not are not set.
extern "C" __attribute__((visibility("default"))) int64_t nvc_positions_of_gaps(const int64_t* gaps, int64_t n,
                                                                                int64_t side_z, int64_t side_y,
                                                                                int64_t side_x, int64_t* positions) {
  const int64_t blocks_y = (side_y + kSide - 1) / kSide, blocks_x = (side_x + kSide - 1) / kSide;
  const int64_t blocks_z = (side_z + kSide - 1) / kSide, n_ranks = blocks_z * blocks_y * blocks_x * kBlock;
  int64_t rank = -1, block = -1, z = 0, y = 0, x = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (gaps[i] < 0 || gaps[i] >= n_ranks - rank - 1) return 0;
    rank += gaps[i] + 1;
    if (rank / kBlock != block) {
      block = rank / kBlock;
      z = block / (blocks_y * blocks_x) * kSide;
      y = block / blocks_x % blocks_y * kSide;
      x = block % blocks_x * kSide;
    }
    const int64_t within = rank % kBlock;
    const int64_t own_z = z + within / (kSide * kSide), own_y = y + within / kSide % kSide, own_x = x + within % kSide;
    if (own_z >= side_z || own_y >= side_y || own_x >= side_x) return 0;
    positions[i] = (own_z * side_y + own_y) * side_x + own_x;
  }
  return 1;
}
