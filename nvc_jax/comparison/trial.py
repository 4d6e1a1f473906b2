"""Trial of one target: a few chunks are encoded and decoded as ``compress`` would do it."""

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from nvc_jax.chunks.payload import parse_payload
from nvc_jax.comparison.subject import Subject
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.model import make_decoder
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.chunk_interfaces import ChunkEncoder, ChunkTarget
from nvc_jax.core.concurrency import map_batches_on_devices, map_in_order
from nvc_jax.core.errors import error_unit, largest_and_squared_errors, psnr_from_errors
from nvc_jax.core.heaps import releasing

T = TypeVar("T")
REPEATS = 3
"""Times that codecs are run for a comparison of their speeds."""
_LONG_SECONDS = 1.0
"""Seconds from which on a run is not repeated."""


class Quality(NamedTuple):
    """Errors of the valid values of several chunks.

    Attributes:
        psnr_db: relative to the range of the volume.
        max_error: in the volume's units.
    """

    psnr_db: float
    max_error: float


class Trial(NamedTuple):
    """Chunks of the sample at one target.

    Attributes:
        metadata: of the container that ``compress`` would write.
        payload_bytes: bytes of the chunks.
        quality: of their values.
        compile_seconds: seconds that the first chunk took longer than later ones, mostly for compilation.
        resolve_seconds: seconds in which the step was found.
        encode_seconds, decode_seconds: of all chunks of the sample, several at a time.
    """

    metadata: ContainerMetadata
    payload_bytes: int
    quality: Quality
    compile_seconds: float
    resolve_seconds: float
    encode_seconds: float
    decode_seconds: float


def try_target(subject: Subject, n_repeats: int = 1) -> Trial:
    """Encode and decode the chunks of a sample at the subject's target.

    Margins, which the paper's models have, are cropped here.

    Args:
        subject: the volume and its sample.
        n_repeats: times that encoding and decoding are run where they take less than a second.

    Raises:
        ValueError: the target cannot be reached on this sample.
    """
    target, sample = subject.prepared.target, subject.sample
    first_seconds, _ = time_call(lambda: _encode_first(subject))
    encoder = subject.make_encoder()
    resolve_seconds, chunk_target = time_call(lambda: encoder.resolve(target, sample))
    fresh = subject.make_encoder()  # the other one has kept payloads that it tried
    encode_seconds, payloads = time_call(lambda: _encode_all(fresh, sample, chunk_target), n_repeats)
    metadata = subject.prepared.make_metadata(subject.layout, subject.value_range, chunk_target, None)
    decoder = make_decoder(metadata, "crop")
    decoder.decode(payloads[0])  # compiles
    decode_seconds, decoded = time_call(lambda: decoder.decode_many(payloads), n_repeats)
    stated = max(parse_payload(one, metadata.spatial_chunk).max_error for one in payloads)
    quality = measure_quality(subject, decoded)
    later_seconds = resolve_seconds / len(sample) + encode_seconds / len(sample)
    return Trial(
        metadata,
        sum(map(len, payloads)),
        quality._replace(max_error=max(stated, quality.max_error)),
        max(first_seconds - later_seconds, 0.0),
        resolve_seconds,
        encode_seconds,
        decode_seconds,
    )


def measure_quality(subject: Subject, decoded: list[np.ndarray]) -> Quality:
    """Measure the errors of decoded chunks of the sample, each (z, y, x)."""
    width = subject.value_range.width
    unit = error_unit(width)

    def measure(pair: tuple[Region, np.ndarray]) -> tuple[float, tuple[float, int]]:
        region, values = pair
        original = subject.read(region)
        return largest_and_squared_errors(original, values, subject.mark_valid(original), unit)

    measured = list(map_in_order(measure, zip(subject.sample, decoded, strict=True)))
    psnr = psnr_from_errors(width / unit, [squared for _, squared in measured])
    return Quality(psnr, max(largest for largest, _ in measured))


def _encode_first(subject: Subject) -> bytes:
    """Find the step by one chunk, and encode it: whatever is not compiled yet is compiled."""
    encoder, first = subject.make_encoder(), subject.sample[:1]
    (payload,) = _encode_all(encoder, first, encoder.resolve(subject.prepared.target, first))
    return payload


def _encode_all(encoder: ChunkEncoder, regions: Sequence[Region], target: ChunkTarget) -> list[bytes]:
    """Encode chunks as ``compress`` does."""
    encoder.learn(target, regions)
    together = functools.partial(encoder.encode_together, target=target)
    return list(releasing(map_batches_on_devices(together, regions, encoder.batch_size)))


def time_call(run: Callable[[], T], n_repeats: int = 1) -> tuple[float, T]:
    """Run a function, and again while that is soon done; returns the fewest seconds and the last result."""
    fewest = math.inf
    for _ in range(n_repeats):
        start = time.perf_counter()
        result = run()
        fewest = min(fewest, time.perf_counter() - start)
        if fewest > _LONG_SECONDS:
            break
    return fewest, result
