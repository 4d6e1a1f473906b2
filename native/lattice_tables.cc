// Tables that successive contexts share, on NumPy's arrays.
//
// The specification is nvc_jax/lattice/table_sharing.py. All is in float64, in the order in which that computes it.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr int kTerms = 10;
constexpr int kSmallCounts = 4096;
constexpr int kTableBits = 10 + 5;  // of the first context and the number of hazards
constexpr int kHazardBits = 5;

// A count times its binary logarithm.
double ComputePLogP(int64_t count) {
  int exponent;
  double mantissa = std::frexp(static_cast<double>(std::max<int64_t>(count, 1)), &exponent);
  if (mantissa < 0.75) {
    mantissa *= 2;
    --exponent;
  }
  const double ratio = (mantissa - 1) / (mantissa + 1), square = ratio * ratio;
  double series = 0;
  for (int term = kTerms - 1; term >= 0; --term) series = series * square + 1.0 / (2 * term + 1);
  return static_cast<double>(count) * (exponent + 2 * kLog2E * ratio * series);
}

double PLogP(int64_t count) {
  static const auto small = [] {
    std::array<double, kSmallCounts> products;
    for (int i = 0; i < kSmallCounts; ++i) products[i] = ComputePLogP(i);
    return products;
  }();
  return 0 <= count && count < kSmallCounts ? small[count] : ComputePLogP(count);
}

// Runs of contexts while they are merged. A row has a column for each class of magnitudes and one for negative codes.
class Runs {
 public:
  Runs(int64_t n_columns, double penalty) : n_columns_(n_columns), penalty_(penalty) {}

  void Add(int64_t start, const int64_t* counts) {
    starts_.push_back(start);
    counts_.insert(counts_.end(), counts, counts + n_columns_);
    own_.push_back(Bits(counts));
  }

  // Joins neighbours until that saves nothing any more.
  void Merge() {
    joined_.resize(own_.size());
    for (size_t run = 0; run + 1 < own_.size(); ++run) joined_[run] = JoinedBits(run);
    while (MergeOnce()) {
    }
  }

  int64_t CopyTo(int64_t* starts, int64_t* counts, double* bits) const {
    std::copy(starts_.begin(), starts_.end(), starts);
    std::copy(counts_.begin(), counts_.end(), counts);
    std::copy(own_.begin(), own_.end(), bits);
    return static_cast<int64_t>(own_.size());
  }

 private:
  int64_t* Row(size_t run) { return &counts_[run * n_columns_]; }

  double Bits(const int64_t* counts) const {
    const int64_t n_classes = n_columns_ - 1, negative = counts[n_classes];
    int64_t total = 0, last = 0;
    for (int64_t i = 0; i < n_classes; ++i) {
      total += counts[i];
      if (counts[i] > 0) last = i;
    }
    const int64_t nonzero = total - counts[0];
    double entropy = PLogP(total);
    for (int64_t i = 0; i < n_classes; ++i) entropy -= PLogP(counts[i]);
    entropy += PLogP(nonzero);
    entropy -= PLogP(negative);
    entropy -= PLogP(nonzero - negative);
    return entropy + penalty_ * static_cast<double>(kTableBits + kHazardBits * (1 + last));
  }

  // Bits of a run and the next one, joined.
  double JoinedBits(size_t run) {
    sum_.resize(n_columns_);
    std::transform(Row(run), Row(run + 1), Row(run + 1), sum_.begin(), [](int64_t a, int64_t b) { return a + b; });
    return Bits(sum_.data());
  }

  // Joins each run to the next one where neither has a better neighbour; tells whether there were such.
  bool MergeOnce() {
    const size_t n = own_.size();
    const auto gain = [&](size_t run) {  // of joining a run to the one before
      return run == 0 || run >= n ? 0.0 : own_[run - 1] + own_[run] - joined_[run - 1];
    };
    joins_.assign(n + 1, 0);
    bool any = false;
    double before = 0, own = gain(0);
    for (size_t run = 0; run < n; ++run) {
      const double next = gain(run + 1);
      joins_[run] = own > 0 && own > before && own >= next;
      any |= joins_[run];
      before = own, own = next;
    }
    if (!any) return false;
    size_t kept = 0;
    has_grown_.assign(n, 0);
    for (size_t run = 0; run < n; ++run) {
      if (joins_[run]) continue;
      has_grown_[kept] = joins_[run + 1];
      starts_[kept] = starts_[run];
      if (kept != run) std::copy_n(Row(run), n_columns_, Row(kept));
      if (joins_[run + 1]) {
        for (int64_t i = 0; i < n_columns_; ++i) Row(kept)[i] += Row(run + 1)[i];
      }
      const double joined = joined_[run];
      own_[kept] = joins_[run + 1] ? joined : own_[run];
      joined_[kept++] = joined;
    }
    starts_.resize(kept), own_.resize(kept), joined_.resize(kept), counts_.resize(kept * n_columns_);
    for (size_t run = 0; run + 1 < kept; ++run) {
      if (has_grown_[run] || has_grown_[run + 1]) joined_[run] = JoinedBits(run);
    }
    return true;
  }

  int64_t n_columns_;
  double penalty_;
  std::vector<int64_t> starts_, counts_, sum_;
  std::vector<double> own_, joined_;  // bits of each run, and of each and the next one together
  std::vector<char> joins_, has_grown_;
};

}  // namespace

// Merges contexts to runs; returns their number.
extern "C" __attribute__((visibility("default"))) int64_t nvc_merge_runs(const int64_t* counts, int64_t n_contexts,
                                                                         int64_t n_columns, double penalty,
                                                                         int64_t* starts, int64_t* totals,
                                                                         double* bits) {
  Runs runs(n_columns, penalty);
  bool is_first = true;
  for (int64_t context = 0; context < n_contexts; ++context) {
    const int64_t* row = counts + context * n_columns;
    if (std::all_of(row, row + n_columns - 1, [](int64_t count) { return count == 0; })) continue;
    runs.Add(is_first ? 0 : context, row);
    is_first = false;
  }
  runs.Merge();
  return runs.CopyTo(starts, totals, bits);
}
