import dataclasses
import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.training.block_regions import BlockRegions
from nvc_jax.autoencoder.training.blocks import BlockArray
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.autoencoder.training.loop import train_blocks
from nvc_jax.autoencoder.training.loss import validation_loss
from nvc_jax.training.preemption import Preempted
from nvc_jax.training.progress import RunOptions, TrainedParams, TrainingProgress
from nvc_jax.training.time_limit import TimeLimit

MODEL = DenseConfig(block_size=4, margin=1, hidden_sizes=(16,), latent_dim=6)
CONFIG = AutoencoderTraining(MODEL, epochs=3, batch_size=8, learning_rate=3e-3, steps_per_dispatch=5)


def smooth_volume() -> np.ndarray:
    z, y, x = np.meshgrid(*[np.linspace(0, 3, 20)] * 3, indexing="ij")
    return (np.sin(z + y) * np.cos(2 * x)).astype(np.float32)


def make_source() -> BlockRegions:
    return BlockRegions([smooth_volume()], MODEL, key=jax.random.key(1))


def train(config: AutoencoderTraining = CONFIG, *, seed: int = 0, **options: Any) -> TrainedParams:
    return train_blocks(config, make_source(), RunOptions(**options), key=jax.random.key(seed))


def assert_same_params(a: object, b: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_loss_falls_and_is_reported() -> None:
    source = make_source()
    config = AutoencoderTraining(MODEL, epochs=40, batch_size=8, learning_rate=1e-2, schedule="cosine")
    seen: list[TrainingProgress] = []
    options = RunOptions(on_progress=seen.append)
    result = train_blocks(config, source, options, key=jax.random.key(0), validation=source)
    assert tuple(seen) == result.history
    assert seen[-1].step == seen[-1].total_steps == 40 * (source.counts.sum() // 8)
    assert all(0 <= progress.data_wait <= 1 for progress in seen)
    assert seen[-1].validation_loss < 0.5 * seen[0].validation_loss


def test_same_key_trains_the_same_and_another_does_not() -> None:
    first, second, other = (train(seed=seed).params for seed in (0, 0, 1))
    assert_same_params(first, second)
    assert not np.array_equal(first["mean"]["kernel"], other["mean"]["kernel"])


def test_two_devices_train_the_same_parameters_as_one() -> None:
    one, two = (train(devices=jax.devices()[:n]) for n in (1, 2))
    np.testing.assert_allclose(*[[report.loss for report in run.history] for run in (one, two)], rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), one.params, two.params)
    with pytest.raises(ValueError, match="multiple of the number of devices"):
        train(dataclasses.replace(CONFIG, batch_size=7))
    with pytest.raises(ValueError, match="must hold a device of each process"):
        train(devices=[])


@pytest.mark.parametrize("checkpoint_every", [1, 10_000], ids=["within an epoch", "between epochs"])
def test_interrupted_run_resumes_exactly(tmp_path: Path, checkpoint_every: int) -> None:
    uninterrupted = train().params

    class Interrupted(Exception):
        pass

    def interrupt(progress: TrainingProgress) -> None:
        if progress.step > 1.5 * progress.total_steps / 3:
            raise Interrupted

    options: dict[str, Any] = {"directory": tmp_path, "checkpoint_every": checkpoint_every}
    with pytest.raises(Interrupted):
        train(on_progress=interrupt, **options)
    resumed = train(**options)
    n_batches = 125 // 8
    expected = n_batches + 2 * CONFIG.steps_per_dispatch if checkpoint_every == 1 else n_batches
    assert resumed.history[0].step == expected + CONFIG.steps_per_dispatch
    assert_same_params(uninterrupted, resumed.params)


def test_a_run_that_is_to_end_saves_its_state_and_continues(tmp_path: Path) -> None:
    uninterrupted = train().params

    def preempt(progress: TrainingProgress) -> None:
        if progress.step == 2 * CONFIG.steps_per_dispatch:
            signal.raise_signal(signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted) as ended:
        train(on_progress=preempt, directory=tmp_path)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler
    resumed = train(directory=tmp_path)
    assert resumed.history[0].step == 4 * CONFIG.steps_per_dispatch - 125 // 8 % CONFIG.steps_per_dispatch
    assert_same_params(uninterrupted, resumed.params)


def test_a_run_continues_on_other_devices_with_a_warning(tmp_path: Path) -> None:
    def interrupt(progress: TrainingProgress) -> None:
        if progress.step > progress.total_steps / 2:
            raise InterruptedError

    uninterrupted = train().params
    with pytest.raises(InterruptedError):
        train(devices=jax.devices()[:1], directory=tmp_path, on_progress=interrupt)
    with pytest.warns(UserWarning, match="continues on 1 process with 2 devices .* after 1 process with"):
        resumed = train(devices=jax.devices()[:2], directory=tmp_path)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), uninterrupted, resumed.params
    )


