// Planes of an array of voxels, and means of the cubes around its voxels.
//
// A place outside the array stands for the nearest one inside.

#ifndef NVC_CUBE_MEANS_H_
#define NVC_CUBE_MEANS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "float_vectors.h"

namespace nvc {

struct Sides {
  int64_t z, y, x;
};

constexpr int64_t kPadding = 16;  // places of a row before its first voxel, and behind its last vector

// Length of a row up to its last vector.
inline int64_t WholeVectors(int64_t n) { return (n + kPadding - 1) / kPadding * kPadding; }

// Writes the nearest voxel of a row into all places before and behind it.
inline void Extend(float* row, int64_t n) {
  std::fill(row - kPadding, row, row[0]);
  std::fill(row + n, row + WholeVectors(n) + kPadding, row[n - 1]);
}

// The last planes of an array that is made plane by plane.
class Planes {
 public:
  Planes(int64_t n_planes, const Sides& sides)
      : sides_(sides),
        n_planes_(std::min(n_planes, sides.z)),
        stride_(2 * kPadding + WholeVectors(sides.x)),
        voxels_(n_planes_ * sides.y * stride_) {}

  // The row at (z, y), or the nearest one.
  const float* Row(int64_t z, int64_t y) const { return voxels_.data() + Start(z, y); }
  float* Row(int64_t z, int64_t y) { return voxels_.data() + Start(z, y); }

  const Sides& sides() const { return sides_; }

 private:
  int64_t Start(int64_t z, int64_t y) const {
    const int64_t plane = std::clamp<int64_t>(z, 0, sides_.z - 1) % n_planes_;
    return (plane * sides_.y + std::clamp<int64_t>(y, 0, sides_.y - 1)) * stride_ + kPadding;
  }

  Sides sides_;
  int64_t n_planes_, stride_;
  std::vector<float> voxels_;
};

// Sums of a plane along one axis, then along two.
struct PlaneSums {
  int64_t stride;
  std::vector<float> along_z, along_zy;

  explicit PlaneSums(const Sides& sides)
      : stride(WholeVectors(sides.x)), along_z(sides.y * stride), along_zy(2 * kPadding + stride) {}
};

// Sums `Side` rows, in their order.
template <int Width, int Side>
[[gnu::always_inline]] inline void SumRows(const float* const (&rows)[Side], int64_t n, float* sums) {
  for (int64_t x = 0; x < n; x += Width) {
    typename Lanes<Width>::Floats sum, part;
    Load(rows[0] + x, sum);
    for (int i = 1; i < Side; ++i) {
      Load(rows[i] + x, part);
      sum += part;
    }
    std::memcpy(sums + x, &sum, sizeof(sum));
  }
}

// Means of the cubes of side `Side` around the voxels of a plane: sums along z, along y and along x. `take` gets the row,
// the place and the means of each vector.
template <int Width, int Side, typename Take>
[[gnu::always_inline]] inline void CubeMeans(const Planes& planes, int64_t z, PlaneSums& sums, Take take) {
  constexpr int64_t kReach = Side / 2;
  const Sides& sides = planes.sides();
  const float* rows[Side];
  for (int64_t y = 0; y < sides.y; ++y) {
    for (int i = 0; i < Side; ++i) rows[i] = planes.Row(z - kReach + i, y);
    SumRows<Width, Side>(rows, sides.x, &sums.along_z[y * sums.stride]);
  }
  float* line = sums.along_zy.data() + kPadding;
  for (int64_t y = 0; y < sides.y; ++y) {
    for (int i = 0; i < Side; ++i) {
      rows[i] = &sums.along_z[std::clamp<int64_t>(y - kReach + i, 0, sides.y - 1) * sums.stride];
    }
    SumRows<Width, Side>(rows, sides.x, line);
    Extend(line, sides.x);
    for (int64_t x = 0; x < sides.x; x += Width) {
      typename Lanes<Width>::Floats sum, part;
      Load(line + x - kReach, sum);
      for (int i = 1; i < Side; ++i) {
        Load(line + x - kReach + i, part);
        sum += part;
      }
      take(y, x, sum * (1 / static_cast<float>(Side * Side * Side)));
    }
  }
}

}  // namespace nvc

#endif  // NVC_CUBE_MEANS_H_
