// Transform of strips along one axis: a strip has a row of neighbours for each voxel of the axis.
//
// The specification is nvc_jax/transform/axis_transform.py. A transform has two factors, borders and a DCT. The rows of
// the DCT are symmetric about the middle of their segment. So sums and differences of mirrored voxels are taken first,
// then of mirrored sums, and so on: each time the rest of the matrix has half as many entries. What is left of the
// differences is a DCT of type IV. Rotations of its mirrored numbers make it a DCT and a DST of half the length, whose
// rows are symmetric again (Plonka and Tasche, Fast and numerically stable algorithms for discrete cosine transforms,
// 2005). Whatever the matrix, the result is right; its structure only makes the rest sparse.

#ifndef NVC_AXIS_TRANSFORM_H_
#define NVC_AXIS_TRANSFORM_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "transpose.h"

namespace nvc {

constexpr int64_t kReach = 4;  // voxels on either side of a border

// A square matrix.
struct Square {
  int64_t n;
  std::vector<float> entries;

  explicit Square(int64_t side) : n(side), entries(side * side) {}

  float* row(int64_t index) { return &entries[index * n]; }
  const float* row(int64_t index) const { return &entries[index * n]; }
  Square Transposed() const {
    Square result(n);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) result.row(j)[i] = row(i)[j];
    }
    return result;
  }
};

// A step that mixes rows of a run with those that mirror them. A fold puts sums in the first half and differences in the
// second; a rotation, which has an angle for each pair, takes the second half as the first numbers of a DCT of type IV.
struct Mix {
  int64_t first, length;
  std::vector<float> cosines, sines;  // none in a fold

  int64_t mirrored(int64_t index) const { return first + length - 1 - index; }
  bool is_rotation() const { return !cosines.empty(); }
};

constexpr int64_t kShortestFold = 2 * kSide;
constexpr int64_t kShortestRotation = 4 * kSide;

inline Mix MakeRotation(int64_t first, int64_t length) {
  Mix mix{first, length, {}, {}};
  for (int64_t index = 0; index < length / 2; ++index) {
    const double angle = std::acos(-1.0) * static_cast<double>(2 * index + 1) / static_cast<double>(4 * length);
    mix.cosines.push_back(static_cast<float>(std::cos(angle)));
    mix.sines.push_back(static_cast<float>(std::sin(angle)));
  }
  return mix;
}

// Lists the steps of a DST: its sums are left, its differences are those of a DST of half the length.
inline void ListSineMixes(int64_t first, int64_t length, std::vector<Mix>& mixes) {
  for (; length >= kShortestFold && length % 2 == 0; first += length) {
    mixes.push_back({first, length, {}, {}});
    length /= 2;
  }
}

// Lists the steps of a DCT: of a whole run, then of its differences and of its sums.
inline void ListMixes(int64_t first, int64_t length, std::vector<Mix>& mixes) {
  for (; length >= kShortestFold && length % 2 == 0; length /= 2) {
    mixes.push_back({first, length, {}, {}});
    const int64_t half = length / 2, differences = first + half;
    if (half < kShortestRotation || half % 2) continue;
    mixes.push_back(MakeRotation(differences, half));
    ListMixes(differences + half / 2, half / 2, mixes);
    ListSineMixes(differences, half / 2, mixes);
  }
}

// Rows from the first to behind the last of 8 columns that are not 0.
inline std::pair<int64_t, int64_t> RowsOfColumns(const Square& matrix, int64_t column) {
  const auto is_used = [&](int64_t row) {
    const float* entries = matrix.row(row) + column;
    return std::any_of(entries, entries + kSide, [](float entry) { return entry != 0; });
  };
  int64_t first = 0, end = matrix.n;
  while (first < end && !is_used(first)) ++first;
  while (end > first && !is_used(end - 1)) --end;
  return {first, end};
}

// Steps for the rows of a matrix, segment by segment.
inline std::vector<Mix> FindMixes(const Square& matrix) {
  std::vector<Mix> mixes;
  int64_t last_end = 0;
  for (int64_t column = 0; column < matrix.n; column += kSide) {
    const auto [first, end] = RowsOfColumns(matrix, column);
    if (first < last_end) continue;  // the same segment
    ListMixes(first, end - first, mixes);
    last_end = std::max(last_end, end);
  }
  return mixes;
}

