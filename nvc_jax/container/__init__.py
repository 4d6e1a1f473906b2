"""The container: a Zarr v3 array whose chunks are payloads.

Read ``metadata`` first (the ``zarr.json``) and ``configuration`` (the fields of its codec), then ``store``
(the objects, read and written one by one) with ``stored_metadata`` (read where they are), ``chunk_checksum``
(a chunk's container and place) and ``shards`` (where chunks lie in an object). ``images`` finds the levels of
an image whose levels are containers.
``value_rules`` describes missing values and limits in the metadata. ``creation`` begins, resumes and
completes a container: ``local_creation`` in the file system, ``remote_creation`` elsewhere, and ``begun``
says what one run must agree with of another, to which it may leave ``notes``. ``destinations`` checks
beforehand that nothing of the user's would be replaced.
``model`` loads the model that a container names, and ``reader`` decodes chunks with it. ``zarr_codec`` lets
zarr-python, and so xarray and dask, read and write containers; it alone needs the extra ``zarr``.
``zarr_options`` makes a codec that writes, and ``zarr_writer`` encodes its chunks.

Elsewhere the package does not encode: ``compression`` gives it finished payloads.
"""

from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.container.model import load_model
from nvc_jax.container.reader import Reader
from nvc_jax.container.store import ContainerStore, open_container

__all__ = ["ContainerMetadata", "ContainerStore", "FormatError", "Reader", "load_model", "open_container"]
