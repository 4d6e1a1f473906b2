"""Hooks of MkDocs: files of the repository outside ``docs/`` that the site shows, and links to them.

Pages link to these files as they lie in the repository, such as ``../FORMAT.md`` or
``../benchmarks/results/peers.png``, so that the links work where the repository is browsed. On the site the
files lie beside the pages, and the links lose one ``../``.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = ("FORMAT.md", "CONTRIBUTING.md", "CHANGELOG.md")
"""Pages at the root of the repository."""
FIGURES = Path("benchmarks") / "results"
"""Folder of the figures."""
LINK = re.compile(r"(?<=\]\()((?:\.\./)+)(?=[\w-])")
"""Beginning of a relative link that leads upwards."""


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside ``docs/``."""
    names = [*PAGES, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / FIGURES).rglob("*.png")))]
    for name in names:
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Shorten the links that leave ``docs/``."""
    up = "../" * (page.file.src_uri.count("/") + 1)
    return LINK.sub(lambda found: found[1].removeprefix("../") if found[1] == up else found[1], markdown)
