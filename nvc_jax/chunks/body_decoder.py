"""Bodies of payloads of every kind to values."""

import numpy as np

from nvc_jax.chunks import bodies, lattice_body
from nvc_jax.chunks.logarithms import decode_logarithms
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.predicted_body import PredictedBodyCodec
from nvc_jax.chunks.rank_body import decode_ranks
from nvc_jax.chunks.transform_body import TransformBodyCodec
from nvc_jax.chunks.value_bytes import unpack_values
from nvc_jax.core.shapes import Shape3


class BodyDecoder:
    """Decodes the bodies of one container.

    Args:
        transform: of the model.
        padded_shape: (z, y, x) of a whole chunk.
        dtype: of the volume.
    """

    def __init__(self, transform: TransformBodyCodec, padded_shape: Shape3, dtype: np.dtype) -> None:
        self._transform, self._padded_shape, self._dtype = transform, padded_shape, dtype

    def decode(self, payload: Payload, before: np.ndarray | None = None) -> np.ndarray:
        """Decode a body, corrected and in the volume's dtype, without its special values.

        Args:
            payload: that has the body.
            before: what the body of the step before was decoded to; None without one.

        Raises:
            ValueError: the body is damaged, or of a kind that there is not.
        """
        body, shape, dtype, padded_shape = payload.body, payload.valid_shape, self._dtype, self._padded_shape
        match payload.kind:
            case PayloadKind.SPECTRAL:
                return self._transform.decode(body, payload.correction, shape)
            case PayloadKind.PACKED:
                return unpack_values(body, shape, dtype)
            case PayloadKind.CONSTANT:
                return bodies.decode_constant(body, shape, dtype)
            case PayloadKind.DIFFERENCES:
                return bodies.decode_differences(body, shape, padded_shape, dtype)
            case PayloadKind.UNIFORM:
                return bodies.decode_uniform(body, shape, padded_shape, dtype)
            case PayloadKind.LEVELS:
                return bodies.decode_levels(body, shape, padded_shape, dtype)
            case PayloadKind.LATTICE:
                return lattice_body.decode_lattice(body, shape, padded_shape, dtype)
            case PayloadKind.RANKS:
                return decode_ranks(body, shape, padded_shape, dtype)
            case PayloadKind.LOGARITHMS:
                return decode_logarithms(body, shape, padded_shape, dtype, self._decode_integers)
            case PayloadKind.PREDICTED if before is not None:
                predicted = PredictedBodyCodec(self._transform.coder, padded_shape, dtype)
                return predicted.decode(body, payload.correction, before)
        kind = PayloadKind(payload.kind).name.lower()
        raise ValueError(f"a payload is of kind {kind}, which this model does not decode")

    def limits(self, payload: Payload) -> tuple[float, float] | None:
        """Limits that a body's values keep by how they are decoded; None where they must be looked at."""
        is_transformed = payload.kind == PayloadKind.SPECTRAL and not payload.correction
        return self._transform.limits(payload.body) if is_transformed else None

    def _decode_integers(self, payload: Payload, dtype: np.dtype) -> np.ndarray:
        """Decode the payload of logarithms."""
        transform = TransformBodyCodec(self._transform.coder, self._padded_shape, dtype)
        return BodyDecoder(transform, self._padded_shape, dtype).decode(payload)
