"""Cache of compiled programs: what one process compiled, the next one loads.

JAX keeps the programs. This module says where: in the user's cache folder, apart for each kind of processor,
because programs are compiled for the processor at hand. Several processes may use it at a time: programs are
written whole, and a program that another process has just removed is compiled again.
"""

import contextlib
import hashlib
import os
import platform
import sys
from pathlib import Path

_SWITCH = "NVC_JAX_CACHE"
"""Environment variable that turns the cache off if it is 0."""
_MAX_BYTES = 256 << 20
"""Size beyond which the programs that were used longest ago are removed."""


def use_program_cache() -> Path | None:
    """Keep compiled programs in the user's cache folder, unless JAX has been told another place.

    ``nvc`` does so by itself. In programs of your own call it before the first call of anything else: it sets
    JAX's cache for the whole process, at most 256 MiB of programs. The environment variable
    ``NVC_JAX_CACHE=0`` turns it off.

    Returns:
        The folder; None where none is used.
    """
    import jax

    if os.environ.get(_SWITCH) == "0" or jax.config.values["jax_compilation_cache_dir"] is not None:
        return None
    directory = cache_folder() / "nvc_jax" / "programs" / _processor()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(directory, os.W_OK):
        return None
    prune(directory, _MAX_BYTES)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return directory


def cache_folder() -> Path:
    """Get the folder in which the system's programs keep what they can make again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    name = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(name) or Path.home() / ".cache")


def prune(directory: Path, max_bytes: int) -> None:
    """Remove files of a folder, those used longest ago first, until they take at most ``max_bytes``."""
    entries = []
    for path in directory.iterdir():
        with contextlib.suppress(OSError):  # removed by another process
            status = path.stat()
            entries.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= max_bytes:
            break
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size


def _processor() -> str:
    """Name the kind of processor: its architecture, and a hash of its features."""
    features = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    described = f"{platform.processor()} {features}"
    return f"{platform.machine()}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
