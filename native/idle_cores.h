// Work of a kernel shared with cores that have nothing else to do.

#ifndef NVC_IDLE_CORES_H_
#define NVC_IDLE_CORES_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>

namespace nvc {

// Parts of 0 to n, that threads take one after the other.
class Parts {
 public:
  Parts(int64_t n, int64_t size) : n_(n), size_(std::max<int64_t>(size, 1)) {}

  int64_t n_parts() const { return (n_ + size_ - 1) / size_; }

  // Takes the next part, from `first` to before `end`; false if there is none.
  bool Take(int64_t& first, int64_t& end) {
    first = next_.fetch_add(size_, std::memory_order_relaxed);
    end = std::min(first + size_, n_);
    return first < n_;
  }

  // Takes parts until there are none, and calls work(k) for each of their numbers.
  template <typename Work>
  void ForEach(const Work& work) {
    for (int64_t first, end; Take(first, end);) {
      for (int64_t k = first; k < end; ++k) work(k);
    }
  }

 private:
  const int64_t n_, size_;
  std::atomic<int64_t> next_{0};
};

// Calls `work` on this thread, and at the same time on as many others as there are idle cores, but on `n_most` threads at
// most; returns when all have returned. The cores that this thread may use are counted; those are busy that code chunks,
// and those that are in such a call.
void RunOnIdleCores(int64_t n_most, const std::function<void()>& work);

inline constexpr int64_t kBlocksOfPart = 256;

// Calls work(parts), which takes parts of `size` of 0 to n until there are none, on idle cores as well.
template <typename Work>
void ForParts(int64_t n, int64_t size, const Work& work) {
  Parts parts(n, size);
  RunOnIdleCores(parts.n_parts(), [&] { work(parts); });
}

// Calls work(k) for all numbers from 0 to n, on idle cores as well, which take `size` at a time.
template <typename Work>
void ForEachInParts(int64_t n, int64_t size, const Work& work) {
  ForParts(n, size, [&](Parts& parts) { parts.ForEach(work); });
}

}  // namespace nvc

#endif  // NVC_IDLE_CORES_H_
