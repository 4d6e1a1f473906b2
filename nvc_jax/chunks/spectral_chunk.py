"""A chunk of a volume to a payload of bytes and back: format version 1, specified in ``FORMAT.md``.

The encoder tries what may suit a chunk and keeps what takes the fewest bytes: the transform with a
correction, a lattice with differences, the values themselves. A payload states how far its decoded values lie
from the original.
"""

import dataclasses
import math
import struct
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.chunks import uniform_quantization
from nvc_jax.chunks.error_correction import apply_correction, correct
from nvc_jax.chunks.payload import (
    CONSTANT,
    DIFFERENCES,
    LATTICE,
    PACKED,
    SPECTRAL,
    Payload,
    pack_correction,
    pack_values,
    parse_payload,
    to_little_endian,
    unpack_correction,
    unpack_values,
)
from nvc_jax.chunks.preview import block_means, with_specials
from nvc_jax.chunks.special_values import (
    as_bits,
    encode_specials,
    fill_smoothly,
    fill_with_last,
    restore_specials,
    valid_mask,
    valid_range,
)
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.entropy import lorenzo
from nvc_jax.models.codec import Codec
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral import stream as stream_module
from nvc_jax.spectral.profiles import count_profiles
from nvc_jax.transform.block_dct import BLOCK_SIZE

_BATCH = 8  # chunks that an accelerator decodes in one call
_NUMBERS = struct.Struct("<ddf")


@dataclasses.dataclass(frozen=True)
class Target:
    """What a payload must keep to.

    Attributes:
        max_error: bound in the volume's units; 0 for lossless, None for none.
        step: of the quantiser, in the volume's units; with a bound, what the encoder tries.
    """

    max_error: float | None
    step: float


