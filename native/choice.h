// Choice between two numbers by a mask, in loops of which compilers make vectors.

#ifndef NVC_CHOICE_H_
#define NVC_CHOICE_H_

#include <cstdint>

namespace nvc {

// One of two numbers, both of which are read: a jump over the one that is not chosen, and GCC's of a bool, takes many
// times as long where the mask is irregular. NumPy's masks are bytes of 0 and 1.
[[gnu::always_inline]] inline float Where(uint8_t is_first, float first, float second) {
  return is_first != 0 ? first : second;
}

}  // namespace nvc

#endif  // NVC_CHOICE_H_
