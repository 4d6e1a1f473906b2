// CRC-32C and CRC-32 of bytes.
//
// The polynomial of CRC-32C is 0x1EDC6F41, reflected; see RFC 3720, section 12.1. Processors with SSE4.2 have an
// instruction for it. That of CRC-32 is 0x04C11DB7, reflected; see RFC 1952, section 8. Products of polynomials fold 64
// bytes at a time into the next 64 (Gopal et al., Fast CRC computation for generic polynomials using PCLMULQDQ
// instruction, Intel, 2009), or 256 where a processor has such products of vectors.

#include "checksums.h"

#include <array>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define NVC_FOR_PRODUCTS __attribute__((target("sse4.2,pclmul")))
#define NVC_FOR_VECTOR_PRODUCTS __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.2")))
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

// Remainder of a power of x, reflected, as products of reflected numbers take it.
constexpr int64_t Power(int exponent) {
  uint32_t remainder = 0x80000000u;
  for (int i = 0; i < exponent; ++i) remainder = remainder >> 1 ^ (remainder & 1 ? kReflected : 0);
  return static_cast<int64_t>(remainder) << 1;
}

// Constants that move the halves of a number forwards by some bits.
template <int Bits>
NVC_FOR_PRODUCTS inline __m128i ConstantsOf() {
  constexpr int64_t low = Power(Bits + 32), high = Power(Bits - 32);
  return _mm_set_epi64x(high, low);
}

// Multiplies both halves of a number by constants, and adds what is there.
NVC_FOR_PRODUCTS inline __m128i Fold(__m128i number, __m128i constants, __m128i there) {
  const __m128i low = _mm_clmulepi64_si128(number, constants, 0x00);
  const __m128i high = _mm_clmulepi64_si128(number, constants, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), there);
}

// State after some bytes, of which a number is left, and after at most 15 bytes behind them.
NVC_FOR_PRODUCTS uint32_t Reduce(__m128i number, const uint8_t* bytes, int64_t n) {
  const __m128i by_128 = ConstantsOf<128>();
  for (; n >= 16; bytes += 16, n -= 16) {
    number = Fold(number, by_128, _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  }
  // 128 to 64 bits, to 32 by the method of Barrett: with the polynomial and its inverse.
  const __m128i low = _mm_setr_epi32(-1, 0, -1, 0);
  number = _mm_xor_si128(_mm_srli_si128(number, 8), _mm_clmulepi64_si128(number, by_128, 0x10));
  constexpr int64_t by_64 = Power(64);
  const __m128i polynomial = _mm_set_epi64x(0x1F7011641, 0x1DB710641);
  number = _mm_xor_si128(_mm_srli_si128(number, 4),
                         _mm_clmulepi64_si128(_mm_and_si128(number, low), _mm_set_epi64x(0, by_64), 0x00));
  const __m128i quotient = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(number, low), polynomial, 0x10), low);
  number = _mm_xor_si128(number, _mm_clmulepi64_si128(quotient, polynomial, 0x00));
  return UpdateAnywhere<kReflected>(static_cast<uint32_t>(_mm_extract_epi32(number, 1)), bytes, n);
}

NVC_FOR_PRODUCTS uint32_t UpdateByProducts(uint32_t state, const uint8_t* bytes, int64_t n) {
  constexpr int64_t kBytes = 16, kNumbers = 4;
  if (n < kBytes * kNumbers) return UpdateAnywhere<kReflected>(state, bytes, n);
  const auto load = [&bytes](int64_t k) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes) + k); };
  const __m128i by_512 = ConstantsOf<512>(), by_128 = ConstantsOf<128>();
  __m128i numbers[kNumbers];
  for (int64_t k = 0; k < kNumbers; ++k) numbers[k] = load(k);
  numbers[0] = _mm_xor_si128(numbers[0], _mm_cvtsi32_si128(static_cast<int32_t>(state)));
  for (bytes += kBytes * kNumbers, n -= kBytes * kNumbers; n >= kBytes * kNumbers;
       bytes += kBytes * kNumbers, n -= kBytes * kNumbers) {
    for (int64_t k = 0; k < kNumbers; ++k) numbers[k] = Fold(numbers[k], by_512, load(k));
  }
  __m128i number = numbers[0];
  for (int64_t k = 1; k < kNumbers; ++k) number = Fold(number, by_128, numbers[k]);
  return Reduce(number, bytes, n);
}

