import pytest

from nvc_jax.core.optional_imports import import_extra


def test_a_missing_extra_names_the_command() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
        import_extra("no_such_module", "io")