// What remains of a matrix whose input or output is mixed.
inline void MixRows(const std::vector<Mix>& mixes, Square& matrix) {
  for (const Mix& mix : mixes) {
    for (int64_t index = 0; index < mix.length / 2; ++index) {
      float *first = matrix.row(mix.first + index), *last = matrix.row(mix.mirrored(index));
      for (int64_t column = 0; column < matrix.n; ++column) {
        const float a = first[column], b = last[column];
        if (mix.is_rotation()) {
          last[column] = mix.cosines[index] * b + mix.sines[index] * a;
          first[column] = mix.cosines[index] * a - mix.sines[index] * b;
        } else {
          first[column] = (a + b) / 2;
          last[column] = (a - b) / 2;
        }
      }
    }
  }
}

constexpr float kRounding = 0x1p-22f;

constexpr int64_t kQuad = 4;  // neighbouring rows of a strip that are 0 together, or not

// Columns of a matrix that share a quad.
struct Quad {
  int32_t index, n_columns;
};

// Entries of 8 rows in the columns that are not 0.
struct SparseRows {
  std::vector<int32_t> columns;
  std::vector<Quad> quads;     // of all columns, one after the other
  std::vector<float> entries;  // 8 for each column

  explicit SparseRows(int64_t n_columns) {
    columns.reserve(n_columns);
    quads.reserve(n_columns / kQuad);
    entries.reserve(n_columns * kSide);
  }

  void Add(int64_t column, const float* column_entries) {
    const auto quad = static_cast<int32_t>(column / kQuad);
    if (quads.empty() || quads.back().index != quad) quads.push_back({quad, 0});
    ++quads.back().n_columns;
    columns.push_back(static_cast<int32_t>(column));
    entries.insert(entries.end(), column_entries, column_entries + kSide);
  }
};

