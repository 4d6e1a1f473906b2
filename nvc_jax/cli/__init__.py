"""The command line, ``nvc``."""

from nvc_jax.cli.commands import main

__all__ = ["main"]
