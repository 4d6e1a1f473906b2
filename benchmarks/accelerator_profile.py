"""The operations of a program that take longest, from JAX's profiler."""

import collections
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

N_TOP = 25


def top_operations(run: Callable[[], Any], n_top: int = N_TOP) -> dict[str, Any]:
    """Profile one call.

    Args:
        run: a function without arguments; compiled already.
        n_top: most operations that are listed.

    Returns:
        ``plane``, the device or else the host's threads; ``total_seconds`` of all its events; ``operations``,
        names with their seconds and counts, the longest first.
    """
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory):
            jax.block_until_ready(run())
        (path,) = Path(directory).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
        planes = {plane.name: plane for plane in data.planes}
        devices = sorted(name for name in planes if name.startswith("/device:") and "CUSTOM" not in name)
        plane = planes[devices[0] if devices else "/host:CPU"]
        seconds: collections.Counter[str] = collections.Counter()
        counts: collections.Counter[str] = collections.Counter()
        for line in plane.lines:
            # On devices the other lines repeat the same time by module, by name, or by step.
            if plane.name.startswith("/device:") and not line.name.startswith(("Stream", "XLA Ops")):
                continue
            for event in line.events:
                seconds[event.name] += event.duration_ns * 1e-9
                counts[event.name] += 1
        return {
            "plane": plane.name,
            "total_seconds": sum(seconds.values()),
            "operations": [
                {"name": name[:80], "seconds": took, "count": counts[name]}
                for name, took in seconds.most_common(n_top)
            ],
        }
