// Maps of a decoded volume that the network of the post-filter sees.

#ifndef NVC_FILTER_SURROUNDINGS_H_
#define NVC_FILTER_SURROUNDINGS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cube_means.h"

namespace nvc {

constexpr int kSmallSide = 5, kLargeSide = 9;  // of the cubes of which it sees means
constexpr int kAxes[6][3] = {{-1, 0, 0}, {1, 0, 0}, {0, -1, 0}, {0, 1, 0}, {0, 0, -1}, {0, 0, 1}};
constexpr int64_t kNeighbours = 26 + 2 * 6, kDifferences = kNeighbours + 2 * 7, kActivities = 3;

// Planes up to which the network sees each map, and up to which maps are made of the volume and of its roughness.
constexpr int64_t kVoxelReach = 3, kSmallReach = kSmallSide - 1, kLargeReach = kLargeSide - 1;
constexpr int64_t kRoughReach = kLargeSide / 2, kAhead = kLargeReach + kLargeSide / 2;

// Maps of a volume that the network sees, up to those planes that it sees next.
template <int Width>
class Surroundings {
 public:
  explicit Surroundings(const Sides& sides)
      : sides_(sides),
        voxels_(kVoxelReach + 1 + kAhead, sides),
        roughness_(2 * kRoughReach + 1, sides),
        small_means_(2 * kSmallReach + 1, sides),
        large_means_(2 * kLargeReach + 1, sides),
        activities_{{1, sides}, {1, sides}, {1, sides}},
        sums_(sides) {}

  // Makes the maps for the plane `z` of a volume; planes come one after the other.
  [[gnu::always_inline]] void Advance(int64_t z, const float* volume, const Sides& strides) {
    for (; n_voxels_ < std::min(z + kAhead + 1, sides_.z); ++n_voxels_) {
      for (int64_t y = 0; y < sides_.y; ++y) {
        float* row = voxels_.Row(n_voxels_, y);
        std::copy_n(volume + n_voxels_ * strides.z + y * strides.y, sides_.x, row);
        Extend(row, sides_.x);
      }
    }
    for (; n_rough_ < std::min(z + kRoughReach + 1, sides_.z); ++n_rough_) {
      const int64_t plane = n_rough_;
      CubeMeans<Width, 3>(voxels_, plane, sums_, [&](int64_t y, int64_t x, Floats mean) __attribute__((always_inline)) {
        Floats voxels;
        Load(voxels_.Row(plane, y) + x, voxels);
        Put(roughness_.Row(plane, y) + x, Magnitudes<Width>(voxels - mean));
      });
      ExtendRows(roughness_, plane);
    }
    for (; n_small_ < std::min(z + kSmallReach + 1, sides_.z); ++n_small_) {
      MakeMeans<kSmallSide>(voxels_, n_small_, small_means_);
    }
    for (; n_large_ < std::min(z + kLargeReach + 1, sides_.z); ++n_large_) {
      MakeMeans<kLargeSide>(voxels_, n_large_, large_means_);
    }
    MakeMeans<3>(roughness_, z, activities_[0]);
    MakeMeans<kSmallSide>(roughness_, z, activities_[1]);
    MakeMeans<kLargeSide>(roughness_, z, activities_[2]);
  }

  // Lists the rows in which the network sees differences around the voxels of a row, in the order of its inputs.
  void List(int64_t z, int64_t y, const float* (&rows)[kDifferences]) const {
    const float** next = rows;
    const auto add = [&](const Planes& planes, int64_t distance, const int (&of)[3]) {
      *next++ = planes.Row(z + distance * of[0], y + distance * of[1]) + distance * of[2];
    };
    for (int k = 0; k < 27; ++k) {
      if (k != 13) add(voxels_, 1, {k / 9 - 1, k / 3 % 3 - 1, k % 3 - 1});
    }
    for (const int distance : {2, 3}) {
      for (const auto& axis : kAxes) add(voxels_, distance, axis);
    }
    add(small_means_, 0, {0, 0, 0});
    for (const auto& axis : kAxes) add(small_means_, kSmallReach, axis);
    add(large_means_, 0, {0, 0, 0});
    for (const auto& axis : kAxes) add(large_means_, kLargeReach, axis);
  }

  const float* Voxels(int64_t z, int64_t y) const { return voxels_.Row(z, y); }
  const float* Activities(int64_t k, int64_t y) const { return activities_[k].Row(0, y); }

 private:
  using Floats = typename Lanes<Width>::Floats;

  [[gnu::always_inline]] static void Put(float* place, Floats values) { std::memcpy(place, &values, sizeof(values)); }

  void ExtendRows(Planes& planes, int64_t z) {
    for (int64_t y = 0; y < sides_.y; ++y) Extend(planes.Row(z, y), sides_.x);
  }

  template <int Side>
  [[gnu::always_inline]] void MakeMeans(const Planes& from, int64_t z, Planes& to) {
    CubeMeans<Width, Side>(from, z, sums_, [&](int64_t y, int64_t x, Floats mean) __attribute__((always_inline)) {
      Put(to.Row(z, y) + x, mean);
    });
    ExtendRows(to, z);
  }

  Sides sides_;
  Planes voxels_, roughness_, small_means_, large_means_, activities_[kActivities];
  PlaneSums sums_;
  int64_t n_voxels_ = 0, n_rough_ = 0, n_small_ = 0, n_large_ = 0;
};

}  // namespace nvc

#endif  // NVC_FILTER_SURROUNDINGS_H_
