"""Paths of the file system that users name: as text, as ``file://`` URLs, or as TensorStore specs.

Sources and destinations are named alike: ``~`` is the user's home, a URL is percent-decoded, and ``..`` and
links mean what they mean to the system. TensorStore takes no ``..`` in paths, so it is given ``real_path``.
"""

import os
import urllib.parse
from pathlib import Path
from typing import Any

_SCHEME = "file://"
_REMOTE = {"http": "host", "https": "host", "s3": "bucket", "gs": "bucket"}
"""Schemes of URLs elsewhere than in the file system, and the name of what comes first in them."""
_SPEC_KEYS = {"driver", "kvstore"}
"""Keys of a spec that names a key-value store and nothing more."""


def local_path(location: str | Path | dict[str, Any]) -> Path | None:
    """Return the path of a location in the file system, or None if it is elsewhere.

    Raises:
        ValueError: the location is empty, names the home of an unknown user, or is a ``file://`` URL of
            another host.
    """
    check_location(location)
    if isinstance(location, dict):
        return _path_of_spec(location)
    if isinstance(location, str) and "://" in location:
        return _path_of_url(location)
    if not str(location) or "\0" in str(location):
        fault = "holds a null character" if str(location) else "is an empty text"
        raise ValueError(f"the location (={str(location)!r:.80}) {fault}; name a path or a URL")
    return _expand_home(Path(location))


def check_location(location: Any, name: str = "location") -> None:
    """Raise ``TypeError``, which names the argument, unless a location is a path, a URL or a spec."""
    if not isinstance(location, str | os.PathLike | dict):
        raise TypeError(
            f"`{name}` (={location!r:.80}) must be a path, a URL or a TensorStore spec, not "
            f"{type(location).__name__}"
        )


def output_path(path: Path | str) -> Path:
    """Return the path of a file to write, which may be named by a ``file://`` URL.

    Raises:
        ValueError: the location is not in the file system.
    """
    local = local_path(path)
    if local is None:
        raise ValueError(
            f"`{path}` is not in the file system, and only containers are written elsewhere: name a path"
        )
    return local


def real_path(path: Path) -> Path:
    """Return the absolute path that the system would use: without ``..``, and behind all links.

    The last link may lead to nothing; then the path is where it leads.

    Raises:
        OSError: links lead round in a circle.
    """
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(f"`{path}` is a link that leads to itself; name another path")
    return real


def check_separators(path: Path | str) -> None:
    """Raise ``ValueError`` if TensorStore would take a path for another one, or cannot take it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # of the characters by which Python stands for other bytes
        shown = os.fsencode(path).decode(errors="replace")
        raise ValueError(
            f"`{shown}` is no UTF-8 here, which TensorStore needs, by which Zarr arrays and containers are "
            "read and written: name another path, or set PYTHONUTF8=1 if the locale is not one of UTF-8"
        ) from error
    if os.sep == "/" and "\\" in str(path):
        raise ValueError(
            f"`{path}` holds a backslash, which TensorStore, by which Zarr arrays and containers are read "
            "and written, takes for a slash: name a path without one"
        )


def real_spec(spec: Any) -> Any:
    """Return a TensorStore spec, or URL, whose paths in the file system are those of ``real_path``."""
    if isinstance(spec, str):
        path = _path_of_url(spec) if spec.startswith(_SCHEME) else None
        return spec if path is None else _SCHEME + urllib.parse.quote(_real_text(str(path), spec))
    if not isinstance(spec, dict):
        return spec
    if spec.get("driver") == "file" and isinstance(spec.get("path"), str):
        return {**spec, "path": _real_text(spec["path"], spec["path"])}
    return {key: real_spec(value) if key in ("kvstore", "base") else value for key, value in spec.items()}


def check_url(location: Any) -> None:
    """Raise ``ValueError`` if a URL names no host or bucket: TensorStore would look for it for long."""
    if not isinstance(location, str) or "://" not in location:
        return
    scheme, _, rest = location.partition("://")
    if scheme.lower() in _REMOTE and not rest.partition("/")[0]:
        raise ValueError(f"the URL `{location}` names no {_REMOTE[scheme.lower()]}: add it")


def _real_text(path: str, written: str) -> str:
    """Return the real path as text, with the slash at its end if ``written`` has one."""
    real = real_path(_expand_home(Path(path)))
    check_separators(real)
    return f"{real}/" if written.endswith("/") else str(real)


def _path_of_url(url: str) -> Path | None:
    """Return the path of a ``file://`` URL; None for other URLs, and for those that name a format, too."""
    if not url.startswith(_SCHEME) or "|" in url:
        return None
    host, slash, rest = url.removeprefix(_SCHEME).partition("/")
    if host not in ("", "localhost") or not slash:
        raise ValueError(f"the URL `{url}` names the host `{host}`; write `file:///` and an absolute path")
    return Path(urllib.parse.unquote(f"/{rest}"))


def _path_of_spec(spec: dict[str, Any]) -> Path | None:
    if "kvstore" in spec:
        if spec.keys() - _SPEC_KEYS:
            return None
        store = spec["kvstore"]
        if isinstance(store, str):
            return _path_of_url(store)
        return _path_of_spec(store) if isinstance(store, dict) and "kvstore" not in store else None
    if spec.keys() == {"driver", "path"} and spec["driver"] == "file" and isinstance(spec["path"], str):
        return _expand_home(Path(spec["path"]))
    return None


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"`{path}` names the home directory of a user who is unknown: {error}") from error
