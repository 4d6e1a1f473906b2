// CRC-32C of bytes.
//
// The polynomial is 0x1EDC6F41, reflected; see RFC 3720, section 12.1. Processors with SSE4.2 have an instruction for it.

#include <array>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define NVC_FOR_SSE42 __attribute__((target("sse4.2")))
#define NVC_HAS_SSE42 1
#else
#define NVC_HAS_SSE42 0
#endif

namespace {

constexpr uint32_t kReflected = 0x82F63B78u;

std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = state >> 1 ^ (state & 1 ? kReflected : 0);
    table[byte] = state;
  }
  return table;
}

uint32_t UpdateAnywhere(uint32_t state, const uint8_t* bytes, int64_t n) {
  static const std::array<uint32_t, 256> table = MakeTable();
  for (int64_t i = 0; i < n; ++i) state = state >> 8 ^ table[(state ^ bytes[i]) & 255];
  return state;
}

#if NVC_HAS_SSE42
NVC_FOR_SSE42 uint32_t UpdateBySse42(uint32_t state, const uint8_t* bytes, int64_t n) {
  uint64_t wide = state;
  for (; n >= 8; n -= 8, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, sizeof(word));
    wide = __builtin_ia32_crc32di(wide, word);
  }
  state = static_cast<uint32_t>(wide);
  for (; n > 0; --n, ++bytes) state = __builtin_ia32_crc32qi(state, *bytes);
  return state;
}
#endif

}  // namespace

extern "C" __attribute__((visibility("default"))) int64_t nvc_crc32c(int64_t n, const uint8_t* bytes) {
#if NVC_HAS_SSE42
  static const auto update = __builtin_cpu_supports("sse4.2") ? UpdateBySse42 : UpdateAnywhere;
#else
  static const auto update = UpdateAnywhere;
#endif
  return static_cast<uint32_t>(~update(~uint32_t{0}, bytes, n));
}
