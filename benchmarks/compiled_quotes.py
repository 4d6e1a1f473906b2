"""Tables about programs compiled for accelerators, made of ``results/compiled.json`` for ``tables.py``."""

from typing import Any

from quotes import Results, paragraph, table

NAMES = ("compiled", "compiled_loops", "compiled_order")


def title(program: dict[str, Any]) -> str:
    """Name a program by its model, what it does, and the volumes that it takes."""
    size = f"{program['side']}³" + (f" × {program['batch']}" if program["batch"] else "")
    return f"{program['model']} {program['direction']}, {size}"


def compiled_programs(results: Results) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """List the programs that were compiled, each behind the platform's results."""
    platforms = results("compiled")["platforms"].values()
    return [(of, program) for of in platforms for program in of["programs"] if "outside" in program]


def rate(program: dict[str, Any]) -> str:
    """State the estimated speed in MB/s, with two digits; empty if it is not known."""
    speed = program["estimated_bytes_per_second"]
    return f"{float(f'{speed / 1e6:.2g}'):,.0f}" if speed else ""


def compiled(results: Results) -> str:
    header = [
        "program",
        "device",
        "compile s",
        "kernels",
        "launches",
        "moved",
        "of it the coder",
        "temporaries",
        "over the floor",
    ]
    rows = []
    for of, program in compiled_programs(results):
        n_bytes, coder = program["volume_bytes"], program.get("of_coder", {}).get("n_bytes")
        rows.append(
            [
                title(program),
                of["device"],
                f"{program.get('compile_processor_seconds', program['compile_seconds']):.0f}",
                str(program["kernels"]),
                f"{program['outside']['kernels']:,}",
                f"{program['outside']['n_bytes'] / n_bytes:.0f}×",
                f"{coder / n_bytes:.0f}×" if coder else "",
                f"{program['temporary_bytes'] / n_bytes:.1f}×",
                f"{program['outside_over_floor']:.0f}×",
            ]
        )
    return table(header, rows)


def compiled_loops(results: Results) -> str:
    header = ["program", "device", "loops", "steps that depend on data", "launches", "copied", "MB/s"]
    rows = []
    for of, program in compiled_programs(results):
        dynamic = [loop for loop in program["loops"] if loop["trips"] is None]
        coder = program["coder"]
        if dynamic:
            rows.append(
                [
                    title(program),
                    of["device"],
                    str(len(program["loops"])),
                    " + ".join(f"{loop['steps']:,}" for loop in dynamic) if coder else "",
                    f"{coder['kernels']:,}" if coder else "",
                    f"{program['copied_bytes_per_step'] / program['volume_bytes']:.1f}×",
                    rate(program),
                ]
            )
    return table(header, rows)


def compiled_order(results: Results) -> str:
    measured = results("compiled")
    lowered = {platform: of["programs"] for platform, of in measured["platforms"].items()}
    programs = [program for of in lowered.values() for program in of]
    choosing = "some" if any(program["hazards"] for program in programs) else "none"
    n_compiled = len(compiled_programs(results))
    copying = [
        f"{title(program)} for {of['device']}"
        for of, program in compiled_programs(results)
        if program["copied_bytes_per_step"]
    ]
    return paragraph(
        f"All {len(programs)} programs lower for CUDA, ROCm and TPU.",
        f"In StableHLO the loops of {choosing} of them choose between buffers that grow with the volume.",
        f"After the compilers' passes {len(copying)} of {n_compiled} programs copy such a",
        f"buffer at every step of a loop{': ' + '; '.join(copying) if copying else ''}.",
    )
