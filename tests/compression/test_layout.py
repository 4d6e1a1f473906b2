import pytest

from nvc_jax.compression.layout import choose_layout, default_chunk, default_shard


@pytest.mark.parametrize(
    ("shape", "block_size", "chunk"),
    [
        ((96, 96, 96), 8, (96, 96, 96)),
        ((128, 128, 128), 8, (128, 128, 128)),
        ((129, 21, 300), 8, (136, 24, 152)),
        ((64, 256, 512), 8, (64, 128, 256)),
        ((3681, 40, 40), 8, (248, 40, 40)),
        ((512, 512, 512), 8, (128, 128, 128)),
        ((513, 512, 512), 8, (64, 64, 64)),
        ((20, 20, 20), 32, (32, 32, 32)),
    ],
)
def test_default_chunks_divide_a_volume_evenly(shape: tuple, block_size: int, chunk: tuple) -> None:
    assert default_chunk(shape, block_size) == chunk
    assert choose_layout(shape, block_size, None, None) == (chunk, default_shard(shape, chunk))


def test_chunks_are_sharded_where_there_are_many() -> None:
    assert default_shard((64, 64, 64), (8, 8, 8)) is None
    assert default_shard((64, 64, 65), (8, 8, 8)) == (32, 32, 32)
    assert choose_layout((72, 72, 72), 8, (8, 8, 8), None) == ((8, 8, 8), (32, 32, 32))


def test_chunks_and_shards_of_other_ranks() -> None:
    assert default_chunk((512, 700), 8) == (512, 352)
    assert default_chunk((100, 40, 41, 42), 8) == (1, 40, 48, 48)
    assert default_chunk((5, 2, 300, 300, 300), 8) == (1, 1, 104, 104, 152)
    assert default_chunk((100, 90, 3), 8, ("y", "x", "c")) == (104, 96, 1)
    assert default_chunk((30, 40, 50, 12), 8, ("z", "y", "x", "time")) == (32, 40, 56, 1)
    # As many chunks in a shard as of a volume of three axes, of several steps where one step has few.
    assert default_shard((1000, 16, 16, 16), (1, 16, 16, 16)) == (64, 16, 16, 16)
    assert default_shard((1000, 3, 32, 16, 16), (1, 1, 16, 16, 16)) == (10, 3, 32, 16, 16)
    assert default_shard((8, 64, 64, 64), (1, 8, 8, 8)) == (1, 32, 32, 32)
    assert default_shard((511, 16, 16, 16), (1, 16, 16, 16)) is None


def test_a_shard_of_one_chunk_is_none() -> None:
    assert choose_layout((37, 40, 43), 8, (16, 16, 16), (16, 16, 16)) == ((16, 16, 16), None)
    assert choose_layout((37, 40, 43), 8, (16, 16, 16), (16, 32, 16)) == ((16, 16, 16), (16, 32, 16))


@pytest.mark.parametrize("chunks", [(16, 16), (16, 16, 12), (0, 16, 16), (-8, 8, 8)])
def test_chunks_hold_whole_blocks(chunks: tuple) -> None:
    with pytest.raises(ValueError, match=r"`chunks` .* multiples of the model's block size \(=8\)"):
        choose_layout((37, 40, 43), 8, chunks, None)


@pytest.mark.parametrize("shards", [(32, 32), (32, 32, 24), (0, 32, 32), (-16, 16, 16)])
def test_shards_hold_whole_chunks(shards: tuple) -> None:
    with pytest.raises(ValueError, match=r"`shards` .* multiples of the chunks \(=16,16,16\)"):
        choose_layout((37, 40, 43), 8, (16, 16, 16), shards)


def test_chunks_may_hold_several_steps_of_a_series() -> None:
    shape = (10, 37, 40, 43)
    assert choose_layout(shape, 8, (3, 16, 16, 16), None).chunk == (3, 16, 16, 16)
    assert choose_layout((2, *shape), 8, (1, 7, 16, 16, 16), None).chunk == (1, 7, 16, 16, 16)
    with pytest.raises(ValueError, match="must have at most 4 sides above 1; make those of other axes 1"):
        choose_layout((2, *shape), 8, (2, 3, 16, 16, 16), None)
    with pytest.raises(ValueError, match=r"`chunks` .* multiples of the model's block size"):
        choose_layout(shape, 8, (8, 16, 12, 16), None)
    with pytest.raises(ValueError, match=r"`chunks` .* must have at most 268435456 voxels"):
        choose_layout(shape, 8, (256, 256, 256, 256), None)


def test_models_whose_chunks_hold_one_step_refuse_several() -> None:
    rule = r"`chunks` \(=3,16,16,16\) must have at most 3 sides above 1 with this model.* side of axis 0 1"
    with pytest.raises(ValueError, match=rule):
        choose_layout((10, 37, 40, 43), 8, (3, 16, 16, 16), None, takes_steps=False)
