"""Spectral models, nvc-1: a lapped transform, and coefficients coded by a learned entropy model.

The path of a volume
====================

``encoder.encode`` is one compiled program. Read it first: its stages follow each other in
``analysis.analyze``.

1. The volume is scaled to [−½, ½] and padded to blocks of 8³ voxels.
2. ``shape_decision`` chooses the length of segments and the filter of each axis, on a few columns of the
   volume. ``transform.separable`` makes 512 coefficients of every block. Divided by the step of the quantiser
   they are *values in steps*.
3. ``profile_choice`` chooses one of the model's entropy models, whose tables suit the rate.
4. ``class_decision`` chooses a class for every block: it says how large the block's coefficients are likely
   to be.
5. Coefficients become integers that are worth their bits: one by one in ``class_decision``, or, in a model of
   two quantisers, a block's all together in ``trellis``.
6. ``dc_prediction`` replaces DC, the means of segments, by differences between neighbours.
7. ``bitstream`` codes the block headers and then all integers, as one stream of 16-bit words.

8. In a model with a filter, ``filter_setting`` measures how much of its correction of decoded voxels is worth
   taking.

``decoder.decode`` runs the same path backwards. The entropy decoding is integer arithmetic, and so the same
on every device. ``decoder.decode_block_means`` stops after the headers, for a coarse preview.

The modules in reading order
============================

- ``encoder_options``: the choices that the encoder may make; parts of it can be turned off.
- ``entropy_model``: the parameters of one profile, field by field, and reconstruction from integers.
- ``fixed_point``: coefficients as integers, for decisions that do not depend on the device.
- ``profiles``: several entropy models in one.
- ``dependent_quantization``: two quantisers of which the integers before choose one.
- ``volume_survey``: what is found out about a volume before all else; ``group_survey`` has the kernel that
  does it on GPUs.
- ``column_places``, ``shape_columns``, ``line_costs``, ``shape_lines``, ``dc_costs``, ``axis_decision``,
  ``shape_decision``: the decision of the shape by rate and distortion, on a few columns of the volume.
  ``native_shape_decision`` calls the kernel that makes it on CPUs, and ``group_columns``,
  ``group_line_costs``, ``group_axis_choice`` and ``group_dc_costs`` have those of GPUs.
- ``weighted_sums``, ``dead_zone``, ``class_decision``, ``class_choice``: the decision of classes, likewise;
  ``group_class_costs``, ``group_class_choice`` and ``group_rounding`` have the kernels of GPUs, and
  ``group_coefficients`` the memory of coefficients that they read.
- ``decision_tables``: costs and rates of all these decisions, prepared from the model alone.
- ``block_sample``: the blocks by which ``profile_choice`` chooses. ``rounding_errors``: what they lose.
- ``scan_order``: the order in which integers are coded. ``block_ends``: up to where a block may have any;
  ``group_block_ends`` finds it on GPUs.
  ``neighbour_contexts``: what the integers before say about one.
- ``trellis_costs``, ``trellis_steps``, ``trellis``: the integers of two quantisers, by the Viterbi algorithm.
  ``group_trellis`` has the kernel that does the same on GPUs, ``group_integers`` the memory of its results,
  ``tile_trellis`` the kernels of TPUs.
  ``quantization``: integers of all blocks, in the order in which a device needs them.
- ``header_contexts``: what neighbouring blocks say about a block's header.
- ``coding_tables``, ``block_headers``, ``integer_runs``, ``stream_loops``, ``bitstream``: symbols to a stream
  of words and back, by many lanes in parallel. ``native_bitstream`` calls the kernels that do the same on
  CPUs, ``group_scan`` and ``group_bitstream`` have those of GPUs; ``tile_bitstream`` encodes on TPUs,
  ``tile_runs`` and ``tile_steps`` decode there.
- ``dc_prediction``: differences between the means of neighbouring segments.
- ``dequantization``: coefficients from integers. ``group_reconstruction``: volumes from integers on GPUs.
- ``post_filter``, ``filter_setting``: a network that corrects decoded voxels, in models that have one.
  ``native_filter`` calls the kernel that does it on CPUs.
- ``encoded_stream``: the encoded volume and its bytes. ``analysis``: the encoder's
  decisions, one after the other. ``group_analysis``: the same on GPUs. ``block_encoding``: decisions and the
  stream. ``encoder``, ``decoder``: all of it together.
- ``chunk_programs``: the encoder of a chunk as programs of few arguments and results.
- ``config``, ``model``, ``transform_coder``: the interfaces to the rest of the package.
- The folder ``training`` fits the parameters to volumes.

Words
=====

A *coefficient* is a number of the transform. The *first* one of a block has the lowest frequencies of the
block; it is *DC* where these are 0 along all axes. *Values* are coefficients in steps of the quantiser. An
*integer* is the index of one of the quantiser's *reconstruction points*; points are written in half steps. A
model of two quantisers has larger steps than a *single quantiser* of about the same error. The encoder makes
its first decisions in steps of the single quantiser.

This package imports ``core``, ``native``, ``io``, ``transform``, ``entropy``, ``training`` and ``chunks``. It
knows no containers and no other kind of model. Payloads of chunks are known to ``model`` and
``transform_coder`` alone, and what they are made of to ``chunk_programs``.
"""

from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.encoded_stream import EncodedStream
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.model import SpectralModel

__all__ = ["DEFAULT_OPTIONS", "EncodedStream", "EncoderOptions", "SpectralConfig", "SpectralModel"]
