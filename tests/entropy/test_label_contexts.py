import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.entropy import label_contexts as contexts
from nvc_jax.entropy.intervals import WHOLE

VALID = jnp.array([20, 25], jnp.int32)
# Compiled as a whole: one program for a shape takes less time than one for each operation.
examine_voxels, find_candidate = jax.jit(contexts.examine_voxels), jax.jit(contexts.find_candidate)
change_probabilities, learn = jax.jit(contexts.change_probabilities), jax.jit(contexts.learn)
flag_contexts, flag_probabilities = jax.jit(contexts.flag_contexts), jax.jit(contexts.flag_probabilities)


def random_slices(n_labels: int) -> contexts.Slices:
    rng = np.random.default_rng(0)
    return contexts.Slices(*(jnp.asarray(p) for p in rng.integers(0, n_labels, (3, 32, 32), np.uint8)))


def test_each_voxel_of_a_block_is_in_one_pass() -> None:
    positions = [position for p in contexts.PASSES for position in zip(p.y, p.x, strict=True)]
    assert sorted(positions) == [(y, x) for y in range(contexts.BLOCK) for x in range(contexts.BLOCK)]


def test_known_neighbours_come_in_earlier_passes() -> None:
    number = {(y, x): i for i, p in enumerate(contexts.PASSES) for y, x in zip(p.y, p.x, strict=True)}
    steps = {1: [(1, 1)], 2: [(0, 1), (1, 0)], 3: [(0, 1), (1, 0), (1, 1)], 0: []}
    for i, p in enumerate(contexts.PASSES):
        for y, x in zip(p.y, p.x, strict=True):
            for dy, dx in steps[p.known]:
                for sign in (-1, 1):
                    near = (y + sign * dy * p.distance) % 16, (x + sign * dx * p.distance) % 16
                    assert number[near] < i


@pytest.mark.parametrize("n_labels", [2, 4, 256])
def test_contexts_are_within_their_tables(n_labels: int) -> None:
    y, x = (jnp.asarray(i.reshape(-1), jnp.int32) for i in np.indices((20, 25)))
    counts = jnp.zeros((contexts.N_CONTEXTS, 2), jnp.int32)
    seen = set()
    for p in contexts.PASSES:
        voxels = examine_voxels(
            random_slices(n_labels), y, x, jnp.int32(p.distance), jnp.int32(p.known), VALID
        )
        second, second_context = find_candidate(voxels, [voxels.labels])
        third, third_context = find_candidate(voxels, [voxels.labels, second])
        assert (second != voxels.labels).all()
        assert (third != voxels.labels).all()
        assert (third != second).all()
        for context in (voxels.broad, voxels.narrow, second_context, third_context):
            assert int(context.min()) >= 0
            assert int(context.max()) < contexts.N_CONTEXTS
        kinds = [set(np.asarray(c).tolist()) for c in (voxels.broad, voxels.narrow)]
        assert not kinds[0] & kinds[1]
        assert not seen & kinds[1] or p.known in (1, 2)
        seen |= kinds[1]
        changes = change_probabilities(counts, voxels)
        assert int(changes.min()) >= 3
        assert int(changes.max()) <= WHOLE - 3


def test_probabilities_follow_the_counts() -> None:
    counts = jnp.zeros((contexts.N_CONTEXTS, 2), jnp.int32)
    flags = flag_contexts(jnp.zeros((32, 32), jnp.uint8), jnp.zeros((2, 2), bool), VALID)
    first = flags[:1]
    assert flag_probabilities(counts, first).tolist() == [19661]
    for _ in range(3):
        answers = jnp.ones((1, 1), bool)
        counts = learn(counts, first[None], answers, jnp.ones((1, 1), bool))
    counts = learn(counts, first[None], jnp.zeros((1, 1), bool), jnp.zeros((1, 1), bool))
    assert counts[first[0]].tolist() == [3, 3]
    assert flag_probabilities(counts, first).tolist() == [(3 * WHOLE + 19661) // 4]
    large = counts.at[first[0]].set(jnp.array([1 << 30, 1 << 29]))
    assert abs(int(flag_probabilities(large, first)[0]) - WHOLE // 2) < 4


def test_blocks_next_to_a_border_are_told_apart() -> None:
    before = np.zeros((48, 48), np.uint8)
    before[:, 16:] = 1
    large = jnp.array([48, 48], jnp.int32)
    found = flag_contexts(jnp.asarray(before), jnp.zeros((3, 3), bool), large).reshape(3, 3)
    assert (found[:, 0] == found[:, 1]).all()
    assert (found[:, 2] != found[:, 1]).all()
