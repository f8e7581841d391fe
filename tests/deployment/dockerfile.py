"""The Dockerfile as tests read it: its stages, and the instructions of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = ROOT / "Dockerfile"


class Instruction(NamedTuple):
    """A word such as RUN, and what comes after it, on one line."""

    word: str
    text: str


@dataclass(frozen=True)
class Stage:
    """What one FROM begins."""

    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def texts(self, word: str) -> Sequence[str]:
        """What the instructions of a word say."""
        return [instruction.text for instruction in self.instructions if instruction.word == word]


def read_stages() -> Sequence[Stage]:
    """Read the Dockerfile: comments left out, continued lines joined, arguments put in."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    lines = [
        line
        for line in DOCKERFILE.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, text = line.strip().partition(" ")
        if word == "ARG":
            name, _, value = text.partition("=")
            arguments[name] = value
        elif word == "FROM":
            for name, value in arguments.items():
                text = text.replace(f"${{{name}}}", value)
            stages.append(Stage(text))
        elif word:
            stages[-1].instructions.append(Instruction(word, text.strip()))
    return stages
