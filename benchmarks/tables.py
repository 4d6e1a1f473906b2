"""Tables and sentences of the README and of ``docs/`` that state measured figures.

A page marks each of them by a pair of comments, ``<!-- table: NAME -->`` and ``<!-- end -->``. What lies
between is rewritten from the files in ``results/`` by the function NAME of one of the modules whose names end
in ``quotes``; every other line stays as it is. A test asserts that nothing is left to rewrite.

    python benchmarks/tables.py
"""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import compiled_quotes
import paper_quotes
import quotes
import scaling_quotes
from quotes import Results

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
REGION = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
QUOTES: dict[str, Callable[[Results], str]] = {
    name.replace("_", "-"): getattr(module, name)
    for module in (quotes, paper_quotes, compiled_quotes, scaling_quotes)
    for name in module.NAMES
}
"""What a marked region holds, by its name."""


def read_results(name: str) -> dict[str, Any]:
    """Read a file of ``results/``."""
    results: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return results


def rewrite(text: str, results: Results = read_results) -> str:
    """Rewrite the marked regions of a page.

    Args:
        text: Markdown.
        results: source of the measurements.

    Raises:
        ValueError: a region has a name that no quote has, or no end.
    """
    if text.count("<!-- table: ") != len(REGION.findall(text)):
        raise ValueError("a marked region has no end: add `<!-- end -->` behind it")
    if unknown := {name for _, name, _ in REGION.findall(text)} - QUOTES.keys():
        raise ValueError(f"{sorted(unknown)} are no quotes; there are {', '.join(QUOTES)}")
    return REGION.sub(lambda found: found[1] + "\n" + QUOTES[found[2]](results) + "\n" + found[3], text)


def pages() -> list[Path]:
    """Find the README and the pages of ``docs/``."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    for page in pages():
        old = page.read_text()
        if (new := rewrite(old)) != old:
            page.write_text(new)
            print(f"rewritten: {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
