// Lattice coder: integers of a volume by interpolation from coarse to fine.
//
// The specification is nvc_jax/lattice: geometry.py, prediction.py, walk.py, programs.py and items.py. All values
// are integers and equal bit for bit, within the volume; what lies beyond it may differ.

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "buffers.h"
#include "lattice_geometry.h"
#include "lattice_level.h"
#include "lattice_reader.h"
#include "narrow_vectors.h"
#include "token_vectors.h"

namespace nvc {
namespace {

constexpr int kClasses = kTokens / 2;

Rules ReadRules(S32& fraction_bits, S32& low, S32& high, S32& valid, const Shape& lattice) {
  const int32_t* sides = valid.typed_data();
  return {std::clamp(*fraction_bits.typed_data(), 0, 30), *low.typed_data(), *high.typed_data(),
          {std::clamp<int64_t>(sides[0], 0, lattice.z), std::clamp<int64_t>(sides[1], 0, lattice.y),
           std::clamp<int64_t>(sides[2], 0, lattice.x)}};
}

// Begins a level: its even points are the values of the one above, or the anchors.
void Enter(Level& level, const int32_t* anchors, Level* above) {
  const Shape& shape = level.shape();
  if (above != nullptr) {
    above->Join(level.Needed(0), [&](int64_t z, int64_t y) { return level.Values(0, z, y); });
  } else {
    const Shape needed = level.Needed(0);
    for (int64_t z = 0; z < needed.z; ++z) {
      for (int64_t y = 0; y < needed.y; ++y) {
        std::copy_n(anchors + (z * shape.y + y) * shape.x, needed.x, level.Values(0, z, y));
      }
    }
  }
  level.Enter();
}

// Takes the flags of a level's cells.
void TakeFlags(Level& level, Reader& reader, std::vector<uint8_t>& flags) {
  const Shape cells = level.cells(), valid = level.ValidCells();
  std::vector<uint16_t> contexts(valid.size());
  for (int64_t row = 0; row < valid.z * valid.y; ++row) {
    level.FindFlagContexts(row / valid.y, row % valid.y, valid.x, &contexts[row * valid.x]);
  }
  std::vector<int32_t> items(contexts.size());
  reader.TakePass(contexts.data(), static_cast<int64_t>(items.size()), items.data());
  flags.assign(cells.size(), 0);
  const int32_t* item = items.data();
  for (int64_t z = 0; z < valid.z; ++z) {
    for (int64_t y = 0; y < valid.y; ++y) {
      for (int64_t x = 0; x < valid.x; ++x) flags[(z * cells.y + y) * cells.x + x] = *item++ > 0;
    }
  }
}

// Contexts and codes of a phase while it is decoded: of the points in flagged cells alone, one after the other.
// Behind them there is room for a cell.
struct PhaseItems {
  explicit PhaseItems(const Shape& shape)
      : contexts(new uint16_t[shape.size() + kCell]), codes(new int32_t[shape.size() + kCell]) {}

  // Adds contexts of a row. Behind it there is room for a cell, too.
  void Add(const uint16_t* row, int64_t length, const uint8_t* flags) {
    for (int64_t x = 0; x < length; x += kCell) {
      std::memcpy(&contexts[n], row + x, kCell * sizeof(uint16_t));
      n += flags[x / kCell] ? std::min<int64_t>(length - x, kCell) : 0;
    }
  }
  // Takes the codes of a row; those of other points are 0. Behind the row there is room for a cell, too.
  void Take(int64_t length, const uint8_t* flags, int32_t* row) {
    for (int64_t x = 0; x < length; x += kCell) {
      const bool is_flagged = flags[x / kCell];
      for (int k = 0; k < kCell; ++k) row[x + k] = is_flagged ? codes[taken + k] : 0;
      taken += is_flagged ? std::min<int64_t>(length - x, kCell) : 0;
    }
  }

