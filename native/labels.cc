// Label coder: the labels of a volume, slice by slice, in batches of items whose intervals are known.
//
// The specification is nvc_jax/entropy: label_coding.py, label_walk.py, label_contexts.py and intervals.py. Words
// and labels are equal bit for bit.

#include <algorithm>
#include <vector>

#include "buffers.h"
#include "label_walk.h"
#include "narrow_vectors.h"

namespace nvc {
namespace {

constexpr float kUnitsPerLane = 16 * 2400;  // 1/16 bits
constexpr float kItemsPerLane = 16384;
// An interval that takes no bits, packed.
constexpr uint32_t kCertain = (kWhole - 1) << kWordBits;

uint32_t PackInterval(uint32_t start, uint32_t stop) { return start | (stop - start - 1) << kWordBits; }

// Takes symbols from a stream.
class Decoder {
 public:
  static constexpr bool kEncodes = false;

  Decoder(const Sides& sides, PopStack stack, int n_lanes, int32_t n_labels, const U8& escaped, uint8_t* labels)
      : sides_(sides), stack_(stack), n_lanes_(n_lanes), has_two_labels_(n_labels <= 2),
        escaped_(escaped.typed_data()), escaped_size_(static_cast<int64_t>(escaped.element_count())),
        labels_(labels) {
    StartGroup(states_, n_lanes_, stack_);
  }

  void StartBatch(int) { lane_ = n_lanes_ - 1; }
  void EndBatch() {}
  void Weigh(uint32_t, uint32_t) {}

  bool Flag(int32_t, int32_t, int32_t, uint32_t end) { return Pop(end); }

  bool Same(uint32_t end, bool) { return has_two_labels_ ? Pop(end) : Peek(end); }

  void Symbol(int32_t, const Ends& ends, Change& change) {
    const uint32_t slot = states_[lane_] & (kWhole - 1);
    change.symbol = 1 + (slot >= ends.of[1]) + (slot >= ends.of[2]);
    Remove(ends.Start(change.symbol), ends.Stop(change.symbol));
    if (change.symbol < 3) {
      change.label = change.candidates[change.symbol];
    } else {
      change.label = escaped_[std::min(n_escaped_, escaped_size_ - 1)];
      ++n_escaped_;
    }
  }

  void EndSlice(int32_t z, const Plane& plane) {
    uint8_t* slice = labels_ + z * sides_.slice();
    for (int32_t y = 0; y < sides_.valid_height; ++y) {
      std::copy_n(plane.row(y), sides_.valid_width, slice + int64_t{y} * sides_.width);
    }
  }

  int64_t n_escaped() const { return n_escaped_; }
  bool EndsWell() const {
    return stack_.top == 0 && std::all_of(states_, states_ + n_lanes_, [](uint32_t state) { return state == kLowest; });
  }

 private:
  // Takes the first symbol or the second, the intervals of which meet at `end`; tells whether it is the second.
  bool Pop(uint32_t end) {
    Advance();
    const bool is_second = (states_[lane_] & (kWhole - 1)) >= end;
    Remove(is_second ? end : 0, is_second ? kWhole : end);
    return is_second;
  }

  // Takes the first symbol, and leaves another.
  bool Peek(uint32_t end) {
    Advance();
    if ((states_[lane_] & (kWhole - 1)) >= end) return true;
    Remove(0, end);
    return false;
  }

  void Advance() { lane_ = lane_ + 1 == n_lanes_ ? 0 : lane_ + 1; }

  void Remove(uint32_t start, uint32_t stop) {
    uint32_t& state = states_[lane_];
    state = (stop - start) * (state >> kWordBits) + (state & (kWhole - 1)) - start;
    Refill(state, stack_);
  }

  Sides sides_;
  uint32_t states_[kGroupLanes];
  PopStack stack_;
  int n_lanes_, lane_ = 0;
  bool has_two_labels_;
  const uint8_t* escaped_;
  int64_t escaped_size_;
  uint8_t* labels_;
  int64_t n_escaped_ = 0;
};

// Takes symbols from labels, and notes their intervals.
class Recorder {
 public:
  static constexpr bool kEncodes = true;

  Recorder(const Sides& sides, const uint8_t* labels, uint8_t* escaped)
      : sides_(sides), labels_(labels), escaped_(escaped), zeros_(sides.width) {}

  void StartBatch(int n) {
    intervals_.resize(intervals_.size() + n);
    next_ = intervals_.data() + intervals_.size() - n;
    batches_.push_back(n);
    units_of_batch_ = 0;
  }
  void EndBatch() { units_ += static_cast<int32_t>(units_of_batch_ >> 4); }

