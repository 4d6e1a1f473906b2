import json
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.training.mesh import make_mesh
from nvc_jax.training.optimizer import TrainingState
from nvc_jax.training.runs import RunCheckpoints, check_run_directory, remove_run

MESH = make_mesh(jax.devices()[:1])
RUN = {"sizes": (1, 2), "key": [0, 7]}


def make_state(step: int) -> TrainingState:
    return TrainingState({"layer": {0: jnp.full(3, step, jnp.float32)}}, (jnp.int32(step),), jnp.int32(step))


def test_a_new_run_starts_from_the_initial_state(tmp_path: Path) -> None:
    state = make_state(0)
    restored, notes = RunCheckpoints(tmp_path / "new" / "run", RUN, MESH).restore(state)
    assert restored is state
    assert notes == {}


def test_the_latest_checkpoint_is_restored(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path, RUN, MESH)
    for step in (4, 8):
        checkpoints.save(step, make_state(step), notes={"minutes": step / 3})
    checkpoints.close()
    restored, notes = RunCheckpoints(tmp_path, RUN, MESH).restore(make_state(0))
    assert notes == {"minutes": 8 / 3}
    jax.tree.map(np.testing.assert_array_equal, restored, make_state(8))


def test_the_best_and_the_last_checkpoint_are_kept(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path, RUN, MESH)
    for step, loss in ((2, None), (4, 0.5), (6, 0.25), (8, 0.75), (9, None)):
        checkpoints.save(step, make_state(step), loss)
    best, (last, _) = checkpoints.restore_best(make_state(0)), checkpoints.restore(make_state(0))
    for restored, step in ((best, 6), (last, 9)):
        jax.tree.map(np.testing.assert_array_equal, restored, make_state(step))
    checkpoints.close()
    assert sorted(entry.name for entry in (tmp_path / "steps").iterdir()) == ["6", "9"]


def test_without_losses_the_best_checkpoint_is_the_last(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path, RUN, MESH)
    for step in (4, 8):
        checkpoints.save(step, make_state(step))
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore_best(make_state(0)), make_state(8))
    checkpoints.close()


def test_other_devices_are_stated(tmp_path: Path) -> None:
    for n_devices in (1, 1):
        RunCheckpoints(tmp_path, RUN, make_mesh(jax.devices()[:n_devices])).close()
    with pytest.warns(UserWarning, match=r"with 2 devices \(cpu, jax .*\) after 1 process with 1 device "):
        RunCheckpoints(tmp_path, RUN, make_mesh(jax.devices()[:2])).close()
    topologies = json.loads((tmp_path / "run.json").read_text())["topologies"]
    assert [topology["devices"] for topology in topologies] == [1, 2]


def test_a_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    RunCheckpoints(tmp_path, RUN, MESH)
    RunCheckpoints(tmp_path, {**RUN, "sizes": [1, 2]}, MESH)  # tuples and lists are the same in JSON
    with pytest.raises(ValueError, match="holds a run with another configuration or data"):
        RunCheckpoints(tmp_path, {**RUN, "key": [0, 8]}, MESH)


def test_a_directory_of_other_files_is_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileExistsError, match=r"holds `thesis.txt` and no training run; move it away"):
        RunCheckpoints(tmp_path, RUN, MESH)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(FileExistsError, match="is no directory"):
        RunCheckpoints(tmp_path / "thesis.txt", RUN, MESH)


def test_a_directory_may_be_made_by_another_process_while_it_is_checked(tmp_path: Path) -> None:
    directory, is_over = tmp_path / "run", threading.Event()

    def make_and_remove() -> None:
        while not is_over.is_set():
            directory.mkdir()
            directory.rmdir()

    other = threading.Thread(target=make_and_remove)
    other.start()
    try:
        for _ in range(5000):
            check_run_directory(directory)
    finally:
        is_over.set()
        other.join()


def test_a_run_is_removed_and_other_files_stay(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path / "run", RUN, MESH)
    checkpoints.save(4, make_state(4))
    checkpoints.close()
    (tmp_path / "run" / "thesis.txt").write_text("the only copy")
    remove_run(tmp_path / "run")
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run.json` is not JSON"):
        RunCheckpoints(tmp_path, RUN, MESH)
