import contextlib
import threading
import time
from pathlib import Path

import pytest
import tensorstore as ts

from nvc_jax.core.unfinished import completing, remove_tree, take_completed, unfinished


def leave(path: Path, note: str | None) -> None:
    with unfinished(path, lambda: note):
        raise KeyboardInterrupt


def test_an_error_says_what_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as info:
        leave(tmp_path / "a", "half of it is kept")
    assert info.value.__notes__ == ["half of it is kept"]
    with pytest.raises(KeyboardInterrupt) as info:
        leave(tmp_path / "a", None)
    assert not hasattr(info.value, "__notes__")


def test_nothing_is_kept_inside_of_what_is_removed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as info, unfinished(tmp_path):
        leave(tmp_path / "group" / "a", "half of it is kept")
    assert not hasattr(info.value, "__notes__")


def test_what_is_completed_is_told_once(tmp_path: Path) -> None:
    take_completed()
    with completing(tmp_path / "v.zarr"):
        pass
    assert take_completed() == [f"`{tmp_path}/v.zarr` is complete"]
    assert take_completed() == []


def test_a_directory_into_which_threads_still_write_is_removed(tmp_path: Path) -> None:
    directory, begun = tmp_path / "a", threading.Event()

    def write() -> None:
        """Write files for a moment, and make their directory where there is none."""
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            with contextlib.suppress(OSError):  # what is above may be removed meanwhile
                (directory / "c").mkdir(parents=True, exist_ok=True)
                (directory / "c" / str(time.monotonic())).touch()
            begun.set()

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    begun.wait()
    remove_tree(directory, seconds=30, pause=0.5)  # threads may wait for a core meanwhile
    for writer in writers:
        writer.join()
    assert not any(tmp_path.iterdir())


def test_writes_under_way_do_not_make_a_removed_directory_again(tmp_path: Path) -> None:
    directory = tmp_path / "a"
    store = ts.KvStore.open({"driver": "file", "path": f"{directory}/"}).result()
    store.write("0", b"first").result()
    writes = [store.write(f"c/{number}", b"value") for number in range(2000)]
    remove_tree(directory, seconds=30, pause=0.5)
    for write in writes:
        with contextlib.suppress(ValueError, OSError):  # it found a file in place of the directory
            write.result()
    assert not any(tmp_path.iterdir())
