// Geometry of the lattice: phases, groups of neighbours and what contexts rest on.
//
// The specification is nvc_jax/lattice/geometry.py and prediction.py.

#ifndef NVC_LATTICE_GEOMETRY_H_
#define NVC_LATTICE_GEOMETRY_H_

#include <array>
#include <cstdint>
#include <vector>

namespace nvc {

constexpr int kLevelGroups = 3;
constexpr int kPhases = 7;
constexpr int kGroups = 10;
constexpr int kWeightBits = 6;
constexpr int kActivityBits = 5;
constexpr std::array<int, 15> kActivityLimits = {1, 2, 4, 6, 10, 15, 22, 32, 48, 72, 112, 180, 300, 600, 1500};
constexpr int kActivities = kActivityLimits.size() + 1;

using Triple = std::array<int, 3>;
constexpr std::array<Triple, kPhases> kParities = {
    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 0}, {1, 0, 1}, {0, 1, 1}, {1, 1, 1}}};
constexpr std::array<int, kPhases> kPhaseClasses = {0, 0, 0, 1, 1, 1, 2};

inline int PhaseNumber(const Triple& parity) { return 4 * parity[0] + 2 * parity[1] + parity[2]; }

struct Neighbour {
  int phase;
  Triple shift;
};

// Neighbours that share a weight.
struct Group {
  int number;
  std::vector<Neighbour> neighbours;

  bool is_far() const { return number >= 3 && number < 6; }
  int scale() const { return 8 / static_cast<int>(neighbours.size()); }
  int closeness() const { return neighbours.size() == 2 ? 3 : neighbours.size() == 4 ? 2 : 1; }
};

inline std::vector<std::vector<Triple>> GroupOffsets() {
  std::vector<std::vector<Triple>> offsets;
  for (int distance : {1, 3}) {
    for (int axis = 0; axis < 3; ++axis) {
      Triple before{}, after{};
      before[axis] = -distance;
      after[axis] = distance;
      offsets.push_back({before, after});
    }
  }
  for (int axis = 0; axis < 3; ++axis) {
    std::vector<Triple> plane;
    for (int a : {-1, 1}) {
      for (int b : {-1, 1}) {
        Triple offset{};
        offset[(axis + 1) % 3] = a;
        offset[(axis + 2) % 3] = b;
        plane.push_back(offset);
      }
    }
    offsets.push_back(plane);
  }
  std::vector<Triple> corners;
  for (int a : {-1, 1}) {
    for (int b : {-1, 1}) {
      for (int c : {-1, 1}) corners.push_back({a, b, c});
    }
  }
  offsets.push_back(corners);
  return offsets;
}

inline std::array<std::vector<Group>, kPhases> KnownGroups() {
  std::array<std::vector<Group>, kPhases> known;
  const auto offsets = GroupOffsets();
  unsigned known_phases = 1;  // bit of each phase whose values are known: at first the level above
  for (int number = 0; number < kPhases; ++number) {
    for (int index = 0; index < kGroups; ++index) {
      Group group{index, {}};
      bool is_known = true;
      for (const Triple& offset : offsets[index]) {
        Neighbour neighbour{};
        Triple parity{};
        for (int axis = 0; axis < 3; ++axis) {
          const int position = kParities[number][axis] + offset[axis];
          parity[axis] = position & 1;
          neighbour.shift[axis] = (position - parity[axis]) / 2;
        }
        neighbour.phase = PhaseNumber(parity);
        is_known = is_known && (known_phases >> neighbour.phase & 1);
        group.neighbours.push_back(neighbour);
      }
      if (is_known) known[number].push_back(group);
    }
    known_phases |= 1u << PhaseNumber(kParities[number]);
  }
  return known;
}

struct Shape {
  int64_t z, y, x;

  int64_t size() const { return z * y * x; }
};

template <typename T>
Shape ShapeOf(const T& dimensions) {
  return {dimensions[0], dimensions[1], dimensions[2]};
}

}  // namespace nvc

#endif  // NVC_LATTICE_GEOMETRY_H_
