"""The shared library of the kernels: found, checked and registered with XLA."""

import ctypes
import functools
import importlib.metadata
import os
import warnings
from pathlib import Path

import jax

_NAME = "libnvc_kernels.so"
VERSION = 15
"""Version of the kernels' interface, as ``native/version.cc`` states it."""
_KERNELS = (
    *("nvc_make_axes", "nvc_analyze", "nvc_synthesize", "nvc_choose_shape"),
    *("nvc_spectral_decode", "nvc_spectral_encode", "nvc_class_costs", "nvc_trellis"),
    *("nvc_choose_classes", "nvc_dequantize", "nvc_draw_blocks", "nvc_count_integers"),
    *("nvc_make_layout", "nvc_make_scan", "nvc_rounding_errors", "nvc_accumulate_dc"),
    *("nvc_center", "nvc_predict_dc", "nvc_choose_profile", "nvc_find_correction"),
    *("nvc_take_rows", "nvc_leave_unset"),
    *("nvc_lattice_find", "nvc_lattice_quantize", "nvc_lattice_push", "nvc_lattice_decode"),
    *("nvc_labels_encode", "nvc_labels_decode"),
    *("nvc_geometric_estimate", "nvc_geometric_encode", "nvc_geometric_decode"),
    *("nvc_geometric_thresholds", "nvc_geometric_scale"),
)
_SWITCH = "NVC_JAX_NATIVE"
"""Environment variable that turns the kernels off if it is 0."""
_PATH = "NVC_JAX_KERNELS"
"""Environment variable that names another library, as one with sanitizers."""
_ADVICE = "Install nvc_jax anew where a C++17 compiler is at hand."


def find_library() -> Path | None:
    """Find the library beside this module, or in the installed package if this is a checkout."""
    if _PATH in os.environ:
        return Path(os.environ[_PATH])
    beside = Path(__file__).parent / _NAME
    if beside.exists():
        return beside
    try:
        installed = importlib.metadata.distribution("nvc_jax").locate_file(f"nvc_jax/native/{_NAME}")
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(installed))
    return path if path.exists() else None


@functools.cache
def load_kernels() -> str | None:
    """Load and register the kernels of this installation.

    Returns:
        None if they are ready, else the reason why they are not; then a warning has said it as well.
    """
    if os.environ.get(_SWITCH) == "0":
        return f"they are turned off by {_SWITCH}=0"
    reason = load_from(find_library())
    if reason is not None:
        warnings.warn(
            f"nvc_jax runs without its native kernels and is several times slower on CPUs: {reason}. "
            f"{_ADVICE} Set {_SWITCH}=0 to turn this warning off.",
            RuntimeWarning,
            stacklevel=2,
        )
    return reason


def load_from(path: Path | None, version: int = VERSION) -> str | None:
    """Load and register the kernels of a library.

    Args:
        path: of the library; None if there is none.
        version: that the library must have.

    Returns:
        None, or the reason why that is not possible.
    """
    if path is None:
        return "this installation has none"
    try:
        library = ctypes.CDLL(str(path))
        found = library.nvc_kernels_version()
        if found != version:
            return f"{path} is of version {found}, not {version}"
        for name in _KERNELS:
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    except (OSError, AttributeError, RuntimeError) as error:
        return f"{path} cannot be loaded ({error})"
    return None
