"""Creation of a container in the file system: a hidden directory that is renamed when it is complete.

A run that writes alone has a directory of its own, ``.NAME.<random>.partial``; a run that resumes takes over
the directory that an earlier one left. Several writers (``part``) share ``.NAME.partial``.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nvc_jax.container.begun import CHECKSUMS_PREFIX, Begun, Claim, begin, checksums_key, find_begun, start
from nvc_jax.container.destinations import check_destination, is_zip
from nvc_jax.container.metadata import METADATA_KEY, ContainerMetadata
from nvc_jax.container.notes import Notes, leaving_notes
from nvc_jax.container.store import ContainerStore
from nvc_jax.core.unfinished import remove_tree, unfinished
from nvc_jax.io.atomic import list_leftovers, naming, own_name, put_in_place, remove_leftovers
from nvc_jax.io.locations import Location, open_directory, write_zip
from nvc_jax.io.locks import locked
from nvc_jax.io.paths import real_path
from nvc_jax.io.replaceable import LOCK_SUFFIX, OWN_PREFIX, find_foreign, identify

_PARTIAL, _ZIPPED = "partial", "tmp"
"""Last parts of the names of a run's own directory and file."""


@contextlib.contextmanager
def claim_path(path: Path, location: Location, shared: bool, overwrite: bool) -> Iterator["_LocalClaim"]:
    """Claim a path; see ``creation.claim``."""
    check_destination(location, overwrite)
    real = real_path(path)
    with contextlib.ExitStack() as stack:
        with naming(path):
            is_locked = stack.enter_context(locked(real, path, shared=shared))
        yield _LocalClaim(real, location, shared, overwrite, is_locked)


