// The separable lapped transform: one matrix along each axis, of which only the bands that are not 0 are multiplied.
//
// The specification is nvc_jax/transform/separable.py. Sums of products are floating-point numbers, which other
// devices round differently, so results are equal up to rounding; FORMAT.md states the reserve for it.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "buffers.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define NVC_TARGET(features) __attribute__((target(features)))
#define NVC_HAS_TARGETS 1
#else
#define NVC_TARGET(features)
#define NVC_HAS_TARGETS 0
#endif

namespace nvc {
namespace {

constexpr int64_t kSide = 8;  // of a block
constexpr int64_t kBlock = kSide * kSide * kSide;
constexpr int64_t kTile = 128;  // columns that are gathered before the products along z

// Columns of 8 rows of a matrix from the first to behind the last that is not 0.
struct Band {
  int64_t first, end;
};

// Matrix of an axis of n voxels.
struct Matrix {
  int64_t n;
  const float* rows;
  std::vector<float> transposed;
  std::vector<Band> bands;
};

Matrix MakeMatrix(const F32& buffer) {
  Matrix matrix{static_cast<int64_t>(buffer.dimensions()[0]), buffer.typed_data(), {}, {}};
  const int64_t n = matrix.n;
  matrix.transposed.resize(n * n);
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      matrix.transposed[column * n + row] = matrix.rows[row * n + column];
    }
  }
  for (int64_t start = 0; start < n; start += kSide) {
    const auto is_used = [&](int64_t column) {
      const float* entries = &matrix.transposed[column * n + start];
      return std::any_of(entries, entries + kSide, [](float entry) { return entry != 0; });
    };
    Band band{0, n};
    while (band.first < n && !is_used(band.first)) ++band.first;
    while (band.end > band.first && !is_used(band.end - 1)) --band.end;
    matrix.bands.push_back(band);
  }
  return matrix;
}

Band Union(const Band& a, const Band& b) {
  if (a.first == a.end) return b;
  if (b.first == b.end) return a;
  return {std::min(a.first, b.first), std::max(a.end, b.end)};
}

// Output of products: distances between rows, and between 8 neighbours in a row and the next 8.
struct Output {
  float* data;
  int64_t row_stride, step;
};

// Multiplies 8 rows of `a` by Width columns of `b`; of either only the entries of the band.
template <int Width>
[[gnu::always_inline]] inline void Multiply(const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                                            const Band& band, const Output& out) {
  typedef float Vector __attribute__((vector_size(4 * Width)));
  Vector sums[kSide] = {};
  for (int64_t k = band.first; k < band.end; ++k) {
    Vector row;
    std::memcpy(&row, b + k * b_stride, sizeof(row));
    for (int r = 0; r < kSide; ++r) sums[r] += a[r * a_stride + k] * row;
  }
  for (int r = 0; r < kSide; ++r) {
    float* row = out.data + r * out.row_stride;
    for (int64_t part = 0; part < Width / kSide; ++part) {
      std::memcpy(row + part * out.step, reinterpret_cast<const float*>(&sums[r]) + part * kSide, 4 * kSide);
    }
  }
}

// Products along x of columns from `begin` to `end`: each row of a slice (y, x) by the matrix.
template <int Width>
[[gnu::always_inline]] inline void AlongRowsFrom(const Matrix& matrix, const float* slice, int64_t n_rows,
                                                 int64_t begin, int64_t end, float* out) {
  const int64_t n = matrix.n;
  for (int64_t start = begin; start < end; start += Width) {
    Band band = matrix.bands[start / kSide];
    if (Width > kSide) band = Union(band, matrix.bands[start / kSide + 1]);
    for (int64_t row = 0; row < n_rows; row += kSide) {
      Multiply<Width>(slice + row * n, n, &matrix.transposed[start], n, band, {out + row * n + start, n, kSide});
    }
  }
}

template <int Width>
[[gnu::always_inline]] inline void AlongRows(const Matrix& matrix, const float* slice, int64_t n_rows, float* out) {
  const int64_t n_wide = matrix.n / Width * Width;
  AlongRowsFrom<Width>(matrix, slice, n_rows, 0, n_wide, out);
  AlongRowsFrom<kSide>(matrix, slice, n_rows, n_wide, matrix.n, out);
}

// Products along the axis of the rows of a tile, of columns from `begin` to `end`. Groups of 8 rows of the result have
// a stride of their own.
template <int Width>
[[gnu::always_inline]] inline void AlongColumnsFrom(const Matrix& matrix, const float* tile, int64_t stride,
                                                    int64_t begin, int64_t end, const Output& out,
                                                    int64_t group_stride) {
  for (int64_t start = 0; start < matrix.n; start += kSide) {
    float* group = out.data + start / kSide * group_stride;
    for (int64_t column = begin; column < end; column += Width) {
      Multiply<Width>(matrix.rows + start * matrix.n, matrix.n, tile + column, stride, matrix.bands[start / kSide],
                      {group + column / kSide * out.step, out.row_stride, out.step});
    }
  }
}

template <int Width>
[[gnu::always_inline]] inline void AlongColumns(const Matrix& matrix, const float* tile, int64_t stride, int64_t n,
                                                const Output& out, int64_t group_stride) {
  const int64_t n_wide = n / Width * Width;
  AlongColumnsFrom<Width>(matrix, tile, stride, 0, n_wide, out, group_stride);
  AlongColumnsFrom<kSide>(matrix, tile, stride, n_wide, n, out, group_stride);
}

// Matrices of the axes of a volume.
struct Axes {
  Matrix z, y, x;
};

