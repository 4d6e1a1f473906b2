// Streams of nvc-1: the integers of blocks to words and back.
//
// The specification is nvc_jax/spectral/bitstream.py with block_headers.py, header_contexts.py, scan_order.py,
// neighbour_contexts.py and dependent_quantization.py. Words and integers are equal to theirs bit for bit.

#include <cstring>
#include <memory>
#include <vector>

#include "buffers.h"
#include "header_contexts.h"
#include "neighbour_contexts.h"
#include "pop_step.h"
#include "push_step.h"
#include "scan.h"
#include "vectorize.h"

namespace nvc {
namespace {

constexpr uint32_t kStateBits = 2;

// The parts of an entropy model that a stream depends on.
struct Model {
  Model(U16 frequencies, U16 end_frequencies, U16 class_frequencies, S32 tables, S32 context_rows,
        S32 class_levels, S32 class_rows, S32 first_rows, int64_t n_quantizers, int64_t n_tables)
      : integers(frequencies.typed_data(), Rows(frequencies)),
        ends(end_frequencies.typed_data(), Rows(end_frequencies)),
        classes(class_frequencies.typed_data(), Rows(class_frequencies)),
        context_rows(context_rows.typed_data(), Rows(context_rows),
                     static_cast<size_t>(context_rows.dimensions().back()), integers),
        header_rows(class_levels, class_rows, first_rows),
        n_classes(static_cast<int32_t>(Rows(tables))),
        quantizer_rows(static_cast<int32_t>(n_tables)),
        has_states(n_quantizers > 1),
        tables_(tables.typed_data()) {}

  // The tables of a class, by the class before, and of the first coefficients of a class, in a context.
  const Tables::Entry* ClassTable(HeaderContext context, int32_t before) const {
    return classes.row(header_rows ? header_rows.OfClass(context, before) : before);
  }
  const Tables::Entry* FirstTable(HeaderContext context, int32_t block_class) const {
    return integers.row(header_rows ? header_rows.OfFirst(context, block_class) : tables_of(block_class)[0]);
  }
  const int32_t* tables_of(int32_t block_class) const { return tables_ + int64_t{block_class} * kCoefficients; }

  Tables integers, ends, classes;
  ContextRows context_rows;
  HeaderRows header_rows;
  int32_t n_classes;
  int32_t quantizer_rows;
  bool has_states;

 private:
  const int32_t* tables_;
};

// Blocks of a volume: their order, and the scan of each partial-block type.
struct Layout {
  const int32_t* order;
  int64_t n_inside;
  const int32_t* partial_types;
  const int32_t* coefficients;  // (8, 511)
  const int32_t* scan_counts;   // (8,)
  int64_t n_blocks;
  const int32_t* sides;  // blocks inside along z, y, x

  int Type(int64_t block) const { return partial_types[block] & (kTypes - 1); }
  const int32_t* Scan(int64_t block) const { return coefficients + Type(block) * kPositions; }
  int Count(int64_t block, int32_t end) const {
    return std::clamp(std::min(end, kCoefficients) * kEndUnit, 0,
                      std::min(scan_counts[Type(block)], kPositions));
  }
};

// The items of a queue of blocks, shared out among lanes in equal runs.
struct Queue {
  explicit Queue(const Layout& layout) { ends.reserve(layout.n_blocks); }

  void Add(int32_t block, int count) {
    if (count == 0) return;
    total += count;
    blocks.push_back(block);
    ends.push_back(total);
  }

  // Index in the queue of the block that holds an item.
  size_t Find(int64_t item) const { return std::upper_bound(ends.begin(), ends.end(), item) - ends.begin(); }
  int64_t First(size_t index) const { return index == 0 ? 0 : ends[index - 1]; }
  int Count(size_t index) const { return static_cast<int>(ends[index] - First(index)); }