  // Bits of intervals, in 1/256, linear between powers of two.
  void Weigh(uint32_t frequency, uint32_t n) {
    const int exponent = 31 - __builtin_clz(frequency);
    const uint32_t mantissa = exponent >= 8 ? frequency >> (exponent - 8) : frequency << (8 - exponent);
    units_of_batch_ += n * (256 * kWordBits - (static_cast<uint32_t>(exponent) * 256 + mantissa - 256));
  }

  bool Flag(int32_t z, int32_t y, int32_t x, uint32_t end) {
    const bool differs = end < kWhole && BlockDiffers(z, y, x);
    Weigh(differs ? kWhole - end : end, 1);
    return Same(end, differs);
  }

  void AddDifferences(int32_t z, int32_t y, int32_t x, const Labels& label, Contexts& contexts) const {
    const Labels differs = (Labels)(LoadLabels(row(z, y) + x) != label);
    contexts |= __builtin_convertvector(differs, Contexts) << 8 & kDiffers;
  }

  bool Same(uint32_t end, bool differs) {
    *next_++ = differs ? PackInterval(end, kWhole) : PackInterval(0, end);
    return differs;
  }

  void Symbol(int32_t z, const Ends& ends, Change& change) {
    change.label = row(z, change.y)[change.x];
    change.symbol = 1;
    while (change.symbol < 3 && change.candidates[change.symbol] != change.label) ++change.symbol;
    if (change.symbol == 3) escaped_[n_escaped_++] = change.label;
    const uint32_t start = ends.Start(change.symbol), stop = ends.Stop(change.symbol);
    next_[-1] = PackInterval(start, stop);
    Weigh(stop - start, 1);
  }

  void EndSlice(int32_t, const Plane&) {}

  int64_t n_escaped() const { return n_escaped_; }
  const std::vector<uint32_t>& intervals() const { return intervals_; }
  const std::vector<int>& batches() const { return batches_; }
  int n_lanes() const {
    const float wanted = std::max(static_cast<float>(units_) / kUnitsPerLane,
                                  static_cast<float>(intervals_.size()) / kItemsPerLane);
    return static_cast<int>(std::clamp(wanted, 1.0f, static_cast<float>(kGroupLanes)));
  }

 private:
  const uint8_t* row(int32_t z, int32_t y) const {
    return labels_ + (int64_t{z} * sides_.height + y) * sides_.width;
  }

  bool BlockDiffers(int32_t z, int32_t y, int32_t x) const {
    Labels differences = {};
    for (int k = 0; k < kBlock; ++k) {
      const uint8_t* before = z > 0 ? row(z - 1, y + k) : zeros_.data();
      differences |= LoadLabels(row(z, y + k) + x) ^ LoadLabels(before + x);
    }
    uint64_t halves[2];
    std::memcpy(halves, &differences, sizeof halves);
    return (halves[0] | halves[1]) != 0;
  }

