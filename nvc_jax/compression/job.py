"""A call of ``compress`` as data: its checked options, the rules of values, and the metadata that follow."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorstore as ts

from nvc_jax.compression.options import ChunkLayout
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.core.chunk_interfaces import ChunkTarget, Limits, QualityTarget, ValueRange
from nvc_jax.core.shapes import check_array_shape
from nvc_jax.io.declared_values import DeclaredValues
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.models.checkpoints import FEWEST_DIGITS, find_shipped
from nvc_jax.models.codec import Codec
from nvc_jax.models.embedded import embed_model
from nvc_jax.models.identity import model_sha256


class Rules(NamedTuple):
    """Rules of a volume's values: what its source declares, and what the user asks for."""

    declared: DeclaredValues
    value_limits: Limits
    exact_values: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Job:
    """Checked options of ``compress``."""

    codec: Codec
    model_name: str
    target: QualityTarget
    rules: Rules
    chunks: Sequence[int] | None
    shards: Sequence[int] | None
    part: tuple[int, int] | None
    resume: bool
    on_progress: Callable[[ByteProgress], None] | None


def with_rules(value_range: ValueRange, rules: Rules) -> ValueRange:
    """Add the rules of a volume to its range."""
    # Of several writers each must declare the same.
    missing_values = tuple(dict.fromkeys((*rules.declared.missing_values, *value_range.missing_values)))
    return dataclasses.replace(
        value_range,
        missing_values=missing_values,
        valid_limits=rules.declared.valid_limits,
        value_limits=rules.value_limits,
        exact_values=rules.exact_values,
    )


def make_metadata(
    volume: ts.TensorStore,
    layout: ChunkLayout,
    value_range: ValueRange,
    chunk_target: ChunkTarget,
    source_fingerprint: int | None,
    job: Job,
    source: VolumeMetadata,
) -> ContainerMetadata:
    """Put a container's metadata together."""
    codec = job.codec
    sha256 = model_sha256(codec.config, codec.params)
    is_shipped = find_shipped(sha256) is not None
    return ContainerMetadata(
        shape=check_array_shape(volume.shape),
        dtype=str(volume.dtype.numpy_dtype),
        chunk=layout.chunk,
        shard=layout.shard,
        model=None if is_shipped else job.model_name,
        sha256=sha256[:FEWEST_DIGITS] if is_shipped else sha256,
        embedded=None if is_shipped else embed_model(codec.config, codec.params),
        target=job.target,
        minimum=value_range.low,
        maximum=value_range.high,
        missing_values=value_range.missing_values,
        valid_limits=value_range.valid_limits,
        value_limits=value_range.value_limits,
        exact_values=value_range.exact_values,
        max_error=chunk_target.max_error,
        step=None if chunk_target.is_bounded else chunk_target.step,
        fingerprint=source_fingerprint,
        dimension_names=source.complete_names(volume.rank),
        attributes=source.as_attributes(volume.dtype.numpy_dtype),
    )
