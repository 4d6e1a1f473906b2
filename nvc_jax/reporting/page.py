"""Parts of the page as HTML; all that comes from outside is escaped here."""

import html
import importlib.resources
import string
from collections.abc import Iterable, Mapping, Sequence

from nvc_jax.reporting.planes import Picture

_TEMPLATE = "page.html"


def fill_page(title: str, subtitle: str, tiles: Mapping[str, str], sections: Iterable[str]) -> str:
    """Put a page together.

    Args:
        title: plain text, as all texts here but ``sections``.
        subtitle: a line below the title.
        tiles: the most important figures by their names.
        sections: HTML.
    """
    template = importlib.resources.files("nvc_jax.reporting").joinpath(_TEMPLATE).read_text("utf-8")
    return string.Template(template).substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        tiles="".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
            for name, value in tiles.items()
        ),
        sections="\n".join(sections),
    )


def section(title: str, text: str, body: str) -> str:
    """Make a section of a title, a line of plain text and HTML."""
    words = f'<p class="soft">{html.escape(text)}</p>' if text else ""
    return f"<section><h2>{html.escape(title)}</h2>{words}{body}</section>"


def row(figures: Iterable[str]) -> str:
    """Put figures side by side, as many as there is room for."""
    return f'<div class="row">{"".join(figures)}</div>'


def figure(content: str, caption: str, style: str = "") -> str:
    """Make a figure of HTML and a caption of plain text."""
    name = f' class="{html.escape(style)}"' if style else ""
    return f"<figure{name}>{content}<figcaption>{html.escape(caption)}</figcaption></figure>"


def swipe(original: Picture, decoded: Picture, caption: str, style: str = "") -> str:
    """Put two pictures of one size over each other, with a slider that moves the border between them.

    Args:
        original: seen to the left of the border.
        decoded: seen to the right.
        caption: plain text.
        style: further class of the figure.
    """
    text = html.escape(caption)
    box = zip(("left", "top", "width", "height"), original.box, strict=True)
    sizes = "".join(f"--{name}:{100 * share:.4g}%;" for name, share in box)
    return (
        f'<figure class="swipe {html.escape(style)}" style="--at:.5;{sizes}"><div class="layers">'
        f'<div class="under">{decoded.svg}</div><div class="over" aria-hidden="true">{original.svg}</div>'
        '<div class="plane"><span class="tag first">original</span><span class="tag second">decoded</span>'
        '<input type="range" min="0" max="100" value="50" step="0.5" '
        f'aria-label="Border between original and decoded, {text}">'
        f'<div class="line"></div></div></div><figcaption>{text}</figcaption></figure>'
    )


def image(address: str, label: str) -> Picture:
    """Make a picture of an address that holds itself."""
    text = html.escape(label)
    return Picture(f'<img src="{address}" alt="{text}">', (0.0, 0.0, 1.0, 1.0))


def promises(headline: str, items: Sequence[str], check: str, state: str) -> str:
    """Make the box of what a container promises.

    Args:
        headline: a few words.
        items: sentences.
        check: what was checked here.
        state: ``"good"``, ``"bad"`` or ``"none"``.
    """
    listed = "".join(f"<li>{html.escape(item)}</li>" for item in items)
    return (
        f'<div class="promises {state}"><strong>{html.escape(headline)}.</strong> {html.escape(check)}'
        f"<ul>{listed}</ul></div>"
    )


def table(name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table whose first column names the rows; ``name`` is for those who do not see it."""
    top = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    lines = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(name)}"><table>'
        f"<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def details(summary: str, pairs: Mapping[str, str]) -> str:
    """Make a list that is folded at first."""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td><code>{html.escape(value)}</code></td></tr>'
        for name, value in pairs.items()
    )
    return (
        f"<details><summary>{html.escape(summary)}</summary>"
        f'<div class="scroll"><table><tbody>{rows}</tbody></table></div></details>'
    )