  Sides sides_;
  const uint8_t* labels_;
  uint8_t* escaped_;
  int64_t n_escaped_ = 0;
  std::vector<uint8_t> zeros_;
  std::vector<uint32_t> intervals_;
  uint32_t* next_ = nullptr;
  std::vector<int> batches_;
  uint32_t units_of_batch_ = 0;
  int32_t units_ = 0;
};

// Pushes one interval each of the first lanes, from that of the last one to the first. `intervals` are those of all
// lanes of a group: behind the first ones they take no bits. The stack must have room for a word of each lane.
NVC_VECTORIZE
void PushIntervals(const uint32_t* intervals, int n_lanes, uint32_t* states, PushStack& stack) {
  alignas(Integers) int32_t has_word[kGroupLanes];
  alignas(Integers) uint32_t words[kGroupLanes];
  for (int lane = 0; lane < n_lanes; lane += kNarrow) {
    const Unsigned interval = (Unsigned)NVC_LOAD_INTEGERS(intervals + lane);
    const Unsigned frequency = (interval >> kWordBits) + 1;
    Unsigned state = (Unsigned)NVC_LOAD_INTEGERS(states + lane);
    const Integers is_full = (state >> kWordBits) >= frequency;
    NVC_STORE_INTEGERS(words + lane, (Integers)state);
    NVC_STORE_INTEGERS(has_word + lane, -is_full);
    state = is_full ? state >> kWordBits : state;
    Integers quotient, rest;  // the quotient is at most 2^16
    NVC_DIVIDE(state, frequency, quotient, rest);
    const Unsigned start = interval & (kWhole - 1);
    NVC_STORE_INTEGERS(states + lane, (quotient << kWordBits) + rest + (Integers)start);
  }
  uint16_t* top = stack.words + stack.top;
  for (int lane = n_lanes - 1; lane >= 0; --lane) {
    *top = static_cast<uint16_t>(words[lane]);
    top += has_word[lane];
  }
  stack.top = top - stack.words;
}

// Pushes an interval of a lane.
void PushInterval(uint32_t interval, uint32_t& state, PushStack& stack) {
  const uint32_t frequency = (interval >> kWordBits) + 1;
  if (state >> kWordBits >= frequency) {
    stack.Append(state);
    state >>= kWordBits;
  }
  const uint32_t quotient = state / frequency;
  state = (quotient << kWordBits) + (state - quotient * frequency) + (interval & (kWhole - 1));
}

// Pushes the intervals of a batch, from the last one to the first: item `i` goes to lane i % n_lanes.
void PushBatch(const uint32_t* intervals, int n, int n_lanes, uint32_t* states, PushStack& stack) {
  for (int first = (n - 1) / n_lanes * n_lanes; first >= 0; first -= n_lanes) {
    const int count = std::min(n - first, n_lanes);
    if (count >= kNarrow && stack.top + kGroupLanes <= stack.capacity) {
      alignas(Integers) uint32_t of_lanes[kGroupLanes];
      std::fill_n(of_lanes, kGroupLanes, kCertain);
      std::copy_n(intervals + first, count, of_lanes);
      PushIntervals(of_lanes, count, states, stack);
    } else {
      for (int lane = count - 1; lane >= 0; --lane) PushInterval(intervals[first + lane], states[lane], stack);
    }
  }
}

template <typename T>
Sides ReadSides(S32& shape, const T& dimensions) {
  const int32_t* valid = shape.typed_data();
  const auto side = [&](int axis) { return static_cast<int32_t>(dimensions[axis]); };
  return {side(0), side(1), side(2), std::clamp(valid[0], 0, side(0)), std::clamp(valid[1], 1, side(1)),
          std::clamp(valid[2], 1, side(2))};
}

ffi::Error Decode(U16 words, S32 group_words, S32 n_lanes, S32 shape, Pred repeats, S32 n_labels, U8 escaped,
                  Out<U8> labels, Out<S32> n_escaped, Out<Pred> ends_well) {
  const Sides sides = ReadSides(shape, labels->dimensions());
  const PopStack stack{words.typed_data(), static_cast<int32_t>(words.element_count()), *group_words.typed_data()};
  const int lanes = std::clamp(*n_lanes.typed_data(), 1, kGroupLanes);
  Zero(labels);
  Decoder decoder(sides, stack, lanes, *n_labels.typed_data(), escaped, labels->typed_data());
  Walk<Decoder>(sides, repeats.typed_data(), *n_labels.typed_data(), decoder).Run();
  *n_escaped->typed_data() = static_cast<int32_t>(decoder.n_escaped());
  *ends_well->typed_data() = decoder.EndsWell();
  return ffi::Error::Success();
}

ffi::Error Encode(U8 labels, S32 shape, Pred repeats, S32 n_labels, Out<U16> words, Out<S32> group_words,
                  Out<S32> n_lanes_out, Out<U8> escaped, Out<S32> n_escaped) {
  const Sides sides = ReadSides(shape, labels.dimensions());
  Zero(escaped);
  Recorder recorder(sides, labels.typed_data(), escaped->typed_data());
  Walk<Recorder>(sides, repeats.typed_data(), *n_labels.typed_data(), recorder).Run();
  *n_escaped->typed_data() = static_cast<int32_t>(recorder.n_escaped());

  const int n_lanes = recorder.n_lanes();
  *n_lanes_out->typed_data() = n_lanes;
  uint32_t states[kGroupLanes];
  std::fill_n(states, kGroupLanes, kLowest);
  PushStack stack{words->typed_data(), static_cast<int64_t>(words->element_count()), 0};
  const uint32_t* end = recorder.intervals().data() + recorder.intervals().size();
  for (auto batch = recorder.batches().rbegin(); batch != recorder.batches().rend(); ++batch) {
    end -= *batch;
    PushBatch(end, *batch, n_lanes, states, stack);
  }
  FinishGroup(states, n_lanes, stack);
  *group_words->typed_data() = static_cast<int32_t>(stack.top);
  return FinishWords(words, stack);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_labels_decode, Decode,
                              ffi::Ffi::Bind()
                                  .Arg<U16>().Arg<S32>().Arg<S32>().Arg<S32>().Arg<Pred>().Arg<S32>().Arg<U8>()
                                  .Ret<U8>().Ret<S32>().Ret<Pred>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(nvc_labels_encode, Encode,
                              ffi::Ffi::Bind()
                                  .Arg<U8>().Arg<S32>().Arg<Pred>().Arg<S32>()
                                  .Ret<U16>().Ret<S32>().Ret<S32>().Ret<U8>().Ret<S32>());

}  // namespace nvc
