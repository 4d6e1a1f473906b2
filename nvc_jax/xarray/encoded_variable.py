"""A variable of a data set as it is stored: packed, with missing values, read chunk by chunk."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorstore as ts
import xarray as xr

from nvc_jax.core.chunk_grid import Region, chunk_regions
from nvc_jax.core.dtypes import DTYPES
from nvc_jax.core.shapes import MAX_RANK, MIN_RANK
from nvc_jax.io.metadata import VolumeMetadata, attributes_as_json
from nvc_jax.io.volume_view import VolumeView, with_metadata
from nvc_jax.xarray.targets import Targets

_SIDE = 128
"""Voxels along an axis that are read at a time."""
_BOUNDS = ("max_error", "lossless")
"""Targets that an inexact packing could break."""


def can_be_compressed(variable: xr.Variable) -> bool:
    """Tell whether a variable has two to five axes, none empty, and numbers; times and texts are none."""
    is_volume = MIN_RANK <= variable.ndim <= MAX_RANK and variable.size > 0
    return is_volume and np.dtype(variable.dtype).newbyteorder("=").name in DTYPES


class EncodedVariable:
    """A variable by xarray's conventions for files: what ``to_zarr`` would store, without its chunks.

    Args:
        name: of the variable.
        variable: with its attributes and its encoding.
    """

    def __init__(self, name: str, variable: xr.Variable) -> None:
        self._name, self._variable = name, variable
        first = self._encode(tuple(slice(0, 1) for _ in variable.dims))
        self._encoded_attributes: dict[str, Any] = dict(first.attrs)
        self.dtype = np.dtype(first.dtype).newbyteorder("=")

    @property
    def is_packed(self) -> bool:
        """True if the stored values are not those of the variable."""
        return self.dtype != np.dtype(self._variable.dtype).newbyteorder("=")

    def as_source(self) -> VolumeView:
        """Return the stored values, with their attributes, as a source for ``nvc_jax.compress``."""
        store = ts.virtual_chunked(
            self._read,
            dtype=ts.dtype(self.dtype),
            shape=self._variable.shape,
            chunk_layout=ts.ChunkLayout(chunk_shape=self._piece()),
        )
        attributes = attributes_as_json(self._encoded_attributes)
        metadata = VolumeMetadata(tuple(map(str, self._variable.dims)), attributes=attributes)
        return with_metadata(store, metadata)

    def stored_targets(self, targets: Targets) -> Targets:
        """Turn the target of a variable into that of the values that are stored.

        Raises:
            ValueError: packing alone breaks the target, or values are packed and it is relative to each.
        """
        if np.dtype(self._variable.dtype).kind == "b":
            return {"lossless": True}
        if not self.is_packed:
            return targets
        advice = (
            f"store the values as they are, by `ds[{self._name!r}].encoding.clear()`, or allow a larger error"
        )
        if "pointwise_error" in targets:
            raise ValueError(f"`pointwise_error` of `{self._name}` is of values that are packed: {advice}")
        if not any(name in targets for name in _BOUNDS):
            return targets
        packing_error = self._packing_error()
        bound = float(targets.get("max_error", 0.0))
        if packing_error > bound:
            option = "max_error" if "max_error" in targets else "lossless"
            raise ValueError(
                f"`{option}` of `{self._name}` (={bound:g}) is less than the error of its packing to "
                f"{self.dtype} (={packing_error:.3g}): {advice}"
            )
        if "max_error" not in targets:
            return targets
        scale = abs(float(self._encoded_attributes.get("scale_factor", 1.0)))
        return {"max_error": (bound - packing_error) / scale}

    def _encode(self, region: Region) -> xr.Variable:
        return xr.conventions.encode_cf_variable(self._variable[region].load(), name=self._name)

    def _read(self, domain: ts.IndexDomain, values: np.ndarray, _: ts.VirtualChunkedReadParameters) -> None:
        values[...] = self._encode(domain.index_exp).values

    def _piece(self) -> tuple[int, ...]:
        return tuple(min(side, _SIDE) for side in self._variable.shape)

    def _packing_error(self) -> float:
        """Return the largest difference of a value from what its packed form stands for."""
        return max(self._packing_errors(), default=0.0)

    def _packing_errors(self) -> Iterator[float]:
        for region in chunk_regions(self._variable.shape, self._piece()):
            values = self._variable[region].values.astype(np.float64)
            variable = xr.conventions.decode_cf_variable(self._name, self._encode(region), decode_times=False)
            unpacked = variable.values.astype(np.float64)
            with np.errstate(invalid="ignore"):
                errors = np.abs(unpacked - values)
            is_lost = np.isnan(errors) & ~(np.isnan(values) & np.isnan(unpacked))
            yield float("inf") if is_lost.any() else float(np.nanmax(errors, initial=0.0))
