"""What a source supports of an answer: quotations, numbers, names, claims, abstentions, and what is made up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.methods.claims import claiming_part, is_silence, numbers
from nightherd.methods.normalise_text import clean, letters, sentences, stem
from nightherd.methods.source_text import key_terms, verbatim
from nightherd.methods.types import Passage, Sentence
from nightherd.methods.verify import verify_answer

SOURCE = (
    Passage(
        "We trained a ResNet-50 detector with the Adam optimizer and a learning rate of 0.001 for 1,500 iterations. "
        "Of all frames, 70 % were used for training and 30 % for testing. Flipping and rotation augmented the frames.",
        "paper.pdf",
        4,
    ),
    Passage(
        "Red deer were counted by a support vector machine (SVM) on thermal images of a drone. "
        "Code is at https://github.com/some-lab/deer-count. Hard negative mining improved the feature pyramid.",
        "paper.pdf",
        7,
    ),
)


def one(text: str, question: str = "") -> Sentence:
    sentences_found = verify_answer(text, SOURCE, question)
    assert len(sentences_found) == 1
    return sentences_found[0]


@pytest.mark.parametrize(
    "claim",
    [
        "The detector was trained with Adam and a learning rate of 1e-3.",
        "Training used 1500 iterations.",
        "0.7 of the frames were used for training, 30 percent for testing.",
        "The frames were augmented by flipping and by rotations.",
        "The code is available at https://github.com/some-lab/deer-count.",
        'The authors write that "hard negative mining improved the feature pyr-\namid".',
        "A Support Vector Machine counted red deer in thermal images.",
    ],
)
def test_what_the_source_says_in_other_words_is_supported_with_its_sentence(claim: str) -> None:
    sentence = one(claim)
    assert sentence.supported, sentence.reason
    assert sentence.quote is not None
    assert sentence.quote.text in sentence.quote.passage.text


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ("The detector was trained with SGD and a learning rate of 0.001.", "'SGD'"),
        ("The detector was trained with Adam and a learning rate of 0.01.", "'0.01'"),
        ("The frames were split, with 80 % for training.", "'80 %'"),
        ("The code is at https://github.com/another-lab/deer-count.", "https://github.com/another-lab"),
        ('They say that "hard positive mining improved the feature pyramid".', '"hard positive mining'),
        ("Saliency maps highlight the pixels with the largest gradient.", "'Saliency'"),
    ],
)
def test_what_is_made_up_is_marked_and_the_reason_names_it(claim: str, told: str) -> None:
    sentence = one(claim)
    assert not sentence.supported
    assert told in sentence.reason


def test_the_reason_says_what_the_source_is_about_where_nothing_fits() -> None:
    assert "the source is about" in one("Softmax probabilities were smoothed by temperature scaling afterwards.").reason


@pytest.mark.parametrize(
    "text",
    [
        "I don't know.",
        "The provided context does not mention any stopping criteria.",
        "Unfortunately, there is no information about the random seed, such as its value or how it was chosen.",
        "It is not possible to answer this question from the text alone.",
        "However, I can provide some general information on common practices.",
    ],
)
def test_sentences_that_only_abstain_are_told_apart(text: str) -> None:
    sentence = one(text)
    assert sentence.is_abstention
    assert sentence.supported


def test_what_follows_an_abstention_in_the_same_sentence_is_checked() -> None:
    assert one("The text does not name the seed, but it says that flipping augmented the frames.").supported
    made_up = one("The text does not name the seed, but it says that dropout and early stopping were used.")
    assert not made_up.supported
    assert not made_up.is_abstention


def test_a_question_s_words_claim_nothing_but_its_examples_do() -> None:
    question = "Which metrics evaluate the deep learning pipeline (e.g., Precision, Recall)?"
    sentence = one("Metrics of the deep learning pipeline are Precision and Recall.", question)
    assert not sentence.supported
    assert "'Precision'" in sentence.reason


def test_a_sentence_that_leads_to_a_list_stands_or_falls_with_it() -> None:
    lead, item = verify_answer("These are:\n- Flipping and rotation of frames.", SOURCE)
    assert lead.supported and item.supported
    lead, item = verify_answer("These are:\n- Mosaic and cutout of patches.", SOURCE)
    assert not lead.supported and not item.supported


def test_an_empty_source_supports_nothing() -> None:
    assert not any(sentence.supported for sentence in verify_answer("Adam trained the detector.", ()))


def test_acronyms_and_their_words_are_one() -> None:
    source = (Passage("A CNN classified the images of birds.", "a.txt"),)
    assert all(s.supported for s in verify_answer("A Convolutional Neural Network classified images of birds.", source))
    source = (Passage("A convolutional neural network classified the images of birds.", "a.txt"),)
    assert all(s.supported for s in verify_answer("CNNs classified images of birds.", source))


def test_sentences_end_where_they_end_for_people() -> None:
    text = "We used Adam (e.g. lr 0.7) by J. Smith et al. in Fig. 3. Next one!\n1. **Data**: foo.\n2. Bar"
    assert sentences(text) == [
        "We used Adam (e.g. lr 0.7) by J. Smith et al. in Fig. 3.",
        "Next one!",
        "Data: foo.",
        "Bar",
    ]


def test_stems_join_what_grammar_parts() -> None:
    assert len({stem(w) for w in ("classified", "classifier", "classification", "classify")}) == 1
    assert len({stem(w) for w in ("train", "training", "trained", "trains")}) == 1
    assert stem("precision") != stem("recall")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.7", 0.7),
        ("70 %", 0.7),
        ("70 percent", 0.7),
        ("1,000", 1000),
        ("2 × 10-4", 2e-4),
        ("1e-3", 1e-3),
        ("5 k", 5e3),
    ],
)
def test_numbers_have_one_value_however_written(text: str, value: float) -> None:
    assert numbers(clean(text))[0][1] == pytest.approx(value)


def test_key_terms_repeat_in_the_text() -> None:
    lines = ["The feature pyramid feeds the heads.", "A feature pyramid is thin.", "FPN and FPN again."]
    terms = key_terms(lines, 2)
    assert "feature pyramid" in terms
    assert "FPN (feature pyramid network)" in key_terms(lines[2:])


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=120), st.text(max_size=120))
def test_any_text_can_be_verified_against_any_other(answer: str, source: str) -> None:
    for sentence in verify_answer(answer, (Passage(source, "any"),), answer[:40]):
        assert sentence.text
        assert sentence.reason
        assert not (sentence.is_abstention and not sentence.supported)
        if sentence.quote and letters(sentence.quote.text)[0]:
            assert letters(sentence.quote.text)[0] in letters(source)[0]
    claiming_part(answer)
    is_silence(answer)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["deer", "thermal", "drone", "counts", "frames", "herds"]), min_size=3, max_size=6))
def test_a_quotation_is_found_however_it_was_broken(parts: list[str]) -> None:
    whole = " ".join(parts)
    broken = whole.replace(" ", "  \n").replace("th", "t-\nh", 1)
    assert verbatim(broken, f"Before {whole} after.") is not None


@pytest.mark.parametrize("piece", ["a-", "Abc Def (AD) ", "not ", '"', "1 ", ":\n", "http://", "(", "Abc "])
def test_long_answers_of_one_piece_are_verified_too(piece: str) -> None:
    assert verify_answer(piece * 3000, SOURCE) is not None
