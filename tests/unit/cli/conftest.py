"""A way to say words to the command in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from stocktake.cli import main as door


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Type `stocktake WORDS...`; returns exit code, stdout and stderr."""

    def type_words(*words: object) -> Said:
        monkeypatch.setattr("sys.argv", ["stocktake", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            door.entry()
        out, err = capsys.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return type_words
