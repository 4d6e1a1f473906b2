"""A volume that is to be compressed: opened, with its rules, its model and its target, all checked."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorstore as ts

from nvc_jax.compression.labels import holds_labels
from nvc_jax.compression.layout import ChunkLayout, choose_layout
from nvc_jax.compression.options import check_target, model_name
from nvc_jax.compression.value_options import check_exact_values, check_numbers, check_value_limits
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.core.chunk_interfaces import ChunkTarget, Limits, QualityTarget, ValueRange
from nvc_jax.core.shapes import check_array_shape
from nvc_jax.io.declared_values import DeclaredValues, read_declared_values
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata
from nvc_jax.models.checkpoints import FEWEST_DIGITS, find_shipped
from nvc_jax.models.codec import Codec, load_shared
from nvc_jax.models.embedded import embed_model
from nvc_jax.models.identity import model_sha256


class ValueOptions(NamedTuple):
    """Options of ``compress`` that say what values must come back, as the user gave them."""

    missing_values: Sequence[float] = ()
    value_limits: tuple[float | None, float | None] | None = None
    exact_values: Sequence[float] = ()


class Rules(NamedTuple):
    """Rules of a volume's values: what its source declares, and what the user asks for."""

    declared: DeclaredValues
    value_limits: Limits
    exact_values: tuple[float, ...]

    def add_to(self, value_range: ValueRange) -> ValueRange:
        """Add the rules of a volume to its range."""
        # Of several writers each must declare the same.
        missing_values = tuple(dict.fromkeys((*self.declared.missing_values, *value_range.missing_values)))
        return dataclasses.replace(
            value_range,
            missing_values=missing_values,
            valid_limits=self.declared.valid_limits,
            value_limits=self.value_limits,
            exact_values=self.exact_values,
        )


@dataclasses.dataclass(frozen=True)
class Preparation:
    """A volume that is to be compressed, with checked options.

    Attributes:
        codec: the model.
        sha256: its identity.
        model_name: its name in the container.
        volume: of two to five axes.
        source: metadata of the volume.
        rules: of its values.
        target: quality target, one entry.
    """

    codec: Codec
    sha256: str
    model_name: str
    volume: ts.TensorStore
    source: VolumeMetadata
    rules: Rules
    target: QualityTarget

    def with_target(self, **options: float | bool | None) -> "Preparation":
        """Take another quality target; options and errors as of ``compress``."""
        target = check_target(self.codec, **options)
        return dataclasses.replace(self, target=_keep_labels(self.codec, self.volume, target, options))

    def choose_layout(self, chunks: Sequence[int] | None, shards: Sequence[int] | None) -> ChunkLayout:
        """Choose the shapes of chunks and shards; see ``layout.choose_layout``."""
        shape, names = check_array_shape(self.volume.shape), self.source.dimension_names
        block_size, takes_steps = self.codec.config.block_size, self.codec.model.takes_steps
        return choose_layout(shape, block_size, chunks, shards, names, takes_steps=takes_steps)

    def make_metadata(
        self,
        layout: ChunkLayout,
        value_range: ValueRange,
        chunk_target: ChunkTarget,
        source_fingerprint: int | None,
    ) -> ContainerMetadata:
        """Put a container's metadata together."""
        config, params, dtype = self.codec.config, self.codec.params, self.volume.dtype.numpy_dtype
        sha256, is_shipped = self.sha256, find_shipped(self.sha256) is not None
        return ContainerMetadata(
            shape=check_array_shape(self.volume.shape),
            dtype=str(dtype),
            chunk=layout.chunk,
            shard=layout.shard,
            model=None if is_shipped else self.model_name,
            sha256=sha256[:FEWEST_DIGITS] if is_shipped else sha256,
            embedded=None if is_shipped else embed_model(config, params),
            target=self.target,
            minimum=value_range.low,
            maximum=value_range.high,
            missing_values=value_range.missing_values,
            valid_limits=value_range.valid_limits,
            value_limits=value_range.value_limits,
            exact_values=value_range.exact_values,
            max_error=chunk_target.max_error,
            step=None if chunk_target.is_bounded else chunk_target.step,
            fingerprint=source_fingerprint,
            dimension_names=self.source.complete_names(self.volume.rank),
            attributes=self.source.as_attributes(dtype),
        )


def prepare(
    source: Any, model: str | Path | Codec, values: ValueOptions, **options: float | bool | None
) -> Preparation:
    """Check options and open a volume; errors as of ``compress``.

    Args:
        source: a volume as ``open_volume`` takes it.
        model: name of a shipped model, path of a checkpoint, or a codec.
        values: what must come back.
        options: of the quality target; None or False for those that were not given.
    """
    limits = check_value_limits(values.value_limits)
    codec = model if isinstance(model, Codec) else load_shared(model)
    # A codec of the user may have other parameters than the last time; a shared one nobody changes.
    sha256 = model_sha256(codec.config, codec.params) if codec is model else codec.sha256
    target = check_target(codec, **options)
    volume = open_volume(source)
    dtype, metadata = volume.dtype.numpy_dtype, read_metadata(source)
    codec.model.check_dtype(dtype)
    named = check_numbers("missing_values", values.missing_values)
    stated_values = [*named, *metadata.missing_values]
    declared = read_declared_values(metadata.attributes, stated_values, dtype)
    rules = Rules(declared, limits, check_exact_values(values.exact_values, dtype))
    target = _keep_labels(codec, volume, target, options)
    return Preparation(codec, sha256, model_name(model), volume, metadata, rules, target)


def _keep_labels(
    codec: Codec, volume: ts.TensorStore, target: QualityTarget, options: Mapping[str, float | bool | None]
) -> QualityTarget:
    """Make a target lossless for bool, and for labels where no option names one."""
    is_default = all(option is None or option is False for option in options.values())
    may_be_lossless = is_default and "lossless" in codec.model.quality_targets
    is_exact = volume.dtype.numpy_dtype.kind == "b" or (may_be_lossless and holds_labels(volume))
    return {"lossless": True} if is_exact else target
