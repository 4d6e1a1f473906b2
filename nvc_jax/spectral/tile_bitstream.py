"""Encoding of a stream on TPUs: many integers of each lane at once, see ``tile_rans``.

The encoder knows all integers, so that their places, contexts and tables do not wait for the coder. Its
result is that of ``stream_loops.push_reference``. A decoder knows an integer's context and the words of its
lane only after the integers before it, so that its kernel looks all of them up: see ``tile_runs``.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.entropy import rans
from nvc_jax.entropy.interleaving import max_lanes_for, share_out
from nvc_jax.entropy.tile_rans import Steps, prepare_steps, push_steps
from nvc_jax.spectral import dependent_quantization
from nvc_jax.spectral.block_headers import BlockHeaders, push_headers
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.integer_runs import (
    Sequence,
    first_place,
    make_sequence,
    pack_integers,
    push_states,
)
from nvc_jax.spectral.scan_order import BlockQueue, ScanOrder, find_ends
from nvc_jax.transform.block_layout import N_COEFFICIENTS, BlockLayout

STEPS = 128
"""Most integers of each lane that are coded at once."""
_INTEGERS_AT_ONCE = 1 << 18
"""Most integers of all lanes together: the kernel has them in a core's own memory."""


def scan_integers(
    model: EntropyModel, layout: BlockLayout, scan: ScanOrder, points: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Bring integers into scan order; arguments and results are those of ``stream_loops.scan_reference``.

    But the integers are int32 (n · 512,), so that each block's begin at a register's first lane.
    """
    coefficients = jnp.pad(scan.coefficients, ((0, 0), (0, 1)))[layout.partial_type]
    ordered = jnp.take_along_axis(points, coefficients, axis=1)
    packed = pack_integers(model, dependent_quantization.to_integers(ordered))
    return packed, find_ends(scan, layout, points != 0)


def push_stream(
    model: EntropyModel,
    layout: BlockLayout,
    scan: ScanOrder,
    queue: BlockQueue,
    packed: jax.Array,
    headers: BlockHeaders,
    n_lanes: jax.Array,
    capacity: int,
    *,
    interpret: bool = False,
) -> rans.Coder:
    """Encode all integers and headers; arguments and result are those of ``stream_loops.push_reference``.

    ``packed`` is from ``scan_integers``.
    """
    blocks = queue.offsets // (N_COEFFICIENTS - 1)
    queue = queue._replace(offsets=blocks * N_COEFFICIENTS)
    sequence = make_sequence(model, scan, queue, with_slots=False)
    coder = rans.start_encoding(n_lanes, max_lanes_for(queue.keys.shape[0]), capacity)
    runs = share_out(queue.total, n_lanes, len(coder.states))
    n_steps = max(1, min(STEPS, _INTEGERS_AT_ONCE // len(coder.states)))

    def push_some(index: jax.Array, coder: rans.Coder) -> rans.Coder:
        # Steps run backwards; those before the first are no lane's.
        step = runs.length - 1 - (index * n_steps + jnp.arange(n_steps, dtype=jnp.int32))
        item = runs.starts[None] + step[:, None]
        active = (step[:, None] >= 0) & (item < runs.total)
        return push_steps(coder, _find_steps(sequence, packed, item, step, active), interpret=interpret)

    coder = lax.fori_loop(0, -(-runs.length // n_steps), push_some, coder)
    is_first = runs.at(jnp.int32(0))[1]
    coder = push_states(sequence, packed, coder, first_place(sequence, runs), is_first)
    return push_headers(model, layout, headers, coder, n_lanes)


def _find_steps(
    sequence: Sequence, packed: jax.Array, item: jax.Array, step: jax.Array, active: jax.Array
) -> Steps:
    """Find what to code for items of the sequence at steps of their lanes, int32 (steps, lanes)."""
    block, position = sequence.queue.locate(jnp.clip(item, 0, jnp.maximum(sequence.queue.total - 1, 0)))
    first = sequence.queue.offsets[block]

    def read(other: jax.Array, is_known: jax.Array) -> jax.Array:
        neighbour = packed[first + jnp.where(is_known, other, 0)]
        return dependent_quantization.to_points(neighbour >> 1, neighbour & 1)

    integer = packed[first + position]
    row = sequence.row_at(sequence.key_at(block), position, integer & 1, step[:, None], read)
    return prepare_steps(sequence.tables, row, integer >> 1, active)
