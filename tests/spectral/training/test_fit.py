from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from fronts import fronts

import nvc_jax
from nvc_jax.core.parameters import Params
from nvc_jax.evaluation.metrics import psnr_db
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.fit import fit_spectral, train_spectral
from nvc_jax.training.progress import RunOptions, TrainedParams, TrainingProgress
from nvc_jax.training.time_limit import TimeLimit

CONFIG = SpectralConfig(n_classes=8, n_tables=8, n_profiles=2)
SMALL = SpectralConfig(n_classes=4, n_tables=4, n_profiles=2)
FILTERED = SpectralConfig(n_classes=4, n_tables=4, n_profiles=2, n_filter_units=3)


@pytest.fixture(scope="module")
def params() -> Params:
    volumes = [fronts(seed) for seed in range(8)]
    return fit_spectral(volumes, CONFIG, blocks_per_volume=64)


def test_a_model_fitted_in_a_domain_is_better_there(params: Params) -> None:
    volume = fronts(103)

    def round_trip(codec: nvc_jax.Codec) -> tuple[float, int]:
        encoded = nvc_jax.encode_volume(codec, volume, step=0.1)
        return psnr_db(volume, np.asarray(nvc_jax.decode_volume(codec, encoded))), int(encoded.used_bytes)

    fitted, shipped = nvc_jax.Codec(CONFIG, params), nvc_jax.load_codec("nvc-1")
    (psnr_fitted, n_fitted), (psnr_shipped, n_shipped) = (round_trip(codec) for codec in (fitted, shipped))
    assert psnr_fitted > psnr_shipped - 0.5
    assert n_fitted < 0.9 * n_shipped


def test_parameters_are_those_of_the_configuration(params: Params) -> None:
    assert params.keys() == {"entropy"}
    assert len(params["entropy"]["tables"]) == CONFIG.n_profiles
    assert params["entropy"]["tables"].shape[1] == CONFIG.n_classes
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def train_small(n_devices: int, config: SpectralConfig = SMALL, **options: Any) -> TrainedParams:
    volumes = [fronts(seed)[:16, :16, :16] for seed in range(3)]
    return train_spectral(
        volumes, config, RunOptions(devices=jax.devices()[:n_devices], **options), blocks_per_volume=42
    )


@pytest.fixture(scope="module")
def plain() -> TrainedParams:
    return train_small(1)


def test_parameters_and_losses_do_not_depend_on_the_devices_and_interruptions(
    plain: TrainedParams, tmp_path: Path
) -> None:
    """Three chunks, so that one of two devices has none in the end; two profiles and two passes."""
    one, two = plain, train_small(2)
    jax.tree.map(np.testing.assert_array_equal, one.params, two.params)
    assert [report.step for report in one.history] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [report.step for report in two.history] == [1, 2, 4, 5, 7, 8]
    losses = {report.step: report.loss for report in one.history}
    assert all(losses[report.step] == pytest.approx(report.loss, rel=1e-6) for report in two.history)

    for end in (1, 4):  # in the midst of the profiles, and in the midst of a pass

        def interrupt(progress: TrainingProgress, end: int = end) -> None:
            if progress.step == end:
                raise InterruptedError

        directory = tmp_path / str(end)
        with pytest.raises(InterruptedError):
            train_small(1, directory=directory, on_progress=interrupt)
        resumed = train_small(1, directory=directory)
        assert resumed.history[0].step == end + 1
        jax.tree.map(np.testing.assert_array_equal, resumed.params, one.params)
    with pytest.raises(ValueError, match="another configuration or data"):
        train_small(1, directory=directory, seed=1)


def test_the_filter_is_fitted_in_the_last_step(plain: TrainedParams, tmp_path: Path) -> None:
    one, two = train_small(1, FILTERED), train_small(2, FILTERED)
    jax.tree.map(np.testing.assert_array_equal, one.params["entropy"], plain.params["entropy"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), one.params, two.params)
    assert [report.step for report in one.history] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert 0 < one.history[-1].loss < 1.1

    def interrupt(progress: TrainingProgress) -> None:
        if progress.step == 8:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train_small(1, FILTERED, directory=tmp_path, on_progress=interrupt)
    resumed = train_small(1, FILTERED, directory=tmp_path)
    assert [report.step for report in resumed.history] == [9]
    jax.tree.map(np.testing.assert_array_equal, resumed.params, one.params)


class SlowRun:
    """Run on five chunks by a clock that moves on with the reports: rounds of four chunks and of all.

    Args:
        minutes: limit of the run.
        seconds: that a step takes, by the number of the step.
        end: step after which the run is interrupted.
        config: of the model.
    """

    def __init__(
        self,
        minutes: float,
        seconds: Callable[[int], float],
        end: int | None = None,
        config: SpectralConfig = SMALL,
    ) -> None:
        self.minutes, self.seconds, self.end, self.config = minutes, seconds, end, config
        self.now = 0.0

    def train(self, directory: Path | None = None) -> TrainedParams:
        limit = TimeLimit(self.minutes, lambda: self.now)
        options = RunOptions(
            devices=jax.devices()[:1], limit=limit, directory=directory, on_progress=self.on_progress
        )
        return train_spectral([fronts(seed)[:16, :16, :16] for seed in range(5)], self.config, options)

    def on_progress(self, progress: TrainingProgress) -> None:
        self.now += self.seconds(progress.step)
        if progress.step == self.end:
            raise InterruptedError


def steps_of(trained: TrainedParams) -> list[tuple[int, int]]:
    return [(report.step, report.total_steps) for report in trained.history]


def test_rounds_grow_while_there_is_time(tmp_path: Path) -> None:
    """Each round has two profiles and two passes over its chunks."""
    ample = SlowRun(60, lambda step: 10).train()
    assert steps_of(ample) == [(step, 10 if step < 10 else 22) for step in range(1, 23)]
    short = SlowRun(60, lambda step: 200).train()
    assert steps_of(short) == [(step, 10) for step in range(1, 11)]
    assert not np.array_equal(short.params["entropy"]["frequencies"], ample.params["entropy"]["frequencies"])

    # The second round begins, takes longer than expected, and is dropped.
    dropped = SlowRun(60, lambda step: 100 if step < 10 else 500).train()
    assert steps_of(dropped)[-2:] == [(15, 22), (16, 16)]
    assert dropped.history[-1].loss == dropped.history[9].loss
    jax.tree.map(np.testing.assert_array_equal, dropped.params, short.params)

    with pytest.raises(InterruptedError):
        SlowRun(60, lambda step: 100 if step < 10 else 500, end=13).train(tmp_path)
    resumed = SlowRun(60, lambda step: 500).train(tmp_path)
    assert steps_of(resumed)[0] == (14, 22)
    assert resumed.history[-1].step == resumed.history[-1].total_steps < 22
    jax.tree.map(np.testing.assert_array_equal, resumed.params, short.params)
    again = SlowRun(60, lambda step: 500).train(tmp_path)
    assert again.history == ()
    jax.tree.map(np.testing.assert_array_equal, again.params, short.params)
    with pytest.raises(ValueError, match="another configuration or data"):
        SlowRun(61, lambda step: 10).train(tmp_path)


def test_a_model_is_whole_even_if_there_is_hardly_any_time() -> None:
    trained = SlowRun(1e-9, lambda step: 10).train()
    assert steps_of(trained) == [(1, 10), (2, 10), (10, 10)]
    filtered = SlowRun(1e-9, lambda step: 10, config=FILTERED).train()
    assert steps_of(filtered) == [(1, 11), (2, 11), (11, 11)]
    assert all((leaf == 0).all() for leaf in filtered.params["filter"].values())
