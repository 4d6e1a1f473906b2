"""Several writers of one container, killed and interrupted runs, and runs that are resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interruption import Interrupted, interrupt_after
from sample_volume import CHUNK, N_CHUNKS, SHARD, VOLUME
from sources import NotedSource
from stored_files import read_files

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.compression.shared_scan import scan_share
from nvc_jax.container.creation import claim, create, is_complete
from nvc_jax.container.notes import Notes
from nvc_jax.container.store import open_container
from nvc_jax.core.chunk_interfaces import NO_LIMITS
from nvc_jax.io.declared_values import DeclaredValues
from nvc_jax.io.locks import locked
from nvc_jax.io.volumes import open_volume, read_volume
from nvc_jax.io.writers import write_volume

PARTIAL = ".v.zarr.????????.partial"
"""Name of the directory that a run alone writes the container `v.zarr` to."""


def chunks_of_part(part: int, n_parts: int) -> set[tuple[int, ...]]:
    return {index for number, index in enumerate(np.ndindex(3, 3, 2)) if number % n_parts == part}


def modification_times(directory: Path) -> dict[str, int]:
    return {name: (directory / name).stat().st_mtime_ns for name in read_files(directory)}


@pytest.mark.parametrize(
    ("options", "n_chunks"), [({"chunks": CHUNK}, 1), ({"chunks": CHUNK, "shards": SHARD}, 8)]
)
def test_several_writers_make_one_container(options: dict, n_chunks: int, tmp_path: Path) -> None:
    expected, target = tmp_path / "expected.zarr", tmp_path / "v.zarr"
    arguments = {"relative_error": 0.01, **options}
    nvc_jax.compress(VOLUME, expected, **arguments)
    assert not nvc_jax.compress(VOLUME, target, part=(2, 3), **arguments).is_complete
    assert not target.exists()
    one_object = interrupt_after(n_chunks)
    with pytest.raises(Interrupted):
        nvc_jax.compress(VOLUME, target, part=(0, 3), **arguments, on_progress=one_object)
    assert not nvc_jax.compress(VOLUME, target, part=(1, 3), **arguments).is_complete
    assert not target.exists()  # what the interrupted one did not write is missing
    with pytest.raises(ValueError, match="was begun with another volume, model or target"):
        nvc_jax.compress(VOLUME, target, part=(0, 3), relative_error=0.02, **options)
    assert nvc_jax.compress(VOLUME, target, part=(0, 3), **arguments).is_complete
    assert read_files(target) == read_files(expected)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["expected.zarr", "v.zarr"]


def test_a_launch_is_repeated_with_another_number_of_writers(tmp_path: Path) -> None:
    target, mask = tmp_path / "v.zarr", VOLUME > 99
    nvc_jax.compress(mask, tmp_path / "expected.zarr", chunks=CHUNK)
    for part in ((0, 3), (2, 3), (1, 2)):
        assert not nvc_jax.compress(mask, target, chunks=CHUNK, part=part).is_complete
    assert nvc_jax.compress(mask, target, chunks=CHUNK, part=(0, 2)).is_complete
    assert read_files(target) == read_files(tmp_path / "expected.zarr")


def test_notes_about_a_source_that_has_changed_complete_no_container(tmp_path: Path) -> None:
    """A launch was killed before the container was begun, and the source was changed."""
    old, new = VOLUME > 99, VOLUME > 99
    new[5, 6, 7] ^= True
    partial, options = tmp_path / ".v.zarr.partial", {"chunks": CHUNK}
    partial.mkdir()
    scan_share(open_volume(old), CHUNK, DeclaredValues((), NO_LIMITS), (0, 2), Notes(partial))
    assert not nvc_jax.compress(new, tmp_path / "v.zarr", part=(1, 2), **options).is_complete
    with pytest.raises(ValueError, match=r"chunk \(0, 0, 0\) of the source has changed; .*remove that dir"):
        nvc_jax.compress(new, tmp_path / "v.zarr", part=(0, 2), **options)
    assert not (tmp_path / "v.zarr").exists()


def test_only_the_first_writer_looks_at_the_whole_volume(tmp_path: Path) -> None:
    first, second = NotedSource(VOLUME, CHUNK), NotedSource(VOLUME, CHUNK)
    nvc_jax.compress(first.store, tmp_path / "v.zarr", psnr=40, chunks=CHUNK, part=(0, 2))
    assert set(first.reads) == chunks_of_part(0, 1)
    result = nvc_jax.compress(second.store, tmp_path / "v.zarr", psnr=40, chunks=CHUNK, part=(1, 2))
    assert result.is_complete
    own_chunks = chunks_of_part(1, 2)
    assert set(second.reads) == own_chunks
    assert len(second.reads) == 2 * len(own_chunks)  # to recognise them, and to encode them


def test_a_part_that_is_written_already_is_not_encoded_again(tmp_path: Path) -> None:
    options = {"max_error": 2, "chunks": CHUNK}
    partial = tmp_path / ".v.zarr.partial"
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", part=(0, 2), **options)
    before = modification_times(partial)
    assert before.keys() >= {"c/0/0/0", "c/0/1/0"}
    again = NotedSource(VOLUME, CHUNK)
    assert not nvc_jax.compress(again.store, tmp_path / "v.zarr", part=(0, 2), **options).is_complete
    assert sorted(again.reads) == sorted(chunks_of_part(0, 2))  # to recognise them
    assert modification_times(partial) == before


def test_a_part_that_is_written_again_changes_nothing(tmp_path: Path) -> None:
    options = {"max_error": 2, "chunks": CHUNK}
    for part in range(2):
        result = nvc_jax.compress(VOLUME, tmp_path / "v.zarr", part=(part, 2), **options)
        assert result.is_complete == (part == 1)
    before, times = read_files(tmp_path / "v.zarr"), modification_times(tmp_path / "v.zarr")
    assert nvc_jax.compress(VOLUME, tmp_path / "v.zarr", part=(0, 2), **options) == result
    assert read_files(tmp_path / "v.zarr") == before
    assert modification_times(tmp_path / "v.zarr") == times
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def test_another_volume_is_never_mixed_in(tmp_path: Path) -> None:
    options = {"relative_error": 0.01, "chunks": CHUNK}
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", part=(0, 2), **options)
    other = VOLUME.copy()
    other[:20] = 255 - other[:20]
    with pytest.raises(ValueError, match=r"was begun with another volume.*\.v\.zarr\.partial"):
        nvc_jax.compress(other, tmp_path / "v.zarr", part=(1, 2), **options)
    assert not (tmp_path / "v.zarr").exists()


def test_a_container_that_is_being_written_shows_its_metadata(plain: Path, tmp_path: Path) -> None:
    metadata = open_container(plain).metadata
    assert is_complete(plain, metadata)
    with claim(tmp_path / "v.zarr", shared=True) as claimed:
        assert claimed.find_begun() is None
        with create(tmp_path / "v.zarr", metadata, shared=True):
            assert not is_complete(tmp_path / "v.zarr", metadata)
        begun = claimed.find_begun()
    assert begun is not None
    assert begun.store.metadata == metadata


WRITER = """
import sys
import nvc_jax
nvc_jax.compress(sys.argv[1], sys.argv[2], max_error=2.0, chunks=(8, 8, 8), shards=(8, 16, 16),
                 part=(int(sys.argv[3]), 3))
