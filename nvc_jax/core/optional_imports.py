"""Imports of optional dependencies, with an error that names the command that installs them."""

import importlib
from types import ModuleType


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: name of the module.
        extra: extra of this package that installs the module.

    Raises:
        ModuleNotFoundError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}: `pip install 'nvc_jax[{extra}]'` installs it") from error
