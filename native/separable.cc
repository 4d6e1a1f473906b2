// The separable lapped transform: one transform along each axis of a volume.
//
// The specification is nvc_jax/transform/separable.py. Sums of products are floating-point numbers, which other
// devices round differently, so results are equal up to rounding; FORMAT.md states the reserve for it.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "axis_transform.h"
#include "buffers.h"
#include "idle_cores.h"
#include "targets.h"
#include "transpose.h"

namespace nvc {
namespace {

constexpr int64_t kBlock = kSide * kSide * kSide;

// Transforms of the axes of a volume, of the voxels that are used, and the sides of the volume.
struct Axes {
  Axis z, y, x;
  int64_t sides[3];

  int64_t row() const { return sides[2]; }
  int64_t slice() const { return sides[1] * sides[2]; }
};

// Strips before and after a transform.
template <int Width>
struct Strips {
  std::vector<Row<Width>> in, out;

  explicit Strips(int64_t length) : in(length), out(length) {}
};

// Copies `n_lanes` of a row, all or 8 of them.
template <int Width>
[[gnu::always_inline]] inline void CopyLanes(const float* from, int64_t n_lanes, float* to) {
  if (n_lanes == Width) {
    std::memcpy(to, from, 4 * Width);
  } else {
    std::memcpy(to, from, 4 * kSide);
  }
}

// Transforms `n` columns whose rows lie a stride apart.
template <int Width, typename Transform>
[[gnu::always_inline]] inline void AlongColumns(int64_t length, const float* in, int64_t in_stride, int64_t n, float* out,
                                                int64_t out_stride, Strips<Width>& strips, Transform transform) {
  for (int64_t first = 0; first < n; first += Width) {
    const int64_t n_lanes = std::min<int64_t>(Width, n - first);
    for (int64_t k = 0; k < length; ++k) {
      __builtin_prefetch(in + k * in_stride + (first + Width < n ? first + Width : length * in_stride));
      CopyLanes<Width>(in + k * in_stride + first, n_lanes, reinterpret_cast<float*>(&strips.in[k]));
    }
    transform(strips.in.data(), strips.out.data());
    for (int64_t k = 0; k < length; ++k) {
      CopyLanes<Width>(reinterpret_cast<const float*>(&strips.out[k]), n_lanes, out + k * out_stride + first);
    }
  }
}

// Places of rows: 8 of them lie `stride` apart, the first of them and the next 8 `group_stride`, and 8 neighbours in a row
// and the next 8 `step`.
struct RowLayout {
  int64_t stride, group_stride, step;
};

// Transforms rows of `length` numbers.
template <int Width, typename Transform>
[[gnu::always_inline]] inline void AlongRows(int64_t length, int64_t n_rows, const float* in, const RowLayout& from,
                                             float* out, const RowLayout& to, Strips<Width>& strips,
                                             Transform transform) {
  const int64_t n_groups = n_rows / kSide;
  for (int64_t first = 0; first < n_groups; first += Width / kSide) {
    const int64_t end = std::min<int64_t>(first + Width / kSide, n_groups);
    for (int64_t group = first; group < end; ++group) {
      float* lanes = reinterpret_cast<float*>(strips.in.data()) + (group - first) * kSide;
      for (int64_t k = 0; k < length; k += kSide) {
        Transpose(in + group * from.group_stride + k / kSide * from.step, from.stride, lanes + k * Width, Width);
      }
    }
    transform(strips.in.data(), strips.out.data());
    for (int64_t group = first; group < end; ++group) {
      const float* lanes = reinterpret_cast<const float*>(strips.out.data()) + (group - first) * kSide;
      for (int64_t k = 0; k < length; k += kSide) {
        Transpose(lanes + k * Width, Width, out + group * to.group_stride + k / kSide * to.step, to.stride);
      }
    }
  }
}

// Rows of 8 coefficients of a slice in its blocks: blocks follow each other along x, then along y.
RowLayout InBlocks(int64_t nx) { return {kSide, nx / kSide * kBlock, kBlock}; }

RowLayout InSlice(int64_t nx) { return {nx, kSide * nx, kSide}; }

// Transforms rows of the blocks of a volume along z, each block with those above and below; `out` may be `in`.
template <int Width, typename Transform>
[[gnu::always_inline]] inline void AlongBlocks(const Axes& axes, int64_t first_row, int64_t end_row, const float* in,
                                               float* out, Strips<Width>& strips, Transform transform) {
  const auto place = [&](int64_t k) { return k / kSide * kSide * axes.slice() + k % kSide * kSide * kSide; };
  for (int64_t y = first_row; y < end_row; ++y) {
    for (int64_t x = 0; x < axes.x.n / kSide; ++x) {
      const int64_t block = (y * (axes.row() / kSide) + x) * kBlock;
      for (int64_t first = block; first < block + kSide * kSide; first += Width) {
        for (int64_t k = 0; k < axes.z.n; ++k) {
          __builtin_prefetch(in + place(k) + first + kBlock);
          std::memcpy(&strips.in[k], in + place(k) + first, 4 * Width);
        }
        transform(strips.in.data(), strips.out.data());
        for (int64_t k = 0; k < axes.z.n; ++k) std::memcpy(out + place(k) + first, &strips.out[k], 4 * Width);
      }
    }
  }
}

// Sets the blocks of a slab that are not used to 0.
void ClearBlocks(const Axes& axes, float* slab) {
  const int64_t n_blocks = axes.row() / kSide;
  for (int64_t y = 0; y < axes.sides[1] / kSide; ++y) {
    const int64_t first = y < axes.y.n / kSide ? axes.x.n / kSide : 0;
    std::fill(slab + (y * n_blocks + first) * kBlock, slab + (y + 1) * n_blocks * kBlock, 0.0f);
  }
}

// The range to which voxels from −½ to ½ are mapped, if they are.
struct Range {
  bool is_used;
  float minimum, maximum;

