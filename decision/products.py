"""Products as customers hold them, and the masks that recognise their contracts.

What lives here: normalisation of series and numbers, and mask matching (`semantics.md`, Masks).
"""

import fnmatch
import re
import unicodedata
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

NORMALISED_KEPT_MAX: Final = 4096
"""Texts whose normal form is kept: a fold needs that of each contract several times."""

_LOOK_ALIKES: Final = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")


@lru_cache(maxsize=NORMALISED_KEPT_MAX)
def normalise(text: str) -> str:
    """Bring a contract series, number or mask to the form in which they are compared.

    Unicode NFKC, upper case, look-alike Cyrillic letters as Latin ones, white space and dashes
    (category Pd) dropped.
    """
    if text.isascii():
        upper = text.upper()
        return upper if upper.isalnum() else _without_gaps(upper)
    return _without_gaps(unicodedata.normalize("NFKC", text).upper().translate(_LOOK_ALIKES))


def _without_gaps(text: str) -> str:
    return "".join(
        letter for letter in text if not letter.isspace() and unicodedata.category(letter) != "Pd"
    )


class ProductKey(NamedTuple):
    """What makes two products the same one for a closing: exact system code, normalised rest."""

    system_code: str
    series: str
    number: str


class Product(NamedTuple):
    """A product as a system named it. Absent parts are empty strings."""

    system_code: str = ""
    product_type: str = ""
    series: str = ""
    number: str = ""

    @property
    def key(self) -> ProductKey:
        """The identity of the product (`semantics.md`, rule 4)."""
        return ProductKey(self.system_code, normalise(self.series), normalise(self.number))


class Mask:
    """A mask of a series or number: `*` is any run of characters, `?` any one."""

    def __init__(self, text: str) -> None:
        """Take the mask as written. It may not be empty after normalisation."""
        self.text = text
        self.normalised = normalise(text)

    @cached_property
    def literal_count(self) -> int:
        """How many characters of the normalised mask are neither `*` nor `?`."""
        return sum(letter not in "*?" for letter in self.normalised)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # fnmatch's patterns use atomic groups: many stars can not make matching explode. It alone
        # gives a meaning to brackets, which a mask takes literally.
        return re.compile(fnmatch.translate(self.normalised.replace("[", "[[]")))

    def matches(self, normalised_value: str) -> bool:
        """Tell whether the mask matches the whole of a normalised value."""
        return self._pattern.match(normalised_value) is not None
