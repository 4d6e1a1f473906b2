// Functions that are compiled for several instruction sets, of which the program picks one at run time.

#ifndef NVC_TARGETS_H_
#define NVC_TARGETS_H_

#if defined(__x86_64__) && defined(__GNUC__)
#define NVC_FOR_AVX512 __attribute__((target("avx512f,avx512vl,avx512dq")))
#define NVC_FOR_AVX2 __attribute__((target("avx2,fma")))
#define NVC_HAS_TARGETS 1
#else
#define NVC_FOR_AVX512
#define NVC_FOR_AVX2
#define NVC_HAS_TARGETS 0
#endif

namespace nvc {

// The fastest of three forms for the processor: of AVX-512, of AVX2 with fused products, and of any.
template <typename Function>
Function PickForm([[maybe_unused]] Function avx512, [[maybe_unused]] Function avx2, Function anywhere) {
#if NVC_HAS_TARGETS
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    return avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2;
#endif
  return anywhere;
}

}  // namespace nvc

#endif  // NVC_TARGETS_H_
