"""Documents that anybody might send as a catalog, a mapping or a line of a file.

What lives here: Hypothesis strategies. A document is some valid one in which something was
replaced, or one that is nothing but trouble.
"""

import json
from typing import Any, Final

from hypothesis import strategies as st

ALIASES_DEPTH: Final = 12

_LAUGHS: Final = "\n".join(
    ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    + [
        f"a{depth}: &a{depth} [{', '.join([f'*a{depth - 1}'] * 9)}]"
        for depth in range(1, ALIASES_DEPTH)
    ]
)
"""The billion laughs."""

TROUBLE: Final = (
    _LAUGHS,
    "[" * 20_000,
    "{" * 20_000,
    '{"a":' * 20_000,
    "- " * 5_000,
    "a: " * 5_000,
    "? " * 5_000,
    "&a [*a]",
    "a: &a {b: *a}",
    "*nobody",
    "!!python/object/apply:os.system [id]",
    "!!binary aGVsbG8=",
    "<<: {a: 1}",
    "--- a\n--- b",
    "%YAML 9.9\n---\na",
    "%TAG ! tag:evil,2000:\n---\n!x a",
    "a: |\n" + "  x\n" * 1_000,
    "? [a, b]\n: c",
    "? {a: b}\n: c",
    "2024-99-99: 2024-99-99",
    "a: 2024-99-99",
    "a: " + "9" * 5_000,
    "a: 1e999",
    "a: .inf",
    "a: 190:20:30",
    "a: 0b" + "1" * 5_000,
    "\0",
    "a: \x07",
    "a: \ufeff\u202e\u2066b",
    '{"a": "\\ud800"}',
    '{"\\udfff": 1}',
    '{"a": 1, "a": 2}',
    '{"a": ' + "9" * 5_000 + "}",
    '{"a": 1e999, "b": -0, "c": NaN, "d": Infinity}',
    '{"a": "\\u0000"}',
    "'",
    '"\\x',
    "\t",
    "a:\tb",
    "@a",
    "`",
    "#" * 1_000,
    "\u2028\u2029\x85",
)
"""What parsers have stumbled over."""

scalars: Final[st.SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(
        [
            "",
            "\0",
            "\ud800",
            "\u202e",
            "P5Y",
            "P99999999999999999999Y",
            "-P1Y",
            "indefinite",
            "0000-00-00",
            "2024-02-30",
            "9999-12-31T23:59:59.999999Z",
            "10000-01-01T00:00:00Z",
            "2024-01-01T00:00:00+99:99",
            "Europe/Moscow",
            "../../etc/passwd",
            "/etc/passwd",
            "*" * 300,
            "?*" * 100,
            "x" * 100_001,
        ]
    ),
    st.text(max_size=20),
)

values: Final = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def replaced(draw: st.DrawFn, content: Any) -> Any:
    """A copy of some content in which a part was replaced, taken out, doubled or put in."""
    whole = json.loads(json.dumps(content))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = whole
        while place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                place = inner
                continue
            match draw(st.integers(0, 3)):
                case 0:
                    del place[key]
                case 1 if isinstance(place, list):
                    place.append(inner)
                case 1:
                    place[draw(st.text(max_size=8))] = draw(values)
                case _:
                    place[key] = draw(values)
            break
    return whole


def contents(valid: Any) -> st.SearchStrategy[Any]:
    """Content of documents: valid, nearly so, or not at all."""
    return st.one_of(st.just(valid), replaced(valid), replaced(valid), values)


def written(content: Any) -> str:
    """Write content as JSON, in which there may be what JSON has not, such as NaN."""
    return json.dumps(content)


@st.composite
def _torn(draw: st.DrawFn, text: str) -> str:
    """A text of which a piece is cut out, doubled, or replaced by trouble."""
    begin = draw(st.integers(0, len(text)))
    end = min(len(text), begin + draw(st.integers(0, 30)))
    put_in = draw(
        st.sampled_from(["", text[begin:end] * 2, "\0", "\ud800", "&a ", "*a", "!!x ", "{", "]"])
        | st.text(max_size=5)
    )
    return text[:begin] + put_in + text[end:]


def documents(valid: str) -> st.SearchStrategy[str]:
    """Texts of documents that can be sent: halves of surrogate pairs are taken out."""
    content = json.loads(valid)
    texts = st.one_of(
        contents(content).map(written),
        contents(content).map(written).flatmap(_torn),
        st.sampled_from(TROUBLE),
        st.text(max_size=60),
    )
    return texts.map(lambda text: text.encode("utf-8", "replace").decode())
