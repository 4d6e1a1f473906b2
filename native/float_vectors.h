// Vectors of floats and of integers as wide, in functions that are compiled for several instruction sets.

#ifndef NVC_FLOAT_VECTORS_H_
#define NVC_FLOAT_VECTORS_H_

#include <cstdint>
#include <cstring>

namespace nvc {

// Comparisons of vectors give −1 where they hold and 0 elsewhere.
template <int Width>
struct Lanes {
  typedef float Floats __attribute__((vector_size(4 * Width)));
  typedef int32_t Integers __attribute__((vector_size(4 * Width)));
};

template <typename Vector, typename T>
[[gnu::always_inline]] inline void Load(const T* address, Vector& vector) {
  std::memcpy(&vector, address, sizeof(vector));
}

// Absolute values.
template <int Width>
[[gnu::always_inline]] inline typename Lanes<Width>::Floats Magnitudes(typename Lanes<Width>::Floats values) {
  typename Lanes<Width>::Integers bits;
  std::memcpy(&bits, &values, sizeof(bits));
  bits &= 0x7FFFFFFF;
  std::memcpy(&values, &bits, sizeof(bits));
  return values;
}

}  // namespace nvc

#endif  // NVC_FLOAT_VECTORS_H_
