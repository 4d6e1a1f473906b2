from nvc_jax.chunks.kept_payloads import KeptPayloads
from nvc_jax.chunks.spread_steps import OwnTarget
from nvc_jax.core.chunk_grid import first_voxel
from nvc_jax.core.chunk_interfaces import ChunkTarget

REGION = (slice(8, 16), slice(0, 8), slice(24, 30))
LESSON = ChunkTarget(None, 0.1)
TARGET = OwnTarget(LESSON, LESSON)
OTHER = OwnTarget(ChunkTarget(None, 0.2), ChunkTarget(None, 0.2))


def test_payloads_are_taken_once_by_their_region_and_target() -> None:
    kept = KeptPayloads()
    kept.keep(REGION, TARGET, b"payload")
    assert kept.take(REGION, OTHER) is None
    assert kept.take(REGION[::-1], TARGET) is None
    assert kept.take(REGION, TARGET) == b"payload"
    assert kept.take(REGION, TARGET) is None
    assert first_voxel(REGION) == (8, 0, 24)


def test_payloads_of_other_targets_are_dropped() -> None:
    kept = KeptPayloads()
    kept.keep(REGION, TARGET, b"payload")
    kept.keep(REGION, OTHER, b"other")
    beside = OwnTarget(OTHER.own, LESSON)
    kept.keep(REGION, beside, b"beside")
    kept.drop_others(LESSON)
    assert kept.take(REGION, beside) == b"beside"
    assert kept.take(REGION, OTHER) is None
    assert kept.take(REGION, TARGET) == b"payload"


def test_few_bytes_are_kept() -> None:
    kept = KeptPayloads()
    kept.keep(REGION, TARGET, bytes(1 << 26))
    kept.keep(REGION, OTHER, b"one byte too many")
    assert kept.take(REGION, OTHER) is None
    assert kept.take(REGION, TARGET) == bytes(1 << 26)
