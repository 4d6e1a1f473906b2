"""The command ``nvc models``."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_json, print_table

_HEADER = ("model", "architecture", "block", "margin", "latents", "parameters", "SHA-256")
_SHA256_DIGITS = 12
"""Digits of a SHA-256 that are printed: enough to tell models apart."""


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    arguments.add_parser(
        commands,
        "models",
        _run,
        "List the models that ship with the package.",
        ("nvc models", "nvc models --json"),
    )


def _run(options: argparse.Namespace) -> None:
    import jax

    from nvc_jax.models.checkpoints import load_checkpoint, shipped_models
    from nvc_jax.models.identity import model_sha256

    rows = []
    for name in shipped_models():
        config, params = load_checkpoint(name)
        n_params = sum(leaf.size for leaf in jax.tree.leaves(params))
        sizes = (config.block_size, config.margin, config.latent_dim, n_params)
        rows.append((name, config.architecture, *sizes, model_sha256(config, params)))
    if options.json:
        print_json({"models": [dict(zip(_HEADER, row, strict=True)) for row in rows]})
        return
    texts = [(*map(str, row[:-2]), f"{row[-2]:,}", row[-1][:_SHA256_DIGITS]) for row in rows]
    print_table(_HEADER, texts)