  std::vector<int32_t> blocks;
  std::vector<int64_t> ends;
  int64_t total = 0;
};

inline int NextState(int state, int32_t integer) { return (state >> 1 ^ (integer & 1)) | (state & 1) << 1; }

inline int32_t ToPoint(int32_t integer, int quantizer) {
  return 2 * integer - ((integer > 0) - (integer < 0)) * quantizer;
}

inline int32_t ToInteger(int32_t point) {
  const int32_t sign = (point > 0) - (point < 0);
  return (point + sign * (point & 1)) >> 1;
}

// Rows of the tables of coefficients in the order of a scan, computed when a class first has a block of the type. Each is a
// pair, of the first quantiser in the lower half.
class RowsInScan {
 public:
  RowsInScan(const Model& model, const Layout& layout)
      : model_(model),
        layout_(layout),
        is_ready_(model.n_classes * kTypes),
        rows_(new uint32_t[is_ready_.size() * kPositions]) {}

  const uint32_t* Get(int32_t block_class, int type) {
    const size_t number = static_cast<size_t>(block_class) * kTypes + type;
    uint32_t* rows = &rows_[number * kPositions];
    if (!is_ready_[number]) {
      Fill(model_.tables_of(block_class), layout_.coefficients + type * kPositions, rows);
      is_ready_[number] = 1;
    }
    return rows;
  }

 private:
  void Fill(const int32_t* tables, const int32_t* scan, uint32_t* rows) const {
    for (int position = 0; position < kPositions; ++position) {
      const int32_t table = tables[scan[position] & (kCoefficients - 1)];
      const uint32_t second = model_.integers.Row(table + model_.quantizer_rows);
      rows[position] = model_.integers.Row(table) | second << 16;
    }
  }

  const Model& model_;
  const Layout& layout_;
  std::vector<uint8_t> is_ready_;
  std::unique_ptr<uint32_t[]> rows_;
};

// Decoding.

struct Headers {
  int32_t* classes;
  int32_t* ends;
  int32_t* first;
};

// The context of the header at a place in the order, before which its lane has `step` others.
HeaderContext ContextOf(const Model& model, const Layout& layout, const Headers& headers, int64_t place,
                        int64_t step) {
  if (!model.header_rows) return {};
  return model.header_rows.Find(layout.sides, layout.order, headers.classes, headers.first, place, step);
}

void PopHeaders(const Model& model, const Layout& layout, int64_t n_lanes, int64_t group, GroupReader& reader,
                const Headers& headers) {
  const int64_t run = CeilDivide(layout.n_inside, n_lanes);
  const int lanes = LanesOfGroup(n_lanes, group);
  int32_t before[kGroupLanes];
  std::fill_n(before, kGroupLanes, model.n_classes);
  for (int64_t step = 0; step < run; ++step) {
    int active = 0;
    while (active < lanes && (group * kGroupLanes + active) * run + step < layout.n_inside) ++active;
    HeaderContext contexts[kGroupLanes];
    for (int lane = 0; lane < active; ++lane) {
      contexts[lane] = ContextOf(model, layout, headers, (group * kGroupLanes + lane) * run + step, step);
      const Tables::Entry* row = model.ClassTable(contexts[lane], before[lane]);
      const uint32_t token = PopToken(reader.states[lane], row, reader.stack);
      before[lane] = std::min<int32_t>(static_cast<int32_t>(token), model.n_classes - 1);
    }
    int32_t ends[kGroupLanes];
    for (int lane = 0; lane < active; ++lane) {
      ends[lane] = static_cast<int32_t>(
          PopToken(reader.states[lane], model.ends.row(before[lane]), reader.stack));
    }
    for (int lane = 0; lane < active; ++lane) {
      const Tables::Entry* row = model.FirstTable(contexts[lane], before[lane]);
      const int32_t block = layout.order[(group * kGroupLanes + lane) * run + step];
      headers.first[block] = PopInteger(reader.states[lane], row, reader.stack);
      headers.classes[block] = before[lane];
      headers.ends[block] = ends[lane];
    }
  }
}

// What all lanes look up while they decode integers.
struct Lookup {
  const Model& model;
  const Layout& layout;
  const Queue& queue;
  ScanPositions& scan_positions;
  const int32_t* classes;
  RowsInScan& rows_in_scan;
  SlotTokens& slot_tokens;
};

// Lanes that move through the queue of blocks.
struct Walkers {
  int32_t states[kGroupLanes] = {};  // of dependent quantisation
  int32_t positions[kGroupLanes] = {};
  int32_t counts[kGroupLanes] = {};
  size_t blocks[kGroupLanes];  // in the queue
  const ScanPosition* scans[kGroupLanes];
  const uint32_t* rows[kGroupLanes];
  int32_t* points[kGroupLanes];

