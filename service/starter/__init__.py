"""The starter catalog: what a bank begins with and edits.

What lives here: the document `catalog.yaml` and its path. What a document means is `decision`'s.
"""

from pathlib import Path
from typing import Final

STARTER_CATALOG_PATH: Final = Path(__file__).with_name("catalog.yaml")
"""The catalog document that comes with maywe."""