class ChunkCodec:
    """Encodes and decodes chunks of one shape.

    Args:
        codec: of a spectral model.
        room: (z, y, x) of a whole chunk: what programs are compiled for.
        dtype: of the volume.
    """

    def __init__(self, codec: Codec, room: Shape3, dtype: np.dtype) -> None:
        self._room, self._dtype = room, np.dtype(dtype)
        # Once, not at every call.
        self._params = jax.device_put(codec.params)
        # float32 holds every value of the narrow dtypes; of the others it holds shares of the range.
        self._is_wide = self._dtype.itemsize > 4 or str(self._dtype) in ("int32", "uint32")

    def encode(
        self, values: np.ndarray, target: Target, missing_values: tuple[float, ...] = (), boundaries: int = 0
    ) -> bytes:
        """The payload of a chunk, or of what of it lies in the volume.

        Args:
            values: (z, y, x), of the volume's dtype.
            target: what the payload must keep to.
            missing_values: values that are no measurements.
            boundaries: at which the chunk meets others, see ``boundaries``.
        """
        # A bound holds at boundaries as it does elsewhere: no seam to hide.
        boundaries = boundaries if target.max_error is None else 0
        valid = valid_mask(values, missing_values)
        smallest: Payload | None = None
        for frame in self._candidates(values, valid, target, boundaries):
            if target.max_error is not None and not frame.max_error <= target.max_error:
                continue
            if smallest is None or _size(frame) < _size(smallest):
                smallest = frame
        assert smallest is not None
        return smallest.to_bytes()

    def decode(self, payload: bytes) -> np.ndarray:
        """The values of a chunk that ``encode`` encoded.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        return self._finish(self._read(payload))

    def decode_many(self, payloads: Sequence[bytes]) -> list[np.ndarray]:
        """The values of several chunks, several streams to a call of the device; errors as of ``decode``."""
        frames = [self._read(payload) for payload in payloads]
        decoded: dict[int, np.ndarray] = {}
        for batch in _batches([i for i, f in enumerate(frames) if f.kind == SPECTRAL]):
            streams = [self._read_stream(frames[i].body, frames[i].shape)[0] for i in batch]
            # One compiled shape, whatever is left for the last call.
            streams += streams[:1] * (_BATCH - len(streams))
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *streams)
            decoded |= zip(batch, np.asarray(_decode_batch(self._params, stacked)), strict=False)
        return [self._finish(frame, decoded.get(i)) for i, frame in enumerate(frames)]

    def decode_means(self, payload: bytes) -> np.ndarray:
        """The means of a chunk's blocks of 8³, about: (z, y, x) blocks, in the volume's dtype.

        Of streams of a spectral model only the means are decoded. Where nothing of a block is valid, its
        first value stands for it.

        Raises:
            ValueError: the payload is damaged, or not of such a chunk.
        """
        frame = self._read(payload)
        if frame.kind == SPECTRAL:
            stream, low, high = self._read_stream(frame.body, frame.shape)
            means = np.asarray(decoder.decode_means(self._params, stream))
            means = means[tuple(slice(0, side) for side in grid_shape(frame.shape, BLOCK_SIZE))]
            means = uniform_quantization.round_to(self._to_range(means, low, high), self._dtype)
        else:
            means = block_means(self._decode_body(frame))
        return with_specials(means, frame)

    def _finish(self, frame: Payload, decoded: np.ndarray | None = None) -> np.ndarray:
        """The values of a payload, given what its stream decodes to if that is known."""
        values = np.ascontiguousarray(self._decode_body(frame, decoded))
        restore_specials(values, frame.specials)
        return values

    def _read(self, payload: bytes) -> Payload:
        """A payload taken apart, if it is of such a chunk."""
        frame = parse_payload(payload)
        if frame.dtype != self._dtype:
            raise ValueError(f"a payload holds {frame.dtype}; the volume is {self._dtype}")
        if not all(1 <= side <= most for side, most in zip(frame.shape, self._room, strict=True)):
            raise ValueError(f"a payload holds {frame.shape} voxels; a chunk has {self._room}")
        return frame

    def _candidates(
        self, values: np.ndarray, valid: np.ndarray, target: Target, boundaries: int
    ) -> Iterator[Payload]:
        specials = encode_specials(values, valid)

        def frame(
            kind: int, body: bytes, correction: bytes = b"", decoded: np.ndarray | None = None
        ) -> Payload:
            made = Payload(kind, check_shape(values.shape), self._dtype, 0.0, body, specials, correction)
            decoded = self._decode_body(made) if decoded is None else decoded
            return made._replace(max_error=largest_error(values, decoded, valid))

        if not valid.any():
            yield frame(CONSTANT, bytes(self._dtype.itemsize))
            return
        low, high = valid_range(values, valid)
        bound = target.max_error
        constant = _constant(values, valid, low, high, bound)
        if constant is not None:
            found = frame(CONSTANT, to_little_endian(constant).tobytes())
            if bound is None or found.max_error <= bound:
                yield found
                return
        spectral_bytes = math.inf
        if bound != 0:
            for body, correction, decoded in self._transformed(values, valid, low, high, target, boundaries):
                made = frame(SPECTRAL, body, correction, decoded)
                if not math.isnan(made.max_error):
                    spectral_bytes = len(body) + len(correction)
                    yield made
        if bound is not None and bound > 0:
            body = self._on_lattice(values, valid, low, high, bound, spectral_bytes)
            if body:
                yield frame(LATTICE, body)
        if spectral_bytes > values.nbytes / 4:
            filled = fill_with_last(values, valid)
            integers = lorenzo.encode_integers(uniform_quantization.to_ordered(filled), self._room)
            yield frame(DIFFERENCES, integers)
            yield frame(PACKED, pack_values(filled), decoded=values)

    def _transformed(
        self, values: np.ndarray, valid: np.ndarray, low: float, high: float, target: Target, boundaries: int
    ) -> Iterator[tuple[bytes, bytes, np.ndarray]]:
        """Body, correction and what they decode to, unless the step or the bound are too small for it."""
        # A chunk may be far flatter than the volume.
        relative = np.float32(min(target.step / (high - low), stream_module.MAX_STEP))
        if not relative >= stream_module.MIN_STEP:
            return
        base_low, base_high = (0.0, 1.0) if self._is_wide else (low, high)
        filled = values if valid.all() else np.where(valid, values, low)
        given = ((filled - low) / (high - low) if self._is_wide else filled).astype(np.float32, copy=False)
        given = fill_smoothly(given, valid)
        if given.shape != self._room:
            missing = [(0, most - side) for side, most in zip(given.shape, self._room, strict=True)]
            given = np.pad(given, missing, mode="edge")
        encoded, symbols = encoder.encode_with_symbols(
            self._params,
            jnp.asarray(given),
            *(np.float32(number) for number in (base_low, base_high, relative)),
            np.array(values.shape, np.int32),
            np.int32(boundaries),
        )
        body = _NUMBERS.pack(low, high, relative) + stream_module.to_bytes(encoded)
        shape = check_shape(values.shape)
        if target.max_error is None:
            unit = np.asarray(decoder.reconstruct(self._params, encoded, symbols))
            decoded = self._to_range(unit[tuple(slice(0, side) for side in shape)], low, high)
            yield body, b"", uniform_quantization.round_to(decoded, self._dtype)
            return
        # Where a promise depends on it, what is stored is read.
        decoded = self._decode_transformed(body, shape)
        original = values
        if not valid.all():
            original = np.where(valid, values, uniform_quantization.round_to(decoded, self._dtype))
        found = correct(original, decoded, target.max_error, decoding_reserve(low, high, float(relative)))
        if found is not None and found.exact_positions.size <= values.size // 64:
            correction = pack_correction(found, shape)
            # As readers will read it.
            found = unpack_correction(correction, shape, self._dtype)
            yield body, correction, apply_correction(decoded, found, self._dtype)

    def _on_lattice(
        self, values: np.ndarray, valid: np.ndarray, low: float, high: float, bound: float, at_most: float
    ) -> bytes:
        """A body of lattice points, or none where they would take more than ``at_most`` bytes."""
        spacing = uniform_quantization.lattice_spacing(self._dtype, low, high, bound)
        if spacing is None:
            return b""
        points = uniform_quantization.to_lattice(fill_with_last(values, valid), low, spacing)
        if lorenzo.estimate_bits(points) * points.size / 8 > 1.1 * at_most:
            return b""
        head = struct.pack("<dd", low, spacing)
        return head + lorenzo.encode_integers(points, self._room)

    def _decode_body(self, frame: Payload, stream_values: np.ndarray | None = None) -> np.ndarray:
        body, shape, dtype = frame.body, frame.shape, self._dtype
        if frame.kind == PACKED:
            return unpack_values(body, shape, dtype)
        if frame.kind == CONSTANT:
            if len(body) != dtype.itemsize:
                raise ValueError(f"a constant of {len(body)} bytes is none of {dtype}")
            return np.full(shape, np.frombuffer(body, dtype.newbyteorder("<"))[0], dtype)
        if frame.kind == DIFFERENCES:
            return uniform_quantization.from_ordered(lorenzo.decode_integers(body, shape, self._room), dtype)
        if frame.kind == LATTICE:
            if len(body) < 16:
                raise ValueError(f"a lattice of {len(body)} bytes lacks its head of 16")
            low, spacing = struct.unpack_from("<dd", body)
            points = lorenzo.decode_integers(body[16:], shape, self._room)
            return uniform_quantization.from_lattice(points, low, spacing, dtype)
        if frame.kind != SPECTRAL:
            raise ValueError("a payload holds latents of a block autoencoder; the model is spectral")
        decoded = self._decode_transformed(body, shape, stream_values)
        if not frame.correction:
            return uniform_quantization.round_to(decoded, dtype)
        return apply_correction(decoded, unpack_correction(frame.correction, shape, dtype), dtype)

    def _decode_transformed(
        self, body: bytes, shape: Shape3, stream_values: np.ndarray | None = None
    ) -> np.ndarray:
        """What the transform's stream decodes to, before it is rounded to the dtype."""
        stream, low, high = self._read_stream(body, shape)
        if stream_values is None:
            # Two programs, not one: so the encoder can run the second of them alone.
            symbols = decoder.decode_symbols(self._params, stream)
            stream_values = np.asarray(decoder.reconstruct(self._params, stream, symbols))
        return self._to_range(stream_values[tuple(slice(0, side) for side in shape)], low, high)

    def _to_range(self, decoded: np.ndarray, low: float, high: float) -> np.ndarray:
        return low + decoded.astype(np.float64) * (high - low) if self._is_wide else decoded

    def _read_stream(self, body: bytes, shape: Shape3) -> tuple[stream_module.EncodedStream, float, float]:
        """The stream of a whole chunk, and the range that it is of."""
        if len(body) < _NUMBERS.size:
            raise ValueError(f"a stream of {len(body)} bytes lacks its head of {_NUMBERS.size}")
        low, high, relative = _NUMBERS.unpack_from(body)
        is_step = stream_module.MIN_STEP <= relative <= stream_module.MAX_STEP
        if not (math.isfinite(low) and low < high < math.inf and is_step):
            raise ValueError(f"a stream has the range [{low}, {high}] and the step {relative}")
        first, last = (0.0, 1.0) if self._is_wide else (low, high)
        if max(abs(first), abs(last)) > float(np.finfo(np.float32).max):
            raise ValueError(f"a stream of {self._dtype} has the range [{low}, {high}]")
        encoded = stream_module.from_bytes(
            body[_NUMBERS.size :],
            self._room,
            "float32",
            first,
            last,
            relative,
            valid_shape=shape,
            n_profiles=count_profiles(self._params["entropy"]),
        )
        return encoded, low, high


