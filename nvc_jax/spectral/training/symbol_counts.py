"""What the encoder does, counted: with sampled blocks, and with whole volumes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.normalization import finite_range
from nvc_jax.entropy import tokens
from nvc_jax.spectral import dependent_quantization, encoder, scan_order
from nvc_jax.spectral.class_decision import decide, make_costs
from nvc_jax.spectral.entropy_model import EntropyModel, plain_steps
from nvc_jax.spectral.profiles import Profiles, count_profiles, take_profile
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS

_BLOCKS_AT_ONCE = 4096
_N_STEPS = 12
"""Steps at which each volume is encoded."""

_centre = jax.jit(lambda volume: encoder.centre(volume, *finite_range(volume)))


def centred(volume: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """A volume as ``spectral`` transforms it, and its valid_shape."""
    return _centre(jnp.asarray(volume)), jnp.array(volume.shape, jnp.int32)


class ObservedBlocks(NamedTuple):
    """Latents of sampled blocks that are coded, the means left out; flat arrays.

    Attributes:
        rows: int (m,), of ``EntropyModel.shrink``.
        integers: int (m,), their magnitudes.
        excess: float (m,), by how many steps their points are larger than they are.
    """

    rows: np.ndarray
    integers: np.ndarray
    excess: np.ndarray


@jax.jit
def _observe(model: EntropyModel, values: jax.Array) -> tuple[jax.Array, ...]:
    """Of blocks in steps of one quantiser: rows, magnitudes, excess, and whether a latent is coded."""
    n = len(values)
    layout = block_layout.make_layout(
        (n, 1, 1), jnp.array([BLOCK_SIZE * n, BLOCK_SIZE, BLOCK_SIZE], jnp.int32)
    )
    integers, classes, _ = decide(make_costs(model), values)
    values = values / plain_steps(model)
    points = encoder.quantize(model, layout, values, integers, classes).at[:, 0].set(0)
    places = scan_order.make_scan_order(model, layout)
    ordered = scan_order.in_order(places, layout, points)
    ends = scan_order.n_coded(places, layout, scan_order.find_end_of_block(ordered))[:, None]
    coded = jnp.arange(N_COEFFICIENTS - 1)[None] < ends
    found = dependent_quantization.from_half_steps(ordered)
    chosen = dependent_quantization.quantizers_of(found, model.n_quantizers)
    rows = model.row(model.tables[classes][:, model.order], chosen)
    excess = jnp.abs(ordered).astype(jnp.float32) / 2 - jnp.abs(values[:, model.order])
    return rows, jnp.abs(found), excess, coded


def observe_blocks(model: EntropyModel, values: np.ndarray) -> ObservedBlocks:
    """What the encoder makes of the latents of blocks, float32 (n, 512), in steps of one quantiser."""
    parts = []
    for start in range(0, len(values), _BLOCKS_AT_ONCE):
        part = values[start : start + _BLOCKS_AT_ONCE]
        padded = np.pad(part, ((0, _BLOCKS_AT_ONCE - len(part)), (0, 0)))
        *found, coded = (np.asarray(x) for x in _observe(model, jnp.asarray(padded)))
        parts.append([x[coded] for x in found])
    return ObservedBlocks(*(np.concatenate(x) for x in zip(*parts, strict=True)))


class Counts(NamedTuple):
    """How often the encoder names what; arrays like the model's tables, (rows, 64) each."""

    frequencies: jax.Array
    end_frequencies: jax.Array
    mode_frequencies: jax.Array
    class_frequencies: jax.Array


@jax.jit
def _count(
    profiles: Profiles, unit: jax.Array, valid_shape: jax.Array, step: jax.Array
) -> tuple[jax.Array, Counts]:
    """Count what the encoder does with a volume: the profile that it chooses, and how often it names what."""
    found = encoder.analyse(profiles, unit, step, valid_shape, jnp.int32(0))
    model, layout, (points, classes, modes) = found.model, found.layout, found.symbols
    places = scan_order.make_scan_order(model, layout)
    ordered = dependent_quantization.from_half_steps(scan_order.in_order(places, layout, points))
    ends = scan_order.find_end_of_block(ordered)
    place = jnp.arange(N_COEFFICIENTS - 1)[None]
    coded = layout.inside[:, None] & (place < scan_order.n_coded(places, layout, ends)[:, None])
    tables = model.tables[classes[:, None], places.latents[layout.partial_type]]
    tables = model.row(tables, dependent_quantization.quantizers_of(ordered, model.n_quantizers))
    before = classes[layout.order]
    follows = jnp.arange(1, len(classes)) < layout.n_blocks

    def count(rows: jax.Array, row: jax.Array, token: jax.Array, among: jax.Array) -> jax.Array:
        cells = jnp.zeros((rows.shape[0], tokens.N_TOKENS), jnp.int32)
        return cells.at[row, token].add(among.astype(jnp.int32))

    mean_tables, means = model.tables[classes, 0], points[:, 0]
    return found.profile, Counts(
        count(model.frequencies, tables, tokens.to_token(ordered)[0], coded)
        + count(model.frequencies, mean_tables, tokens.to_token(means)[0], layout.inside),
        count(model.end_frequencies, classes, ends, layout.inside),
        count(model.mode_frequencies, classes, modes, layout.inside & layout.starts_superblock),
        count(model.class_frequencies, before[:-1], before[1:], follows),
    )


def count_volumes(
    profiles: Profiles, volumes: list[np.ndarray], steps: tuple[float, float]
) -> list[list[np.ndarray]]:
    """How often the encoder names what, over volumes and steps of one quantiser between two; see ``Counts``.

    Returns:
        For every profile float64 arrays in the order of ``Counts``.
    """
    model = take_profile(profiles, 0)
    totals = [
        [np.zeros(getattr(model, name).shape) for name in Counts._fields]
        for _ in range(count_profiles(profiles))
    ]
    for volume in volumes:
        unit, valid_shape = centred(volume)
        for step in plain_steps(model) * np.geomspace(*steps, _N_STEPS):
            profile, counts = _count(profiles, unit, valid_shape, jnp.float32(step))
            weight = 1e4 / float(jnp.sum(counts.end_frequencies))  # volumes count alike, whatever their size
            for total, count in zip(totals[int(profile)], counts, strict=True):
                total += weight * np.asarray(count, np.float64)
    return totals
