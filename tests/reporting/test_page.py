from html.parser import HTMLParser

from nvc_jax.reporting import page
from nvc_jax.reporting.planes import Picture

EVIL = '<script>alert("x")</script>&'


class Tags(HTMLParser):
    """Counts elements and joins texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_all_texts_are_escaped() -> None:
    picture = Picture("<svg></svg>", (0.1, 0.1, 0.8, 0.8))
    sections = [
        page.section(EVIL, EVIL, page.figure("<b></b>", EVIL)),
        page.row([page.swipe(picture, picture, EVIL)]),
        page.promises(EVIL, [EVIL], EVIL, "good"),
        page.table(EVIL, [EVIL, EVIL], [[EVIL, EVIL]]),
        page.details(EVIL, {EVIL: EVIL}),
    ]
    text = page.fill_page(EVIL, EVIL, {EVIL: EVIL}, sections)
    parsed = Tags(text)
    assert parsed.tags.count("script") == 1  # the page's own
    assert sum(EVIL in piece for piece in parsed.texts) >= 12
    assert "alert(" not in text.replace("alert(&quot;", "")


def test_the_page_asks_for_nothing() -> None:
    text = page.fill_page("title", "subtitle", {}, [])
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text
    assert "$" not in text