def train_for_a_minute(directory: Path, end: int | None = None) -> TrainedParams:
    """Train by a clock that moves on by 0.3 s when it is asked; raise after ``end`` steps."""
    now = [0.0]

    def clock() -> float:
        now[0] += 0.3
        return now[0]

    def on_progress(progress: TrainingProgress) -> None:
        if end is not None and progress.step >= end:
            raise InterruptedError

    config = dataclasses.replace(CONFIG, schedule="cosine")
    options = RunOptions(limit=TimeLimit(1, clock), directory=directory, on_progress=on_progress)
    return train_blocks(config, make_source(), options, key=jax.random.key(0), validation=make_source())


def test_a_run_of_limited_time_goes_on_beyond_its_epochs(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        train_for_a_minute(tmp_path, end=100)
    result = train_for_a_minute(tmp_path)
    first, last = result.history[0], result.history[-1]
    assert 60 < first.step <= 100
    assert last.step == last.total_steps > 2 * CONFIG.epochs * (125 // 8)
    assert last.validation_loss is not None
    assert last.validation_loss < first.loss
    # Each step takes 0.05 s or more, and the time before the interruption counts.
    assert last.step - first.step < 900

    config = dataclasses.replace(CONFIG, schedule="cosine")
    with pytest.raises(ValueError, match="another configuration"):
        train(config, directory=tmp_path)
    again = train_for_a_minute(tmp_path)
    assert again.history == ()
    assert_same_params(again.params, result.params)


def test_the_best_parameters_are_kept(tmp_path: Path) -> None:
    """A new network decodes everything to grey; the more it learns, the worse it is on grey blocks."""
    held_out = BlockArray(np.full((16, 6, 6, 6), 0.5, np.float32))
    config = dataclasses.replace(CONFIG, sample_latents=False)

    def run(keep: str) -> TrainedParams:
        options = RunOptions(validation=["grey"], directory=tmp_path / keep, keep=keep)
        return train_blocks(config, make_source(), options, key=jax.random.key(0), validation=held_out)

    best, last = run("best"), run("last")
    losses = [report.validation_loss for report in best.history if report.validation_loss is not None]
    assert losses[-1] > min(losses)
    assert validation_loss(MODEL, best.params, held_out) == pytest.approx(min(losses), rel=1e-5)
    assert validation_loss(MODEL, last.params, held_out) == pytest.approx(losses[-1], rel=1e-5)


def test_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    train(directory=tmp_path)
    with pytest.raises(ValueError, match="another configuration"):
        train(directory=tmp_path, seed=1)


def test_every_option_trains() -> None:
    config = AutoencoderTraining(
        MODEL, epochs=1, batch_size=8, kl_weight=1e-3, loss_window="blend", augment=True, sample_latents=False
    )
    assert np.isfinite(train(config).history[-1].loss)


def test_bad_sources_are_named() -> None:
    options = RunOptions()
    with pytest.raises(ValueError, match="blocks of side 4; the model's is 6"):
        train_blocks(CONFIG, BlockArray(np.zeros((9, 4, 4, 4), np.float32)), options, key=jax.random.key(0))
    with pytest.raises(ValueError, match="holds 3 blocks; one batch takes 8"):
        train_blocks(CONFIG, BlockArray(np.zeros((3, 6, 6, 6), np.float32)), options, key=jax.random.key(0))
