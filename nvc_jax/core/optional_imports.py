"""Optional dependencies."""

import importlib
from types import ModuleType


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or raise an error that names the command that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}: `pip install 'nvc_jax[{extra}]'` brings it") from error
