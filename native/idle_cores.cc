// Threads that help kernels while cores are idle: of a volume of few chunks, and at the end of one of many.

#include "idle_cores.h"

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace nvc {
namespace {

// Cores that a thread may use.
class Cores {
 public:
#if defined(__linux__)
  static Cores Here() {
    Cores cores;
    if (sched_getaffinity(0, sizeof cores.set_, &cores.set_) != 0) CPU_ZERO(&cores.set_);
    return cores;
  }

  int count() const { return std::max(CPU_COUNT(&set_), 1); }

  // Lets this thread use these cores alone.
  void Take() const {
    if (CPU_COUNT(&set_) > 0) sched_setaffinity(0, sizeof set_, &set_);
  }

  bool operator!=(const Cores& other) const { return !CPU_EQUAL(&set_, &other.set_); }

 private:
  cpu_set_t set_;
#else
  static Cores Here() { return {}; }
  int count() const { return std::max<int>(std::thread::hardware_concurrency(), 1); }
  void Take() const {}
  bool operator!=(const Cores&) const { return false; }
#endif
};

// More of them wait for memory, and for each other, as parts of kernels are short.
constexpr int64_t kMostHelpers = 3;

// Waits until `is_done` is true, if that takes no longer than it takes to wake a thread; tells whether it is.
template <typename Condition>
bool SpinUntil(Condition is_done) {
  constexpr auto kLongest = std::chrono::microseconds(100);
  const auto end = std::chrono::steady_clock::now() + kLongest;
  while (!is_done()) {
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}

// Work that a thread shares, while it is on that thread's stack.
struct Job {
  const std::function<void()>& work;
  const Cores& cores;
  int n_wanted;  // helpers
  std::atomic<int> n_running{0};

  Job(const std::function<void()>& work, const Cores& cores, int n_wanted) : work(work), cores(cores), n_wanted(n_wanted) {}
};

// Threads that wait for jobs. They are never ended, and there are none in a process that was forked.
class Helpers {
 public:
  void Run(const std::function<void()>& work, const Cores& cores, int n_wanted) {
    Job job(work, cores, n_wanted);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (; n_threads_ < n_helping_ + n_wanted; ++n_threads_) std::thread([this] { Serve(); }).detach();
      jobs_.push_back(&job);
      n_jobs_ = jobs_.size();
    }
    for (int k = 0; k < n_wanted; ++k) has_job_.notify_one();
    work();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.remove(&job);
      n_jobs_ = jobs_.size();
    }
    const auto has_ended = [&] { return job.n_running == 0; };
    if (SpinUntil(has_ended)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    has_ended_.wait(lock, has_ended);
  }

  int n_helping() const { return n_helping_.load(std::memory_order_relaxed); }

 private:
  [[noreturn]] void Serve() {
    Cores own = Cores::Here();
    for (;;) {
      SpinUntil([this] { return n_jobs_ > 0; });
      std::unique_lock<std::mutex> lock(mutex_);
      has_job_.wait(lock, [this] { return !jobs_.empty(); });
      Job& job = *jobs_.front();
      if (--job.n_wanted == 0) jobs_.pop_front(), n_jobs_ = jobs_.size();
      ++job.n_running;
      ++n_helping_;
      lock.unlock();
      if (own != job.cores) (own = job.cores).Take();
      job.work();
      --n_helping_;
      lock.lock();
      if (--job.n_running == 0) has_ended_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable has_job_, has_ended_;
  std::list<Job*> jobs_;
  std::atomic<size_t> n_jobs_{0};
  int n_threads_ = 0;
  std::atomic<int> n_helping_{0};
};

std::atomic<int> n_coding{0}, n_inside{0};  // threads
thread_local int n_begun = 0;               // calls of this thread

Helpers*& HelpersOfProcess() {
  static Helpers* helpers = [] {
#if defined(__linux__)
    // What the threads of the parent held would never be given back.
    pthread_atfork(nullptr, nullptr, [] {
      HelpersOfProcess() = new Helpers;
      n_coding = n_inside = 0;
    });
#endif
    return new Helpers;
  }();
  return helpers;
}

}  // namespace

void RunOnIdleCores(int64_t n_most, const std::function<void()>& work) {
  if (n_most <= 1) return work();
  Helpers& helpers = *HelpersOfProcess();
  const Cores cores = Cores::Here();
  const int n_busy = std::max(n_coding.load(std::memory_order_relaxed), n_inside.fetch_add(1) + 1);
  const int n_idle = cores.count() - n_busy - helpers.n_helping();
  const auto n_wanted = static_cast<int>(std::min<int64_t>({n_idle, n_most - 1, kMostHelpers}));
  if (n_wanted > 0) {
    helpers.Run(work, cores, n_wanted);
  } else {
    work();
  }
  --n_inside;
}

}  // namespace nvc

// Counts the threads that code chunks, each by itself: their cores are not idle, whatever they do. Calls may be nested.
extern "C" __attribute__((visibility("default"))) void nvc_begin_coding() {
  if (nvc::n_begun++ == 0) ++nvc::n_coding;
}
extern "C" __attribute__((visibility("default"))) void nvc_end_coding() {
  if (--nvc::n_begun == 0) --nvc::n_coding;
}

// Counts the cores that this thread may use and that no thread uses, but for this one.
extern "C" __attribute__((visibility("default"))) int64_t nvc_count_idle_cores() {
  const int n_busy = std::max({nvc::n_coding.load(), nvc::n_inside.load(), 1});
  return std::max(nvc::Cores::Here().count() - n_busy - nvc::HelpersOfProcess()->n_helping(), 0);
}
