"""`python -m tests.hostile.guided READER [LIBFUZZER OPTIONS]`: a search guided by coverage.

What lives here: the readers under atheris, where it is installed; it is no dependency, as it comes
for few platforms. What it finds is put into `documents.TROUBLE`, where every run tries it.
"""

import contextlib
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st


def main() -> int:
    """Search until told to stop; what is found ends the search, with the input in a file."""
    try:
        # It may not be there, which is said.
        atheris = importlib.import_module("atheris")
    except ModuleNotFoundError:
        print(
            "atheris is not installed: pip install atheris, where there is a wheel", file=sys.stderr
        )
        return 2
    # What others wrote is only run: to instrument all of it takes minutes.
    with atheris.instrument_imports(include=["decision", "service", "store"]):
        from tests.hostile.reading import READERS  # noqa: PLC0415 - what is looked at while it runs
    by_name = {reader.name: reader for reader in READERS}
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in by_name:
        print(f"name a reader: {', '.join(by_name)}", file=sys.stderr)
        return 2
    reader = by_name[name]
    with tempfile.TemporaryDirectory(prefix="maywe-fuzz-") as directory:

        @given(st.data())
        def examine(data: st.DataObject) -> None:
            reader.check(data.draw(reader.inputs), Path(directory))

        fuzzed: Any = examine
        with contextlib.suppress(KeyboardInterrupt):
            atheris.Setup(sys.argv, fuzzed.hypothesis.fuzz_one_input)
            atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
