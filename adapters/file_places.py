"""Where listed files really are, and what the file system says of each before it is opened."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Signature = tuple[int, int, int, int, int]  # bytes, changed (content), changed (at all), inode, device

_NOT_REGULAR = "The file is a folder, pipe, socket or device; replace or remove it."


@dataclass(frozen=True, slots=True)
class Place:
    """A file before it is opened.

    Args:
        path: to open.
        kind: "" or an error's word of `transfer.data.faults`: then the file must not be opened.
        problem: "" or a sentence.
        signature: of the file, or of what a link leads to; all 0 where there is a problem.
        is_link: whether the name is a link.
    """

    path: str
    kind: str
    problem: str
    signature: Signature
    is_link: bool = False

    @property
    def n_bytes(self) -> int:
        """Return the file's size."""
        return self.signature[0]


class Places:
    """Looks files of a folder up; one system call a file, unless it is a link.

    Args:
        folder: of the data set; may itself be a link.
        stores: folders that links of the data set may lead to, such as a cache of DVC.
    """

    def __init__(self, folder: Path, stores: Sequence[Path] = ()) -> None:
        self._folder = str(folder)
        self._roots = [os.path.realpath(one) for one in (folder, *stores)]
        self._inside: dict[str, bool] = {}  # folder below the data set's -> whether it really is there

    def look_up(self, path: str) -> Place:
        """Say where a file is and whether it may be opened.

        Args:
            path: relative to the data set's folder, with forward slashes.
        """
        full, parts = f"{self._folder}/{path}", path.split("/")
        if path.startswith("/") or ".." in parts or "\0" in path:
            return _refused(
                full, "path_out", f"The path {path!r} leads out of the data set's folder; correct or remove it."
            )
        try:
            if not self._is_inside("/".join(parts[:-1])):
                return _refused(full, "link_out", _leads_out("a folder of its path"))
            facts = os.lstat(full)
            if stat.S_ISLNK(facts.st_mode):
                return self._behind_link(full)
        except OSError as error:
            return _refused(full, *explained(error))
        return _opened_as(full, facts, is_link=False)

    def _behind_link(self, full: str) -> Place:
        try:
            real = os.path.realpath(full, strict=True)
        except OSError:
            return _refused(
                full, "broken_link", "The file is a broken link or one in a circle; replace or remove it.", is_link=True
            )
        if not any(_is_below(real, root) for root in self._roots):
            return _refused(full, "link_out", _leads_out("a link"), is_link=True)
        return _opened_as(full, Path(full).stat(), is_link=True)

    def _is_inside(self, folder: str) -> bool:
        known = self._inside.get(folder)
        if known is None:
            real = os.path.realpath(f"{self._folder}/{folder}")
            known = self._inside[folder] = _is_below(real, self._roots[0])
        return known


def signature_of(facts: os.stat_result) -> Signature:
    """Return what changes whenever a file's content does, as far as the file system tells."""
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev


def explained(error: OSError) -> tuple[str, str]:
    """Return the kind and the sentence for a file that the system does not hand out."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "gone", "The file was removed while the data set was read; run again."
    return "unreadable", f"The file cannot be read ({error.strerror}); make it readable."


def _opened_as(full: str, facts: os.stat_result, *, is_link: bool) -> Place:
    if not stat.S_ISREG(facts.st_mode):
        return _refused(full, "not_a_file", _NOT_REGULAR, is_link=is_link)
    return Place(full, "", "", signature_of(facts), is_link)


def _refused(full: str, kind: str, problem: str, *, is_link: bool = False) -> Place:
    return Place(full, kind, problem, (0, 0, 0, 0, 0), is_link)


def _leads_out(what: str) -> str:
    return (
        f"The file is behind {what} that leads out of the data set's folder; put the file itself there, or name as "
        "data.path the folder that really holds it."
    )


def _is_below(real: str, root: str) -> bool:
    return real == root or real.startswith(root.rstrip("/") + "/")
