"""Entropy coding: integers to bits and back, on the device.

Two coders take volumes of integers: ``lorenzo`` dense ones, ``sparse_integers`` mostly zero ones. Both
rearrange integers on the host and code them by ``adaptive_geometric``. The codecs of the packages above code
their coefficients and latents by the same lower modules.

Read from the bottom: ``tokens`` (integers as symbols and extra bits), ``frequency_tables`` (probabilities of
tokens), ``word_stack`` and ``rans`` (one step of the coder), ``interleaving`` (division of a stream among
lanes), ``delta_prediction``; then ``adaptive_geometric``, ``lorenzo`` and ``sparse_integers``.

The package knows integers, tables and words. It may know no transform, no model and no container.
"""

from nvc_jax.entropy.delta_prediction import accumulate, difference
from nvc_jax.entropy.frequency_tables import (
    PRECISION,
    Tables,
    bits_of_frequencies,
    make_tables,
    quantize_frequencies,
)
from nvc_jax.entropy.interleaving import (
    Runs,
    lanes_for,
    max_lanes_for,
    read_words,
    share_out,
    used_words,
    with_width,
)
from nvc_jax.entropy.lorenzo import decode_integers, encode_integers, estimate_bits
from nvc_jax.entropy.rans import Coder
from nvc_jax.entropy.sparse_integers import decode_sparse, encode_sparse
from nvc_jax.entropy.tokens import ESCAPE, MAX_MAGNITUDE, N_TOKENS, from_token, to_token

__all__ = [
    "ESCAPE",
    "MAX_MAGNITUDE",
    "N_TOKENS",
    "PRECISION",
    "Coder",
    "Runs",
    "Tables",
    "accumulate",
    "bits_of_frequencies",
    "decode_integers",
    "decode_sparse",
    "difference",
    "encode_integers",
    "encode_sparse",
    "estimate_bits",
    "from_token",
    "lanes_for",
    "make_tables",
    "max_lanes_for",
    "quantize_frequencies",
    "read_words",
    "share_out",
    "to_token",
    "used_words",
    "with_width",
]
