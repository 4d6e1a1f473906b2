import pytest

from nvc_jax.spectral.training.rounds import Size, round_sizes


@pytest.mark.parametrize(
    ("chunk_blocks", "sizes"),
    [
        ([4096] * 11, [(4, 1000), (8, 1000), (11, 1000), (11, 2000), (11, 4000), (11, 8000), (11, 16000)]),
        ([8, 27], [(2, 567)]),
        ([4096], [(1, 1000 * 2**i) for i in range(7)] + [(1, 86016)]),
    ],
)
def test_rounds_have_more_chunks_and_then_more_blocks(
    chunk_blocks: list[int], sizes: list[tuple[int, int]]
) -> None:
    rounds = list(round_sizes(chunk_blocks))
    assert rounds[: len(sizes)] == [Size(*size) for size in sizes]


def test_rounds_end_with_all_blocks_at_all_steps_or_with_the_memory() -> None:
    assert list(round_sizes([512] * 12))[-1] == Size(12, 21 * 512)
    assert list(round_sizes([4096] * 1000))[-1] == Size(1000, 262)