// Products along z of a whole volume, which may be replaced.
template <int Width>
[[gnu::always_inline]] inline void AlongZ(const Axes& axes, const float* volume, float* out) {
  const int64_t n_columns = axes.y.n * axes.x.n;
  std::vector<float> tile(axes.z.n * kTile);
  for (int64_t first = 0; first < n_columns; first += kTile) {
    const int64_t n = std::min(kTile, n_columns - first);
    for (int64_t z = 0; z < axes.z.n; ++z) {
      std::memcpy(&tile[z * kTile], volume + z * n_columns + first, 4 * n);
    }
    AlongColumns<Width>(axes.z, tile.data(), kTile, n, {out + first, n_columns, kSide}, kSide * n_columns);
  }
}

// Coefficients of a volume. The products along z are where the blocks of the same slab of 8 slices will be.
template <int Width>
[[gnu::always_inline]] inline void Analyze(const Axes& axes, const float* volume, float* blocks) {
  const int64_t ny = axes.y.n, nx = axes.x.n, slice = ny * nx;
  AlongZ<Width>(axes, volume, blocks);
  std::vector<float> scratch(kSide * slice);
  for (int64_t start = 0; start < axes.z.n; start += kSide) {
    float* slab = blocks + start * slice;
    for (int64_t z = 0; z < kSide; ++z) {
      AlongRows<Width>(axes.x, slab + z * slice, ny, &scratch[z * slice]);
    }
    for (int64_t z = 0; z < kSide; ++z) {
      // The place of a block's row of 8 coefficients: blocks follow each other along x, then along y.
      AlongColumns<Width>(axes.y, &scratch[z * slice], nx, nx, {slab + z * kSide * kSide, kSide, kBlock},
                          nx / kSide * kBlock);
    }
  }
}

// Volume of its coefficients.
template <int Width>
[[gnu::always_inline]] inline void Synthesize(const Axes& axes, const float* blocks, float* volume) {
  const int64_t ny = axes.y.n, nx = axes.x.n, slice = ny * nx;
  std::vector<float> coefficients(slice), products(slice);
  for (int64_t z = 0; z < axes.z.n; ++z) {
    const float* rows = blocks + z / kSide * kSide * slice + z % kSide * kSide * kSide;
    for (int64_t y = 0; y < ny; ++y) {
      for (int64_t x = 0; x < nx; x += kSide) {
        const int64_t block = y / kSide * (nx / kSide) + x / kSide;
        std::memcpy(&coefficients[y * nx + x], rows + block * kBlock + y % kSide * kSide, 4 * kSide);
      }
    }
    AlongColumns<Width>(axes.y, coefficients.data(), nx, nx, {products.data(), nx, kSide}, kSide * nx);
    AlongRows<Width>(axes.x, products.data(), ny, volume + z * slice);
  }
  AlongZ<Width>(axes, volume, volume);
}

using Transform = void (*)(const Axes&, const float*, float*);

NVC_TARGET("avx512f") void AnalyzeBy16(const Axes& axes, const float* in, float* out) { Analyze<16>(axes, in, out); }
NVC_TARGET("avx2,fma") void AnalyzeBy8(const Axes& axes, const float* in, float* out) { Analyze<8>(axes, in, out); }
void AnalyzeAnywhere(const Axes& axes, const float* in, float* out) { Analyze<8>(axes, in, out); }

NVC_TARGET("avx512f") void SynthesizeBy16(const Axes& axes, const float* in, float* out) {
  Synthesize<16>(axes, in, out);
}
NVC_TARGET("avx2,fma") void SynthesizeBy8(const Axes& axes, const float* in, float* out) {
  Synthesize<8>(axes, in, out);
}
void SynthesizeAnywhere(const Axes& axes, const float* in, float* out) { Synthesize<8>(axes, in, out); }

// The fastest form for the processor.
Transform Pick(Transform by_16, Transform by_8, Transform anywhere) {
#if NVC_HAS_TARGETS
  if (__builtin_cpu_supports("avx512f")) return by_16;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return by_8;
#endif
  return anywhere;
}

// Tells whether there is a square matrix for each side of a volume, and sides are multiples of 8.
bool AreMatrices(const F32& z, const F32& y, const F32& x, int64_t n_voxels) {
  int64_t product = 1;
  for (const F32* matrix : {&z, &y, &x}) {
    const auto sides = matrix->dimensions();
    if (sides.size() != 2 || sides[0] != sides[1] || sides[0] % kSide) return false;
    product *= sides[0];
  }
  return product == n_voxels;
}

ffi::Error Run(Transform transform, const F32& in, const F32& z, const F32& y, const F32& x, Out<F32>& out) {
  const auto n_voxels = static_cast<int64_t>(in.element_count());
  if (!AreMatrices(z, y, x, n_voxels) || static_cast<int64_t>(out->element_count()) != n_voxels) {
    return ffi::Error::InvalidArgument("matrices do not suit the volume");
  }
  if (n_voxels > 0) transform({MakeMatrix(z), MakeMatrix(y), MakeMatrix(x)}, in.typed_data(), out->typed_data());
  return ffi::Error::Success();
}

ffi::Error AnalyzeVolume(F32 volume, F32 z, F32 y, F32 x, Out<F32> blocks) {
  static const Transform transform = Pick(AnalyzeBy16, AnalyzeBy8, AnalyzeAnywhere);
  return Run(transform, volume, z, y, x, blocks);
}

ffi::Error SynthesizeVolume(F32 blocks, F32 z, F32 y, F32 x, Out<F32> volume) {
  static const Transform transform = Pick(SynthesizeBy16, SynthesizeBy8, SynthesizeAnywhere);
  return Run(transform, blocks, z, y, x, volume);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_analyze, AnalyzeVolume,
                              ffi::Ffi::Bind().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Ret<F32>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_synthesize, SynthesizeVolume,
                              ffi::Ffi::Bind().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Ret<F32>());

}  // namespace nvc
