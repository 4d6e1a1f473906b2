from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.training.optimizer import TrainingState
from nvc_jax.training.runs import RunCheckpoints, remove_run

RUN = {"sizes": (1, 2), "key": [0, 7]}


def make_state(step: int) -> TrainingState:
    return TrainingState({"layer": {0: jnp.full(3, step, jnp.float32)}}, (jnp.int32(step),), jnp.int32(step))


def test_a_new_run_starts_from_the_initial_state(tmp_path: Path) -> None:
    state = make_state(0)
    assert RunCheckpoints(tmp_path / "new" / "run", RUN).restore(state) is state


def test_the_latest_checkpoint_is_restored(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path, RUN)
    for step in (4, 8):
        checkpoints.save(step, make_state(step))
    restored = RunCheckpoints(tmp_path, RUN).restore(make_state(0))
    jax.tree.map(np.testing.assert_array_equal, restored, make_state(8))


def test_a_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    RunCheckpoints(tmp_path, RUN)
    RunCheckpoints(tmp_path, {**RUN, "sizes": [1, 2]})  # tuples and lists are the same in JSON
    with pytest.raises(ValueError, match="holds a run with another configuration or data"):
        RunCheckpoints(tmp_path, {**RUN, "key": [0, 8]})


def test_a_directory_of_other_files_is_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileExistsError, match=r"holds `thesis.txt` and no training run; move it away"):
        RunCheckpoints(tmp_path, RUN)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(FileExistsError, match="is no directory"):
        RunCheckpoints(tmp_path / "thesis.txt", RUN)


def test_a_run_is_removed_and_other_files_stay(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path / "run", RUN)
    checkpoints.save(4, make_state(4))
    (tmp_path / "run" / "thesis.txt").write_text("the only copy")
    remove_run(tmp_path / "run")
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run.json` is not JSON"):
        RunCheckpoints(tmp_path, RUN)
