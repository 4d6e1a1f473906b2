// Smooth filling of gaps, on NumPy's arrays.
//
// The specification is fill_smoothly in nvc_jax/core/filling.py. Sums are added in its order, so that values are equal
// bit for bit.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "choice.h"
#include "vectorize.h"

namespace {

using nvc::Where;

// A volume, and which of its values are valid.
struct Level {
  int64_t depth, height, width;
  const float* values;
  const uint8_t* valid;

  int64_t row(int64_t z, int64_t y) const { return (z * height + y) * width; }
};

// Half a volume's resolution: means of the valid values in cubes of 2 × 2 × 2.
struct Means {
  explicit Means(const Level& fine)
      : depth((fine.depth + 1) / 2), height((fine.height + 1) / 2), width((fine.width + 1) / 2),
        values(depth * height * width), valid(depth * height * width) {}

  Level level() { return {depth, height, width, values.data(), valid.data()}; }

  int64_t depth, height, width;
  std::vector<float> values;
  std::vector<uint8_t> valid;
};

// Values of a row, 0 where they are not valid, and numbers of valid values.
NVC_VECTORIZE
void TakeRow(int64_t n, const float* values, const uint8_t* valid, float* __restrict sums, int32_t* __restrict counts) {
  for (int64_t x = 0; x < n; ++x) {
    sums[x] = Where(valid[x], values[x], 0.0f);
    counts[x] = valid[x];
  }
}

// Sums of two rows.
NVC_VECTORIZE
void TakeRows(int64_t n, const float* values, const uint8_t* valid, const float* next_values, const uint8_t* next_valid,
              float* __restrict sums, int32_t* __restrict counts) {
  for (int64_t x = 0; x < n; ++x) {
    sums[x] = Where(valid[x], values[x], 0.0f) + Where(next_valid[x], next_values[x], 0.0f);
    counts[x] = valid[x] + next_valid[x];
  }
}

NVC_VECTORIZE
void AddRow(int64_t n, const float* sums, const int32_t* counts, float* __restrict total_sums,
            int32_t* __restrict total_counts) {
  for (int64_t x = 0; x < n; ++x) {
    total_sums[x] += sums[x];
    total_counts[x] += counts[x];
  }
}

// Means of neighbours in a row of sums.
NVC_VECTORIZE
void Average(int64_t n, const float* sums, const int32_t* counts, float* __restrict means,
             uint8_t* __restrict is_valid) {
  for (int64_t x = 0; x < n; ++x) {
    const int32_t count = counts[2 * x] + counts[2 * x + 1];
    means[x] = (sums[2 * x] + sums[2 * x + 1]) / static_cast<float>(count > 1 ? count : 1);
    is_valid[x] = count > 0;
  }
}

// Rows in which sums are made.
struct Rows {
  explicit Rows(int64_t width) : sums(width), other_sums(width), counts(width), other_counts(width) {}