class _LocalClaim(Claim):
    """A path that a run has claimed.

    Args:
        path: real path.
        location: as the user named it.
        shared: whether several writers write the container.
        overwrite: whether something else than a container may be replaced.
        is_locked: whether no other run can have claimed it.
    """

    def __init__(
        self, path: Path, location: Location, shared: bool, overwrite: bool, is_locked: bool
    ) -> None:
        self._path, self._location, self._name = path, location, str(location)
        self._shared, self._overwrite, self._is_locked = shared, overwrite, is_locked
        self._common = path.with_name(f".{path.name}.{_PARTIAL}")
        self._before = identify(path)

    def find_begun(self) -> Begun | None:
        """Find what the other writers began, or what the last of them was completing when it was killed."""
        if not self._common.is_dir():
            self._take_back()
        if not self._common.is_dir():
            return None
        return find_begun(open_directory(self._common), METADATA_KEY, self._name, self._advice())

    def notes(self) -> contextlib.AbstractContextManager[Notes | None]:
        """Let the writers leave notes in their common directory; see ``Claim.notes``."""
        return leaving_notes(self._common) if self._shared else contextlib.nullcontext()

    def _take_back(self) -> None:
        """Give the directory that a killed writer was completing the name that all writers know.

        Raises:
            BlockingIOError: the writer is at work.
        """
        for directory in list_leftovers(self._path, _PARTIAL):
            if any(directory.glob(f"{CHECKSUMS_PREFIX}*")) and (directory / METADATA_KEY).is_file():
                with locked(directory, Path(self._name)), naming(self._name):
                    os.rename(directory, self._common)
                return

    @contextlib.contextmanager
    def create(
        self, metadata: ContainerMetadata, *, resume: bool = False, checksums: bytes = b""
    ) -> Iterator[ContainerStore]:
        """Create the container; see ``creation.create``."""
        metadata.to_text()  # raises before anything is lost
        partial = self._common if self._shared else self._own_directory(resume)
        try:
            store = self._start(partial, metadata, checksums)
        except BaseException:
            if not self._shared and not _count_objects(partial):
                remove_tree(partial)
            raise
        with unfinished(partial, lambda: self._describe(partial, store)):
            try:
                try:
                    yield store
                finally:
                    with naming(self._name):
                        store.wait_for_metadata()
                if not self._shared:
                    self._complete(store, partial)
                elif partial.exists() and store.is_complete():
                    self._complete_shared(store, partial)
            except BaseException:
                if self._describe(partial, store) is None:
                    remove_tree(partial)
                raise

    def _start(self, partial: Path, metadata: ContainerMetadata, checksums: bytes) -> ContainerStore:
        """Make the directory and begin to store the metadata, or check that those in it are the same."""
        self._check_begun(partial)
        with naming(self._name):
            partial.mkdir(exist_ok=True)
            objects = open_directory(partial)
            if self._shared and checksums:
                objects.write(checksums_key(metadata), checksums).result()
        if not self._shared and not (partial / METADATA_KEY).exists():
            return begin(objects, METADATA_KEY, metadata, self._name)
        return start(objects, METADATA_KEY, metadata, self._name, self._shared, self._advice())

    def _advice(self) -> str:
        if self._shared:
            return f"it lies in `{self._common}`: remove that directory to begin anew"
        return "run without `resume` (`--resume`) to begin anew"

    def _own_directory(self, resume: bool) -> Path:
        """Name a directory for this run alone: to continue an earlier run, that of the earlier one.

        Raises:
            FileExistsError: several writers began the container, and this run does not continue it.
        """
        own = own_name(self._path, _PARTIAL)
        if (self._common / METADATA_KEY).is_file() and not resume and not self._overwrite:
            raise FileExistsError(
                f"`{self._name}` was begun by several writers (`part`, `--part`) in `{self._common}`: let "
                "them finish, continue their work with `resume` (`--resume`), or begin anew with `overwrite` "
                "(`--overwrite`)"
            )
        self._check_begun(self._common)
        common = [self._common] if self._common.is_dir() else []
        earlier = list_leftovers(self._path, _PARTIAL) + common
        begun = [directory for directory in earlier if (directory / METADATA_KEY).is_file()]
        if resume and begun:
            with naming(self._name):
                os.rename(begun[0], own)
        elif self._is_locked:  # whoever left them is not at work any more
            for directory in earlier:
                shutil.rmtree(directory)
        return own

    def _check_begun(self, partial: Path) -> None:
        """Raise ``FileExistsError`` if a directory that is to be continued may hold what is not ours."""
        has_objects = (partial / "c").exists()
        # Metadata are written before objects; objects without them may be of any source.
        foreign = "c" if has_objects and not (partial / METADATA_KEY).is_file() else find_foreign(partial)
        if foreign is not None:
            raise FileExistsError(
                f"`{partial}`, where `{self._name}` would be written first, holds `{foreign}`; move it away"
            )

    def _complete_shared(self, store: ContainerStore, partial: Path) -> None:
        """Complete a container of several writers, if this one is the first to rename the directory."""
        own = own_name(self._path, _PARTIAL)
        with locked(own, Path(self._name)):
            try:
                os.rename(partial, own)
            except FileNotFoundError:
                return
            moved = ContainerStore(open_directory(own), store.metadata, store.name)
            with unfinished(own, lambda: self._describe(own, moved)):
                self._complete(moved, own)

    def _complete(self, store: ContainerStore, partial: Path) -> None:
        """Give a complete container its name."""
        if not (partial / METADATA_KEY).is_file() or not store.is_complete():
            raise FileExistsError(
                f"another run has removed what this one wrote of `{self._name}`; run one at a time"
            )
        check_destination(self._location, self._overwrite)
        if is_zip(self._path):  # which takes no files but those of the container
            self._complete_zip(store, partial)
        else:
            _remove_own_files(partial)
            with naming(self._name):
                put_in_place(partial, self._path, self._before)
        if self._is_locked:
            remove_leftovers(self._path, _PARTIAL)

    def _complete_zip(self, store: ContainerStore, partial: Path) -> None:
        zipped = own_name(self._path, _ZIPPED)
        try:
            with unfinished(zipped), naming(self._name):
                write_zip(partial, store.keys(), zipped)
                put_in_place(zipped, self._path, self._before)
        finally:
            zipped.unlink(missing_ok=True)
        shutil.rmtree(partial)

    def _describe(self, partial: Path, store: ContainerStore) -> str | None:
        """Say what an interrupted run keeps; None where it is nothing."""
        n_objects = _count_objects(partial)
        is_common = self._shared and partial == self._common  # others may write to it
        if not (partial / METADATA_KEY).is_file() or not (n_objects or is_common):
            return None
        n_all = len(list(store.objects()))
        how = "the same call" if self._shared else "the same call with `resume` (`--resume`)"
        return (
            f"`{self._name}`: {n_objects} of {n_all} objects are kept in `{partial}`; {how} continues there"
        )


def _count_objects(partial: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(partial / "c"))


def _remove_own_files(partial: Path) -> None:
    """Remove what only a container that is being written holds, and what a killed write left."""
    for parent, _, files in os.walk(partial):
        for name in files:
            if name.startswith(OWN_PREFIX) or name.endswith(LOCK_SUFFIX):
                os.unlink(os.path.join(parent, name))
