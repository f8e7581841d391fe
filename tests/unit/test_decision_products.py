"""Normalisation, masks and what makes two products one (`semantics.md`, Masks and rule 4)."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.products import Mask, Product, normalise


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("", ""),
        ("kr01", "KR01"),
        (" KR 01\t", "KR01"),
        ("KR\u00a001\u2003", "KR01"),
        ("K-R\u20110\u20131\u2014", "KR01"),
        # A minus sign is a symbol and no dash; an underscore is neither.
        ("K\u2212R_", "K\u2212R_"),
        ("АВЕКМНОРСТУХ", "ABEKMHOPCTYX"),
        ("авекмнорстух", "ABEKMHOPCTYX"),
        # Only these twelve letters look alike.
        ("БГДЁЗИЙЛПФЦЧШЩЪЫЬЭЮЯ", "БГДЁЗИЙЛПФЦЧШЩЪЫЬЭЮЯ"),
        ("ＫＲ０１", "KR01"),
        ("№7", "NO7"),
        ("straße", "STRASSE"),
        ("e\u0301", "É"),
        ("*?[]", "*?[]"),
    ],
)
def test_normalisation(text: str, normalised: str) -> None:
    """NFKC, upper case, look-alikes as Latin, and neither white space nor dashes."""
    assert normalise(text) == normalised


@given(st.text())
def test_normalised_text_of_one_alphabet_has_no_gaps(text: str) -> None:
    """Whatever is in a text, no white space survives, and plain ASCII goes the same way."""
    assert not any(letter.isspace() for letter in normalise(text))
    ascii_text = text.encode("ascii", "ignore").decode()
    assert normalise(ascii_text) == normalise(ascii_text + "\u00a0")


@pytest.mark.parametrize(
    ("mask", "value", "matches"),
    [
        ("KR*", "KR", True),
        ("KR*", "KR0012", True),
        ("KR*", "AKR", False),
        ("KR", "KR0", False),
        ("кр - *", "KP01", True),
        ("*", "", True),
        ("**", "", True),
        ("?", "", False),
        ("?", "А", True),
        ("?", "AB", False),
        ("?*", "A", True),
        ("*1", "0001", True),
        ("A*B*C", "AxxBxxC", True),
        ("A*B*C", "AxxCxxB", False),
        # Nothing but the star and the question mark has a meaning of its own.
        ("[AB]", "[AB]", True),
        ("[AB]", "A", False),
        ("[!A]", "B", False),
        ("A.C", "ABC", False),
        ("A\\*", "A\\xyz", True),
        ("a+(b)", "A+(B)", True),
    ],
)
def test_mask_matches_the_whole_value(mask: str, value: str, matches: bool) -> None:  # noqa: FBT001 - a column of the table
    """A star is any run of characters and a question mark any one; the rest is literal."""
    assert Mask(mask).matches(normalise(value)) is matches


@given(st.text("AB*?", max_size=6), st.text("AB", max_size=6))
def test_mask_matches_as_the_shell_would(mask: str, value: str) -> None:
    """For letters the masks are those known from file names."""
    if mask:
        assert Mask(mask).matches(value) == fnmatch.fnmatchcase(value, mask)


def test_many_stars_do_not_explode() -> None:
    """A mask of very many stars is matched at once."""
    assert not Mask("*A" * 60 + "B").matches("A" * 120)


@pytest.mark.parametrize(
    ("mask", "count"), [("*", 0), ("KR*", 2), ("K R-??", 2), ("№*", 2), ("***?", 0)]
)
def test_literal_characters_are_counted_after_normalisation(mask: str, count: int) -> None:
    """Stars, question marks, dashes and white space do not count."""
    assert Mask(mask).literal_count == count


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Product("ABS", "loan", "кр", "00-12"), True),
        (Product("ABS", "card", "KP", "0012"), True),
        (Product("abs", "loan", "KP", "0012"), False),
        (Product("ABS", "loan", "KP", "12"), False),
        (Product("ABS", "loan", "", "0012"), False),
    ],
)
def test_same_product(other: Product, same: bool) -> None:  # noqa: FBT001 - a column of the table
    """One product has one exact system code and one normalised series and number."""
    assert (Product("ABS", "loan", "KP", "0012").key == other.key) is same