"""


def test_a_killed_writer_loses_only_what_it_was_writing(tmp_path: Path) -> None:
    volume = read_volume(SAMPLE)[:24, :40, :43]
    write_volume(tmp_path / "v.npy", volume)
    options = {"max_error": 2.0, "chunks": (8, 8, 8), "shards": (8, 16, 16)}
    nvc_jax.compress(volume, tmp_path / "expected.zarr", **options)
    target, partial = tmp_path / "v.zarr", tmp_path / ".v.zarr.partial"
    command = [sys.executable, "-c", WRITER, str(tmp_path / "v.npy"), str(target)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    nvc_jax.compress(volume, target, part=(0, 3), **options)
    other = subprocess.Popen([*command, "1"], env=environment)
    with subprocess.Popen([*command, "2"], env=environment) as process:
        shards = [f"{z}/{y}/{x}" for i, (z, y, x) in enumerate(np.ndindex(3, 3, 3)) if i % 3 == 2]
        while process.poll() is None and not (partial / "c" / shards[1]).exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert other.wait() == 0
    assert not target.exists()
    written = {name: (partial / "c" / name).stat().st_mtime_ns for name in shards[:2]}
    nvc_jax.compress(volume, target, part=(2, 3), **options)
    assert read_files(target) == read_files(tmp_path / "expected.zarr")
    assert {name: (target / "c" / name).stat().st_mtime_ns for name in shards[:2]} == written


PROGRAM = """
import sys
import nvc_jax
nvc_jax.compress(sys.argv[1], sys.argv[2], max_error=1.0, chunks=(8, 8, 8), resume=True)
"""


def test_killed_runs_are_resumed(tmp_path: Path) -> None:
    """A killed run leaves no container, at any moment; resumed, it ends as if it had not been killed."""
    volume = read_volume(SAMPLE)[:16, :30, :43]
    write_volume(tmp_path / "v.npy", volume)
    nvc_jax.compress(tmp_path / "v.npy", tmp_path / "expected.zarr", max_error=1.0, chunks=(8, 8, 8))
    target = tmp_path / "v.zarr"
    for n_chunks in (1, 20):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "v.npy"), str(target)]
        with subprocess.Popen(command, env=os.environ | {"JAX_PLATFORMS": "cpu"}) as process:
            while process.poll() is None and len(list(tmp_path.glob(f"{PARTIAL}/c/*/*/*"))) < n_chunks:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        assert not target.exists()
        assert len(list(tmp_path.glob(PARTIAL))) == 1
    damaged = min(tmp_path.glob(f"{PARTIAL}/c/*/*/*"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    nvc_jax.compress(tmp_path / "v.npy", target, max_error=1.0, chunks=(8, 8, 8), resume=True)
    assert read_files(target) == read_files(tmp_path / "expected.zarr")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["expected.zarr", "v.npy", "v.zarr"]


def test_an_interrupted_run_goes_on_where_it_ended(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    with pytest.raises(Interrupted):
        nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK, on_progress=interrupt_after(12))
    (partial,) = tmp_path.glob(PARTIAL)
    before = modification_times(partial)
    assert len(before) == 1 + 12
    n_calls = []
    nvc_jax.compress(VOLUME, path, max_error=2, chunks=CHUNK, resume=True, on_progress=n_calls.append)
    assert len(n_calls) == 1 + N_CHUNKS - 12
    assert read_files(path) == read_files(plain)
    assert modification_times(path).items() >= before.items()


def test_an_interrupted_run_of_another_target_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        nvc_jax.compress(
            VOLUME, tmp_path / "v.zarr", max_error=1, chunks=CHUNK, on_progress=interrupt_after(1)
        )
    assert not (tmp_path / "v.zarr").exists()
    with pytest.raises(ValueError, match="was begun with another volume, model or target"):
        nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=2, chunks=CHUNK, resume=True)
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=2, chunks=CHUNK)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"max_error": 3}, r"the target was {'max_error': 2.0}, now {'max_error': 3.0}"),
        ({"lossless": True}, r"the target was {'max_error': 2.0}, now {'lossless': True}"),
        ({"chunks": (16, 8, 16)}, r"`chunks` was \(16, 16, 16\), now \(16, 8, 16\)"),
        ({"shards": SHARD}, r"`shards` was None, now \(32, 32, 32\)"),
        ({"missing_values": [3]}, r"`missing_values` was \(\), now \(3.0,\)"),
        ({"value_limits": (-1e6, None)}, r"`value_limits` was \(-inf, inf\), now \(-1000000.0, inf\)"),
        ({"exact_values": [0]}, r"`exact_values` was \(\), now \(0.0,\)"),
        ({"source": VOLUME + 1}, "voxels of the source have changed"),
        ({"source": VOLUME[:-1]}, r"the shape was .*, now \(36, 40, 27\)"),
        ({"source": VOLUME.astype(np.float64)}, "the dtype was .*, now float64"),
    ],
)
def test_what_keeps_a_run_from_being_resumed_is_named(
    options: dict[str, Any], difference: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"source": VOLUME, "max_error": 2, "chunks": CHUNK}
    with pytest.raises(Interrupted):
        nvc_jax.compress(**given, destination=tmp_path / "v.zarr", on_progress=interrupt_after(1))
    given |= {"max_error": None} if "lossless" in options else {}
    with pytest.raises(ValueError, match=f"another volume, model or target: {difference}; run without"):
        nvc_jax.compress(**given | options, destination=tmp_path / "v.zarr", resume=True)


LIMITED = """
import resource, signal, sys
from nvc_jax.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
sys.exit(main(sys.argv[1:]))
"""


def run_limited(*command: str) -> str:
    """Run a command where files are at most 3000 bytes, and return its message."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "File too large" in run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr


