"""Documents: text in YAML or JSON, read without traps."""

import json

import pytest

from decision.catalog_document import read_catalog
from decision.errors import InvalidArgumentError, PublicationRefusedError
from service.documents import DEPTH_MAX, DOCUMENT_BYTES_MAX, Format, format_of, read_document
from service.starter import STARTER_CATALOG_PATH


def problem_of(document: str) -> str:
    """The one fault with which a document is refused."""
    with pytest.raises(PublicationRefusedError) as raised:
        read_document(document)
    (fault,) = raised.value.faults
    return f"{fault.path}: {fault.problem}"


def test_the_starter_catalog_reads_without_a_fault() -> None:
    """Comments, aliases and all."""
    assert read_catalog(read_document(STARTER_CATALOG_PATH.read_text(encoding="utf-8"))).wordings


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T00:00:00Z", "2024-01-31T00:00:00Z"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("", None),
        ("12", 12),
        ("'12'", "12"),
        ("1.5", "1.5"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("0x1F", "0x1F"),
        ("9" * 5000, "9" * 5000),
        (".nan", ".nan"),
    ],
)
def test_a_yaml_scalar_means_what_it_looks_like(scalar: str, value: object) -> None:
    """Only true and false are truth values; dates and fractions stay texts."""
    assert read_document(f"a: {scalar}") == {"a": value}


def test_a_key_is_always_a_text() -> None:
    """Be it a number, a truth value or the language Norwegian."""
    assert read_document("{no: a, 1: b, true: c}", Format.YAML) == {
        "no": "a",
        "1": "b",
        "true": "c",
    }


def test_json_is_read_as_json() -> None:
    """Escapes that YAML does not have included; what is no finite number stays a text."""
    text = json.dumps({"emoji": "😀", "slash": "a/b", "number": 1})
    assert read_document(text.replace("/", "\\/")) == {
        "emoji": "😀",
        "slash": "a/b",
        "number": 1,
    }
    assert read_document('{"a": 1e999, "b": NaN, "c": 1.0}') == {
        "a": "1e999",
        "b": "NaN",
        "c": "1.0",
    }


@pytest.mark.parametrize("document", [' \n\t{"a": 1}', '\ufeff{"a": 1}'])
def test_the_first_character_tells_json(document: str) -> None:
    """White space and a byte-order mark before it do not matter."""
    assert format_of(document) is Format.JSON
    assert read_document(document) == {"a": 1}


def test_aliases_repeat_what_they_name() -> None:
    """As often as the limit allows."""
    assert read_document("a: &x [1, {b: 2}]\nc: *x\nd: *x") == {
        "a": [1, {"b": 2}],
        "c": [1, {"b": 2}],
        "d": [1, {"b": 2}],
    }


def test_aliases_can_not_make_a_document_explode() -> None:
    """A few lines that stand for billions are refused before they are written out."""
    lines = ["a0: &a0 [" + ", ".join(["x" * 50] * 10) + "]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 12)]
    assert "aliases repeat more than" in problem_of("\n".join(lines))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("a: 1\nb: 2\na: 3", ": line 3, column 1: the key 'a' stands twice"),
        ('{"a": [{"b": 1, "b": 2}]}', "a[0]: the key 'b' stands twice"),
        ("a: [1, 2", ": line 2, column 1: this is no YAML"),
        ('{"a": [1, 2', ": line 1, column 12: this is no JSON"),
        ("a: &a [*a]", ": line 1, column 8: the alias 'a' has no anchor"),
        ("a: !!python/name:os.system", ": line 1, column 4: tags are not read"),
        ("a: 1\n---\nb: 2", ": line 2, column 1: a second document begins"),
        ("? [a]\n: b", ": line 1, column 3: a key is no text"),
        ('{"\\u0000": 1}', ": the key '\\x00' has a control character"),
        ('{"\\ud800": 1}', ": the key '\\ud800' has half of a surrogate pair"),
        ('"a\\tb": 1', ": line 1, column 1: the key has a control character"),
        ("a: \x01", ": this is no YAML"),
        ("[" * 100_000, f": mappings and lists are nested more than {DEPTH_MAX} deep"),
        ('{"a":' * 100_000, f": mappings and lists are nested more than {DEPTH_MAX} deep"),
        (
            '{"a":' * 100 + "1" + "}" * 100,
            f": mappings and lists are nested more than {DEPTH_MAX} deep",
        ),
    ],
)
def test_a_broken_document_is_one_fault_with_its_place(document: str, problem: str) -> None:
    """In YAML by line and column; in JSON by line and column or by path."""
    assert problem_of(document).startswith(problem)


@pytest.mark.parametrize("document", ["", " \n", "\ufeff", "# " + "ж" * (DOCUMENT_BYTES_MAX // 2)])
def test_an_absent_or_overlong_document_is_an_invalid_field(document: str) -> None:
    """The limit counts bytes of UTF-8."""
    with pytest.raises(InvalidArgumentError) as raised:
        read_document(document)
    assert [fault.field for fault in raised.value.faults] == ["document"]
