"""Cache of compiled programs: what one process compiled, the next one loads.

JAX keeps the programs. This module says where: in the user's cache folder, apart for each kind of processor,
because programs are compiled for the processor at hand.

Several processes may use the cache at a time, and any may be killed. JAX writes a program in place, so that
others could read half of one, and half of one would stay for ever. JAX therefore gets a folder that belongs
to the process alone, with links to all programs of the cache. What it adds goes into the cache, whole, when
the process ends.
"""

import atexit
import contextlib
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

_SWITCH = "NVC_JAX_CACHE"
"""Environment variable that turns the cache off if it is 0."""
_MAX_BYTES = 256 << 20
"""Size beyond which the programs that were used longest ago are removed."""
_OWN_PREFIX = ".process-"
"""Begin of the name of a folder that belongs to one process."""
_OWN_SECONDS = 7 * 24 * 3600
"""Age at which the folder of a process that was killed is removed."""


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
        prune(directory, _MAX_BYTES)
        own = own_folder(directory)
    except OSError:
        return None
    atexit.register(publish, own, directory, os.getpid())
    jax.config.update("jax_compilation_cache_dir", str(own))
    # Caches of XLA's own would put the name of the folder into the keys of programs.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return directory


def cache_folder() -> Path:
    """Get the folder in which the system's programs keep what they can make again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    name = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(name) or Path.home() / ".cache")


def own_folder(directory: Path) -> Path:
    """Make a folder for this process in a cache, with links to all of its programs.

    Raises:
        OSError: The cache cannot be written.
    """
    own = Path(tempfile.mkdtemp(prefix=_OWN_PREFIX, dir=directory))
    for path in _programs(directory):
        with contextlib.suppress(OSError):  # removed by another process
            try:
                os.link(path, own / path.name)
            except OSError:  # a file system without links
                shutil.copy2(path, own / path.name)
    return own


def publish(own: Path, directory: Path, process: int) -> None:
    """Move the programs that a process added into the cache, each whole, and remove the process's folder.

    A process that was forked from it has another number than ``process``, and leaves the folder alone.
    """
    if os.getpid() != process:
        return
    with contextlib.suppress(OSError):  # removed by the user, say
        for path in _programs(own):
            if not (directory / path.name).exists():
                path.replace(directory / path.name)
    shutil.rmtree(own, ignore_errors=True)


def prune(directory: Path, max_bytes: int) -> None:
    """Remove programs of a cache, those used longest ago first, until they take at most ``max_bytes``.

    Folders that processes left when they were killed go, too, after a week.
    """
    entries = []
    for path in _programs(directory):
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
    for left in directory.glob(f"{_OWN_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _OWN_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _programs(directory: Path) -> list[Path]:
    """List the files of a folder."""
    return [path for path in directory.iterdir() if path.is_file()]


def _processor() -> str:
    """Name the kind of processor: its architecture, and a hash of its features."""
    features = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    described = f"{platform.processor()} {features}"
    return f"{platform.machine()}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