template <int Bits>
NVC_FOR_VECTOR_PRODUCTS inline __m512i VectorConstantsOf() {
  constexpr int64_t low = Power(Bits + 32), high = Power(Bits - 32);
  return _mm512_set4_epi64(high, low, high, low);
}

// As `Fold`, for four numbers.
NVC_FOR_VECTOR_PRODUCTS inline __m512i FoldVector(__m512i numbers, __m512i constants, __m512i there) {
  const __m512i low = _mm512_clmulepi64_epi128(numbers, constants, 0x00);
  const __m512i high = _mm512_clmulepi64_epi128(numbers, constants, 0x11);
  return _mm512_ternarylogic_epi64(low, high, there, 0x96);
}

NVC_FOR_VECTOR_PRODUCTS uint32_t UpdateByVectors(uint32_t state, const uint8_t* bytes, int64_t n) {
  constexpr int64_t kBytes = 64, kVectors = 4;
  if (n < kBytes * kVectors) return UpdateByProducts(state, bytes, n);
  const auto load = [&bytes](int64_t k) NVC_FOR_VECTOR_PRODUCTS { return _mm512_loadu_si512(bytes + k * kBytes); };
  const __m512i by_2048 = VectorConstantsOf<2048>(), by_512 = VectorConstantsOf<512>();
  __m512i vectors[kVectors];
  for (int64_t k = 0; k < kVectors; ++k) vectors[k] = load(k);
  vectors[0] = _mm512_xor_si512(vectors[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int32_t>(state))));
  for (bytes += kBytes * kVectors, n -= kBytes * kVectors; n >= kBytes * kVectors;
       bytes += kBytes * kVectors, n -= kBytes * kVectors) {
    for (int64_t k = 0; k < kVectors; ++k) vectors[k] = FoldVector(vectors[k], by_2048, load(k));
  }
  __m512i vector = vectors[0];
  for (int64_t k = 1; k < kVectors; ++k) vector = FoldVector(vector, by_512, vectors[k]);
  for (; n >= kBytes; bytes += kBytes, n -= kBytes) vector = FoldVector(vector, by_512, load(0));
  alignas(64) __m128i numbers[4];
  _mm512_store_si512(numbers, vector);
  __m128i number = numbers[0];
  for (int k = 1; k < 4; ++k) number = Fold(number, ConstantsOf<128>(), numbers[k]);
  return Reduce(number, bytes, n);
}
#endif

nvc::Crc32Update FindCrc32Update() {
#if NVC_HAS_SSE42
  const bool has_products = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2");
  const bool has_vectors = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
  if (has_products) return has_vectors ? UpdateByVectors : UpdateByProducts;
#endif
  return UpdateAnywhere<kReflected>;
}

}  // namespace

nvc::Crc32Update nvc::PickCrc32Update() {
  static const Crc32Update update = FindCrc32Update();
  return update;
}

extern "C" __attribute__((visibility("default"))) int64_t nvc_crc32c(int64_t n, const uint8_t* bytes) {
#if NVC_HAS_SSE42
  static const auto update = __builtin_cpu_supports("sse4.2") ? UpdateBySse42 : UpdateAnywhere<kReflectedC>;
#else
  static const auto update = UpdateAnywhere<kReflectedC>;
#endif
  return static_cast<uint32_t>(~update(~uint32_t{0}, bytes, n));
}

extern "C" __attribute__((visibility("default"))) int64_t nvc_crc32(int64_t n, const uint8_t* bytes) {
  return static_cast<uint32_t>(~nvc::PickCrc32Update()(nvc::kCrc32Start, bytes, n));
}