  // Maps a voxel, or a vector of them, in place.
  template <typename T>
  [[gnu::always_inline]] void MapVoxels(T& voxels) const {
    const T unit = voxels + 0.5f, lowest = T{} + minimum, highest = T{} + maximum;
    const T mapped = minimum * (1.0f - unit) + maximum * unit;
    const T above = mapped < lowest ? lowest : mapped;
    voxels = above > highest ? highest : above;
  }
};

// Sets the voxels that are not used.
void SetUnused(const Axes& axes, float value, float* volume) {
  for (int64_t z = 0; z < axes.z.n; ++z) {
    float* voxels = volume + z * axes.slice();
    for (int64_t y = 0; y < axes.y.n; ++y) {
      std::fill(voxels + y * axes.row() + axes.x.n, voxels + (y + 1) * axes.row(), value);
    }
    std::fill(voxels + axes.y.n * axes.row(), voxels + axes.slice(), value);
  }
  std::fill(volume + axes.z.n * axes.slice(), volume + axes.sides[0] * axes.slice(), value);
}

// Slices of a slab of 8, whose rows lie apart so that columns don't compete for the same places of a cache.
struct Slab {
  int64_t row, slice;
  std::unique_ptr<float[]> voxels;  // not set

  explicit Slab(const Axes& axes)
      : row(axes.row() + 2 * kSide), slice(axes.sides[1] * row), voxels(new float[kSide * slice]) {}
};

// Strips for the longest axis.
template <int Width>
[[gnu::always_inline]] inline Strips<Width> StripsOf(const Axes& axes) {
  return Strips<Width>(std::max({axes.z.n, axes.y.n, axes.x.n}));
}

// Products along y and x, of slabs of 8 slices: where the blocks of the same slab will be.
template <int Width>
[[gnu::always_inline]] inline void AnalyzeSlabs(const Axes& axes, const float* volume, float* blocks, Parts& slabs) {
  const int64_t ny = axes.y.n, nx = axes.x.n, row = axes.row(), slice = axes.slice();
  Strips<Width> strips = StripsOf<Width>(axes);
  const auto along = [](const Axis& axis) {
    return [&axis](Row<Width>* in, Row<Width>* out) __attribute__((always_inline)) { AnalyzeStrip<Width>(axis, in, out); };
  };
  Slab scratch(axes);
  for (int64_t first, end; slabs.Take(first, end);) {
    for (int64_t start = kSide * first; start < kSide * end; start += kSide) {
      float* slab = blocks + start * slice;
      for (int64_t z = 0; z < kSide; ++z) {
        float* rows = &scratch.voxels[z * scratch.slice];
        AlongColumns<Width>(ny, volume + (start + z) * slice, row, nx, rows, scratch.row, strips, along(axes.y));
        AlongRows<Width>(nx, ny, rows, InSlice(scratch.row), slab + z * kSide * kSide, InBlocks(row), strips, along(axes.x));
      }
      ClearBlocks(axes, slab);
    }
  }
}

// Products along z, in place, of rows of blocks.
template <int Width>
[[gnu::always_inline]] inline void AnalyzeRows(const Axes& axes, float* blocks, Parts& rows) {
  Strips<Width> strips = StripsOf<Width>(axes);
  const auto along = [&](Row<Width>* in, Row<Width>* out) __attribute__((always_inline)) {
    AnalyzeStrip<Width>(axes.z, in, out);
  };
  for (int64_t first, end; rows.Take(first, end);) AlongBlocks<Width>(axes, first, end, blocks, blocks, strips, along);
}

// Products along z of rows of blocks: where the slab of 8 slices of the same blocks will be.
template <int Width>
[[gnu::always_inline]] inline void SynthesizeRows(const Axes& axes, const float* blocks, float* volume, Parts& rows) {
  Strips<Width> strips = StripsOf<Width>(axes);
  std::vector<uint8_t> used(strips.in.size() / kQuad);
  const auto along = [&](Row<Width>* in, Row<Width>* out) __attribute__((always_inline)) {
    SynthesizeStrip<Width>(axes.z, in, used.data(), out);
  };
  for (int64_t first, end; rows.Take(first, end);) AlongBlocks<Width>(axes, first, end, blocks, volume, strips, along);
}

// Voxels of slabs of 8 slices, in place.
template <int Width>
[[gnu::always_inline]] inline void SynthesizeSlabs(const Axes& axes, const Range& range, float* volume, Parts& slabs) {
  const int64_t ny = axes.y.n, nx = axes.x.n, row = axes.row(), slice = axes.slice();
  Strips<Width> strips = StripsOf<Width>(axes);
  std::vector<uint8_t> used(strips.in.size() / kQuad);
  const auto along_rows = [&](Row<Width>* in, Row<Width>* out) __attribute__((always_inline)) {
    SynthesizeStrip<Width>(axes.x, in, used.data(), out);
  };
  const auto along_columns = [&](Row<Width>* in, Row<Width>* out) __attribute__((always_inline)) {
    SynthesizeStrip<Width>(axes.y, in, used.data(), out);
    if (!range.is_used) return;
    for (int64_t k = 0; k < ny; ++k) range.MapVoxels(out[k].lanes);
  };
  Slab scratch(axes);
  for (int64_t first, end; slabs.Take(first, end);) {
    for (int64_t start = kSide * first; start < kSide * end; start += kSide) {
      float* slab = volume + start * slice;
      for (int64_t z = 0; z < kSide; ++z) {
        AlongRows<Width>(nx, ny, slab + z * kSide * kSide, InBlocks(row), &scratch.voxels[z * scratch.slice],
                         InSlice(scratch.row), strips, along_rows);
      }
      for (int64_t z = 0; z < kSide; ++z) {
        AlongColumns<Width>(ny, &scratch.voxels[z * scratch.slice], scratch.row, nx, slab + z * slice, row, strips,
                            along_columns);
      }
    }
  }
}

// What is compiled for several instruction sets.
struct Loops {
  void (*analyze_slabs)(const Axes&, const float*, float*, Parts&);
  void (*analyze_rows)(const Axes&, float*, Parts&);
  void (*synthesize_rows)(const Axes&, const float*, float*, Parts&);
  void (*synthesize_slabs)(const Axes&, const Range&, float*, Parts&);
};

#define NVC_LOOPS(Name, TARGET, WIDTH)                                                                                 \
  TARGET void AnalyzeSlabs##Name(const Axes& axes, const float* volume, float* blocks, Parts& slabs) {                 \
    AnalyzeSlabs<WIDTH>(axes, volume, blocks, slabs);                                                                  \
  }                                                                                                                    \
  TARGET void AnalyzeRows##Name(const Axes& axes, float* blocks, Parts& rows) {                                        \
    AnalyzeRows<WIDTH>(axes, blocks, rows);                                                                            \
  }                                                                                                                    \
  TARGET void SynthesizeRows##Name(const Axes& axes, const float* blocks, float* volume, Parts& rows) {                \
    SynthesizeRows<WIDTH>(axes, blocks, volume, rows);                                                                 \
  }                                                                                                                    \
  TARGET void SynthesizeSlabs##Name(const Axes& axes, const Range& range, float* volume, Parts& slabs) {               \
    SynthesizeSlabs<WIDTH>(axes, range, volume, slabs);                                                                \
  }                                                                                                                    \
  const Loops kLoops##Name = {AnalyzeSlabs##Name, AnalyzeRows##Name, SynthesizeRows##Name, SynthesizeSlabs##Name};
