"""Creation of a container: begun, resumed, shared by several writers, completed.

A run first claims the destination, so that of two runs the second is refused before it works. In the file
system it then writes to a hidden directory beside the container's name (``local_creation``), which is renamed
when it is complete. Elsewhere nothing can be renamed: there the container lacks its ``zarr.json`` until it is
complete (``remote_creation``).
"""

import contextlib
from collections.abc import Iterator

from nvc_jax.container.begun import Claim, agree_but_for_step
from nvc_jax.container.local_creation import claim_path
from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.container.remote_creation import claim_keys
from nvc_jax.container.store import ContainerStore, open_container
from nvc_jax.io.locations import Location
from nvc_jax.io.paths import local_path


def claim(
    location: Location, *, shared: bool = False, overwrite: bool = False
) -> contextlib.AbstractContextManager[Claim]:
    """Claim the place of a container for this run, until the block ends.

    Args:
        location: of the container. One that lies there stays until the new one is complete (elsewhere than in
            the file system, until the new one is begun).
        shared: other processes write objects of the same container at the same time; the last to finish
            completes it.
        overwrite: whether something else than a container may be replaced; see ``check_destination``.

    Raises:
        BlockingIOError: another run is writing to that path.
        FileExistsError: something lies there that is not replaced.
        OSError: nothing can be written there; the message names ``location``.
    """
    path = local_path(location)
    if path is None:
        return claim_keys(location, shared, overwrite)
    return claim_path(path, location, shared, overwrite)


@contextlib.contextmanager
def create(
    location: Location,
    metadata: ContainerMetadata,
    *,
    resume: bool = False,
    shared: bool = False,
    overwrite: bool = False,
) -> Iterator[ContainerStore]:
    """Claim the place of a container, create the container, and yield its store to be written.

    Until the block ends without an error, nothing lies under the container's name.

    Args:
        location: of the container.
        metadata: of the container.
        resume: continue an earlier run, which must have had the same metadata.
        shared: as of ``claim``. The store that is yielded has the metadata of the first writer, whose step
            may differ.
        overwrite: as of ``claim``.

    Raises:
        FileExistsError: as of ``claim``; or, elsewhere than in the file system, a run that is not complete.
        ValueError: an earlier run had other metadata.
    """
    with (
        claim(location, shared=shared, overwrite=overwrite) as claimed,
        claimed.create(metadata, resume=resume) as store,
    ):
        yield store


def is_complete(location: Location, metadata: ContainerMetadata) -> bool:
    """Tell whether a complete container with this metadata, except for its step, lies at a location."""
    try:
        return agree_but_for_step(metadata, open_container(location).metadata)
    except (FileNotFoundError, FormatError):
        return False
