"""Volumes in and out: every source as one lazy store, every destination written atomically.

Read ``volumes`` first: it opens any source, or a ``selection`` of one. Then read ``metadata``, the facts that
a source may state about a volume, ``declared_values``, those of them by which values are no measurement,
``measurements``, which marks these, ``unsigned_values``, integers that stand for others, ``axes``, which
tells axes of space from others by their names, ``coordinates``, those of axes that are uneven, fall or are
described, ``global_attributes``, those of a file or group, ``geometry``, those by which voxels have
positions, ``lengths``, their units, ``spatial_metadata``, those of the axes of space, ``lazy``, which makes
stores of flat files and of functions, ``volume_view``, a store that dask and pickle take, ``file_format``,
the interface of a format, and ``formats``, the list of them. Each format is a module (``npy``, ``raw``,
``nifti`` and ``nifti_extensions``, ``mgh``, ``nrrd``, ``nrrd_parts`` and ``nrrd_output``, ``mrc``,
``metaimage``, ``tiff``, ``tiff_pages``, ``tiff_tags`` and ``tiff_output``, ``hdf5``, ``hdf5_types`` and
``hdf5_output``, ``netcdf``, ``netcdf5`` and ``netcdf_variable``; for folders of planes ``slices``,
``dicom`` and ``dicom_frames``). ``ome_zarr`` describes the images of OME-Zarr that are written,
``zarr_group`` makes groups that xarray reads, and ``zarr_coordinates`` reads theirs.
``written_attributes`` are attributes as files state them, ``readable`` turns the errors of libraries into
ours, and ``last_result`` keeps headers that are needed twice; ``stored_arrays``, ``stored_axes`` and
``chunked_stores`` find, describe and open arrays in key-value stores; ``arrays`` and ``memory`` wrap
arrays in memory, and ``open_variables`` reads what variables declare that libraries have open.
``writers`` writes volumes through ``atomic``: ``written_axes`` fits arrays to formats, ``paths`` says
what a path or URL means, ``replaceable`` what may be replaced, ``locks`` keeps two runs apart, and
``renames`` are its last step. ``locations`` opens directories and URLs of containers, ``zip_files``
checks ``.zip`` files, and ``open_scivis`` and ``sdrbench`` fetch public volumes, by ``catalogs``,
``downloads`` and ``archives``.

This package may not know about compression: it imports only ``nvc_jax.core``.
"""

from nvc_jax.core.concurrency import count_workers
from nvc_jax.core.heaps import tune_heaps
from nvc_jax.io.atomic import put_in_place, replacing
from nvc_jax.io.lazy import read_region
from nvc_jax.io.locations import (
    Location,
    lies_within,
    open_directory,
    open_kvstore,
    open_location,
    write_zip,
)
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.open_scivis import fetch_dataset, load_catalog
from nvc_jax.io.paths import local_path
from nvc_jax.io.raw import RawFile
from nvc_jax.io.replaceable import check_replaceable
from nvc_jax.io.selection import Selection
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import check_writable, write_volume, writing

tune_heaps(count_workers())  # before TensorStore and JAX start threads, each of which would have a heap

__all__ = [
    "Location",
    "RawFile",
    "Selection",
    "VolumeMetadata",
    "check_replaceable",
    "check_writable",
    "fetch_dataset",
    "lies_within",
    "load_catalog",
    "local_path",
    "open_directory",
    "open_kvstore",
    "open_location",
    "open_volume",
    "put_in_place",
    "read_metadata",
    "read_region",
    "read_volume",
    "replacing",
    "write_volume",
    "write_zip",
    "writing",
]
