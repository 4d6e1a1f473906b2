"""``Dataset.nvc``: a data set compressed into one Zarr group."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from nvc_jax.compression.compress import compress
from nvc_jax.compression.result import CompressionResult
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.io.atomic import replacing
from nvc_jax.io.paths import output_path
from nvc_jax.xarray.encoded_variable import EncodedVariable, can_be_compressed
from nvc_jax.xarray.targets import Targets, split_targets

Option = float | Mapping[str, float] | None
"""A target of all variables, or targets by the names of variables."""


@xr.register_dataset_accessor("nvc")
class NvcAccessor:
    """Compression of a data set, as ``ds.nvc``.

    Args:
        dataset: the data set.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def compress(
        self,
        path: str | Path,
        *,
        max_error: Option = None,
        relative_error: Option = None,
        pointwise_error: Option = None,
        psnr: Option = None,
        step: Option = None,
        lossless: bool | Mapping[str, bool] = False,
        model: Any = DEFAULT_MODEL,
    ) -> dict[str, CompressionResult]:
        """Write the data set as a Zarr 3 group, its variables as containers, for ``xarray.open_zarr``.

        Data variables of two to five axes are compressed, one chunk after another, so that they may be lazy
        and larger than memory. All else, such as coordinates, times and texts, is stored as ``to_zarr`` does.
        Attributes and encodings stay: a packed variable (``scale_factor``, ``add_offset``) is stored packed.

        Each target is a number for all variables, or a mapping from names of variables to numbers. Where
        there is a mapping, variables that no target names are lossless. The targets are those of
        ``nvc_jax.compress``, in units of the variable; of a packed one ``max_error`` holds but for the
        rounding with which it is unpacked.

        Args:
            path: directory of the group, which appears when it is complete. Nothing may lie there.
            max_error: largest difference of any value, in the variable's units.
            relative_error: largest difference of any value, as a share of the variable's range.
            pointwise_error: largest difference of any value, as a share of its own magnitude.
            psnr: dB to reach, relative to the range.
            step: of the quantiser, relative to the range.
            lossless: whether every bit comes back.
            model: as of ``nvc_jax.compress``.

        Returns:
            The container of each variable that was compressed.

        Raises:
            BlockingIOError: another run is writing to ``path``.
            FileExistsError: something lies at ``path``.
            ValueError: no variable can be compressed, a target names none, or packing alone breaks a bound.
        """
        options = {
            "max_error": max_error,
            "relative_error": relative_error,
            "pointwise_error": pointwise_error,
        }
        options |= {"psnr": psnr, "step": step, "lossless": lossless}
        dataset = self._dataset
        names = [str(name) for name, array in dataset.data_vars.items() if can_be_compressed(array.variable)]
        if not names:
            raise ValueError(
                "the data set has no variable of numbers with two to five axes to compress; write it by "
                "`to_zarr`"
            )
        targets = split_targets(options, names)
        # Attributes name the coordinates that are no axes, as in files.
        variables, _ = xr.conventions.encode_dataset_coordinates(dataset)
        encoded = {name: EncodedVariable(name, variables[name]) for name in names}
        stored_targets = {name: encoded[name].stored_targets(targets[name]) for name in names}
        return _write_group(output_path(str(path)), dataset, encoded, stored_targets, model)


def _write_group(
    path: Path,
    dataset: xr.Dataset,
    encoded: Mapping[str, EncodedVariable],
    targets: Mapping[str, Targets],
    model: Any,
) -> dict[str, CompressionResult]:
    """Write a group that gets its name when all of it is there."""
    results = {}
    with replacing(path) as partial:
        dataset.drop_vars(list(encoded)).to_zarr(partial, zarr_format=3, consolidated=False)
        for name, variable in encoded.items():
            result = compress(variable.as_source(), partial / name, model=model, **targets[name])
            results[name] = dataclasses.replace(result, location=path / name)
    return results
