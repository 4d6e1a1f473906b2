"""Kinds of models that are known only while a test runs."""

import contextlib
from collections.abc import Iterator

from nvc_jax.models.registry import ModelKind, register, unregister


@contextlib.contextmanager
def registered(kind: ModelKind) -> Iterator[None]:
    """Make a kind of model known until the block ends."""
    register(kind)
    try:
        yield
    finally:
        unregister(kind.config_type.architecture)
