import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import nvc_jax
from nvc_jax.core.lazy_exports import lazy_exports

PACKAGES = (
    "nvc_jax",
    "nvc_jax.core",
    "nvc_jax.training",
    "nvc_jax.autoencoder",
    "nvc_jax.autoencoder.training",
)
"""Packages that import their names when they are used."""


def modules_after(code: str) -> set[str]:
    """Modules that a fresh process has imported after it ran ``code``."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(printed.splitlines()[-1].split())


@pytest.mark.parametrize("name", PACKAGES)
def test_type_checkers_see_the_names_that_are_imported(name: str) -> None:
    package = importlib.import_module(name)
    tree = ast.parse(Path(str(package.__file__)).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    shown = {alias.name: node.module for node in block.body for alias in node.names}  # type: ignore[attr-defined]
    assert sorted({*shown, "__version__"} & set(package.__all__)) == sorted(package.__all__)
    assert not set(shown) - set(package.__all__)
    for exported, module in shown.items():
        assert getattr(package, exported) is getattr(importlib.import_module(module), exported)
        assert exported in dir(package)


def test_importing_the_package_imports_neither_jax_nor_numpy() -> None:
    assert not modules_after("import nvc_jax") & {"jax", "numpy", "tensorstore"}


def test_the_default_model_needs_none_of_the_packages_of_the_others() -> None:
    code = "import nvc_jax\nnvc_jax.load_codec('nvc-1')\nnvc_jax.compress\nnvc_jax.verify"
    assert not modules_after(code) & {"flax", "optax", "orbax.checkpoint", "scipy.ndimage", "matplotlib"}


def test_unknown_names_are_errors() -> None:
    with pytest.raises(AttributeError, match="'nvc_jax' has no attribute 'compres'"):
        nvc_jax.compres  # noqa: B018
    get, _ = lazy_exports("nvc_jax.core", {"shapes": "Shape3"})
    assert get("Shape3") is nvc_jax.core.shapes.Shape3
