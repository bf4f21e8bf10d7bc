"""From papers, pages, notes and records to passages: reading order, whole words, places, and files at fault."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.errors import SourceError
from nightherd.methods.cleaning import join_lines
from nightherd.methods.document import Block, Document, cut_passages, language_note
from nightherd.methods.html import read_html
from nightherd.methods.passages import passages_of_text, read_document, read_passages
from nightherd.methods.plain import read_json, read_markdown
from nightherd.methods.sentences import sentence_spans, split_sentences

pytest.importorskip("reportlab")
from pdf_toys import paper, scan, text_pdf


def body(path: Path) -> str:
    return " ".join(block.text for block in read_document(path).blocks if block.kind == "text")


@pytest.mark.parametrize("interleaved", [False, True])
def test_a_paper_reads_down_the_left_column_then_down_the_right(tmp_path: Path, interleaved: bool) -> None:
    text = body(paper(tmp_path / "paper.pdf", interleaved=interleaved))
    assert text.index("dropout") < text.index("frames were split") < text.index("annotated") < text.index("0.87")


def test_broken_words_and_ligatures_are_whole_again(tmp_path: Path) -> None:
    text = body(paper(tmp_path / "paper.pdf"))
    assert "convolutional network with a ResNet50 backbone" in text
    assert "-" not in text.replace("Over-", "") or "net-" not in text


def test_running_heads_and_page_numbers_are_left_out(tmp_path: Path) -> None:
    passages, _ = read_passages(paper(tmp_path / "paper.pdf", pages=4))
    assert not [passage for passage in passages if "Journal of Herds" in passage.text]
    assert {passage.page for passage in passages} == {1, 2, 3, 4}


def test_captions_tables_and_headings_are_told_apart(tmp_path: Path) -> None:
    passages, _ = read_passages(paper(tmp_path / "paper.pdf"))
    captions = [passage.text for passage in passages if passage.kind == "caption"]
    assert captions == ["Fig. 2. Frames of one night, 60 m above ground.", "Table 1. Settings of the training."]
    assert [p.text for p in passages if p.kind == "table"] == ["Learning rate | 0.0003; Batch size | 16"]
    assert next(p.section for p in passages if "AdamW" in p.text) == "2. Methods"
    assert next(p.section for p in passages if "0.87" in p.text) == "3. Results"


def test_a_sentence_that_a_page_cuts_is_whole_on_the_page_where_it_begins(tmp_path: Path) -> None:
    lines = [
        ["The survey was flown at night.", "The camera looked straight"],
        ["down at the forest. It was cold.", "Deer hid."],
    ]
    passages, _ = read_passages(text_pdf(tmp_path / "two.pdf", lines))
    assert passages[0].page == 1
    assert passages[0].text.endswith("The camera looked straight down at the forest.")
    assert passages[1].page == 2
    assert passages[1].text.startswith("It was cold.")


def test_two_thousand_pages_are_read(tmp_path: Path) -> None:
    long = text_pdf(tmp_path / "long.pdf", [[f"On page {n} the herd had {n} deer in all."] for n in range(1, 2001)])
    passages, notes = read_passages(long)
    assert len(passages) == 2000
    assert passages[-1].text == "On page 2000 the herd had 2000 deer in all."
    assert notes == []


def test_a_locked_pdf_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"locked\.pdf: is encrypted; save a copy without a password"):
        read_document(text_pdf(tmp_path / "locked.pdf", [["Secret."]], password="herd"))


def test_a_scan_suggests_ocr(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="it seems to be a scan; put it through OCR"):
        read_document(scan(tmp_path / "scan.pdf"))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_pdf_cut_short_is_read_as_far_as_it_goes_or_refused_clearly(tmp_path: Path, share: float) -> None:
    whole = paper(tmp_path / "whole.pdf", pages=5).read_bytes()
    cut = tmp_path / "cut.pdf"
    cut.write_bytes(whole[: int(share * len(whole))])
    try:
        assert read_passages(cut)[0]
    except SourceError as error:
        assert "damaged" in str(error) or "hardly any text" in str(error)


def test_what_only_calls_itself_pdf_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "paper.pdf"
    page.write_text("<html><body>Please log in to download this paper.</body></html>", encoding="utf-8")
    with pytest.raises(SourceError, match="is not a PDF, whatever its name says"):
        read_document(page)


@pytest.mark.parametrize("data", [b"", b"   \n"])
def test_an_empty_file_says_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "empty.txt"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="is empty"):
        read_document(path)


def test_a_picture_named_txt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\xff\xfe\x00")
    with pytest.raises(SourceError, match="is no text"):
        read_document(path)


def test_another_language_is_noted() -> None:
    german = "Die Tiere wurden mit der Drohne von oben gezählt und die Bilder sind auf dem Server. " * 12
    assert "seems to be German" in language_note(german)
    assert (
        language_note("The animals were counted from above with a drone and the images are on the server. " * 12) == ""
    )


def test_html_leaves_out_scripts_and_keeps_headings_and_addresses() -> None:
    page = (
        "<html><head><title>x</title><style>p{}</style></head><body><nav>Home</nav><script>steal()</script>"
        '<h2>Data</h2><p>The code is <a href="https://github.com/a/b">here</a>.</p><ul><li>one</li></ul>'
        "<table><tr><td>rate</td><td>0.1</td></tr></table></body></html>"
    )
    blocks = read_html(page, "page.html").blocks
    assert [(block.text, block.kind, block.section) for block in blocks] == [
        ("The code is https://github.com/a/b here.", "text", "Data"),
        ("one", "list", "Data"),
        ("rate | 0.1", "table", "Data"),
    ]


def test_markdown_keeps_sections_items_and_rows_without_marks() -> None:
    text = "# Model\nA **small** net\nwith `ResNet18`.\n\n- 4 M parameters\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n## Code\n[us](https://x.org/y)\n"
    blocks = read_markdown(text, "METHODS.md").blocks
    assert [(block.text, block.section) for block in blocks] == [
        ("A small net with ResNet18.", "Model"),
        ("4 M parameters", "Model"),
        ("a | b", "Model"),
        ("1 | 2", "Model"),
        ("us (https://x.org/y)", "Code"),
    ]


def test_a_record_becomes_one_passage_a_field_with_the_way_to_it(tmp_path: Path) -> None:
    record = {
        "train": {"learningRate": 0.0003, "seeds": [1, 2], "use_amp": True, "note": None},
        "runs": [{"loss": 0.5}],
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    passages, _ = read_passages(path)
    assert [passage.text for passage in passages] == [
        "train learning Rate: 0.0003",
        "train seeds: 1, 2",
        "train use amp: yes",
        "runs 1 loss: 0.5",
    ]
    assert {passage.kind for passage in passages} == {"record"}


def test_broken_json_says_so() -> None:
    with pytest.raises(SourceError, match="is not JSON"):
        read_json("{", "a.json")


def test_a_folder_is_all_that_can_be_read_in_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "METHODS.md").write_text("# Model\nA small net.\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("Flown in May.", encoding="utf-8")
    (tmp_path / "bad.pdf").write_bytes(b"no pdf")
    (tmp_path / ".hidden.txt").write_text("no", encoding="utf-8")
    (tmp_path / "frame.png").write_bytes(b"no")
    passages, notes = read_passages(tmp_path)
    assert [(passage.source, passage.text) for passage in passages] == [
        ("notes.txt", "Flown in May."),
        ("run/METHODS.md", "A small net."),
    ]
    assert notes == ["bad.pdf: is not a PDF, whatever its name says; give the PDF, or text as .txt, .md or .html"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone.pdf", "no such file"), ("frame.png", "of no kind that can be read"), ("void", "holds nothing")],
)
def test_sources_that_are_none_say_what_to_give(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "frame.png").write_bytes(b"x")
    (tmp_path / "void").mkdir()
    with pytest.raises(SourceError, match=message):
        read_passages(tmp_path / name)


def test_sentences_end_where_people_end_them() -> None:
    text = (
        "We used dropout, e.g. 0.5, as in Fig. 3. Smith et al. (2020) did not. The rate was 0.001. See Sec. 2.1 for "
        "details, i.e. the grid. J. Doe labelled it! Was it good?"
    )
    assert split_sentences(text) == [
        "We used dropout, e.g. 0.5, as in Fig. 3.",
        "Smith et al. (2020) did not.",
        "The rate was 0.001.",
        "See Sec. 2.1 for details, i.e. the grid.",
        "J. Doe labelled it!",
        "Was it good?",
    ]


@pytest.mark.parametrize(
    ("lines", "words", "joined"),
    [
        (["the con-", "volution"], [], "the convolution"),
        (["a multi-", "scale map"], [], "a multi-scale map"),
        (["the pre-", "dictions"], [], "the predictions"),
        (["pre-", "trained"], ["pre-trained"], "pre-trained"),
        (["a far-", "sighted owl"], ["far-sighted"], "a far-sighted owl"),
        (["the ResNet-", "50 net"], [], "the ResNet-50 net"),
        (["see https://github.com/a/", "b for code"], [], "see https://github.com/a/b for code"),
        (["see https://doi.org/10.1", "and others"], [], "see https://doi.org/10.1 and others"),
        (["soft\u00adware, e\ufb03cient"], [], "software, efficient"),
    ],
)
def test_lines_join_as_a_reader_would(lines: list[str], words: list[str], joined: str) -> None:
    assert join_lines(lines, frozenset(words)) == joined


@given(st.text(alphabet=st.sampled_from("ab .!?A1(e.g.é\n"), max_size=300))
@settings(max_examples=50, deadline=None)
def test_every_letter_of_a_text_is_in_one_sentence(text: str) -> None:
    line = " ".join(text.split())
    spans = sentence_spans(line)
    assert "".join(line[a:b] for a, b in spans).replace(" ", "") == line.replace(" ", "")
    assert all(a < b for a, b in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))


@given(st.lists(st.text(alphabet=st.sampled_from("abc. D"), min_size=1, max_size=2500), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_passage_knows_its_place(texts: list[str]) -> None:
    blocks = tuple(Block(" ".join(text.split()), page=1) for text in texts)
    page = "\n".join(block.text for block in blocks)
    for passage in cut_passages(Document("a.pdf", blocks)):
        assert page[passage.start : passage.end] == passage.text
        assert len(passage.text) <= 901


@given(st.binary(max_size=400))
@settings(max_examples=40, deadline=None)
def test_whatever_a_text_file_holds_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for suffix in (".txt", ".md", ".html", ".json", ".pdf"):
        path = folder / f"a{suffix}"
        path.write_bytes(data)
        try:
            read_passages(path)
        except SourceError as error:
            assert str(path) in str(error)


def test_passages_of_a_text_at_hand_overlap_by_a_sentence() -> None:
    sentences = [f"Sentence number {n} tells something about the herd of deer in the wood at night." for n in range(6)]
    passages = passages_of_text(" ".join(sentences))
    assert [passage.text.count("Sentence") for passage in passages] == [3, 3, 2]
    assert passages[1].text.startswith("Sentence number 2")
