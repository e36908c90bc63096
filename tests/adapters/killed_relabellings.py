"""Kill a relabelling at each thing it does to the disk, let another process finish it or take it back, and look.

Run as `python -m tests.adapters.killed_relabellings FOLDER`; what is killed are copies of this process, which has no
threads. Prints at how many places it was killed.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from adapters import relabelling
from adapters.json_files import sha256_of
from adapters.relabelling import APPLIED, MOVING, UNDONE, Move
from adapters.table_text import TableEdit

_TOUCHING = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "shutil.copyfile", "os.listdir")
TABLE = b"file_name;who\r\na/0.png;p\r\na/1.png;q\r\nb/0.png;r"


def lay_out(project: Path) -> None:
    """Make a data set of three images in class folders beside a table."""
    for name in ("a/0.png", "a/1.png", "b/0.png"):
        path = project / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (project / "photos/metadata.csv").write_bytes(TABLE)
    (project / ".rootstock").mkdir()


def apply(project: Path) -> None:
    """Move an image, remove one, and let the table follow."""
    data = project / "photos"
    moves = [
        Move("a/0.png", "b/0-from-a.png", sha256_of(data / "a/0.png")),
        Move("b/0.png", "", sha256_of(data / "b/0.png")),
    ]
    edit = TableEdit(
        "metadata.csv", sha256_of(data / "metadata.csv"), "file_name", {}, {0: "b/0-from-a.png"}, frozenset((2,))
    )
    journal = relabelling.begin(project, "photos", moves, [edit])
    relabelling.carry_out(project, journal)
    relabelling.end(journal, APPLIED)


def undo(project: Path) -> None:
    """Take the only relabelling back."""
    (journal,) = relabelling.journals(project)
    relabelling.take_back(project, journal)
    relabelling.end(journal, UNDONE)


def finish(project: Path) -> None:
    """Go on with what was cut off, if anything was."""
    begun = relabelling.cut_off(project)
    if begun is None:
        return
    if begun.state == relabelling.UNDOING:
        undo(project)
        return
    relabelling.carry_out(project, begun)
    relabelling.end(begun, APPLIED)


def undo_begun(project: Path) -> None:
    """Take back what was cut off, if anything was."""
    if relabelling.cut_off(project) is not None:
        undo(project)


def state(project: Path) -> dict[str, bytes]:
    """Return what the data set's folder holds."""
    found = (path for path in (project / "photos").rglob("*") if path.is_file())
    return {str(path.relative_to(project)): path.read_bytes() for path in found}


def killed(project: Path, work: Callable[[Path], None], place: int) -> bool:
    """Let a copy of this process work, killed before it touches a file for the n-th time; say whether it was."""
    child = os.fork()
    if not child:
        left = [place]

        def look(event: str, arguments: tuple[object, ...]) -> None:
            if event in _TOUCHING and str(project) in str(arguments):
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

        sys.addaudithook(look)
        code = 1
        try:
            work(project)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{work.__name__} failed at {place}")
    return False


def check(folder: Path, begin: Path, work: Callable[[Path], None], wanted: list[dict[str, bytes]]) -> int:
    """Kill a work everywhere, mend it in both ways, and return the number of places."""
    place = 0
    while True:
        for mend in (finish, undo_begun):
            project = Path(shutil.copytree(begin, folder / "killed"))
            was_killed = killed(project, work, place)
            between = state(project)
            table = between["photos/metadata.csv"]
            if table not in [one["photos/metadata.csv"] for one in wanted]:
                raise SystemExit(f"half a table after {place}: {table!r}")
            begun = relabelling.cut_off(project)
            mend(project)
            expected = between if begun is None else wanted[int(begun.state == MOVING and mend is finish)]
            if state(project) != expected or expected not in wanted or relabelling.cut_off(project) is not None:
                raise SystemExit(f"{work.__name__} killed at {place}, {mend.__name__}: {state(project)}")
            shutil.rmtree(project)
            if not was_killed:
                return place
        place += 1


def main() -> None:
    """Check an application and its undoing."""
    os.fsync = lambda _: None  # a kill takes nothing from the system's cache, and disks may be slow
    folder = Path(sys.argv[1])
    before, after = folder / "before", folder / "after"
    lay_out(before)
    shutil.copytree(before, after)
    apply(after)
    wanted = [state(before), state(after)]
    if wanted[1]["photos/metadata.csv"] != b"file_name;who\r\nb/0-from-a.png;p\r\na/1.png;q\r\n":
        raise SystemExit(f"the table is {wanted[1]['photos/metadata.csv']!r}")
    print(check(folder, before, apply, wanted), check(folder, after, undo, wanted))


if __name__ == "__main__":
    main()
