"""Example images with maps of what the model looked at, as `explain` left them; bounded in number and in bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.picture_data import data_uri
from tasks.handoffs import EXPLANATIONS

_MOST_PAIRS, _MOST_OF_PAIR = 4, 4
_MOST_ERRORS, _MOST_EXAMPLES, _MOST_NEAREST = 8, 8, 3
_MOST_BYTES = 1_800_000  # of all pictures together, so that the page stays one that can be sent
_LONGEST_PX, _NEAREST_PX = 512, 120


class _Album:
    """Reads pictures until their bytes are spent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left_bytes = _MOST_BYTES
        self.n_left_out = 0

    def read(self, name: str, longest_px: int) -> str | None:
        """Return a picture as a data URI; None where it is missing or there is no room for it."""
        found = data_uri(self._folder / name, longest_px) if self._is_inside(name) else None
        if found is None or len(found) > self._left_bytes:
            self.n_left_out += 1
            return None
        self._left_bytes -= len(found)
        return found

    def _is_inside(self, name: str) -> bool:
        return (self._folder / name).resolve().is_relative_to(self._folder.resolve())


def examples(record: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """Return example images as the page shows them.

    Args:
        record: what that stage wrote.
        project: the project's folder.
    """
    album = _Album((project / EXPLANATIONS).parent)
    errors = [_case(one, album) for one in record["confident_errors"][:_MOST_ERRORS]]
    pairs = [_pair(one, album) for one in record["confused_pairs"][:_MOST_PAIRS]]
    right = [_case(one, album) for one in record["examples"][:_MOST_EXAMPLES]]
    left_out = {
        "errors": len(record["confident_errors"]) - len(errors),
        "pairs": len(record["confused_pairs"]) - len(pairs),
        "examples": len(record["examples"]) - len(right),
    }
    return {
        "maps": record["maps"],
        "errors": errors,
        "pairs": pairs,
        "right": right,
        "nearest_of": record.get("nearest_of", ""),
        "left_out": ", ".join(f"{count} {what}" for what, count in left_out.items() if count),
        "n_unread": album.n_left_out,
    }


def _case(one: Mapping[str, Any], album: _Album) -> dict[str, Any]:
    nearest: Sequence[Mapping[str, Any]] = one.get("nearest", ())
    return {
        "path": one["path"],
        "actual": one["actual"],
        "predicted": one["predicted"],
        "probability": f"{100 * one['probability']:.1f} %",
        "picture": album.read(one["picture"], _LONGEST_PX),
        "nearest": [
            {
                "class": near["class"],
                "path": near["path"],
                "similarity": f"{near['similarity']:.2f}",
                "picture": album.read(near["picture"], _NEAREST_PX),
            }
            for near in nearest[:_MOST_NEAREST]
        ],
    }


def _pair(one: Mapping[str, Any], album: _Album) -> dict[str, Any]:
    pictures = [album.read(name, _LONGEST_PX) for name in one["pictures"][:_MOST_OF_PAIR]]
    return {
        "actual": one["actual"],
        "predicted": one["predicted"],
        "n": one["n"],
        "share": f"{100 * one['share']:.0f} %",
        "pictures": [picture for picture in pictures if picture is not None],
    }
