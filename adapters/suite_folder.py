"""Where a project keeps what it expects of its data."""

from pathlib import Path

FOLDER = Path("expectations")
PREVIOUS = FOLDER / "previous_data.json"  # no suite: what an earlier version of the data was like
