// Values at some places of a float32 volume: how many different ones there are, and those that are far more frequent
// than their neighbours in value, on NumPy's arrays.
//
// The specifications are in nvc_jax/chunks/sampled_values.py.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <vector>

#include "vectorize.h"

namespace {

constexpr uint32_t kSign = 0x80000000u;
constexpr int kLeastTableBits = 4;
constexpr int kClassBits = 12;

// Spreads keys over 2^bits places.
uint32_t Spread(uint32_t key, int bits) { return (key * 0x9E3779B1u) >> (32 - bits); }

struct Entry {
  uint32_t key, count;
};

// Different keys and how often each one was added.
class Table {
 public:
  explicit Table(int64_t most) {
    while ((int64_t{1} << bits_) < 2 * most) ++bits_;
    entries_.resize(int64_t{1} << bits_);
  }

  // Adds a key, and tells whether it is new.
  bool Add(uint32_t key) {
    const uint32_t last = (1u << bits_) - 1;
    uint32_t place = Spread(key, bits_);
    while (entries_[place].count > 0 && entries_[place].key != key) place = (place + 1) & last;
    entries_[place].key = key;
    return entries_[place].count++ == 0;
  }

  // The keys that were added.
  std::vector<Entry> Collect() const {
    std::vector<Entry> added;
    std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(added), [](Entry entry) { return entry.count > 0; });
    return added;
  }

 private:
  int bits_ = kLeastTableBits;
  std::vector<Entry> entries_;
};

uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// Bits of the valid ones of the values at some places.
std::vector<uint32_t> Draw(const float* values, const uint8_t* valid, int64_t n_places, const int64_t* places) {
  std::vector<uint32_t> drawn(n_places);
  int64_t n = 0;
  for (int64_t k = 0; k < n_places; ++k) {
    drawn[n] = BitsOf(values[places[k]]);
    n += valid[places[k]];
  }
  drawn.resize(n);
  return drawn;
}

// Integers in the order of the values, both zeros alike.
NVC_VECTORIZE
void Order(int64_t n, const uint32_t* bits, uint32_t* __restrict ordered) {
  for (int64_t k = 0; k < n; ++k) {
    const uint32_t own = bits[k] == kSign ? 0 : bits[k];
    ordered[k] = own & kSign ? ~own : own | kSign;
  }
}

uint32_t BitsOfOrdered(uint32_t ordered) { return ordered & kSign ? ordered ^ kSign : ~ordered; }

// Tells whether no number may occur so often: as a rule not even a class of several numbers does.
bool AreRare(const std::vector<uint32_t>& numbers, double least) {
  std::vector<uint32_t> sizes(1 << kClassBits);
  for (const uint32_t number : numbers) ++sizes[Spread(number, kClassBits)];
  return *std::max_element(sizes.begin(), sizes.end()) < least;
}

// How often the next smaller number occurs, or the next larger one, whichever is more often.
uint32_t MostBeside(const std::vector<Entry>& entries, uint32_t number) {
  Entry below{0, 0}, above{UINT32_MAX, 0};
  for (const Entry& entry : entries) {
    if (entry.key < number && entry.key >= below.key) below = entry;
    if (entry.key > number && entry.key <= above.key) above = entry;
  }
  return std::max(below.count, above.count);
}

}  // namespace

#define NVC_EXPORT extern "C" __attribute__((visibility("default")))

// Counts the different bit patterns of the valid values at some places, but no further than to `most` + 1.
NVC_EXPORT int64_t nvc_count_different(const float* values, const uint8_t* valid, int64_t n_places,
                                       const int64_t* places, int64_t most) {
  Table table(std::min(n_places, most + 1));
  int64_t n = 0;
  for (int64_t k = 0; k < n_places && n <= most; ++k) {
    if (valid[places[k]]) n += table.Add(BitsOf(values[places[k]]));
  }
  return n;
}

// Finds the valid values at some places of which there are at least a share of all these, and some times as many as of
// the next smaller and of the next larger one. Returns their number, which is at most 1 / `share`, and their bit
// patterns in ascending order of the values; of both zeros that of the more frequent one.
NVC_EXPORT int64_t nvc_find_peaks(const float* values, const uint8_t* valid, int64_t n_places, const int64_t* places,
                                  double share, double ratio, uint32_t* patterns) {
  const std::vector<uint32_t> drawn = Draw(values, valid, n_places, places);
  const auto n = static_cast<int64_t>(drawn.size());
  std::vector<uint32_t> ordered(n);
  Order(n, drawn.data(), ordered.data());
  const double least = share * static_cast<double>(n);
  if (AreRare(ordered, least)) return 0;
  Table table(n);
  for (const uint32_t number : ordered) table.Add(number);
  const std::vector<Entry> entries = table.Collect();
  std::vector<uint32_t> peaks;
  for (const Entry& entry : entries) {
    if (entry.count >= least && entry.count >= ratio * MostBeside(entries, entry.key)) peaks.push_back(entry.key);
  }
  std::sort(peaks.begin(), peaks.end());
  std::transform(peaks.begin(), peaks.end(), patterns, BitsOfOrdered);
  if (std::count(drawn.begin(), drawn.end(), kSign) > std::count(drawn.begin(), drawn.end(), 0u)) {
    std::replace(patterns, patterns + peaks.size(), 0u, kSign);
  }
  return static_cast<int64_t>(peaks.size());
}