NVC_LOOPS(Avx512, NVC_FOR_AVX512, 16)
NVC_LOOPS(Avx2, NVC_FOR_AVX2, 8)
NVC_LOOPS(Anywhere, , 8)
#undef NVC_LOOPS

const Loops& ProcessorLoops() {
  static const Loops& loops = *PickForm(&kLoopsAvx512, &kLoopsAvx2, &kLoopsAnywhere);
  return loops;
}

// Coefficients of a volume.
void Analyze(const Axes& axes, const float* volume, float* blocks) {
  const Loops& loops = ProcessorLoops();
  ForParts(axes.z.n / kSide, 1, [&](Parts& slabs) { loops.analyze_slabs(axes, volume, blocks, slabs); });
  ForParts(axes.y.n / kSide, 1, [&](Parts& rows) { loops.analyze_rows(axes, blocks, rows); });
  std::fill(blocks + axes.z.n * axes.slice(), blocks + axes.sides[0] * axes.slice(), 0.0f);
}

// Volume of its coefficients.
void Synthesize(const Axes& axes, const Range& range, const float* blocks, float* volume) {
  const Loops& loops = ProcessorLoops();
  ForParts(axes.y.n / kSide, 1, [&](Parts& rows) { loops.synthesize_rows(axes, blocks, volume, rows); });
  ForParts(axes.z.n / kSide, 1, [&](Parts& slabs) { loops.synthesize_slabs(axes, range, volume, slabs); });
  float unused = 0;
  if (range.is_used) range.MapVoxels(unused);
  SetUnused(axes, unused, volume);
}