def test_a_full_disk_leaves_no_container(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.npy", VOLUME)
    message = run_limited("compress", f"{tmp_path}/v.npy", f"{tmp_path}/v.zarr", "--lossless")
    assert f"`{tmp_path}/v.zarr` cannot be written" in message
    assert not (tmp_path / "v.zarr").exists()
    nvc_jax.compress(tmp_path / "v.npy", tmp_path / "v.zarr", lossless=True, resume=True)
    nvc_jax.verify(VOLUME, tmp_path / "v.zarr")


@pytest.mark.parametrize(
    ("destination", "named"),
    [("g.zarr::v", "g.zarr/v"), ("p.ome.zarr --pyramid", "p.ome.zarr/0")],
)
def test_a_full_disk_is_named_of_groups_too(destination: str, named: str, tmp_path: Path) -> None:
    write_volume(tmp_path / "v.npy", VOLUME)
    message = run_limited("compress", f"{tmp_path}/v.npy", *f"{tmp_path}/{destination} --lossless".split())
    assert f"`{tmp_path}/{named}` cannot be written" in message
    assert ".tmp" not in message
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.npy"]


def test_a_full_disk_is_named_of_hdf5_too(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=1)
    message = run_limited("decompress", f"{tmp_path}/v.zarr", f"{tmp_path}/v.nc")
    assert message == f"nvc decompress: `{tmp_path}/v.nc` cannot be written: [Errno 27] File too large\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def test_destinations_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="zarr"):
        nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=1)
    tmp_path.chmod(0o700)


