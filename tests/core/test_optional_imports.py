import json

import pytest

from nvc_jax.core.optional_imports import import_extra


def test_installed_modules_are_imported() -> None:
    assert import_extra("json", "io") is json


def test_missing_modules_name_the_command_that_installs_them() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
        import_extra("a_module_that_nobody_has", "io")
