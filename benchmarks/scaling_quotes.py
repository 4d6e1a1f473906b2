"""Tables of ``docs/`` about scaling over devices, processes and hosts."""

from typing import Any

from quotes import Results, table

NAMES = ("scaling_devices", "scaling_processes", "petabyte")
"""Functions of this module that fill marked regions."""


def scaling_devices(results: Results) -> str:
    """Speeds over that of one device."""
    return _speeds(results("scaling")["devices"], "devices")


def scaling_processes(results: Results) -> str:
    """Speeds over that of one process."""
    return _speeds(results("scaling")["processes"], "processes")


def _speeds(rows: list[dict[str, Any]], count: str) -> str:
    numbers = sorted({row[count] for row in rows})
    speeds = {(row["work"], row["scaling"], row[count]): row["relative_speed"] for row in rows}
    kinds = dict.fromkeys((row["work"], row["scaling"]) for row in rows)
    body = [[work, scaling, *(f"{speeds[work, scaling, n]:.2f}" for n in numbers)] for work, scaling in kinds]
    return table(["work", "scaling", *(f"{n}" for n in numbers)], body)


def petabyte(results: Results) -> str:
    """Simulated hosts that write a petabyte, by the side of shards."""
    measured = results("petabyte")
    body = [
        [
            f"{case['shard']}³",
            f"{case['objects']:,}",
            f"{case['objects_of_host']:,.0f}",
            f"{case['operations_seconds'] / 60:.1f}",
            f"{case['makespan_without_slow_hosts_seconds'] / 60:.0f}",
            f"{case['makespan_seconds'] / 60:.0f}",
            f"{case['efficiency']:.2f}",
        ]
        for case in measured["cases"]
    ]
    header = [
        *("shard", "objects", "of a host", "minutes of operations"),
        *("minutes in all, hosts alike", "with slow hosts", "efficiency"),
    ]
    return table(header, body)
