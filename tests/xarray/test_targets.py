from typing import Any

import pytest

from nvc_jax.xarray.targets import split_targets


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"a": {}, "b": {}}),
        ({"max_error": 1.0, "lossless": False}, {"a": {"max_error": 1.0}, "b": {"max_error": 1.0}}),
        ({"max_error": {"a": 1.0}}, {"a": {"max_error": 1.0}, "b": {"lossless": True}}),
        ({"max_error": {"a": 1.0}, "psnr": 50}, {"a": {"max_error": 1.0}, "b": {"psnr": 50}}),
        ({"max_error": {"a": 1.0}, "psnr": {"b": 60}}, {"a": {"max_error": 1.0}, "b": {"psnr": 60}}),
        ({"max_error": {"a": 0}}, {"a": {"max_error": 0}, "b": {"lossless": True}}),
    ],
)
def test_each_variable_has_its_targets(options: dict[str, Any], expected: dict[str, Any]) -> None:
    assert split_targets(options, ["a", "b"]) == expected