// Entries that are nothing but roundings of the others are left out.
inline std::vector<SparseRows> PackRows(const Square& transposed) {
  std::vector<SparseRows> groups;
  groups.reserve(transposed.n / kSide);
  for (int64_t first = 0; first < transposed.n; first += kSide) {
    SparseRows group(transposed.n);
    float largest = 0;
    for (int64_t column = 0; column < transposed.n; ++column) {
      const float* entries = transposed.row(column) + first;
      for (int64_t k = 0; k < kSide; ++k) largest = std::max(largest, std::fabs(entries[k]));
    }
    const auto is_kept = [limit = largest * kRounding](float entry) { return std::fabs(entry) > limit; };
    for (int64_t column = 0; column < transposed.n; ++column) {
      const float* entries = transposed.row(column) + first;
      if (std::any_of(entries, entries + kSide, is_kept)) group.Add(column, entries);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

// A border's matrix of the voxels from `first` on.
struct Border {
  int64_t first;
  float entries[kSide * kSide];
  // Whether sums of mirrored voxels stay as they are, and all entries follow from those by which differences change.
  bool keeps_sums;
  float of_differences[kReach * kReach];
};

// Finds out whether the matrix of a border keeps sums, up to roundings.
inline void FindMirrored(Border& border) {
  const auto entry = [&border](int64_t row, int64_t column) { return border.entries[row * kSide + column]; };
  const auto is_near = [](float a, float b) { return std::fabs(a - b) <= kRounding; };
  border.keeps_sums = true;
  for (int64_t row = 0; row < kReach; ++row) {
    for (int64_t column = 0; column < kReach; ++column) {
      const int64_t below = kSide - 1 - row, beyond = kSide - 1 - column;
      const float own = entry(row, column), mirrored = entry(row, beyond);
      border.keeps_sums &= is_near(own, entry(below, beyond)) && is_near(mirrored, entry(below, column)) &&
                           is_near(own + mirrored, row == column ? 1 : 0);
      border.of_differences[row * kReach + column] = (own - mirrored) / 2;
    }
  }
}

// Borders whose matrices change something.
inline std::vector<Border> FindBorders(int64_t side, const float* matrices) {
  std::vector<Border> borders;
  for (int64_t index = 0; index <= side / kSide; ++index) {
    Border border{index * kSide - kReach, {}, false, {}};
    std::copy_n(matrices + index * kSide * kSide, kSide * kSide, border.entries);
    bool is_identity = true;
    for (int64_t k = 0; k < kSide * kSide; ++k) is_identity &= border.entries[k] == (k % (kSide + 1) == 0);
    if (is_identity) continue;
    const bool is_inside = index > 0 && index < side / kSide;
    if (is_inside) FindMirrored(border);
    borders.push_back(border);
  }
  return borders;
}

// Factors of the transform of an axis.
struct Axis {
  int64_t n;
  std::vector<Border> borders;
  std::vector<Mix> mixes;
  std::vector<SparseRows> groups;  // of 8 rows each
};

// Voxels of an axis, and coefficients, from the first one on, beyond which all are 0: a multiple of 8.
inline int64_t UsedOf(int64_t side, const float* borders, const float* dct) {
  const auto is_zero = [](float entry) { return entry == 0; };
  const auto is_beyond = [&](int64_t used) {
    for (int64_t row = 0; row < side; ++row) {
      const float *first = dct + row * side, *end = first + side;
      if (!std::all_of(row < used ? first + used : first, end, is_zero)) return false;
    }
    for (int64_t border = used / kSide; border < side / kSide; ++border) {
      for (int64_t row = 0; row < kSide; ++row) {
        const float* entries = borders + (border * kSide + row) * kSide;
        const int64_t other = row < kReach ? kReach : 0;  // voxels on the other side of the border
        if (!std::all_of(entries + other, entries + other + kReach, is_zero)) return false;
      }
    }
    return true;
  };
  int64_t used = side;
  while (used > kSide && is_beyond(used - kSide)) used -= kSide;
  return used;
}

// The first entries of the first rows of a matrix.
inline Square CornerOf(int64_t side, const float* matrix, int64_t used) {
  Square corner(used);
  for (int64_t row = 0; row < used; ++row) std::copy_n(matrix + row * side, used, corner.row(row));
  return corner;
}

// The analysis by borders and the transposed matrix of a DCT.
inline Axis MakeAnalysis(const float* borders, Square transposed) {
  std::vector<Mix> mixes = FindMixes(transposed);
  MixRows(mixes, transposed);
  return {transposed.n, FindBorders(transposed.n, borders), std::move(mixes), PackRows(transposed)};
}

// Axes have the voxels that are used, of all on a side.
inline Axis AnalysisOf(int64_t side, const float* borders, const float* dct) {
  return MakeAnalysis(borders, CornerOf(side, dct, UsedOf(side, borders, dct)).Transposed());
}

inline Axis SynthesisOf(int64_t side, const float* borders, const float* inverse_dct) {
  const int64_t used = UsedOf(side, borders, inverse_dct);
  Square matrix = CornerOf(side, inverse_dct, used);
  std::vector<Mix> mixes = FindMixes(matrix);
  MixRows(mixes, matrix);
  return {used, FindBorders(used, borders), std::move(mixes), PackRows(matrix.Transposed())};
}

// Side of the axis of two factors; 0 if they are not factors of one.
template <typename Buffer>
int64_t SideOf(const Buffer& borders, const Buffer& matrix) {
  const auto sides = matrix.dimensions(), of_borders = borders.dimensions();
  if (sides.size() != 2 || sides[0] != sides[1] || sides[0] % kSide) return 0;
  if (of_borders.size() != 3 || of_borders[0] != sides[0] / kSide + 1) return 0;
  return of_borders[1] == kSide && of_borders[2] == kSide ? sides[0] : 0;
}

// A row of a strip.
template <int Width>
struct alignas(4 * Width) Row {
  typedef float Vector __attribute__((vector_size(4 * Width)));
  typedef uint64_t Bits __attribute__((vector_size(4 * Width)));

  Vector lanes;
};

// Applies a border that keeps sums to its 8 rows.
template <int Width>
[[gnu::always_inline]] inline void ApplyMirrored(const Border& border, Row<Width>* rows) {
  typedef typename Row<Width>::Vector Vector;
  Vector halves[kReach], differences[kReach], changed[kReach] = {};
  for (int k = 0; k < kReach; ++k) {
    halves[k] = 0.5f * (rows[k].lanes + rows[kSide - 1 - k].lanes);
    differences[k] = rows[k].lanes - rows[kSide - 1 - k].lanes;
  }
  for (int k = 0; k < kReach; ++k) {
    for (int r = 0; r < kReach; ++r) changed[r] += border.of_differences[r * kReach + k] * differences[k];
  }
  for (int r = 0; r < kReach; ++r) {
    rows[r].lanes = halves[r] + changed[r];
    rows[kSide - 1 - r].lanes = halves[r] - changed[r];
  }
}

template <int Width>
[[gnu::always_inline]] inline void ApplyBorders(const Axis& axis, Row<Width>* strip) {
  typedef typename Row<Width>::Vector Vector;
  for (const Border& border : axis.borders) {
    if (border.keeps_sums) {
      ApplyMirrored<Width>(border, strip + border.first);
      continue;
    }
    // Of the first and the last border half the voxels do not exist.
    const int64_t from = std::max<int64_t>(-border.first, 0), to = std::min(axis.n - border.first, kSide);
    Vector voxels[kSide] = {}, sums[kSide] = {};
    for (int64_t k = from; k < to; ++k) voxels[k] = strip[border.first + k].lanes;
    for (int k = 0; k < kSide; ++k) {
      for (int r = 0; r < kSide; ++r) sums[r] += border.entries[r * kSide + k] * voxels[k];
    }
    for (int64_t r = from; r < to; ++r) strip[border.first + r].lanes = sums[r];
  }
}

template <int Width>
[[gnu::always_inline]] inline void Multiply(const Axis& axis, const Row<Width>* in, Row<Width>* out) {
  typedef typename Row<Width>::Vector Vector;
  for (const SparseRows& group : axis.groups) {
    Vector sums[kSide] = {};
    const float* entries = group.entries.data();
    for (const int32_t column : group.columns) {
      const Vector row = in[column].lanes;
      for (int r = 0; r < kSide; ++r) sums[r] += entries[r] * row;
      entries += kSide;
    }
    for (int r = 0; r < kSide; ++r) out[r].lanes = sums[r];
    out += kSide;
  }
}

// Finds the quads of a strip's rows that are not 0, and tells whether there are any.
template <int Width>
[[gnu::always_inline]] inline bool FindUsed(int64_t n, const Row<Width>* strip, uint8_t* used) {
  typedef typename Row<Width>::Bits Bits;
  uint8_t any = 0;
  for (int64_t quad = 0; quad < n / kQuad; ++quad) {
    Bits bits = {};
    for (int64_t k = 0; k < kQuad; ++k) bits |= reinterpret_cast<Bits>(strip[quad * kQuad + k].lanes);
    uint64_t word = 0;
    for (int64_t k = 0; k < Width / 2; ++k) word |= bits[k];
    used[quad] = word != 0;
    any |= used[quad];
  }
  return any;
}

// Multiplies by the rows of the quads that are not 0, all others add nothing.
template <int Width>
[[gnu::always_inline]] inline void MultiplyUsed(const Axis& axis, const Row<Width>* in, const uint8_t* used,
                                                Row<Width>* out) {
  typedef typename Row<Width>::Vector Vector;
  for (const SparseRows& group : axis.groups) {
    Vector sums[kSide] = {};
    const float* entries = group.entries.data();
    const int32_t* column = group.columns.data();
    for (const Quad& quad : group.quads) {
      const int32_t* end = column + quad.n_columns;
      if (!used[quad.index]) {
        entries += quad.n_columns * kSide;
        column = end;
        continue;
      }
      for (; column < end; ++column) {
        const Vector row = in[*column].lanes;
        for (int r = 0; r < kSide; ++r) sums[r] += entries[r] * row;
        entries += kSide;
      }
    }
    for (int r = 0; r < kSide; ++r) out[r].lanes = sums[r];
    out += kSide;
  }
}

// Mixes rows; rotations turn by `direction`, 1 or −1, times their angles.
template <int Width>
[[gnu::always_inline]] inline void ApplyMix(const Mix& mix, float direction, Row<Width>* strip) {
  if (mix.is_rotation()) {
    for (int64_t index = 0; index < mix.length / 2; ++index) {
      auto &a = strip[mix.first + index].lanes, &b = strip[mix.mirrored(index)].lanes;
      const float cosine = mix.cosines[index], sine = direction * mix.sines[index];
      const auto first = cosine * a - sine * b, last = cosine * b + sine * a;
      a = first;
      b = last;
    }
    return;
  }
  for (int64_t index = 0; index < mix.length / 2; ++index) {
    auto &a = strip[mix.first + index].lanes, &b = strip[mix.mirrored(index)].lanes;
    const auto sum = a + b, difference = a - b;
    a = sum;
    b = difference;
  }
}

// Coefficients of the voxels in `strip`, which is overwritten.
template <int Width>
[[gnu::always_inline]] inline void AnalyzeStrip(const Axis& axis, Row<Width>* strip, Row<Width>* coefficients) {
  ApplyBorders<Width>(axis, strip);
  for (const Mix& mix : axis.mixes) ApplyMix<Width>(mix, 1, strip);
  Multiply<Width>(axis, strip, coefficients);
}

// Voxels of the coefficients in `strip`, many of which are 0 where few bits are spent.
template <int Width>
[[gnu::always_inline]] inline void SynthesizeStrip(const Axis& axis, const Row<Width>* strip, uint8_t* used,
                                                   Row<Width>* voxels) {
  if (!FindUsed<Width>(axis.n, strip, used)) {
    std::fill(voxels, voxels + axis.n, Row<Width>{});
    return;
  }
  MultiplyUsed<Width>(axis, strip, used, voxels);
  for (auto mix = axis.mixes.rbegin(); mix != axis.mixes.rend(); ++mix) ApplyMix<Width>(*mix, -1, voxels);
  ApplyBorders<Width>(axis, voxels);
}

}  // namespace nvc

#endif  // NVC_AXIS_TRANSFORM_H_
