"""Fitting the entropy model: classes of blocks, and their frequency tables, by counting.

Lloyd's algorithm in bits: blocks go to the class that codes them in the fewest bits, and classes take the
distributions of their blocks, in turns. The same algorithm then merges the distributions of all latents of
all classes into a few tables. Every profile has its own, from blocks of like rates.
"""

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy import frequency_tables
from nvc_jax.entropy import tokens as tokens_module
from nvc_jax.spectral import scan_order
from nvc_jax.spectral.class_decision import decide, make_costs
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.profiles import Profiles, stack_profiles, take_profile
from nvc_jax.spectral.training.samples import STEPS, loudness_of, round_latents, sample_latents, split_by_rate
from nvc_jax.spectral.training.symbol_counts import count_volumes, observe_blocks
from nvc_jax.transform import block_modes

_RAREST = 2.0**-14
"""Tokens that are rarer have no frequency of their own."""
_N_ROUNDS = 3
_KNOWN_FROM_NEIGHBOURS = 0.7
"""What is left of a class's bits once the class before is known, on average."""

_decide = jax.jit(lambda model, values: decide(make_costs(model), values))


def _features(integers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    magnitude = np.abs(integers).astype(np.float32)
    return np.minimum(magnitude, 1), magnitude


def _distributions(counts: np.ndarray, there: np.ndarray, magnitude: np.ndarray) -> tuple:
    """Probability of zero's opposite and of one more step, from sums; broadcast shapes."""
    p_there = np.clip((there + 0.02) / (counts + 0.2), 1e-4, 0.9999)
    decay = np.clip(1 - (there + 0.02) / (magnitude + 0.03), 0.01, 0.99999)
    return p_there, decay


def _bits(p_there: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Bits of a zero, of a one of either sign, and of each further step; stacked on the last axis."""
    return -np.stack(
        [np.log2(1 - p_there), np.log2(p_there / 2 * (1 - decay)), np.log2(decay)], axis=-1
    ).astype(np.float32)


def _cheapest(features: jax.Array, bits: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Index of the cheapest of K distributions for rows of [there, magnitude] features, (n, 2·D)."""
    zero, first, further = np.moveaxis(bits, -1, 0)
    weights = np.concatenate([first - zero - further, further], axis=1)
    return np.asarray(jnp.argmin(features @ jnp.asarray(weights.T) + (zero.sum(1) + prior)[None], axis=1))


def _fit_classes(integers: np.ndarray, n_classes: int, n_rounds: int = 20) -> np.ndarray:
    """The class of each block, int (n,); classes are ordered from quiet to loud."""
    there, magnitude = _features(integers)
    features = jnp.concatenate([jnp.asarray(there), jnp.asarray(magnitude)], axis=1)
    loudness = loudness_of(magnitude)
    chosen = np.argsort(np.argsort(loudness, kind="stable"), kind="stable") * n_classes // len(loudness)
    for _ in range(n_rounds):
        member = np.eye(n_classes, dtype=np.float32)[chosen]
        counts = member.sum(axis=0)
        sums = np.asarray(jnp.asarray(member.T) @ features)
        p_there, decay = _distributions(counts[:, None], *np.split(sums, 2, axis=1))
        prior = -np.log2((counts + 1) / len(chosen))
        chosen = _cheapest(features, _bits(p_there, decay), prior.astype(np.float32))
    means = np.bincount(chosen, loudness, n_classes) / np.maximum(np.bincount(chosen, minlength=n_classes), 1)
    return np.argsort(np.argsort(means))[chosen]


def _merge_tables(
    counts: np.ndarray, there: np.ndarray, magnitude: np.ndarray, n_tables: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cluster (P,) distributions given by sums: table of each, and the tables' parameters."""
    p_there, _ = _distributions(counts, there, magnitude)
    mean = magnitude / np.maximum(counts, 1)
    chosen = np.argsort(np.argsort(p_there + mean)) * n_tables // len(mean)
    for _ in range(40):
        sums = [np.bincount(chosen, x, n_tables) for x in (counts, there, magnitude)]
        table_there, decay = _distributions(*sums)
        bits = _bits(table_there, decay)
        cost = (
            counts[:, None] * bits[:, 0]
            + there[:, None] * (bits[:, 1] - bits[:, 0] - bits[:, 2])
            + magnitude[:, None] * bits[:, 2]
        )
        chosen = cost.argmin(axis=1)
    return chosen, table_there, decay


def _token_probabilities(p_there: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Probability of every token by each table's two-sided geometric distribution with its own zero."""
    first, count = tokens_module.token_ranges()
    beyond = decay[:, None] ** np.maximum(first - 1, 0)  # how likely magnitudes are to reach a token's first
    rows = p_there[:, None] / 2 * beyond * (1 - decay[:, None] ** count)
    rows[:, 0] = 1 - p_there
    return np.pad(rows, ((0, 0), (0, 1)))


def _with_escapes(probabilities: np.ndarray) -> np.ndarray:
    """Leave rare tokens to the escape, which costs 24 bits and takes their share, but at least the least."""
    rows = probabilities / probabilities.sum(axis=1, keepdims=True)
    kept = np.where(rows >= _RAREST, rows, 0)
    kept[:, tokens_module.ESCAPE] = np.maximum(1 - kept.sum(axis=1), 2.0**-frequency_tables.PRECISION)
    return kept


def fit_profiles(
    volumes: list[np.ndarray], config: SpectralConfig, *, blocks_per_volume: int = 600, seed: int = 0
) -> dict[str, jax.Array]:
    """Fit the entropy model of the spectral codec on volumes.

    Args:
        volumes: (z, y, x) each, of supported dtypes.
        config: how many profiles, classes and tables.
        blocks_per_volume: how many blocks of each volume to learn latents from, by each filter.
        seed: the only source of randomness.

    Returns:
        The model's profiles, from low rates to high.
    """
    portions = sample_latents(volumes, blocks_per_volume, seed=seed)
    rounded = [round_latents(portion) for portion in portions]
    order = 1 + np.argsort(-sum((of[:, 1:] != 0).sum(axis=0) for of in rounded), kind="stable")
    models = []
    for chosen in split_by_rate(rounded, config.n_profiles):
        values, integers = (np.concatenate([of[i] for i in chosen]) for of in (portions, rounded))
        models.append(_fit_profile(values, integers, order, config))
    profiles = stack_profiles(models)
    # Where two quantisers let blocks end depends on the tables of ends.
    for _ in range(config.n_quantizers):
        profiles = _fit_to_volumes(profiles, volumes)
    return profiles


def _fit_profile(
    values: np.ndarray, integers: np.ndarray, order: np.ndarray, config: SpectralConfig
) -> EntropyModel:
    """A profile's classes and tables from latents in steps, (n, 512), and what they are rounded to."""
    model = _fit_latents(integers, order, config)
    for _ in range(_N_ROUNDS - 1):
        # Count the integers that the encoder would choose_modes.
        integers = np.array(_decide(model, jnp.asarray(values))[0])
        model = _fit_latents(integers, order, config)
    return _fit_quantizers(model, values)


def _fit_latents(integers: np.ndarray, order: np.ndarray, config: SpectralConfig) -> EntropyModel:
    """Classes and their tables from blocks of integers (n, 512), whose means are set to 0."""
    integers[:, 0] = 0  # means are coded as differences: _fit_to_volumes
    chosen = _fit_classes(integers, config.n_classes)
    there, magnitude = _features(integers)
    member = np.eye(config.n_classes, dtype=np.float32)[chosen]
    counts = np.repeat(member.sum(axis=0)[:, None], integers.shape[1], axis=1)
    flat_counts, flat_there, flat_magnitude = (
        x.reshape(-1) for x in (counts, member.T @ there, member.T @ magnitude)
    )
    merged, p_there, decay = _merge_tables(flat_counts, flat_there, flat_magnitude, config.n_tables)
    tables = merged.reshape(config.n_classes, -1)
    n_shared = config.n_quantizers * config.n_tables
    tables[:, 0] = n_shared + np.arange(config.n_classes)

    def unfitted(n_rows: int) -> jax.Array:
        return jnp.ones((n_rows, tokens_module.N_TOKENS), jnp.uint16)

    return EntropyModel(
        frequencies=unfitted(n_shared + config.n_classes),
        bits=jnp.asarray(_bits(p_there, decay)),
        shrink=jnp.zeros((n_shared, 2), jnp.float32),
        order=jnp.asarray(order, jnp.int32),
        tables=jnp.asarray(tables, jnp.int32),
        end_frequencies=unfitted(config.n_classes),
        mode_frequencies=unfitted(config.n_classes),
        class_frequencies=unfitted(config.n_classes + 1),
        class_bits=jnp.asarray(-np.log2((member.sum(axis=0) + 1) / len(chosen)), jnp.float32),
    )


def _fit_quantizers(model: EntropyModel, values: np.ndarray) -> EntropyModel:
    """The tables that latents share by quantiser, and where the mean of what each integer stands for lies."""
    n_quantizers, n_shared = model.n_quantizers, model.n_shared
    zero, _, further = np.moveaxis(np.asarray(model.bits, np.float64), -1, 0)
    shared = _token_probabilities(1 - 2**-zero, 2**-further)
    rows = np.concatenate([shared] * n_quantizers)
    for _ in range(1 if n_quantizers == 1 else _N_ROUNDS):
        frozen = frequency_tables.quantize_frequencies(_with_escapes(rows))
        model = model._replace(frequencies=model.frequencies.at[:n_shared].set(jnp.asarray(frozen)))
        found = observe_blocks(model, values)
        sums = (
            np.bincount(found.rows, weights, n_shared)
            for weights in (None, found.integers > 0, found.integers)
        )
        if n_quantizers > 1:
            rows = _token_probabilities(*_distributions(*sums))
    shrink = []
    for among in (found.integers == 1, found.integers > 1):
        count = np.bincount(found.rows[among], minlength=n_shared)
        shrink.append(np.bincount(found.rows[among], found.excess[among], n_shared) / (count + 50))
    return model._replace(shrink=jnp.asarray(np.clip(np.stack(shrink, 1), -0.2, 0.3), jnp.float32))


def _leaning(counts: np.ndarray, weight: float, n_tokens: int) -> np.ndarray:
    """Counts of few observations lean on what all rows have in common; every possible token has some."""
    common = (counts.sum(axis=0) + 0.5) / (counts.sum() + 0.5 * n_tokens)
    return np.where(np.arange(counts.shape[1]) < n_tokens, counts + weight * common, 0)


def _fit_to_volumes(profiles: Profiles, volumes: list[np.ndarray]) -> dict[str, jax.Array]:
    """Take the frequencies of everything that the encoder codes of whole volumes."""
    counts = count_volumes(profiles, volumes, STEPS)
    return stack_profiles([_take_counts(take_profile(profiles, i), of) for i, of in enumerate(counts)])


def _take_counts(model: EntropyModel, counts: list[np.ndarray]) -> EntropyModel:
    """A profile with frequencies by how often the encoder named what."""
    n_classes, n_tables = len(model.tables), model.n_shared
    tokens, ends, modes, transitions = counts
    transitions = _leaning(transitions, 50, n_classes)
    transitions[n_classes] = transitions[:n_classes].sum(axis=0)
    prior = transitions[n_classes, :n_classes] / transitions[n_classes].sum()
    expected = np.asarray(model.frequencies[:n_tables], np.float64)
    expected[:, tokens_module.ESCAPE] = 0
    tokens[:n_tables] += 500 * expected / expected.sum(axis=1, keepdims=True)
    # No volume need have chosen the profile.
    tokens[n_tables:] += 20 * tokens[n_tables:].sum(axis=0) / max(tokens[n_tables:].sum(), 1) + 0.002

    def frozen(rows: np.ndarray) -> jax.Array:
        return jnp.asarray(frequency_tables.quantize_frequencies(rows))

    return model._replace(
        frequencies=frozen(_with_escapes(tokens)),
        end_frequencies=frozen(_leaning(ends, 20, scan_order.N_ENDS_OF_BLOCK)),
        mode_frequencies=frozen(_leaning(modes, 5, block_modes.N_MODES)),
        class_frequencies=frozen(transitions),
        class_bits=jnp.asarray(-_KNOWN_FROM_NEIGHBOURS * np.log2(prior), jnp.float32),
    )