  void Enter(int lane, Lookup& lookup, int32_t* all_points) {
    const int32_t block = lookup.queue.blocks[blocks[lane]];
    const int type = lookup.layout.Type(block);
    counts[lane] = lookup.queue.Count(blocks[lane]);
    scans[lane] = lookup.scan_positions.of_type(type);
    rows[lane] = lookup.rows_in_scan.Get(lookup.classes[block], type);
    points[lane] = all_points + int64_t{block} * kCoefficients;
  }
};

// The points of decoded integers, their magnitudes for contexts, and the states behind them.
NVC_VECTORIZE
void ToPoints(const int32_t* integers, bool has_states, int32_t* states, int32_t* points, int32_t* magnitudes) {
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    points[lane] = ToPoint(integers[lane], states[lane] & 1);
    magnitudes[lane] = MagnitudeOf(points[lane]);
    states[lane] = has_states ? NextState(states[lane], integers[lane]) : 0;
  }
}

// Moves all lanes to their next positions; tells whether any block has ended.
NVC_VECTORIZE
bool Advance(const int32_t* counts, int32_t* positions) {
  int32_t has_ended = 0;
  for (int lane = 0; lane < kGroupLanes; ++lane) has_ended |= ++positions[lane] == counts[lane];
  return has_ended != 0;
}

template <bool has_contexts>
void PopIntegers(Lookup& lookup, int64_t n_lanes, int64_t group, GroupReader& reader, int32_t* all_points) {
  const Model& model = lookup.model;
  const Queue& queue = lookup.queue;
  const ContextRows::View context_rows = model.context_rows.view();
  const int64_t run = CeilDivide(queue.total, n_lanes);
  Walkers walkers;
  int64_t left[kGroupLanes];
  int active = 0;
  for (int lane = 0; lane < LanesOfGroup(n_lanes, group); ++lane) {
    const int64_t first = (group * kGroupLanes + lane) * run;
    if (first >= queue.total) break;
    left[lane] = std::min(run, queue.total - first);
    walkers.blocks[lane] = queue.Find(first);
    walkers.positions[lane] = static_cast<int32_t>(first - queue.First(walkers.blocks[lane]));
    walkers.Enter(lane, lookup, all_points);
    if (model.has_states) {
      walkers.states[lane] = static_cast<int32_t>(PopBits(reader.states[lane], kStateBits, reader.stack));
    }
    ++active;
  }
  int32_t integers[kGroupLanes] = {}, points[kGroupLanes], magnitudes[kGroupLanes];
  uint32_t rows[kGroupLanes];
  int32_t* targets[kGroupLanes];
  // Those of the block before stay: neighbours are earlier positions, and so of the own block.
  Magnitudes magnitudes_of_lanes[has_contexts ? kGroupLanes : 1] = {};
  for (int64_t step = 0; step < run; ++step) {
    // All runs but the last one of the stream are equally long.
    while (active > 0 && left[active - 1] <= step) --active;
    for (int lane = 0; lane < active; ++lane) {
      const int32_t position = walkers.positions[lane];
      const ScanPosition& own = walkers.scans[lane][position];
      uint32_t row = walkers.rows[lane][position] >> (walkers.states[lane] & 1) * 16 & 0xffff;
      if (has_contexts) row = context_rows.Find(FindContext(own, magnitudes_of_lanes[lane]), row);
      rows[lane] = row;
      targets[lane] = walkers.points[lane] + own.coefficient;
      __builtin_prefetch(targets[lane], 1);  // which is written after the step
    }
    lookup.slot_tokens.PrepareAll(rows, active);
    PopIntegersOfLanes(model.integers, lookup.slot_tokens, rows, active, reader.states, reader.stack, integers);
    ToPoints(integers, model.has_states, walkers.states, points, magnitudes);
    for (int lane = 0; lane < active; ++lane) {
      *targets[lane] = points[lane];
      if (has_contexts) magnitudes_of_lanes[lane][walkers.positions[lane]] = static_cast<Magnitude>(magnitudes[lane]);
    }
    if (!Advance(walkers.counts, walkers.positions)) continue;
    for (int lane = 0; lane < active; ++lane) {
      if (walkers.positions[lane] != walkers.counts[lane]) continue;
      walkers.positions[lane] = 0;
      walkers.states[lane] = 0;
      if (++walkers.blocks[lane] < queue.blocks.size()) walkers.Enter(lane, lookup, all_points);
    }
  }
}

ffi::Error Decode(U16 frequencies, U16 end_frequencies, U16 class_frequencies, S32 tables, S32 context_rows,
                  S32 class_levels, S32 class_rows, S32 first_rows, S32 order, S32 n_inside, S32 sides,
                  S32 partial_types, S32 coefficients, S32 scan_counts, U16 words,
                  S32 group_words, S32 n_lanes_buffer, int64_t n_quantizers, int64_t n_tables,
                  bool only_headers, Out<S32> points, Out<S32> first, Out<S32> classes, Out<S32> ends) {
  const Model model(frequencies, end_frequencies, class_frequencies, tables, context_rows, class_levels, class_rows,
                    first_rows, n_quantizers, n_tables);
  const auto n_blocks = static_cast<int64_t>(order.element_count());
  const Layout layout{order.typed_data(), std::clamp<int64_t>(*n_inside.typed_data(), 0, n_blocks),
                      partial_types.typed_data(), coefficients.typed_data(), scan_counts.typed_data(),
                      n_blocks, sides.typed_data()};
  const int64_t n_lanes = LanesOfStream(n_lanes_buffer, static_cast<int64_t>(group_words.element_count()));
  ZeroInParts(points);
  Zero(first), Zero(classes), Zero(ends);
  for (int64_t i = 0; i < layout.n_inside; ++i) {
    if (order.typed_data()[i] < 0 || order.typed_data()[i] >= n_blocks) {
      return ffi::Error::InvalidArgument("an index of a block is not possible");
    }
  }

  const Headers headers{classes->typed_data(), ends->typed_data(), first->typed_data()};
  std::vector<GroupReader> readers = OpenGroups(words, group_words, n_lanes);
  const auto n_groups = static_cast<int64_t>(readers.size());
  ForEachInParts(n_groups, 1, [&](int64_t group) {
    PopHeaders(model, layout, n_lanes, group, readers[group], headers);
  });
  if (only_headers) return ffi::Error::Success();

  Queue queue(layout);
  std::vector<int32_t> inside(order.typed_data(), order.typed_data() + layout.n_inside);
  std::sort(inside.begin(), inside.end());
  for (int32_t block : inside) queue.Add(block, layout.Count(block, headers.ends[block]));
  if (queue.total == 0) return ffi::Error::Success();
  const auto pop = model.context_rows ? PopIntegers<true> : PopIntegers<false>;
  ForParts(n_groups, 1, [&](Parts& parts) {
    SlotTokens slot_tokens(model.integers);
    PositionsInScan in_scan(layout.coefficients);
    ScanPositions scan_positions(in_scan);
    RowsInScan rows_in_scan(model, layout);
    Lookup lookup{model, layout, queue, scan_positions, headers.classes, rows_in_scan, slot_tokens};
    parts.ForEach([&](int64_t group) { pop(lookup, n_lanes, group, readers[group], points->typed_data()); });
  });
  return ffi::Error::Success();
}

// Encoding.

constexpr int64_t kPrefetched = 32;  // items from one that is pushed to one that is asked for

// An integer with its table.
struct Item {
  int32_t integer;
  uint16_t row;
  uint16_t state;  // of dependent quantisation, before the integer
};

// The last position in the scan of a point other than 0; −1 if there is none.
NVC_VECTORIZE
int LastPosition(const int32_t* points, const int32_t* positions) {
  Vector ends = {};
  for (int i = 0; i < kCoefficients; i += kWidth) {
    const Vector end = (NVC_LOAD(points + i) != 0) & (NVC_LOAD(positions + i) + 1);
    ends = NVC_MAX(end, ends);
  }
  int32_t last = 0;
  for (int k = 0; k < kWidth; ++k) last = std::max(last, ends[k]);
  return last - 1;
}

// Items of all blocks, in the order of coding.
struct Items {
  std::unique_ptr<Item[]> items;
  int64_t total;

