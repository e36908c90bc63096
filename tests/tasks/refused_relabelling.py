"""A relabelling that is refused: in one sentence, and before anything is written down."""

from pathlib import Path

import pytest

from adapters import relabelling
from tasks.relabel import relabel
from transfer.errors import UserError


def refuse(project: Path, table: Path, words: str) -> None:
    """Expect that a table of decisions is refused."""
    with pytest.raises(UserError, match=words) as refused:
        relabel(table, undo=False)
    assert "\n" not in str(refused.value)
    assert relabelling.journals(project) == []
