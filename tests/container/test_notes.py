import threading
from pathlib import Path

import pytest

from nvc_jax.container.metadata import METADATA_KEY
from nvc_jax.container.notes import leaving_notes


def test_notes_are_read_by_all_and_go_with_their_writers(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    with leaving_notes(directory) as first:
        with leaving_notes(directory) as second:
            first.leave("a", b"one")
            second.leave("a", b"two")
            second.leave("b", b"three")
            assert first.names() == {"a", "b"}
            assert (first.read("a"), first.read("b"), first.read("c")) == (b"two", b"three", b"")
        assert first.names() == set()
    assert list(tmp_path.iterdir()) == []


def test_notes_stay_where_the_container_is_begun(tmp_path: Path) -> None:
    with leaving_notes(tmp_path) as notes:
        notes.leave("a", b"one")
        (tmp_path / METADATA_KEY).write_text("{}")
    assert notes.names() == {"a"}


def test_notes_about_what_is_gone_are_not_written(tmp_path: Path) -> None:
    with leaving_notes(tmp_path / "shared") as notes:
        (tmp_path / "shared").rmdir()
        notes.leave("a", b"one")
        assert (notes.names(), notes.read("a")) == (set(), b"")
    assert list(tmp_path.iterdir()) == []


def test_one_writer_does_the_work_of_all(tmp_path: Path) -> None:
    done: list[bytes] = []
    began = threading.Event()

    def work() -> bytes:
        began.set()
        done.append(b"result")
        return b"result"

    def take(results: list[bytes]) -> None:
        with leaving_notes(tmp_path / "shared") as notes:
            results.append(notes.once("step", work))
            began.wait(10)

    results: list[bytes] = []
    with leaving_notes(tmp_path / "shared") as notes:
        threads = [threading.Thread(target=take, args=(results,)) for _ in range(3)]

        def slow_work() -> bytes:
            for thread in threads:
                thread.start()
            return work()

        assert notes.once("step", slow_work) == b"result"
        for thread in threads:
            thread.join()
    assert results == [b"result"] * 3
    assert done == [b"result"]
    assert list(tmp_path.iterdir()) == []


def test_work_that_failed_is_done_by_the_next(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise ValueError("beyond")

    with leaving_notes(tmp_path / "shared") as notes:
        with pytest.raises(ValueError, match="beyond"):
            notes.once("step", fail)
        assert notes.once("step", lambda: b"result") == b"result"
        assert notes.names() == {"step"}
