"""A TensorStore that dask and pickle take."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorstore as ts

from nvc_jax.core.cached_properties import cached_property
from nvc_jax.io.metadata import VolumeMetadata


class OpenVolume(NamedTuple):
    """An open volume: functions that are called when what they return is needed.

    Attributes:
        store: returns the store of its voxels, the same at every call.
        metadata: reads the metadata.
        read_all: begins to read all voxels, faster than the store does; None where the store does it.
    """

    store: Callable[[], ts.TensorStore]
    metadata: Callable[[], VolumeMetadata]
    read_all: Callable[[], ts.Future] | None = None


class VolumeView:
    """A read-only ``tensorstore.TensorStore`` that can be pickled, and whose dtype NumPy understands.

    Whatever a TensorStore has, a view has, too: ``shape``, ``read``, ``chunk_layout``, ``translate_to``, ….
    Another process that unpickles a view opens it anew.

    Args:
        reopen: opens the volume; it must be possible to pickle it.
        indices: indices that are applied to its store, one after the other.
        opened: the volume, if it is open already.
    """

    def __init__(
        self,
        reopen: Callable[[], OpenVolume],
        indices: tuple[Any, ...] = (),
        opened: OpenVolume | None = None,
    ) -> None:
        self._reopen, self._indices = reopen, indices
        self._opened = reopen() if opened is None else opened
        if indices:
            _ = self.store  # raises where an index is none

    @cached_property
    def store(self) -> ts.TensorStore:
        """The ``TensorStore`` itself."""
        store = self._opened.store()
        for index in self._indices:
            store = store[index]
        return store

    @cached_property
    def metadata(self) -> VolumeMetadata:
        """Metadata of the volume; of a part its attributes alone."""
        metadata = self._opened.metadata()
        return metadata.without_coordinates() if self._indices else metadata

    @property
    def dtype(self) -> "ViewDtype":
        """Dtype of the volume, for NumPy as for TensorStore."""
        return ViewDtype(self.store.dtype.numpy_dtype)

    def __getitem__(self, index: Any) -> "VolumeView":
        """View a part; nothing is read."""
        return VolumeView(self._reopen, (*self._indices, index), self._opened)

    def read(self, **options: Any) -> ts.Future:
        """Read all of the view; arguments and result are those of ``TensorStore.read``."""
        read_all = self._opened.read_all
        return self.store.read(**options) if read_all is None or self._indices or options else read_all()

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """Read all of the view."""
        return np.asarray(self.read().result(), dtype)

    def __len__(self) -> int:
        return int(self.store.shape[0])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "store":  # copies ask before there is a store
            raise AttributeError(name)
        return getattr(self.store, name)

    def __repr__(self) -> str:
        return f"VolumeView(shape={tuple(self.store.shape)}, dtype={self.dtype.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return VolumeView, (self._reopen, self._indices)


def with_metadata(store: ts.TensorStore, metadata: VolumeMetadata) -> VolumeView:
    """View an open store as a volume with metadata; such a view cannot be pickled."""
    opened = OpenVolume(lambda: store, lambda: metadata)
    return VolumeView(lambda: opened)


class ViewDtype:
    """A dtype that is one for NumPy, with the attribute ``numpy_dtype`` that TensorStore's dtypes have.

    Attributes:
        dtype, numpy_dtype: the dtype of NumPy.
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = self.numpy_dtype = dtype

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("dtype", "numpy_dtype"):
            raise AttributeError(name)
        return getattr(self.dtype, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.dtype == getattr(other, "numpy_dtype", other))

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return repr(self.dtype)