  std::vector<float> sums, other_sums;
  std::vector<int32_t> counts, other_counts;
};

// Sums of one row, or of it and the row of the next slice.
void SumSlices(const Level& fine, int64_t z, int64_t y, float* sums, int32_t* counts) {
  const int64_t row = fine.row(z, y);
  if (z + 1 == fine.depth) {
    TakeRow(fine.width, fine.values + row, fine.valid + row, sums, counts);
    return;
  }
  const int64_t next = fine.row(z + 1, y);
  TakeRows(fine.width, fine.values + row, fine.valid + row, fine.values + next, fine.valid + next, sums, counts);
}

Means Coarsen(const Level& fine) {
  Means means(fine);
  Rows rows(fine.width);
  const int64_t pairs = fine.width / 2;
  for (int64_t z = 0; z < means.depth; ++z) {
    for (int64_t y = 0; y < means.height; ++y) {
      SumSlices(fine, 2 * z, 2 * y, rows.sums.data(), rows.counts.data());
      if (2 * y + 1 < fine.height) {
        SumSlices(fine, 2 * z, 2 * y + 1, rows.other_sums.data(), rows.other_counts.data());
        AddRow(fine.width, rows.other_sums.data(), rows.other_counts.data(), rows.sums.data(), rows.counts.data());
      }
      const int64_t row = (z * means.height + y) * means.width;
      Average(pairs, rows.sums.data(), rows.counts.data(), means.values.data() + row, means.valid.data() + row);
      if (pairs < means.width) {
        const int32_t count = rows.counts[2 * pairs];
        means.values[row + pairs] = rows.sums[2 * pairs] / static_cast<float>(std::max(count, 1));
        means.valid[row + pairs] = count > 0;
      }
    }
  }
  return means;
}

NVC_VECTORIZE
void Choose(int64_t n, const float* values, const uint8_t* valid, const float* others, float* __restrict chosen) {
  for (int64_t x = 0; x < n; ++x) chosen[x] = Where(valid[x], values[x], others[x]);
}

NVC_VECTORIZE
void ChooseTwice(int64_t n, const float* values, const uint8_t* valid, const float* others, const float* more_others,
                 float* __restrict chosen, float* __restrict also_chosen) {
  for (int64_t x = 0; x < n; ++x) {
    chosen[x] = Where(valid[x], values[x], others[x]);
    also_chosen[x] = Where(valid[x], values[x], more_others[x]);
  }
}

// Moves values beyond limits to them. Tells whether there are any.
NVC_VECTORIZE
bool Clip(int64_t n, const float* values, float low, float high, float* __restrict clipped) {
  int32_t n_beyond = 0;
  for (int64_t x = 0; x < n; ++x) {
    n_beyond += (values[x] < low) + (values[x] > high);
    clipped[x] = values[x] < low ? low : values[x] > high ? high : values[x];
  }
  return n_beyond > 0;
}

void Repeat(const std::vector<float>& means, int64_t row, int64_t n, std::vector<float>& repeated) {
  for (int64_t x = 0; x < n; ++x) repeated[2 * x] = repeated[2 * x + 1] = means[row + x];
}

// Takes the valid values of a level, and elsewhere those of the coarser one, once as they are and once clipped, or only
// as they are where there are no clipped ones. `filled` may be the level's own values.
void Refine(const Level& fine, const Means& coarse, const std::vector<float>& clipped, float* filled,
            float* filled_with_clipped) {
  std::vector<float> repeated(2 * coarse.width), repeated_clipped(2 * coarse.width);
  for (int64_t z = 0; z < coarse.depth; ++z) {
    for (int64_t y = 0; y < coarse.height; ++y) {
      const int64_t row = (z * coarse.height + y) * coarse.width;
      Repeat(coarse.values, row, coarse.width, repeated);
      if (!clipped.empty()) Repeat(clipped, row, coarse.width, repeated_clipped);
      for (int64_t k = 0; k < 4; ++k) {
        const int64_t fine_z = 2 * z + k / 2, fine_y = 2 * y + k % 2;
        if (fine_z == fine.depth || fine_y == fine.height) continue;
        const int64_t start = fine.row(fine_z, fine_y);
        const float* values = fine.values + start;
        const uint8_t* valid = fine.valid + start;
        if (clipped.empty()) {
          Choose(fine.width, values, valid, repeated.data(), filled + start);
        } else {
          ChooseTwice(fine.width, values, valid, repeated.data(), repeated_clipped.data(), filled + start,
                      filled_with_clipped + start);
        }
      }
    }
  }
}

// Fills the gaps of means, some of which are valid.
void FillMeans(Means& means) {
  if (std::find(means.valid.begin(), means.valid.end(), 0) == means.valid.end()) return;
  Means coarse = Coarsen(means.level());
  FillMeans(coarse);
  Refine(means.level(), coarse, {}, means.values.data(), nullptr);
}

}  // namespace

// Fills the gaps of (depth, height, width) values, some of which are valid, and again with what is clipped to limits
// if something lies beyond them, which is what it returns.
extern "C" __attribute__((visibility("default"))) int64_t nvc_fill_smoothly(int64_t depth, int64_t height,
                                                                            int64_t width, const float* values,
                                                                            const uint8_t* valid, double low, double high,
                                                                            float* filled, float* within) {
  const Level level{depth, height, width, values, valid};
  Means coarse = Coarsen(level);
  FillMeans(coarse);
  std::vector<float> clipped(coarse.values.size());
  const bool is_beyond = Clip(static_cast<int64_t>(clipped.size()), coarse.values.data(), static_cast<float>(low),
                              static_cast<float>(high), clipped.data());
  if (!is_beyond) clipped.clear();
  Refine(level, coarse, clipped, filled, within);
  return is_beyond;
}
