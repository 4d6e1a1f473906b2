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
#include "token_vectors.h"
#include "narrow_vectors.h"

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
void Enter(Level& level, const S32& anchors, Level* above) {
  const Shape& shape = level.shape();
  if (above != nullptr) {
    above->Join(level.Needed(0), [&](int64_t z, int64_t y) { return level.Values(0, z, y); });
  } else {
    for (int64_t row = 0; row < shape.z * shape.y; ++row) {
      std::copy_n(anchors.typed_data() + row * shape.x, shape.x, level.Values(0, row / shape.y, row % shape.y));
    }
  }
  level.Enter();
}

// Takes the flags of a level's cells.
void TakeFlags(Level& level, Reader& reader, std::vector<uint8_t>& flags) {
  const Shape cells = level.cells(), valid = level.ValidCells();
  std::vector<uint16_t> contexts;
  for (int64_t z = 0; z < valid.z; ++z) {
    for (int64_t y = 0; y < valid.y; ++y) {
      for (int64_t x = 0; x < valid.x; ++x) contexts.push_back(static_cast<uint16_t>(level.FlagContext(z, y, x)));
    }
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
  std::vector<uint16_t> contexts(shape.x + kBlock);
  level.WalkPhase(phase, contexts.data(),
                  [&](int64_t z, int64_t y, const int32_t* predicted, int32_t* values, uint8_t*) {
                    std::copy_n(predicted, n_x, values);
                    if (z < inside.z && y < inside.y) items.Add(contexts.data(), inside.x, flags_of(z, y));
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
    Enter(*level, anchors, above.get());
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
  Marks(const Shape& lattice, const bool* counted)
      : lattice_(lattice), counted_(counted), all_count_(std::memchr(counted, 0, lattice.size()) == nullptr) {}

  // Lets the first `n` values of a row of a phase that do not count be as predicted.
  void Apply(int level, const Triple& parity, int64_t z, int64_t y, int64_t n, const int32_t* predicted,
             int32_t* values) const {
    if (all_count_) return;
    const bool* row = counted_ +
                      (((2 * z + parity[0]) << level) * lattice_.y + ((2 * y + parity[1]) << level)) * lattice_.x +
                      (int64_t{parity[2]} << level);
    for (int64_t x = 0; x < n; ++x) values[x] = row[(2 * x) << level] ? values[x] : predicted[x];
  }

 private:
  Shape lattice_;
  const bool* counted_;
  bool all_count_;
};

// Codes a phase; its codes and contexts go behind the items, from `place` on.
void QuantizePhase(Level& level, int phase, const Rules& rules, const Marks& marks, const Items& items,
                   int64_t place) {
  const Triple parity = kParities[phase];
  const Shape inside = level.Valid(parity);
  const int64_t n_x = level.Needed(PhaseNumber(parity)).x;
  std::vector<uint16_t> contexts(n_x + kBlock);
  std::vector<int32_t> codes(n_x);
  level.WalkPhase(phase, contexts.data(),
                  [&](int64_t z, int64_t y, const int32_t* predicted, int32_t* values, uint8_t* magnitudes) {
                    // Points beyond the volume are as predicted.
                    const int64_t n = z < inside.z && y < inside.y ? inside.x : 0;
                    marks.Apply(level.number(), parity, z, y, n, predicted, values);
                    std::copy(predicted + n, predicted + n_x, values + n);
                    QuantizeRow(n_x, predicted, rules.fraction_bits, values, codes.data(), magnitudes);
                    std::copy_n(codes.data(), n, items.values + place);
                    std::copy_n(contexts.data(), n, items.contexts + place);
                    place += n;
                  });
  level.FinishPhase(phase);
}

// Flags the cells of a level with a code that is not 0.
void FlagCells(const Level& level, std::vector<uint8_t>& flags) {
  const Shape cells = level.cells();
  std::vector<uint8_t> any(cells.x * kCell);
  flags.assign(cells.size(), 0);
  for (int64_t row = 0; row < cells.z * cells.y; ++row) {
    const int64_t first_z = row / cells.y * kCell, first_y = row % cells.y * kCell;
    std::fill(any.begin(), any.end(), 0);
    for (const Triple& parity : kParities) {
      const Shape inside = level.Valid(parity);  // beyond the volume all codes are 0
      for (int64_t z = first_z; z < std::min(first_z + kCell, inside.z); ++z) {
        for (int64_t y = first_y; y < std::min(first_y + kCell, inside.y); ++y) {
          const uint8_t* magnitudes = level.Magnitudes(PhaseNumber(parity), z, y);
          for (int64_t x = 0; x < inside.x; ++x) any[x] |= magnitudes[x];
        }
      }
    }
    for (int64_t x = 0; x < cells.x; ++x) {
      uint32_t of_cell;
      std::memcpy(&of_cell, &any[x * kCell], kCell);
      flags[row * cells.x + x] = of_cell != 0;
    }
  }
}

// Collects the flags of a level's cells.
void CollectFlags(Level& level, const std::vector<uint8_t>& flags, Items& items) {
  const Shape cells = level.cells(), valid = level.ValidCells();
  for (int64_t z = 0; z < valid.z; ++z) {
    for (int64_t y = 0; y < valid.y; ++y) {
      for (int64_t x = 0; x < valid.x; ++x) {
        items.Add(flags[(z * cells.y + y) * cells.x + x], static_cast<uint16_t>(level.FlagContext(z, y, x)));
      }
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

ffi::Error Quantize(S32 fixed, Pred counted, S32 anchors, S32 weights, S32 fraction_bits, S32 low, S32 high,
                    S32 valid, Out<S32> decoded, Out<S32> item_values, Out<U16> item_contexts,
                    Out<S32> pass_counts, Out<S32> histogram) {
  const Shape lattice = ShapeOf(decoded->dimensions());
  const Rules rules = ReadRules(fraction_bits, low, high, valid, lattice);
  const Marks marks(lattice, counted.typed_data());
  Items items{item_values->typed_data(), item_contexts->typed_data(),
              static_cast<int64_t>(item_values->element_count())};
  const auto token_counts = std::make_unique<TokenCounts>();
  int32_t* count_of_pass = pass_counts->typed_data();
  const auto collect = [&](auto add) {
    const int64_t before = items.n;
    add();
    *count_of_pass++ = static_cast<int32_t>(items.n - before);
    CountTokens(items.n - before, items.values + before, items.contexts + before, *token_counts);
  };

  const NeededPoints needed = FindNeeded(lattice, rules);
  std::vector<std::unique_ptr<Level>> levels;
  for (int number = 0; number < kLevels; ++number) {
    levels.push_back(std::make_unique<Level>(lattice, number, weights.typed_data(), rules, needed));
    levels.back()->Split([&](int64_t z, int64_t y) {
      return number == 0 ? fixed.typed_data() + (z * lattice.y + y) * lattice.x : levels[number - 1]->Values(0, z, y);
    });
  }
  std::vector<uint8_t> flags;
  for (int number = kLevels - 1; number >= 0; --number) {
    Level& level = *levels[number];
    Enter(level, anchors, number + 1 < kLevels ? levels[number + 1].get() : nullptr);
    const auto places = PlacePhases(level, items.n);
    if (places.back() > items.capacity) return ffi::Error::Internal("a lattice has more items than expected");
    for (int phase = 0; phase < kPhases; ++phase) QuantizePhase(level, phase, rules, marks, items, places[phase]);
    FlagCells(level, flags);
    collect([&] { CollectFlags(level, flags, items); });
    for (int phase = 0; phase < kPhases; ++phase) {
      collect([&] { CollectCodes(level, phase, places[phase], flags, items); });
    }
  }
  SumClasses(*token_counts, histogram->typed_data());
  const Shape volume{rules.valid[0], rules.valid[1], rules.valid[2]};
  levels[0]->Join(volume,
                  [&](int64_t z, int64_t y) { return decoded->typed_data() + (z * lattice.y + y) * lattice.x; });
  return ffi::Error::Success();
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

}  // namespace nvc