  std::unique_ptr<uint16_t[]> contexts;
  std::unique_ptr<int32_t[]> codes;
  int64_t n = 0, taken = 0;
};

// Decodes a phase.
void DecodePhase(Level& level, int phase, const std::vector<uint8_t>& flags, const Rules& rules, Reader& reader) {
  const Shape shape = level.shape(), cells = level.cells(), inside = level.Valid(kParities[phase]);
  const auto flags_of = [&](int64_t z, int64_t y) { return &flags[(z / kCell * cells.y + y / kCell) * cells.x]; };
  const int64_t n_x = level.Needed(PhaseNumber(kParities[phase])).x;
  PhaseItems items(shape);
  level.PredictPhase(phase, [&](int64_t z, int64_t y, const uint16_t* contexts) {
    if (z < inside.z && y < inside.y) items.Add(contexts, inside.x, flags_of(z, y));
  });
  reader.TakePass(items.contexts.get(), items.n, items.codes.get());
  std::vector<int32_t> codes(shape.x + kCell);
  level.FinishPhase(phase, [&](int64_t z, int64_t y, int32_t* values, uint8_t* magnitudes) {
    const int64_t length = z < inside.z && y < inside.y ? inside.x : 0;
    items.Take(length, flags_of(z, y), codes.data());
    std::fill(codes.begin() + length, codes.end(), 0);
    FinishRow(n_x, codes.data(), rules.fraction_bits, values, magnitudes);
  });
}

ffi::Error Decode(U16 words, S32 group_words, S32 n_lanes, U16 frequencies, S32 rows, S32 anchors, S32 weights,
                  S32 fraction_bits, S32 low, S32 high, S32 valid, Out<S32> decoded) {
  const Shape lattice = ShapeOf(decoded->dimensions());
  const Rules rules = ReadRules(fraction_bits, low, high, valid, lattice);
  Reader reader(words, group_words, n_lanes, frequencies, rows, kContexts);
  std::vector<uint8_t> flags;
  const NeededPoints needed = FindNeeded(lattice, rules);
  std::unique_ptr<Level> level;
  for (int number = kLevels - 1; number >= 0; --number) {
    const auto above =
        std::exchange(level, std::make_unique<Level>(lattice, number, weights.typed_data(), rules, needed));
    Enter(*level, anchors.typed_data(), above.get());
    TakeFlags(*level, reader, flags);
    for (int phase = 0; phase < kPhases; ++phase) DecodePhase(*level, phase, flags, rules, reader);
  }
  const Shape volume{rules.valid[0], rules.valid[1], rules.valid[2]};
  level->Join(volume, [&](int64_t z, int64_t y) { return decoded->typed_data() + (z * lattice.y + y) * lattice.x; });
  return ffi::Error::Success();
}

// Items of a stream, in the order of coding.
struct Items {
  int32_t* values;
  uint16_t* contexts;
  int64_t capacity;
  int64_t n = 0;

  // Adds an item for which there is room.
  void Add(int32_t value, uint16_t context) {
    values[n] = value;
    contexts[n++] = context;
  }

  // Adds a row of what lies `from` there on, behind the items: the cells that are flagged.
  void AddCells(int64_t from, int64_t length, const uint8_t* flags) {
    if (std::memchr(flags, 0, CeilDivide(length, kCell)) == nullptr) {
      if (from != n) std::copy_n(values + from, length, values + n), std::copy_n(contexts + from, length, contexts + n);
      n += length;
      return;
    }
    int64_t x = 0;
    for (; x + kCell <= length; x += kCell) {
      std::array<int32_t, kCell> of_cell;
      std::array<uint16_t, kCell> contexts_of_cell;
      std::copy_n(values + from + x, kCell, of_cell.begin());
      std::copy_n(contexts + from + x, kCell, contexts_of_cell.begin());
      std::copy_n(of_cell.begin(), kCell, values + n);
      std::copy_n(contexts_of_cell.begin(), kCell, contexts + n);
      n += flags[x / kCell] * kCell;
    }
    for (; x < length; ++x) {
      if (flags[x / kCell]) Add(values[from + x], contexts[from + x]);
    }
  }
};

// Numbers of items of each token in each context; of items next to each other, which are often alike, apart.
struct TokenCounts {
  static constexpr int kSize = kContexts * kTokens + kTokensOfAny;
  std::array<std::array<int32_t, kSize>, 2> counts{};
};

NVC_VECTORIZE
void CountTokens(int64_t n, const int32_t* values, const uint16_t* contexts, TokenCounts& counts) {
  alignas(Integers) int32_t tokens[kNarrow], n_bits[kNarrow], extra[kNarrow];
  int64_t i = 0;
  for (; i + kNarrow <= n; i += kNarrow) {
    ToTokens(values + i, tokens, n_bits, extra);
    for (int k = 0; k < kNarrow; ++k) ++counts.counts[k % 2][contexts[i + k] * kTokens + tokens[k]];
  }
  for (; i < n; ++i) ++counts.counts[0][contexts[i] * kTokens + static_cast<int32_t>(ToToken(values[i]).token)];
}

// Columns of a histogram: the classes of magnitudes, and the negative items.
void SumClasses(const TokenCounts& counts, int32_t* histogram) {
  for (int context = 0; context < kContexts; ++context, histogram += kClasses + 1) {
    const int32_t* first = &counts.counts[0][context * kTokens];
    const int32_t* second = &counts.counts[1][context * kTokens];
    histogram[0] = first[0] + second[0];
    int32_t all_negative = 0;
    for (int magnitude = 1; magnitude < kClasses; ++magnitude) {
      const int32_t negative = first[2 * magnitude - 1] + second[2 * magnitude - 1];
      histogram[magnitude] = negative + first[2 * magnitude] + second[2 * magnitude];
      all_negative += negative;
    }
    histogram[kClasses] = all_negative;
  }
}

// Tells which values count, by rows of phases.
class Marks {
 public:
  Marks(const Shape& lattice, const Rules& rules, const bool* counted)
      : lattice_(lattice), counted_(counted) {
    for (int64_t z = 0; z < rules.valid[0]; ++z) {
      for (int64_t y = 0; y < rules.valid[1]; ++y) {
        all_count_ = all_count_ && std::memchr(counted + (z * lattice.y + y) * lattice.x, 0, rules.valid[2]) == nullptr;
      }
    }
  }

