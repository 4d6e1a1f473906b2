"""Creation of a container where nothing can be renamed: it has no ``zarr.json`` until it is complete."""

import contextlib
from collections.abc import Iterator

import tensorstore as ts

from nvc_jax.container.begun import Begun, Claim, checksums_key, find_begun, start
from nvc_jax.container.destinations import check_destination, check_keys
from nvc_jax.container.metadata import METADATA_KEY, ContainerMetadata
from nvc_jax.container.store import ContainerStore
from nvc_jax.container.stored_metadata import read_metadata_at
from nvc_jax.io.locations import Location, open_location
from nvc_jax.io.replaceable import OWN_PREFIX

_STARTED_KEY = f"{OWN_PREFIX}started.json"
"""Key of the metadata while a container is being written."""

_CLEARING_KEY = f"{OWN_PREFIX}clearing.json"
"""Key that is there while a run removes what lies there, so that no other run begins."""
_ADVICE = "name another place, or remove what was begun there"


@contextlib.contextmanager
def claim_keys(location: Location, shared: bool, overwrite: bool) -> Iterator["_RemoteClaim"]:
    """Claim a place among keys; see ``creation.claim``. Nothing keeps another run away but what it finds."""
    check_destination(location, overwrite)
    objects = open_location(location)
    check_keys(objects, str(location), overwrite)
    yield _RemoteClaim(objects, str(location), shared, overwrite)


class _RemoteClaim(Claim):
    """Keys that a run writes to.

    Args:
        objects: keys below the container.
        name: of the container, for messages.
        shared: whether several writers write the container.
        overwrite: whether something else than a container, or what another run began, may be replaced.
    """

    def __init__(self, objects: ts.KvStore, name: str, shared: bool, overwrite: bool) -> None:
        self._objects, self._name = objects, name
        self._shared, self._overwrite = shared, overwrite

    def find_begun(self) -> Begun | None:
        """Find what the other writers began."""
        return find_begun(self._objects, _STARTED_KEY, self._name, _ADVICE)

    @contextlib.contextmanager
    def create(
        self, metadata: ContainerMetadata, *, resume: bool = False, checksums: bytes = b""
    ) -> Iterator[ContainerStore]:
        """Create the container; see ``creation.create``."""
        metadata.to_text()  # raises before anything is lost
        is_begun = read_metadata_at(self._objects, _STARTED_KEY) is not None
        if is_begun and not (resume or self._shared or self._overwrite):
            raise FileExistsError(self._begun_message())
        if self._shared:
            self._check_shared(is_begun)
            if checksums:
                self._objects.write(checksums_key(metadata), checksums).result()
        elif not (is_begun and resume):
            self._begin(metadata)
        store = start(self._objects, _STARTED_KEY, metadata, self._name, self._shared, _ADVICE)
        yield store
        if store.is_complete():
            self._complete(store)
        elif not self._shared:
            raise FileExistsError(
                f"another run has removed what this one wrote of `{self._name}`; run one at a time"
            )

    def _begin(self, metadata: ContainerMetadata) -> None:
        """Store the metadata and remove what lay there; of two runs that begin, one is refused."""
        check_keys(self._objects, self._name, self._overwrite)
        if self._overwrite:
            for own_key in (_STARTED_KEY, _CLEARING_KEY):
                self._objects.write(own_key, None).result()
        missing = self._objects.read(_CLEARING_KEY).result()
        claimed = self._objects.write(_CLEARING_KEY, b"{}", if_equal=missing.stamp.generation).result()
        if missing.state != "missing" or not claimed.generation:
            raise FileExistsError(self._begun_message())
        if self._objects.read(_STARTED_KEY).result().state != "missing":
            self._objects.write(_CLEARING_KEY, None).result()
            raise FileExistsError(self._begun_message())
        # The metadata come last: a run that resumes must not find objects of what lay there before.
        self._objects.write(METADATA_KEY, None).result()
        for key in self._objects.list().result():
            if key.decode() != _CLEARING_KEY:
                self._objects.write(key, None).result()
        self._objects.write(_STARTED_KEY, metadata.to_text()).result()
        self._objects.write(_CLEARING_KEY, None).result()

    def _check_shared(self, is_begun: bool) -> None:
        """Raise ``FileExistsError`` if something is there that several writers would have to remove first."""
        if check_keys(self._objects, self._name, self._overwrite) and not is_begun:
            raise FileExistsError(
                f"`{self._name}` holds another store; where nothing can be renamed, remove it first"
            )

    def _complete(self, store: ContainerStore) -> None:
        """Store the metadata under their final key, and remove what only an incomplete container has."""
        self._objects.write(METADATA_KEY, store.metadata.to_text()).result()
        for key in self._objects.list().result():
            if key.decode().startswith(OWN_PREFIX):
                self._objects.write(key, None).result()

    def _begun_message(self) -> str:
        return (
            f"`{self._name}` holds a container that another run began: let it finish, continue it with "
            "`resume` (`--resume`), or, if no run is at work there, begin anew with `overwrite` "
            "(`--overwrite`)"
        )