  const Item& operator[](int64_t index) const { return items[index]; }
};

// Integers of points, and the magnitudes that contexts rest on.
NVC_VECTORIZE
void ToIntegers(const int32_t* points, int count, int32_t* integers, Magnitude* magnitudes) {
  for (int position = 0; position < count; ++position) {
    integers[position] = ToInteger(points[position]);
    magnitudes[position] = static_cast<Magnitude>(MagnitudeOf(points[position]));
  }
}

// A block in the order of its scan: its points, its scan, and the rows of its tables without contexts.
struct ScannedBlock {
  int count;
  const int32_t* points;
  const ScanPosition* scan;
  const uint32_t* rows;
};

// Writes the items of a block, of which `n_before` are before in a lane's run.
template <bool has_contexts>
void WriteItems(const ScannedBlock& block, const ContextRows::View& context_rows, bool has_states, int64_t n_before,
                int64_t run, Item* items) {
  int32_t integers[kCoefficients];
  Magnitudes magnitudes;
  ToIntegers(block.points, block.count, integers, magnitudes);
  magnitudes[kPositions] = 0;
  const uint32_t used = has_states ? 1 : 0;
  uint32_t lower = 0, upper = 0;  // bits of the state
  for (int64_t first = 0, end = run - n_before; first < block.count; first = end, end += run) {
    std::fill_n(magnitudes, first, Magnitude{0});  // of another lane
    for (int64_t position = first; position < std::min<int64_t>(end, block.count); ++position) {
      uint32_t row = block.rows[position] >> lower * 16 & 0xffff;
      if (has_contexts) row = context_rows.Find(FindContext(block.scan[position], magnitudes), row);
      items[position] = {integers[position], static_cast<uint16_t>(row), static_cast<uint16_t>(lower | upper << 1)};
      const uint32_t next = (upper ^ static_cast<uint32_t>(integers[position])) & used;
      upper = lower;
      lower = next;
    }
  }
}

// Finds where blocks end.
void FindEnds(const Layout& layout, const int32_t* points, const std::vector<int32_t>& blocks, std::vector<int32_t>& ends) {
  ForParts(static_cast<int64_t>(blocks.size()), kBlocksOfPart, [&](Parts& parts) {
    PositionsInScan in_scan(layout.coefficients);
    parts.ForEach([&](int64_t k) {
      const int32_t block = blocks[k];
      const int32_t* own = points + int64_t{block} * kCoefficients;
      ends[block] = (LastPosition(own, in_scan.of_type(layout.Type(block))) + kEndUnit) / kEndUnit;
    });
  });
}

// What finds the items of blocks; `run` items are those of a lane.
class ItemWriter {
 public:
  ItemWriter(const Model& model, const Layout& layout, int64_t run)
      : model_(model), layout_(layout), run_(run), rows_in_scan_(model, layout), in_scan_(layout.coefficients),
        scan_positions_(in_scan_) {}