def changed(index: tuple[int, ...]) -> np.ndarray:
    """Change a single voxel of the sample volume, by less than its range."""
    volume = VOLUME.copy()
    volume[index] ^= 1
    return volume


def test_a_run_is_not_resumed_with_another_source(tmp_path: Path) -> None:
    options = {"max_error": 0, "chunks": CHUNK}
    with pytest.raises(Interrupted):
        nvc_jax.compress(VOLUME, tmp_path / "v.zarr", **options, on_progress=interrupt_after(2))
    for index in ((0, 0, 0), (20, 20, 20), (36, 39, 26)):
        with pytest.raises(ValueError, match=r"was begun with another volume.*run without `resume`"):
            nvc_jax.compress(changed(index), tmp_path / "v.zarr", **options, resume=True)
    assert len(list(tmp_path.glob(f"{PARTIAL}/c/*/*/*"))) == 2
    assert not (tmp_path / "v.zarr").exists()


def test_parts_of_different_sources_are_not_mixed(tmp_path: Path) -> None:
    options = {"max_error": 0, "chunks": CHUNK}
    cut = np.s_[:16, :16, :]
    nvc_jax.compress(VOLUME[cut], tmp_path / "v.zarr", part=(0, 2), **options)
    for part, x in ((0, 3), (1, 20)):
        message = rf"chunk \(0, 0, {part}\) of the source has changed.*v.zarr.partial`: remove that directory"
        with pytest.raises(ValueError, match=message):
            nvc_jax.compress(changed((0, 0, x))[cut], tmp_path / "v.zarr", part=(part, 2), **options)


def test_of_two_runs_the_second_is_refused_before_it_works(tmp_path: Path) -> None:
    seconds: list[BaseException] = []

    def start_another(_: object) -> None:
        if not seconds:
            other = NotedSource(VOLUME, CHUNK)
            with pytest.raises(BlockingIOError, match="another run is writing") as info:
                nvc_jax.compress(other.store, tmp_path / "v.zarr", max_error=2, chunks=CHUNK)
            assert other.reads == []
            seconds.append(info.value)

    volume = VOLUME[:16, :16]
    nvc_jax.compress(volume, tmp_path / "v.zarr", max_error=0, chunks=CHUNK, on_progress=start_another)
    assert len(seconds) == 1
    nvc_jax.verify(volume, tmp_path / "v.zarr")
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def test_nothing_is_compressed_into_a_group(tmp_path: Path) -> None:
    group = tmp_path / "scans.zarr"
    group.mkdir()
    (group / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    spec = {"driver": "file", "path": f"{group}/"}
    nvc_jax.compress(VOLUME[:16, :16, :16], group / "density", max_error=0, chunks=CHUNK)
    for destination in (group, str(group), f"file://{group}", spec, {"driver": "zarr3", "kvstore": spec}):
        for overwrite in (False, True):
            with pytest.raises(FileExistsError, match="is a Zarr group, which holds `density`"):
                nvc_jax.compress(VOLUME, destination, max_error=2, overwrite=overwrite)
    nvc_jax.verify(VOLUME[:16, :16, :16], group / "density")


@pytest.mark.parametrize("name", ["v.zarr.zip", "v.zarr"])
def test_a_writer_that_ends_while_it_completes_is_continued(name: str, tmp_path: Path) -> None:
    options = {"max_error": 2, "chunks": CHUNK}
    target = tmp_path / name
    assert not nvc_jax.compress(VOLUME, target, part=(0, 2), **options).is_complete

    def make_foreign_file(_: object) -> None:
        target.write_text("of someone else")

    with pytest.raises(FileExistsError):
        nvc_jax.compress(VOLUME, target, part=(1, 2), **options, on_progress=make_foreign_file)
    target.unlink()
    (left,) = tmp_path.iterdir()
    with locked(left, left), pytest.raises(BlockingIOError, match="another run is writing"):
        nvc_jax.compress(VOLUME, target, part=(0, 2), **options)
    source = NotedSource(VOLUME, CHUNK)
    assert nvc_jax.compress(source.store, target, part=(0, 2), **options).is_complete
    assert set(source.reads) == chunks_of_part(0, 2)  # once, to compare them with the first writer's
    assert len(source.reads) == len(chunks_of_part(0, 2))
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    nvc_jax.verify(VOLUME, target)
