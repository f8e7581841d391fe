"""The mapping file: what is accepted, and that every fault is named at once."""

from pathlib import Path

import pytest

from service.demo.history import CONSENTS_MAPPING_PATH, PRODUCTS_MAPPING_PATH
from service.importing import MappingInvalidError, load_mapping, parse_mapping


def test_shipped_mappings_are_without_faults() -> None:
    """The mappings of the demonstration load."""
    assert set(load_mapping(PRODUCTS_MAPPING_PATH).kinds) == {"purchase", "close_product"}
    assert "void" in load_mapping(CONSENTS_MAPPING_PATH).kinds


def test_every_fault_is_listed() -> None:
    """A mapping with several faults is refused with all of them."""
    with pytest.raises(MappingInvalidError) as caught:
        parse_mapping(
            {
                "format": "xls",
                "encoding": "koi8-r",
                "delimiter": ";;",
                "zone": "Mars/Olympus",
                "date_formats": ["%d.%m"],
                "kind": "purchase",
                "fields": {"customer": "Client", "colour": "Colour"},
                "sheet": "1",
            }
        )
    faults = " | ".join(caught.value.faults)
    for word in ("sheet", "format", "encoding", "delimiter", "zone", "date_formats", "colour"):
        assert word in faults
    assert "a purchase needs purchased_at" in faults


def test_a_kind_column_needs_its_values() -> None:
    """Without a table of kinds no row could be told to be an event."""
    with pytest.raises(MappingInvalidError, match="needs values"):
        parse_mapping({"format": "csv", "kind": {"column": "Op"}, "fields": {}})


def test_an_unknown_kind_is_a_fault() -> None:
    """A kind of event that does not exist is named, with those that do."""
    with pytest.raises(MappingInvalidError, match="'sale' is unknown; known are acquire"):
        parse_mapping({"format": "csv", "kind": "sale", "fields": {}})


def test_words_that_yaml_takes_for_booleans_stay_words(tmp_path: Path) -> None:
    """A table with the keys yes and no reads them as texts."""
    path = tmp_path / "mapping.yaml"
    path.write_text(
        "format: csv\nkind: consent\nfields:\n"
        "  customer: c\n  at: d\n  consent_type: t\n"
        "  value: {column: v, values: {yes: granted, no: refused}}\n",
        encoding="utf-8",
    )
    values = load_mapping(path).kinds["consent"].fields["value"].values
    assert values == {"yes": "granted", "no": "refused"}


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: [", "\x00"])
def test_broken_yaml_is_one_clear_error(tmp_path: Path, text: str) -> None:
    """A repeated key or broken YAML is refused, naming the file."""
    path = tmp_path / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MappingInvalidError, match=r"mapping\.yaml: not YAML"):
        load_mapping(path)


def test_a_mapping_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    """A missing mapping file is refused, naming it."""
    with pytest.raises(MappingInvalidError, match=r"none\.yaml"):
        load_mapping(tmp_path / "none.yaml")


def test_a_field_is_a_column_or_a_constant() -> None:
    """A field with both, or neither, is a fault."""
    for entry in ({"column": "a", "constant": "b"}, {}, ["a"]):
        with pytest.raises(MappingInvalidError, match="either a column or a constant"):
            parse_mapping({"format": "csv", "kind": "split", "fields": {"from": entry}})
