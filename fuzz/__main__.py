"""Fuzz payloads and containers, and record what became of the inputs.

    python -m fuzz [--inputs N] [--first N] [--seed S] [--record RESULT.json] [payloads] [containers]

Several runs at a time may share the inputs of one seed by ``--first``.
"""

import argparse
import time
from pathlib import Path

from fuzz.containers import container_subjects
from fuzz.machine import describe_run
from fuzz.payloads import payload_subjects
from fuzz.running import DEFAULT_MEMORY, Run, write_record

GROUPS = {"payloads": payload_subjects, "containers": container_subjects}
_RECORD_SECONDS = 30.0


def main() -> int:
    """Fuzz as the command line says; 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="fuzz nvc_jax")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)} (default: all)")
    parser.add_argument("--inputs", type=int, default=10_000, help="number of inputs (default: 10,000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--record", type=Path, help="JSON file in which the outcome is recorded")
    parser.add_argument(
        "--kept", type=Path, default=Path("fuzz-faults"), help="directory for inputs of faults"
    )
    parser.add_argument("--memory", type=int, default=DEFAULT_MEMORY, help="MiB for an input; 0 for no limit")
    options = parser.parse_args()
    for group in options.groups:
        if group not in GROUPS:
            parser.error(f"GROUP (={group}) must be one of {', '.join(GROUPS)}")

    make_subjects = [GROUPS[group] for group in options.groups or GROUPS]
    stop = options.first + options.inputs
    run = Run(make_subjects, options.seed, stop, options.memory, options.kept, options.first)
    header, start = describe_run(), time.monotonic()
    recorded = start

    def record() -> dict:
        seconds = time.monotonic() - start
        timing = {"seconds": round(seconds, 1), "inputs_per_second": round(run.tally.n_inputs / seconds, 1)}
        content = {**header, "seed": options.seed, "first": options.first, **timing, **run.outcomes()}
        if options.record is not None:
            write_record(options.record, content)
        return content

    def on_report() -> None:
        nonlocal recorded
        if time.monotonic() - recorded > _RECORD_SECONDS:
            recorded = time.monotonic()
            record()

    run.run(on_report)
    for name, value in record().items():
        if name not in ("kinds", "fault_list", "machine"):
            print(name, value)
    for name, counts in sorted(run.tally.kinds.items()):
        print(f"{name}: {counts}")
    return 1 if run.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
