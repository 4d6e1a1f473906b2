"""The file formats that volumes are read from and written to, by suffix.

To add a format, write a module with the functions that ``file_format.FileFormat`` names, and add a line to
``FORMATS``.
"""

import dataclasses
from pathlib import Path

from nvc_jax.io import (
    dicom,
    hdf5,
    hdf5_output,
    metaimage,
    mgh,
    mrc,
    netcdf,
    nifti,
    npy,
    nrrd,
    nrrd_output,
    raw,
    tiff,
    tiff_output,
)
from nvc_jax.io.file_format import ANY_RANK, FileFormat, SourceFile, gzip_file

_NIFTI = FileFormat(
    (".nii",),
    nifti.open_nifti,
    nifti.nifti_metadata,
    create=nifti.create_nifti,
    check_output=nifti.check_nifti_output,
    ranks=ANY_RANK,
    arrange=nifti.arrange_axes,
)
_MGH = FileFormat(
    (".mgh",),
    mgh.open_mgh,
    mgh.mgh_metadata,
    create=mgh.create_mgh,
    check_output=mgh.check_mgh_output,
    ranks=range(3, 5),
)

_DICOM = FileFormat(dicom.SUFFIXES, dicom.open_dicom, dicom.dicom_metadata)

FORMATS = (
    FileFormat((".npy",), npy.open_npy, create=npy.create_npy, ranks=ANY_RANK),
    FileFormat((".npz",), npy.open_npz, create=npy.create_npy, ranks=ANY_RANK, pack=npy.pack_npz),
    FileFormat(
        (".raw",),
        raw.open_raw,
        raw.raw_metadata,
        create=raw.create_raw,
        check_output=raw.check_raw_output,
        ranks=ANY_RANK,
    ),
    _NIFTI,
    dataclasses.replace(_NIFTI, suffixes=(".nii.gz",), pack=gzip_file),
    _MGH,
    dataclasses.replace(_MGH, suffixes=(".mgz",), pack=gzip_file),
    FileFormat(
        (".nrrd",),
        nrrd.open_nrrd,
        nrrd.nrrd_metadata,
        create=nrrd_output.create_nrrd,
        check_output=nrrd_output.check_nrrd_output,
        ranks=ANY_RANK,
    ),
    FileFormat(
        (".mha",),
        metaimage.open_metaimage,
        metaimage.metaimage_metadata,
        create=metaimage.create_metaimage,
        check_output=metaimage.check_metaimage_output,
    ),
    FileFormat((".mhd",), metaimage.open_metaimage, metaimage.metaimage_metadata),
    FileFormat((".nhdr",), nrrd.open_nrrd, nrrd.nrrd_metadata),
    FileFormat(
        (".mrc", ".map", ".rec", ".st"),
        mrc.open_mrc,
        mrc.mrc_metadata,
        create=mrc.create_mrc,
        check_output=mrc.check_mrc_output,
    ),
    FileFormat(
        (".tif", ".tiff"),
        tiff.open_tiff,
        tiff.tiff_metadata,
        create=tiff_output.create_tiff,
        check_output=tiff_output.check_tiff_output,
        ranks=ANY_RANK,
    ),
    FileFormat(
        (".h5", ".hdf5"),
        hdf5.open_hdf5,
        hdf5.hdf5_metadata,
        has_datasets=True,
        create=hdf5_output.create_hdf5,
        check_output=hdf5_output.check_hdf5_output,
        ranks=ANY_RANK,
    ),
    FileFormat(
        (".nc",),
        netcdf.open_netcdf,
        netcdf.netcdf_metadata,
        has_datasets=True,
        create=hdf5_output.create_hdf5,
        check_output=hdf5_output.check_hdf5_output,
        ranks=ANY_RANK,
    ),
    _DICOM,
)
"""The file formats. A file's format is found by its suffix."""

FORMAT_OF_SUFFIX = {suffix: file_format for file_format in FORMATS for suffix in file_format.suffixes}


def find_format(file: SourceFile) -> FileFormat:
    """Find the format of a file.

    Raises:
        ValueError: no format has the suffix.
    """
    suffix = suffix_of(file.path)
    if suffix not in FORMAT_OF_SUFFIX and dicom.is_dicom(file.path):  # named by a number or a UID
        return _DICOM
    if suffix not in FORMAT_OF_SUFFIX:
        known = ", ".join([*FORMAT_OF_SUFFIX, ".zarr"])
        raise ValueError(f"`{file.name}`: the suffix must be one of {known}; {raw.LAYOUT_ADVICE}")
    return FORMAT_OF_SUFFIX[suffix]


def suffix_of(path: Path) -> str:
    """Return the suffix of a file name in lower case; of ``.gz`` with the suffix before it."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])
