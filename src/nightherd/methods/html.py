"""Reads the text of an HTML page as blocks; scripts and navigation are left out, nothing is run or fetched."""

from __future__ import annotations

from html.parser import HTMLParser

from nightherd.methods.cleaning import join_lines, words_of
from nightherd.methods.document import Block, Document, language_note
from nightherd.methods.types import PassageKind

_SILENT = words_of("script style noscript template svg nav head iframe object button form")
_BLOCKS = words_of(
    "p div section article main aside header footer ul ol table tr li dt dd pre blockquote figure figcaption caption "
    "br hr h1 h2 h3 h4 h5 h6 body html tbody thead"
)
_KINDS: dict[str, PassageKind] = {"li": "list", "figcaption": "caption", "caption": "caption", "tr": "table"}


class _Reader(HTMLParser):
    """Collects blocks of text as the tags go by."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.section = ""
        self.words: list[str] = []
        self.silent: list[str] = []
        self.kinds: list[tuple[str, PassageKind]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self.silent.append(tag)
        if tag in ("td", "th") and self.words:
            self.words.append(" | ")
        if tag in _BLOCKS:
            self.close_block()
            if tag in _KINDS:
                self.kinds.append((tag, _KINDS[tag]))
        for name, value in attrs:
            if (
                tag == "a"
                and name == "href"
                and value
                and value.startswith(("http://", "https://"))
                and not self.silent
            ):
                self.words.append(f" {value} ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.silent:
            del self.silent[len(self.silent) - 1 - self.silent[::-1].index(tag) :]
        if tag in _BLOCKS:
            if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
                text = join_lines(["".join(self.words)])
                self.words = []
                self.section = text or self.section
            self.close_block()
            if self.kinds and self.kinds[-1][0] == tag:
                self.kinds.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(data)

    def close_block(self) -> None:
        text = join_lines("".join(self.words).splitlines())
        self.words = []
        if text.strip(" |"):
            self.blocks.append(Block(text, self.kinds[-1][1] if self.kinds else "text", self.section))


def read_html(text: str, name: str) -> Document:
    """The text of an HTML page as blocks under their headings; addresses of links stand beside their text."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.close_block()
    return Document(name, tuple(reader.blocks), language_note(" ".join(block.text for block in reader.blocks)))
