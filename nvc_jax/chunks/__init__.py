"""Chunk codecs: one chunk of a volume to one payload of bytes and back, whatever model is behind it.

Read ``payload`` first (the bytes), then ``payload_encoder`` (the ways of coding a chunk, and the choice among
them) and ``body_decoder``; ``chunk_codec`` is what containers use, by the interface of a ``payload_codec``,
and ``gathered_coder`` lets several chunks be coded together. A ``step_codec`` codes chunks that hold several
steps, whose payloads are joined by ``step_payload``; a step may be a ``predicted_body``, by a
``step_prediction`` from the one before it. The ways are ``transform_body`` (a ``transform_coder``, which a
model plugs in, to a ``coded_body``, and ``error_correction``, which keeps a bound), ``lattice_body``
(prediction from coarse to fine), ``bodies`` (constant, ``uniform_quantization``, differences, packed
``value_bytes``, levels), ``rank_body`` (a table and ranks) and the ``lossless_candidates``. ``prediction``
tells beforehand about what a lattice costs, by ``likely_cost`` and by ``experience`` with other chunks,
``prepared_chunk`` keeps what does not depend on the step, ``begun_chunk`` compares a chunk with exact values
apart and without, and of the ``candidates``, measured by ``candidate_measurer``, the cheapest is taken. Under
a ``pointwise_bound`` the ``pointwise_encoder`` codes the ``logarithms`` of magnitudes in the same ways.
``chunk_values`` and ``special_values`` take NaN and missing values apart from the rest, ``exact_values``
those that a chunk takes often, as ``sampled_values`` tell, and ``decoded_range`` keeps decoded values within
the range and apart from missing ones; ``preview`` makes coarse views. ``volume_encoder`` encodes a volume
chunk by chunk. Its ``volume_chunks`` are read, encoded, on accelerators in ``encoding_batches``, and
measured; ``value_range`` scans them. A ``target_search`` finds the steps that meet a target: by
``rate_control`` and, for a PSNR, by a ``psnr_search``, which begins with a ``mosaic`` and gives chunks
``spread_steps``. ``kept_payloads`` are those of its trials, and ``lessons`` of some chunks leave out ways of
coding the others. ``halo`` serves models whose chunks need the blocks around them.

The package imports no model, no container and no file format. Volumes reach it as TensorStores.
"""

from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.chunks.halo import Window, make_window, scale_region
from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.payload_codec import PayloadCodec
from nvc_jax.chunks.step_codec import make_payload_codec
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.chunks.value_range import find_value_range
from nvc_jax.chunks.volume_encoder import VolumeEncoder

__all__ = [
    "ChunkCodec",
    "Payload",
    "PayloadCodec",
    "PayloadKind",
    "TransformCoder",
    "VolumeEncoder",
    "Window",
    "find_value_range",
    "make_payload_codec",
    "make_window",
    "parse_payload",
    "scale_region",
]