  // Marks the first `n` values of a row of a phase by 255 where they count; tells whether all do, in the volume.
  bool Mark(int level, const Triple& parity, int64_t z, int64_t y, int64_t n, uint8_t* marks) const {
    if (all_count_) {
      std::fill_n(marks, n, uint8_t{255});
      return true;
    }
    const bool* row = counted_ +
                      (((2 * z + parity[0]) << level) * lattice_.y + ((2 * y + parity[1]) << level)) * lattice_.x +
                      (int64_t{parity[2]} << level);
    for (int64_t x = 0; x < n; ++x) marks[x] = row[(2 * x) << level] ? 255 : 0;
    return false;
  }

 private:
  Shape lattice_;
  const bool* counted_;
  bool all_count_ = true;
};

// Bits of the magnitudes of each row of cells, of all phases. Behind each row there is room for a block.
struct AnyMagnitudes {
  explicit AnyMagnitudes(const Shape& cells)
      : cells(cells), pitch(cells.x * kCell + kBlock), bits(cells.z * cells.y * pitch) {}

  uint8_t* Row(int64_t z, int64_t y) { return &bits[(z / kCell * cells.y + y / kCell) * pitch]; }

  Shape cells;
  int64_t pitch;
  std::vector<uint8_t> bits;
};

// Codes a phase of a level, given a function that returns rows of the level's volume; codes and contexts go behind the
// items, from `place` on.
template <typename Source>
void QuantizePhase(Level& level, int phase, Source source, const Marks& marks, const Items& items, int64_t place,
                   AnyMagnitudes& any) {
  const Triple parity = kParities[phase];
  const Shape inside = level.Valid(parity);
  const int64_t n = inside.x;
  level.QuantizePhase(
      phase,
      [&](int64_t z, int64_t y, int32_t* wanted, uint8_t* counted) {
        TakeEven(n, source(2 * z + parity[0], 2 * y + parity[1]) + parity[2], wanted);
        return marks.Mark(level.number(), parity, z, y, n, counted);
      },
      [&](int64_t z, int64_t y, const int32_t* codes, const uint16_t* contexts, const uint8_t* magnitudes) {
        // In whole blocks, but for what another thread may have written behind the cells.
        const int64_t own = place + (z * inside.y + y) * n;
        const int64_t end = place + (z / kCell + 1) * kCell * inside.y * n;
        for (int64_t x = 0; x < n; x += kBlock) {
          const int64_t n_copied = std::min<int64_t>(end - own - x, kBlock);
          std::copy_n(codes + x, n_copied, items.values + own + x);
          std::copy_n(contexts + x, n_copied, items.contexts + own + x);
        }
        AddBits(n, magnitudes, any.Row(z, y));
      });
}

// Flags the cells of a level with a code that is not 0.
void FlagCells(const AnyMagnitudes& any, std::vector<uint8_t>& flags) {
  const Shape& cells = any.cells;
  flags.resize(cells.size());
  for (int64_t row = 0; row < cells.z * cells.y; ++row) {
    for (int64_t x = 0; x < cells.x; ++x) {
      uint32_t of_cell;
      std::memcpy(&of_cell, &any.bits[row * any.pitch + x * kCell], kCell);
      flags[row * cells.x + x] = of_cell != 0;
    }
  }
}

// Collects the flags of a level's cells.
void CollectFlags(Level& level, const std::vector<uint8_t>& flags, Items& items) {
  const Shape cells = level.cells(), valid = level.ValidCells();
  for (int64_t z = 0; z < valid.z; ++z) {
    for (int64_t y = 0; y < valid.y; ++y) {
      level.FindFlagContexts(z, y, valid.x, items.contexts + items.n);
      std::copy_n(&flags[(z * cells.y + y) * cells.x], valid.x, items.values + items.n);
      items.n += valid.x;
    }
  }
}

// Collects the codes of a phase in all cells that are flagged, from where QuantizePhase has put them.
void CollectCodes(const Level& level, int phase, int64_t place, const std::vector<uint8_t>& flags, Items& items) {
  const Shape inside = level.Valid(kParities[phase]), cells = level.cells();
  for (int64_t z = 0; z < inside.z; ++z) {
    for (int64_t y = 0; y < inside.y; ++y, place += inside.x) {
      items.AddCells(place, inside.x, &flags[(z / kCell * cells.y + y / kCell) * cells.x]);
    }
  }
}

// Places of a level's phases behind its flags, if all points were items; then the end.
std::array<int64_t, kPhases + 1> PlacePhases(const Level& level, int64_t n_items) {
  std::array<int64_t, kPhases + 1> places{n_items + level.ValidCells().size()};
  for (int phase = 0; phase < kPhases; ++phase) {
    places[phase + 1] = places[phase] + level.Valid(kParities[phase]).size();
  }
  return places;
}

// A volume in fixed point that is quantised, and what its prediction rests on.
struct Volume {
  const int32_t* fixed;
  const bool* counted;
  const int32_t* anchors;
  const int32_t* weights;
  Shape lattice;
  Rules rules;
};

// Quantises a volume and collects its items, pass by pass: `add_pass` gets the first of each pass and the end. Returns the
// finest level, which is empty where there is no room for all items.
template <typename AddPass>
std::unique_ptr<Level> QuantizeLevels(const Volume& volume, Items& items, AddPass add_pass) {
  const auto& [fixed, counted, anchors, weights, lattice, rules] = volume;
  const Marks marks(lattice, rules, counted);
  const auto collect = [&](auto add) {
    const int64_t before = items.n;
    add();
    add_pass(before, items.n);
  };
  const NeededPoints needed = FindNeeded(lattice, rules);
  std::vector<std::unique_ptr<Level>> levels;
  const auto source_of = [&](int number) {
    return [&, number](int64_t z, int64_t y) -> const int32_t* {
      return number == 0 ? volume.fixed + (z * volume.lattice.y + y) * volume.lattice.x
                         : levels[number - 1]->Values(0, z, y);
    };
  };
  for (int number = 0; number < kLevels; ++number) {
    levels.push_back(std::make_unique<Level>(lattice, number, weights, rules, needed));
    levels.back()->TakeEvenPoints(source_of(number));
  }
  std::vector<uint8_t> flags;
  for (int number = kLevels - 1; number >= 0; --number) {
    Level& level = *levels[number];
    Enter(level, anchors, number + 1 < kLevels ? levels[number + 1].get() : nullptr);
    const auto places = PlacePhases(level, items.n);
    // Rows are written in whole blocks.
    if (places.back() + level.shape().x + kBlock > items.capacity) return nullptr;
    AnyMagnitudes any(level.cells());
    for (int phase = 0; phase < kPhases; ++phase) {
      QuantizePhase(level, phase, source_of(number), marks, items, places[phase], any);
    }
    FlagCells(any, flags);
    collect([&] { CollectFlags(level, flags, items); });
    for (int phase = 0; phase < kPhases; ++phase) {
      collect([&] { CollectCodes(level, phase, places[phase], flags, items); });
    }
  }
  return std::move(levels[0]);
}

ffi::Error Quantize(S32 fixed, Pred counted, S32 anchors, S32 weights, S32 fraction_bits, S32 low, S32 high,
                    S32 valid, Out<S32> decoded, Out<S32> item_values, Out<U16> item_contexts,
                    Out<S32> pass_counts, Out<S32> histogram) {
  const Shape lattice = ShapeOf(decoded->dimensions());
  const Rules rules = ReadRules(fraction_bits, low, high, valid, lattice);
  Items items{item_values->typed_data(), item_contexts->typed_data(),
              static_cast<int64_t>(item_values->element_count())};
  const auto token_counts = std::make_unique<TokenCounts>();
  int32_t* count_of_pass = pass_counts->typed_data();
  const auto finest = QuantizeLevels(
      {fixed.typed_data(), counted.typed_data(), anchors.typed_data(), weights.typed_data(), lattice, rules}, items,
      [&](int64_t first, int64_t end) {
        *count_of_pass++ = static_cast<int32_t>(end - first);
        CountTokens(end - first, items.values + first, items.contexts + first, *token_counts);
      });
  if (finest == nullptr) return ffi::Error::Internal("a lattice has more items than expected");
  SumClasses(*token_counts, histogram->typed_data());
  const Shape volume{rules.valid[0], rules.valid[1], rules.valid[2]};
  finest->Join(volume, [&](int64_t z, int64_t y) { return decoded->typed_data() + (z * lattice.y + y) * lattice.x; });
  return ffi::Error::Success();
}

// Sum of the squared errors of a row's values that count.
NVC_VECTORIZE
int64_t SumSquaredErrors(int64_t n, const int32_t* decoded, const int32_t* fixed, const bool* counted) {
  int64_t sum = 0;
  for (int64_t x = 0; x < n; ++x) {
    const int32_t error = counted[x] ? decoded[x] - fixed[x] : 0;
    sum += static_cast<int64_t>(error * error);
  }
  return sum;
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_lattice_decode, Decode,
                              ffi::Ffi::Bind()
                                  .Arg<U16>().Arg<S32>().Arg<S32>().Arg<U16>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Ret<S32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_lattice_quantize, Quantize,
                              ffi::Ffi::Bind()
                                  .Arg<S32>().Arg<Pred>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Ret<S32>().Ret<S32>().Ret<U16>().Ret<S32>().Ret<S32>());

// Quantises a volume, on NumPy's arrays, and counts its items as the kernel above. `rules` are the fraction bits, the least and
// the largest value, and the sides of the volume. Returns the sum of the squared errors of the values that count, or -1 where
// there are more items than `max_items`.
extern "C" __attribute__((visibility("default"))) int64_t nvc_lattice_count(
    const int32_t* fixed, const bool* counted, const int64_t* lattice_sides, const int32_t* anchors,
    const int32_t* weights, const int64_t* rules, int64_t max_items, int32_t* histogram) {
  const Shape lattice{lattice_sides[0], lattice_sides[1], lattice_sides[2]}, inside{rules[3], rules[4], rules[5]};
  const Rules of_level{static_cast<int32_t>(rules[0]), static_cast<int32_t>(rules[1]), static_cast<int32_t>(rules[2]),
                       {inside.z, inside.y, inside.x}};
  const std::unique_ptr<int32_t[]> values(new int32_t[max_items]);
  const std::unique_ptr<uint16_t[]> contexts(new uint16_t[max_items]);
  Items items{values.get(), contexts.get(), max_items};
  const auto token_counts = std::make_unique<TokenCounts>();
  const auto finest =
      QuantizeLevels({fixed, counted, anchors, weights, lattice, of_level}, items, [&](int64_t first, int64_t end) {
        CountTokens(end - first, items.values + first, items.contexts + first, *token_counts);
      });
  if (finest == nullptr) return -1;
  SumClasses(*token_counts, histogram);
  std::vector<int32_t> decoded(inside.x + 1);
  int64_t sum = 0;
  for (int64_t z = 0; z < inside.z; ++z) {
    for (int64_t y = 0; y < inside.y; ++y) {
      const int phase = PhaseNumber({static_cast<int>(z & 1), static_cast<int>(y & 1), 0});
      Interleave(CeilDivide(inside.x, 2), finest->Values(phase, z / 2, y / 2), finest->Values(phase + 1, z / 2, y / 2),
                 decoded.data());
      const int64_t row = (z * lattice.y + y) * lattice.x;
      sum += SumSquaredErrors(inside.x, decoded.data(), fixed + row, counted + row);
    }
  }
  return sum;
}

}  // namespace nvc
