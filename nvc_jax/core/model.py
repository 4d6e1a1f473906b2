"""The interface of a model: the operations that the other packages need of any kind of model.

A kind of model is a folder of its own with a configuration (``ModelConfig``), the operations below
(``Model``) and a training configuration (``training.config.TrainingConfig``). It becomes known by one line
in ``models.registry``.
"""

import abc
import dataclasses
from typing import Any, ClassVar, Generic, TypeVar

import jax
import numpy as np
import tensorstore as ts
from jax.typing import ArrayLike

from nvc_jax.core.chunk_interfaces import ChunkDecoder, ChunkEncoder, ChunkFormat, QualityTarget, ValueRange
from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import Shape, check_geometry

MAX_BLOCK_SIZE = 64
"""Side of a block in voxels, at most: a network has the block's voxels as inputs."""
MAX_LAYER_SIZE, MAX_LAYERS = 1 << 16, 32
"""Units of a layer, and layers, at most: configurations come from files that anyone may have written."""


def check_size(name: str, value: Any, most: int) -> None:
    """Raise ``ValueError`` unless a field of a configuration is an integer from 1 to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"`{name}` (={value!r:.80}) must be an integer of at least 1 and at most {most}")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Configuration of a model: plain data, JSON both ways, hashable.

    Attributes:
        block_size: side of a block's core in voxels.
        margin: voxels of neighbouring data on every side of the core.
        latent_dim: numbers that represent one block.
    """

    block_size: int = 8
    margin: int = 0
    latent_dim: int = 32

    architecture: ClassVar[str]

    def __post_init__(self) -> None:
        check_geometry(self.block_size, self.margin)
        for name, most in (("block_size", MAX_BLOCK_SIZE), ("latent_dim", MAX_LAYER_SIZE)):
            check_size(name, getattr(self, name), most)

    @property
    def side(self) -> int:
        """Side of a whole block in voxels, margins included."""
        return self.block_size + 2 * self.margin

    def to_dict(self) -> dict[str, Any]:
        """Describe the configuration, JSON-ready, for ``models.registry.config_from_dict`` to read back."""
        return {"architecture": self.architecture, **dataclasses.asdict(self)}

    @classmethod
    def stored_defaults(cls) -> dict[str, Any]:
        """Fields that a stored description may lack, because earlier versions did not write them."""
        return {}


ConfigT = TypeVar("ConfigT", bound=ModelConfig)


@dataclasses.dataclass(frozen=True)
class Model(abc.ABC, Generic[ConfigT]):
    """One kind of model, bound to a configuration.

    Parameters are arguments of the methods, never state, so that ``encode`` and ``decode`` may be called
    while tracing.

    Attributes:
        config: the configuration.
        encoded_types: types of encoded volumes that ``decode`` takes.
        quality_targets: names of the quality targets that chunks can keep to.
        step_limits: smallest and largest step of the quantiser.
        default_target: the quality target where the user names none.
        takes_steps: whether a chunk may hold several steps along a fourth axis; see ``core.spatial_axes``.
    """

    config: ConfigT

    encoded_types: ClassVar[tuple[type[EncodedVolume], ...]]
    quality_targets: ClassVar[frozenset[str]]
    step_limits: ClassVar[tuple[float, float]]
    default_target: ClassVar[QualityTarget]
    takes_steps: ClassVar[bool] = False

    @abc.abstractmethod
    def abstract_params(self) -> Params:
        """Nested dict of the parameters' shapes and dtypes, as checkpoints store them."""

    @abc.abstractmethod
    def check_dtype(self, dtype: np.dtype, name: str = "volume") -> None:
        """Raise ``TypeError`` unless containers can hold volumes of ``dtype`` encoded by this model."""

    @abc.abstractmethod
    def check_step(self, step: ArrayLike | None) -> None:
        """Raise ``ValueError`` unless ``step`` (None for none) suits the model; a traced step passes."""

    @abc.abstractmethod
    def encode(self, params: Params, volume: jax.Array, step: jax.Array | None) -> EncodedVolume:
        """Encode a volume (z, y, x) of a device dtype as one compiled program.

        Args:
            params: of this model.
            volume: all values finite.
            step: float32, of the quantiser; see ``check_step``.
        """

    @abc.abstractmethod
    def decode(self, params: Params, encoded: EncodedVolume, mode: str) -> jax.Array:
        """Decode a volume as one compiled program.

        Args:
            params: of this model.
            encoded: of one of ``encoded_types``.
            mode: ``"crop"`` or ``"blend"``, for models whose blocks have margins.

        Raises:
            ValueError: the encoded volume is not of this model's sizes.
        """

    @abc.abstractmethod
    def chunk_encoder(
        self, params: Params, volume: ts.TensorStore, chunk: Shape, value_range: ValueRange
    ) -> ChunkEncoder:
        """Make an encoder of a volume's chunks.

        Args:
            params: of this model.
            volume: of two to five axes, read region by region when it is needed.
            chunk: voxels of a whole chunk along each axis of the volume: multiples of the block size, or 1;
                see ``core.spatial_axes``.
            value_range: of the volume.
        """

    @abc.abstractmethod
    def chunk_decoder(self, params: Params, chunk_format: ChunkFormat, mode: str) -> ChunkDecoder:
        """Make a decoder of chunks.

        Args:
            params: of this model.
            chunk_format: properties that all chunks of the container have in common.
            mode: ``"crop"`` or ``"blend"``; see ``decode``.

        Raises:
            ValueError: no such chunks can be of this model.
        """