def decoding_reserve(low: float, high: float, step: float) -> float:
    """Most by which a stream decoded on another device differs from what it is decoded to here.

    Args:
        low: smallest value of the chunk.
        high: largest value.
        step: of the quantiser, relative to the range.
    """
    # Some sixty float32 roundings of numbers about as large as the range lie between a latent and a voxel.
    # They do not all point one way: against float64 they have been seen to add up to 2**-22 of the
    # range. This is eight times as much, and something for the network, which works in steps; the last
    # term is for adding the range's ends, and a correction, to what they give.
    return (high - low) * 2.0**-19 + (high - low) * step * 2.0**-12 + max(abs(low), abs(high)) * 2.0**-21


def _batches(items: list[int]) -> Iterator[list[int]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


_decode_batch = jax.jit(jax.vmap(decoder.decode, in_axes=(None, 0)))


def _constant(
    values: np.ndarray, valid: np.ndarray, low: float, high: float, bound: float | None
) -> np.ndarray | None:
    """The one value, (1,), that may stand for all that is valid, or None."""
    if low == high:
        chosen = values[valid]
        bits = as_bits(chosen)
        return chosen[:1] if bound != 0 or (bits == bits[0]).all() else None
    if bound is None or (high - low) / 2 > bound:
        return None
    return uniform_quantization.round_to(np.array([low + (high - low) / 2]), values.dtype)


def largest_error(values: np.ndarray, decoded: np.ndarray, valid: np.ndarray) -> float:
    """Largest difference of what is valid, in float64; 0 where nothing is."""
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.subtract(values, decoded, dtype=np.float64)
        np.abs(errors, out=errors)
    return float(errors.max(initial=0.0) if valid.all() else errors.max(where=valid, initial=0.0))


def _size(frame: Payload) -> int:
    return len(frame.body) + len(frame.correction)