  // Writes the items of a block, of which `n_before` are before.
  void Write(int32_t block, int32_t block_class, int count, const int32_t* points, int64_t n_before, Item* items) {
    const int type = layout_.Type(block);
    int32_t own[kCoefficients];
    TakeInScan(points + int64_t{block} * kCoefficients, layout_.Scan(block), count, own);
    const ScannedBlock scanned{count, own, scan_positions_.of_type(type), rows_in_scan_.Get(block_class, type)};
    const auto write = model_.context_rows ? WriteItems<true> : WriteItems<false>;
    write(scanned, model_.context_rows.view(), model_.has_states, n_before % run_, run_, items);
  }

 private:
  const Model& model_;
  const Layout& layout_;
  int64_t run_;
  RowsInScan rows_in_scan_;
  PositionsInScan in_scan_;
  ScanPositions scan_positions_;
};

// Finds the items of all blocks and where blocks end.
Items CollectItems(const Model& model, const Layout& layout, const int32_t* points, const int32_t* classes,
                   int64_t n_lanes, std::vector<int32_t>& ends) {
  std::vector<int32_t> inside(layout.order, layout.order + layout.n_inside);
  std::sort(inside.begin(), inside.end());
  FindEnds(layout, points, inside, ends);
  std::vector<int64_t> starts(inside.size());
  int64_t total = 0;
  for (size_t k = 0; k < inside.size(); ++k) {
    starts[k] = total;
    total += layout.Count(inside[k], ends[inside[k]]);
  }
  Items items{std::unique_ptr<Item[]>(new Item[total]), total};
  const int64_t run = CeilDivide(total, n_lanes);
  ForParts(static_cast<int64_t>(inside.size()), kBlocksOfPart, [&](Parts& parts) {
    ItemWriter writer(model, layout, run);
    parts.ForEach([&](int64_t k) {
      const int32_t block = inside[k];
      const int count = layout.Count(block, ends[block]);
      if (count > 0) writer.Write(block, classes[block], count, points, starts[k], &items.items[starts[k]]);
    });
  });
  return items;
}

void PushIntegers(const Model& model, const EncodingTables& encoding, const Items& items, int64_t n_lanes,
                  int64_t group, uint32_t* states, PushStack& stack) {
  const int64_t total = items.total;
  const int64_t run = CeilDivide(total, n_lanes);
  const int lanes = LanesOfGroup(n_lanes, group);
  const int64_t first = group * kGroupLanes * run;
  for (int64_t step = run - 1; step >= 0; --step) {
    // Lanes go backwards through memory that lies far apart.
    for (int lane = 0; lane < lanes; ++lane) {
      __builtin_prefetch(&items[std::clamp<int64_t>(first + lane * run + step - kPrefetched, 0, total - 1)]);
    }
    const bool is_whole = lanes == kGroupLanes && first + (kGroupLanes - 1) * run + step < total;
    if (is_whole && stack.top + kWordsPerStep <= stack.capacity) {
      uint32_t rows[kGroupLanes];
      int32_t integers[kGroupLanes];
      for (int lane = 0; lane < kGroupLanes; ++lane) {
        const Item& item = items[first + lane * run + step];
        rows[lane] = item.row;
        integers[lane] = item.integer;
      }
      if (PushStep(encoding, rows, integers, states, stack)) continue;
    }
    for (int lane = lanes - 1; lane >= 0; --lane) {
      const int64_t index = first + lane * run + step;
      if (index >= total) continue;
      PushInteger(states[lane], items[index].integer, model.integers.row(items[index].row), stack);
    }
  }
  if (!model.has_states || run == 0) return;
  for (int lane = lanes - 1; lane >= 0; --lane) {
    const int64_t index = (group * kGroupLanes + lane) * run;
    if (index < total) PushBits(states[lane], items[index].state, kStateBits, stack);
  }
}

void PushHeaders(const Model& model, const Layout& layout, const Headers& headers, int64_t n_lanes,
                 int64_t group, uint32_t* states, PushStack& stack) {
  const int64_t run = CeilDivide(layout.n_inside, n_lanes);
  const int lanes = LanesOfGroup(n_lanes, group);
  for (int64_t step = run - 1; step >= 0; --step) {
    const int64_t first = group * kGroupLanes * run + step;
    int active = 0;
    while (active < lanes && first + active * run < layout.n_inside) ++active;
    const auto block_of = [&](int lane) { return layout.order[first + lane * run]; };
    HeaderContext contexts[kGroupLanes];
    for (int lane = active - 1; lane >= 0; --lane) {
      const int32_t block = block_of(lane);
      contexts[lane] = ContextOf(model, layout, headers, first + lane * run, step);
      const Tables::Entry* row = model.FirstTable(contexts[lane], headers.classes[block]);
      PushInteger(states[lane], headers.first[block], row, stack);
    }
    for (int lane = active - 1; lane >= 0; --lane) {
      const int32_t block = block_of(lane);
      PushToken(states[lane], model.ends.row(headers.classes[block])[headers.ends[block]], stack);
    }
    for (int lane = active - 1; lane >= 0; --lane) {
      const int32_t before = step > 0 ? headers.classes[layout.order[first + lane * run - 1]] : model.n_classes;
      PushToken(states[lane], model.ClassTable(contexts[lane], before)[headers.classes[block_of(lane)]], stack);
    }
  }
}

ffi::Error Encode(U16 frequencies, U16 end_frequencies, U16 class_frequencies, S32 tables, S32 context_rows,
                  S32 class_levels, S32 class_rows, S32 first_rows, S32 order, S32 n_inside, S32 sides,
                  S32 partial_types, S32 coefficients, S32 scan_counts, S32 points,
                  S32 first, S32 classes, S32 n_lanes_buffer, int64_t n_quantizers, int64_t n_tables, bool clears,
                  Out<U16> words, Out<S32> group_words) {
  const Model model(frequencies, end_frequencies, class_frequencies, tables, context_rows, class_levels, class_rows,
                    first_rows, n_quantizers, n_tables);
  const auto n_blocks = static_cast<int64_t>(order.element_count());
  const Layout layout{order.typed_data(), std::clamp<int64_t>(*n_inside.typed_data(), 0, n_blocks),
                      partial_types.typed_data(), coefficients.typed_data(), scan_counts.typed_data(),
                      n_blocks, sides.typed_data()};

  std::vector<int32_t> ends(n_blocks), own_first(first.typed_data(), first.typed_data() + n_blocks);
  std::vector<int32_t> own_classes(n_blocks);
  for (int64_t block = 0; block < n_blocks; ++block) {
    own_classes[block] = std::clamp(classes.typed_data()[block], 0, model.n_classes - 1);
  }
  const int64_t all_lanes = LanesOfStream(n_lanes_buffer, static_cast<int64_t>(group_words->element_count()));
  const Items items =
      CollectItems(model, layout, points.typed_data(), own_classes.data(), all_lanes, ends);
  const Headers headers{own_classes.data(), ends.data(), own_first.data()};
  const EncodingTables encoding(model.integers);

  const auto push = [&](int64_t n_lanes, int64_t group, uint32_t* states, PushStack& stack) {
    PushIntegers(model, encoding, items, n_lanes, group, states, stack);
    PushHeaders(model, layout, headers, n_lanes, group, states, stack);
  };
  return EncodeGroups(n_lanes_buffer, words, group_words, push, clears);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_spectral_decode, Decode,
                              ffi::Ffi::Bind()
                                  .Arg<U16>().Arg<U16>().Arg<U16>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<U16>().Arg<S32>().Arg<S32>()
                                  .Attr<int64_t>("n_quantizers").Attr<int64_t>("n_tables")
                                  .Attr<bool>("only_headers")
                                  .Ret<S32>().Ret<S32>().Ret<S32>().Ret<S32>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_spectral_encode, Encode,
                              ffi::Ffi::Bind()
                                  .Arg<U16>().Arg<U16>().Arg<U16>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Arg<S32>().Arg<S32>().Arg<S32>().Arg<S32>()
                                  .Attr<int64_t>("n_quantizers").Attr<int64_t>("n_tables").Attr<bool>("clears")
                                  .Ret<U16>().Ret<S32>());

}  // namespace nvc
