"""Data sets of xarray, compressed variable by variable: ``import nvc_jax.xarray`` adds ``Dataset.nvc``.

Read ``accessor`` first: ``ds.nvc.compress`` writes a Zarr group that ``xarray.open_zarr`` opens. ``targets``
gives each variable its own quality target, and ``encoded_variable`` is a variable as it is stored, packed or
not, read chunk by chunk.

The package needs the extra ``zarr``, and nothing else of ours imports it. It knows no model and no chunk:
``compression`` writes the containers.
"""

from nvc_jax.core.optional_imports import import_extra

for _module in ("xarray", "zarr", "dask"):
    import_extra(_module, "zarr")

from nvc_jax.xarray.accessor import NvcAccessor  # noqa: E402 (an error that says what to install comes first)

__all__ = ["NvcAccessor"]
