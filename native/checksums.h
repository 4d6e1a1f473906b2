// CRC-32 of bytes that come one piece after the other.

#ifndef NVC_CHECKSUMS_H_
#define NVC_CHECKSUMS_H_

#include <cstdint>

namespace nvc {

constexpr uint32_t kCrc32Start = ~uint32_t{0};

// State of the checksum after further bytes. That of all bytes is the complement of the last state. It takes the least
// time where the number of bytes is a multiple of 256.
using Crc32Update = uint32_t (*)(uint32_t state, const uint8_t* bytes, int64_t n);

// The fastest update for the processor.
Crc32Update PickCrc32Update();

}  // namespace nvc

#endif  // NVC_CHECKSUMS_H_