// Runs a transform of the axes that `make` makes, of an axis and its factors, if these suit the volume.
template <typename Transform, typename Make>
ffi::Error Run(Transform transform, Make make, const F32& in, const F32 (&borders)[3], const F32 (&matrices)[3],
               Out<F32>& out) {
  const auto n_voxels = static_cast<int64_t>(in.element_count());
  int64_t sides[3], product = 1;
  for (int axis = 0; axis < 3; ++axis) product *= sides[axis] = SideOf(borders[axis], matrices[axis]);
  if (product != n_voxels || static_cast<int64_t>(out->element_count()) != n_voxels) {
    return ffi::Error::InvalidArgument("matrices do not suit the volume");
  }
  if (n_voxels == 0) return ffi::Error::Success();
  const auto axis = [&](int k) { return make(k, sides[k], borders[k].typed_data(), matrices[k].typed_data()); };
  transform(Axes{axis(0), axis(1), axis(2), {sides[0], sides[1], sides[2]}});
  return ffi::Error::Success();
}

ffi::Error AnalyzeVolume(F32 volume, F32 scale, F32 z_borders, F32 z, F32 y_borders, F32 y, F32 x_borders, F32 x,
                         Out<F32> blocks) {
  if (scale.element_count() != 1) return ffi::Error::InvalidArgument("there is not one scale");
  std::vector<float> scaled(x.typed_data(), x.typed_data() + x.element_count());
  for (float& entry : scaled) entry *= *scale.typed_data();
  const auto transform = [&](const Axes& axes) { Analyze(axes, volume.typed_data(), blocks->typed_data()); };
  const auto make = [&](int axis, int64_t side, const float* borders, const float* matrix) {
    return AnalysisOf(side, borders, axis == 2 ? scaled.data() : matrix);
  };
  return Run(transform, make, volume, {z_borders, y_borders, x_borders}, {z, y, x}, blocks);
}

ffi::Error SynthesizeVolume(F32 blocks, F32 minimum, F32 maximum, F32 z_borders, F32 z, F32 y_borders, F32 y,
                            F32 x_borders, F32 x, bool to_range, Out<F32> volume) {
  if (minimum.element_count() != 1 || maximum.element_count() != 1) {
    return ffi::Error::InvalidArgument("a range has not two limits");
  }
  const Range range{to_range, *minimum.typed_data(), *maximum.typed_data()};
  const auto transform = [&](const Axes& axes) { Synthesize(axes, range, blocks.typed_data(), volume->typed_data()); };
  const auto make = [](int, int64_t side, const float* borders, const float* matrix) {
    return SynthesisOf(side, borders, matrix);
  };
  return Run(transform, make, blocks, {z_borders, y_borders, x_borders}, {z, y, x}, volume);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_analyze, AnalyzeVolume,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<F32>()
                                  .Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>()
                                  .Ret<F32>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_synthesize, SynthesizeVolume,
                              ffi::Ffi::Bind()
                                  .Arg<F32>().Arg<F32>().Arg<F32>()
                                  .Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>().Arg<F32>()
                                  .Attr<bool>("to_range")
                                  .Ret<F32>());

}  // namespace nvc
