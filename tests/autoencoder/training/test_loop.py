import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.training.blocks import BlockBatches, block_batches
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.autoencoder.training.loop import train_blocks
from nvc_jax.training.progress import TrainingProgress

MODEL = DenseConfig(block_size=4, margin=1, hidden_sizes=(16,), latent_dim=6)
CONFIG = AutoencoderTraining(MODEL, epochs=3, batch_size=8, learning_rate=3e-3, steps_per_dispatch=5)


def smooth_volume() -> np.ndarray:
    z, y, x = np.meshgrid(*[np.linspace(0, 3, 20)] * 3, indexing="ij")
    return (np.sin(z + y) * np.cos(2 * x)).astype(np.float32)


def make_batches() -> BlockBatches:
    return block_batches([smooth_volume()], MODEL, key=jax.random.key(1))


def assert_same_params(a: object, b: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_loss_falls_and_is_reported() -> None:
    batches = make_batches()
    config = AutoencoderTraining(MODEL, epochs=40, batch_size=8, learning_rate=1e-2, schedule="cosine")
    seen: list[TrainingProgress] = []
    result = train_blocks(config, batches, key=jax.random.key(0), validation=batches, on_progress=seen.append)
    assert tuple(seen) == result.history
    assert seen[-1].step == seen[-1].total_steps == 40 * (batches.blocks.shape[0] // 8)
    assert seen[-1].validation_loss < 0.5 * seen[0].validation_loss


def test_same_key_trains_the_same_and_another_does_not() -> None:
    batches = make_batches()
    first, second, other = (
        train_blocks(CONFIG, batches, key=jax.random.key(seed)).params for seed in (0, 0, 1)
    )
    assert_same_params(first, second)
    assert not np.array_equal(first["mean"]["kernel"], other["mean"]["kernel"])


def test_two_devices_train_the_same_parameters_as_one() -> None:
    batches = make_batches()
    one, two = (
        train_blocks(CONFIG, batches, key=jax.random.key(0), devices=jax.devices()[:n]).params for n in (1, 2)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), one, two)
    with pytest.raises(ValueError, match="multiple of the number of devices"):
        train_blocks(dataclasses.replace(CONFIG, batch_size=7), batches, key=jax.random.key(0))


def test_interrupted_run_resumes_exactly(tmp_path: Path) -> None:
    batches = make_batches()
    key = jax.random.key(0)
    uninterrupted = train_blocks(CONFIG, batches, key=key).params

    class Interrupted(Exception):
        pass

    def interrupt(progress: TrainingProgress) -> None:
        if progress.step > 1.5 * progress.total_steps / 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_blocks(CONFIG, batches, key=key, directory=tmp_path, on_progress=interrupt)
    resumed = train_blocks(CONFIG, batches, key=key, directory=tmp_path)
    assert resumed.history[0].step > CONFIG.steps_per_dispatch
    assert_same_params(uninterrupted, resumed.params)


def test_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    batches = make_batches()
    train_blocks(CONFIG, batches, key=jax.random.key(0), directory=tmp_path)
    with pytest.raises(ValueError, match="another configuration"):
        train_blocks(CONFIG, batches, key=jax.random.key(1), directory=tmp_path)


def test_every_option_trains() -> None:
    config = AutoencoderTraining(
        MODEL, epochs=1, batch_size=8, kl_weight=1e-3, loss_window="blend", augment=True, sample_latents=False
    )
    assert np.isfinite(train_blocks(config, make_batches(), key=jax.random.key(0)).history[-1].loss)


def test_bad_batches_are_named() -> None:
    with pytest.raises(ValueError, match="blocks of side 4; the model's is 6"):
        train_blocks(CONFIG, BlockBatches(np.zeros((9, 4, 4, 4), np.float32)), key=jax.random.key(0))
    with pytest.raises(ValueError, match="holds 3 blocks; one batch takes 8"):
        train_blocks(CONFIG, BlockBatches(np.zeros((3, 6, 6, 6), np.float32)), key=jax.random.key(0))
