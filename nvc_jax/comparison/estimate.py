"""Estimate of the size, quality and time of compressing a volume, from a few of its chunks."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nvc_jax.comparison.subject import Subject, take_subject
from nvc_jax.comparison.trial import Trial, try_target
from nvc_jax.compression.preparation import ValueOptions
from nvc_jax.container.chunk_checksum import N_CHECKSUM_BYTES
from nvc_jax.container.shards import ENTRY_BYTES
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.chunk_interfaces import QualityTarget
from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.models.codec import Codec

DEFAULT_TARGETS: tuple[Mapping[str, Any], ...] = (
    {},
    {"relative_error": 1e-2},
    {"relative_error": 1e-3},
    {"relative_error": 1e-4},
    {"psnr": 40},
    {"psnr": 50},
    {"lossless": True},
)
"""Targets that are tried where none is named; the first is what ``compress`` does without one."""
MOST_VOXELS = 1 << 24
"""Voxels that are encoded, 16.8 million, unless a few chunks have more; all of smaller volumes."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Expected result of ``compress`` at one target.

    Attributes:
        target: one entry, as ``CompressionResult`` states it.
        stored_bytes: of the container.
        ratio: bytes of the volume in its own dtype over ``stored_bytes``.
        bits_per_voxel: 8 · ``stored_bytes`` over the number of voxels.
        psnr_db: relative to the range; infinite for an exact copy.
        max_error: largest error of the chunks that were encoded, in the volume's units.
        seconds: that ``compress`` takes, without compiling.
        compile_seconds: that compiling took here, once for each shape of chunks, dtype and kind of target.
        share: of the voxels that were encoded; at 1 the bytes and the errors are those of ``compress``.
    """

    target: QualityTarget
    stored_bytes: int
    ratio: float
    bits_per_voxel: float
    psnr_db: float
    max_error: float
    seconds: float
    compile_seconds: float
    share: float


@in_own_settings
def estimate(
    source: Any,
    targets: Sequence[Mapping[str, Any]] | None = None,
    *,
    model: str | Path | Codec = DEFAULT_MODEL,
    missing_values: Sequence[float] = (),
    value_limits: tuple[float | None, float | None] | None = None,
    exact_values: Sequence[float] = (),
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Estimate]:
    """Estimate what ``compress`` would do, from chunks that are really encoded and decoded.

    They have about 16.8 million voxels; of smaller volumes they are all chunks, and bytes and errors those of
    ``compress``. Nothing is written. Volumes of up to 4 GiB are read once, in order to know their range; of
    larger ones the range is that of the chunks.

    Args:
        source: a volume as ``compress`` takes it.
        targets: quality targets, each a mapping of one option of ``compress`` such as
            ``{"relative_error": 1e-3}``, or an empty one for what ``compress`` does without a target. None
            for a few: without a target, relative errors of 1e-2, 1e-3 and 1e-4, 40 and 50 dB, lossless. Of
            these, targets that the model or the volume cannot keep are left out.
        model: as of ``compress``; and so are ``missing_values``, ``value_limits``, ``exact_values``,
            ``chunks`` and ``shards``.
        missing_values: see ``model``.
        value_limits: see ``model``.
        exact_values: see ``model``.
        chunks: see ``model``.
        shards: see ``model``.
        on_progress: called with the number of targets that are done, and of all.

    Returns:
        One estimate for each target.

    Raises:
        FileNotFoundError: there is no such source or model.
        TypeError: the dtype is not supported, or a target is no number.
        ValueError: as of ``compress``.
    """
    values = ValueOptions(missing_values, value_limits, exact_values)
    subject = take_subject(source, model, values, (chunks, shards), MOST_VOXELS)
    chosen = DEFAULT_TARGETS if targets is None else targets
    estimates: list[Estimate] = []
    for number, target in enumerate(chosen):
        try:
            aimed = subject.with_target(**target)
            if targets is None and any(aimed.prepared.target == known.target for known in estimates):
                continue  # bool and labels are lossless already
            estimates.append(_extend(aimed, try_target(aimed)))
        except ValueError:
            if targets is not None:
                raise
        if on_progress is not None:
            on_progress(number + 1, len(chosen))
    return estimates


def _extend(subject: Subject, trial: Trial) -> Estimate:
    """Extend what a trial measured to the whole volume."""
    factor = subject.n_voxels / subject.n_sampled
    stored_bytes = len(trial.metadata.to_text()) + _chunk_bytes(subject, trial.payload_bytes * factor)
    searches_all = "psnr" in trial.metadata.target and factor > 1
    # After a search by eight chunks, the step that it finds is tried on all of them.
    passes = trial.encode_seconds + (trial.encode_seconds + trial.decode_seconds) * searches_all
    return Estimate(
        target=trial.metadata.target,
        stored_bytes=stored_bytes,
        ratio=subject.n_voxels * subject.itemsize / stored_bytes,
        bits_per_voxel=8 * stored_bytes / subject.n_voxels,
        psnr_db=trial.quality.psnr_db,
        max_error=trial.quality.max_error,
        seconds=subject.scan_seconds + trial.resolve_seconds + passes * factor,
        compile_seconds=trial.compile_seconds,
        share=1 / factor,
    )


def _chunk_bytes(subject: Subject, payload_bytes: float) -> int:
    """Bytes of stored objects: payloads, checksums, and the indices of shards."""
    each = N_CHECKSUM_BYTES + (0 if subject.layout.shard is None else ENTRY_BYTES)
    n_shards = 0
    if subject.layout.shard is not None:
        sides = zip(subject.prepared.volume.shape, subject.layout.shard, strict=True)
        n_shards = math.prod(-(-side // n) for side, n in sides)
    return round(payload_bytes) + each * subject.n_chunks + N_CHECKSUM_BYTES * n_shards
