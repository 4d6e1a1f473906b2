"""The option ``--dry-run`` of ``nvc compress``: what a run would give, without writing anything."""

import argparse
import dataclasses

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_table, print_values
from nvc_jax.cli.progress import count_progress_bar


def run_dry(options: argparse.Namespace) -> None:
    """Estimate the run that the options of ``nvc compress`` describe, and print it."""
    from nvc_jax.comparison.estimate import estimate
    from nvc_jax.comparison.verdict import describe_target

    if options.resume or options.part is not None:
        raise ValueError("`dry_run` tells of a whole run: leave `--resume` and `--part` out")
    target = arguments.quality_targets(options)
    with count_progress_bar("estimate", quiet=options.quiet or options.json) as on_progress:
        estimates = estimate(
            arguments.volume(options.input, options),
            [target] if target else None,
            model=options.model,
            missing_values=options.missing_value,
            value_limits=options.value_limits,
            exact_values=options.exact_value,
            chunks=options.chunk,
            shards=options.shard,
            on_progress=on_progress,
        )
    if options.json:
        listed = [dataclasses.asdict(one) for one in estimates]
        print_values({"estimates": listed}, as_json=True)
        return
    print_table(
        ("target", "bytes", "ratio", "PSNR dB", "largest error", "seconds"),
        [
            (
                describe_target(one.target),
                f"{one.stored_bytes:,}",
                f"{one.ratio:.2f}",
                f"{one.psnr_db:.2f}",
                f"{one.max_error:.4g}",
                f"{one.seconds:.2g}",
            )
            for one in estimates
        ],
    )
    share = 100 * estimates[0].share
    basis = "all chunks were encoded" if share == 100 else f"estimated from {share:.2g} % of the voxels"
    compiling = sum(one.compile_seconds for one in estimates)
    default = "" if target else "; the first target is that of a run without one"
    print(f"nothing was written; {basis}; compiling took {compiling:.0f} s more{default}")
