"""Containers that are begun and not complete: what a run finds of another, and must agree with."""

import abc
import contextlib
import dataclasses
import json

import tensorstore as ts

from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.notes import Notes
from nvc_jax.container.store import ContainerStore
from nvc_jax.container.stored_metadata import read_metadata_at
from nvc_jax.io.replaceable import OWN_PREFIX

CHECKSUMS_PREFIX = f"{OWN_PREFIX}source-"
"""Beginning of the keys of checksums, which only a container of several writers has."""


_WORDS = {
    **{"shape": "the shape was", "dtype": "the dtype was", "chunk": "`chunks` was", "shard": "`shards` was"},
    **{"model": "`model` was", "sha256": "`model` has other parameters now", "target": "the target was"},
    **{name: f"`{name}` was" for name in ("missing_values", "value_limits", "exact_values")},
    **{"valid_limits": "the source declared other limits of valid values", "step": "`step` was"},
    **{
        "fingerprint": "voxels of the source have changed",
        "attributes": "the source has other attributes now",
    },
}
"""Parts of metadata in words, the first that differs is named."""


@dataclasses.dataclass(frozen=True)
class Begun:
    """A container that another process began to write.

    Attributes:
        store: of the container.
        checksums: of the source's chunks, as the first of several writers stored them.
        advice: next step of a user who has another source now.
    """

    store: ContainerStore
    checksums: bytes
    advice: str


class Claim(abc.ABC):
    """The place of a container, claimed by a run."""

    @abc.abstractmethod
    def find_begun(self) -> Begun | None:
        """Find the container that other writers of the same one began; None where there is none."""

    def notes(self) -> contextlib.AbstractContextManager[Notes | None]:
        """Let writers of one container leave notes for each other in the block; None where they cannot."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def create(
        self, metadata: ContainerMetadata, *, resume: bool = False, checksums: bytes = b""
    ) -> contextlib.AbstractContextManager[ContainerStore]:
        """Create the container; arguments and errors are those of ``creation.create``.

        Args:
            metadata: of the container.
            resume: continue an earlier run.
            checksums: of the source's chunks, which the first of several writers stores for the others.
        """


def start(
    objects: ts.KvStore, key: str, metadata: ContainerMetadata, name: str, shared: bool, advice: str
) -> ContainerStore:
    """Store the metadata, or check that those which are there already are the same.

    Args:
        objects: keys of the container.
        key: of the metadata.
        metadata: of the container.
        name: of the container, for messages.
        shared: whether the step may differ, and another writer may be first.
        advice: next step of a user whose container was begun with other metadata.

    Raises:
        ValueError: a container of other metadata was begun there.
    """
    current = objects.read(key).result()
    if current.state == "missing":
        # Of several writers only the first succeeds.
        objects.write(key, metadata.to_text(), if_equal=current.stamp.generation).result()
    started = read_metadata_at(objects, key)
    agrees = started is not None and agree_but_for_step(metadata, started)
    if started is None or not agrees or not (shared or metadata.step == started.step):
        difference = "" if started is None else _describe_difference(metadata, started)
        raise ValueError(
            f"the container `{name}` was begun with another volume, model or target{difference}; {advice}"
        )
    return ContainerStore(objects, started, name)


def begin(objects: ts.KvStore, key: str, metadata: ContainerMetadata, name: str) -> ContainerStore:
    """Begin to store the metadata where no other run writes; arguments as of ``start``."""
    return ContainerStore(objects, metadata, name, objects.write(key, metadata.to_text()))


def checksums_key(metadata: ContainerMetadata) -> str:
    """Key of the checksums of the source's chunks: of another source another one."""
    return f"{CHECKSUMS_PREFIX}{metadata.fingerprint or 0:08x}"


def find_begun(objects: ts.KvStore, key: str, name: str, advice: str) -> Begun | None:
    """Find what a writer of a shared container began; the arguments are those of ``start``."""
    metadata = read_metadata_at(objects, key)
    if metadata is None:
        return None
    checksums = objects.read(checksums_key(metadata)).result()
    stored = bytes(checksums.value) if checksums.state == "value" else b""
    return Begun(ContainerStore(objects, metadata, name), stored, advice)


def _describe_difference(metadata: ContainerMetadata, started: ContainerMetadata) -> str:
    """Say what differs in two containers, beginning with what the user chose."""
    for field, words in _WORDS.items():
        now, then = getattr(metadata, field), getattr(started, field)
        if now != then:
            return f": {words} {then}, now {now}" if "was" in words else f": {words}"
    return ""


def agree_but_for_step(first: ContainerMetadata, second: ContainerMetadata) -> bool:
    """Tell whether two containers have the same source, model, target and layout."""
    first, second = (ContainerMetadata.from_json(json.loads(one.to_text())) for one in (first, second))
    return first == dataclasses.replace(second, step=first.step)
