// CRC-32C and CRC-32 of bytes.
//
// The polynomial of CRC-32C is 0x1EDC6F41, reflected; see RFC 3720, section 12.1. Processors with SSE4.2 have an
// instruction for it. That of CRC-32 is 0x04C11DB7, reflected; see RFC 1952, section 8. Products of polynomials fold 64
// bytes at a time into the next 64 (Gopal et al., Fast CRC computation for generic polynomials using PCLMULQDQ
// instruction, Intel, 2009).

#include <array>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define NVC_FOR_PRODUCTS __attribute__((target("sse4.2,pclmul")))
#define NVC_FOR_SSE42 __attribute__((target("sse4.2")))
#define NVC_HAS_SSE42 1
#else
#define NVC_HAS_SSE42 0
#endif

namespace {

constexpr uint32_t kReflectedC = 0x82F63B78u, kReflected = 0xEDB88320u;

std::array<uint32_t, 256> MakeTable(uint32_t reflected) {
  std::array<uint32_t, 256> table;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = state >> 1 ^ (state & 1 ? reflected : 0);
    table[byte] = state;
  }
  return table;
}

template <uint32_t Reflected>
uint32_t UpdateAnywhere(uint32_t state, const uint8_t* bytes, int64_t n) {
  static const std::array<uint32_t, 256> table = MakeTable(Reflected);
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

// Multiplies both halves of a number by the constants that move it `bytes` forwards, and adds what is there.
NVC_FOR_PRODUCTS inline __m128i Fold(__m128i number, __m128i constants, __m128i there) {
  const __m128i low = _mm_clmulepi64_si128(number, constants, 0x00);
  const __m128i high = _mm_clmulepi64_si128(number, constants, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), there);
}

// Remainders of powers of x: by 512 + 64 and 512, by 128 + 64 and 128, and by 64; and the polynomial and its inverse.
NVC_FOR_PRODUCTS uint32_t UpdateByProducts(uint32_t state, const uint8_t* bytes, int64_t n) {
  constexpr int64_t kBytes = 16, kNumbers = 4;
  if (n < kBytes * kNumbers) return UpdateAnywhere<kReflected>(state, bytes, n);
  const auto load = [&bytes](int64_t k) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes) + k); };
  const __m128i by_512 = _mm_set_epi64x(0x1C6E41596, 0x154442BD4), by_128 = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);
  __m128i numbers[kNumbers];
  for (int64_t k = 0; k < kNumbers; ++k) numbers[k] = load(k);
  numbers[0] = _mm_xor_si128(numbers[0], _mm_cvtsi32_si128(static_cast<int32_t>(state)));
  for (bytes += kBytes * kNumbers, n -= kBytes * kNumbers; n >= kBytes * kNumbers;
       bytes += kBytes * kNumbers, n -= kBytes * kNumbers) {
    for (int64_t k = 0; k < kNumbers; ++k) numbers[k] = Fold(numbers[k], by_512, load(k));
  }
  __m128i number = numbers[0];
  for (int64_t k = 1; k < kNumbers; ++k) number = Fold(number, by_128, numbers[k]);
  for (; n >= kBytes; bytes += kBytes, n -= kBytes) number = Fold(number, by_128, load(0));
  // 128 to 64 bits, to 32 by the method of Barrett.
  const __m128i low = _mm_setr_epi32(-1, 0, -1, 0);
  number = _mm_xor_si128(_mm_srli_si128(number, 8), _mm_clmulepi64_si128(number, by_128, 0x10));
  const __m128i by_64 = _mm_set_epi64x(0, 0x163CD6124), polynomial = _mm_set_epi64x(0x1F7011641, 0x1DB710641);
  number = _mm_xor_si128(_mm_srli_si128(number, 4), _mm_clmulepi64_si128(_mm_and_si128(number, low), by_64, 0x00));
  const __m128i quotient = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(number, low), polynomial, 0x10), low);
  number = _mm_xor_si128(number, _mm_clmulepi64_si128(quotient, polynomial, 0x00));
  return UpdateAnywhere<kReflected>(static_cast<uint32_t>(_mm_extract_epi32(number, 1)), bytes, n);
}
#endif

}  // namespace

extern "C" __attribute__((visibility("default"))) int64_t nvc_crc32c(int64_t n, const uint8_t* bytes) {
#if NVC_HAS_SSE42
  static const auto update = __builtin_cpu_supports("sse4.2") ? UpdateBySse42 : UpdateAnywhere<kReflectedC>;
#else
  static const auto update = UpdateAnywhere<kReflectedC>;
#endif
  return static_cast<uint32_t>(~update(~uint32_t{0}, bytes, n));
}

extern "C" __attribute__((visibility("default"))) int64_t nvc_crc32(int64_t n, const uint8_t* bytes) {
#if NVC_HAS_SSE42
  static const bool has_products = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2");
  static const auto update = has_products ? UpdateByProducts : UpdateAnywhere<kReflected>;
#else
  static const auto update = UpdateAnywhere<kReflected>;
#endif
  return static_cast<uint32_t>(~update(~uint32_t{0}, bytes, n));
}
