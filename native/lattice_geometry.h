// Geometry of the lattice: phases, groups of neighbours and what contexts rest on.
//
// The specification is nvc_jax/lattice/geometry.py and prediction.py.

#ifndef NVC_LATTICE_GEOMETRY_H_
#define NVC_LATTICE_GEOMETRY_H_

#include <array>
#include <cstddef>
#include <cstdint>

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

constexpr int PhaseNumber(const Triple& parity) { return 4 * parity[0] + 2 * parity[1] + parity[2]; }

struct Neighbour {
  int phase = 0;
  Triple shift{};
};

// A few things in order.
template <typename T, size_t kCapacity>
class List {
 public:
  constexpr void push_back(const T& item) { items_[size_++] = item; }
  constexpr size_t size() const { return size_; }
  constexpr const T& operator[](size_t index) const { return items_[index]; }
  constexpr const T* begin() const { return items_.data(); }
  constexpr const T* end() const { return items_.data() + size_; }

 private:
  std::array<T, kCapacity> items_{};
  size_t size_ = 0;
};

// Neighbours that share a weight.
struct Group {
  int number = 0;
  List<Neighbour, 8> neighbours;

  constexpr bool is_far() const { return number >= 3 && number < 6; }
  constexpr int scale() const { return 8 / static_cast<int>(neighbours.size()); }
  constexpr int closeness() const { return neighbours.size() == 2 ? 3 : neighbours.size() == 4 ? 2 : 1; }
};
using Groups = List<Group, kGroups>;

constexpr Triple AlongAxis(int axis, int distance) {
  Triple offset{};
  offset[axis] = distance;
  return offset;
}

// Offsets of the neighbours of each group.
constexpr std::array<List<Triple, 8>, kGroups> GroupOffsets() {
  std::array<List<Triple, 8>, kGroups> offsets{};
  for (int axis = 0; axis < 3; ++axis) {
    for (int sign : {-1, 1}) {
      offsets[axis].push_back(AlongAxis(axis, sign));
      offsets[3 + axis].push_back(AlongAxis(axis, 3 * sign));
    }
    for (int a : {-1, 1}) {
      for (int b : {-1, 1}) {
        Triple offset = AlongAxis((axis + 1) % 3, a);
        offset[(axis + 2) % 3] = b;
        offsets[6 + axis].push_back(offset);
      }
    }
  }
  for (int a : {-1, 1}) {
    for (int b : {-1, 1}) {
      for (int c : {-1, 1}) offsets[9].push_back({a, b, c});
    }
  }
  return offsets;
}

// Groups of neighbours that are known when each phase is coded.
constexpr std::array<Groups, kPhases> KnownGroups() {
  std::array<Groups, kPhases> known{};
  const auto offsets = GroupOffsets();
  unsigned known_phases = 1;  // bit of each phase whose values are known: at first the level above
  for (int number = 0; number < kPhases; ++number) {
    for (int index = 0; index < kGroups; ++index) {
      Group group{};
      group.number = index;
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

inline constexpr std::array<Groups, kPhases> kKnownGroups = KnownGroups();

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
