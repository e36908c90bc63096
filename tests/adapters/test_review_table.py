"""The table of decisions: what is written is read back, and what people or programs make of it is refused in words."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.review_table import Decision, Suspect, read_table, write_suspects
from transfer.errors import UserError

SHA = "a" * 64
HEAD = "path,given,suggested,confidence,decision,sha256"


def _table(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_bytes("\n".join((HEAD, *lines)).encode())
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1), max_size=4))
def test_any_name_comes_back_as_it_was(tmp_path: Path, names: list[str]) -> None:
    path, distinct = tmp_path / "labels.csv", sorted(set(names))
    write_suspects(path, [Suspect(f"x{name}", SHA, name, f"to{name}", 0.9) for name in distinct])
    assert read_table(path) == ()
    assert path.read_text(encoding="utf-8").startswith(HEAD)
    text = path.read_text(encoding="utf-8").replace(f",0.900,,{SHA}", f",0.900,remove,{SHA}")
    path.write_bytes(text.encode())
    assert [(one.path, one.given, one.new_class) for one in read_table(path)] == [
        (f"x{name}", name, None) for name in distinct
    ]


def test_decisions_are_read_with_their_lines(tmp_path: Path) -> None:
    lines = [f"a/{place}.png,a,b,0.9,{said},{SHA}" for place, said in enumerate(("", "keep", "remove", "relabel: b "))]
    assert read_table(_table(tmp_path, *lines)) == (
        Decision(4, "a/2.png", SHA, "a", None),
        Decision(5, "a/3.png", SHA, "a", "b"),
    )


@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_a_spreadsheet_makes_of_it_is_read(tmp_path: Path, separator: str) -> None:
    cells = (("sha256", "note", "Decision", "given", "path"), (SHA.upper(), "x, y", "RELABEL:b", "a", "a/ü.png"))
    text = "\ufeff" + "".join(separator.join(line) + "\r\n" for line in cells) + separator * 4 + "\r\n"
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode())
    assert read_table(path) == (Decision(2, "a/ü.png", SHA, "a", "b"),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"has no column 'path', or more than one; its first line has to name path, given, decision, sha256"),
        (b"path,given,decision\n", r"has no column 'sha256'"),
        (b"path,path,given,decision,sha256\n", r"has no column 'path', or more than one"),
        (b"\xff\xfe\x00", r"is not UTF-8 \(byte 0\); save it as CSV in UTF-8"),
        (f"{HEAD}\na\0b,a,b,1,keep,{SHA}\n".encode(), r"holds a zero byte"),
        (f"{HEAD}\na/0.png,a,b,0.9,remove\n".encode(), r"Line 2 of .* has 5 cells, but the first line names 6 columns"),
        (
            f"{HEAD}\na/0.png,a,b,0.9,delete,{SHA}\n".encode(),
            r"Line 2 of .* has the decision 'delete'; write keep, rel",
        ),
        (f"{HEAD}\na/0.png,a,b,0.9,relabel:,{SHA}\n".encode(), r"the decision 'relabel:'; write keep"),
        (f"{HEAD}\nx,a,b,1,remove,{SHA}\nx,a,b,1,remove,{SHA}\n".encode(), r"Line 3 of .* second decision about 'x'"),
        (f"{HEAD}\nx,a,b,1,keep,{SHA}\nx,a,b,1,remove,{SHA}\n".encode(), r"Line 3 of .* second decision about 'x'"),
        (f'{HEAD}\n"a/0.png,a,b,0.9,remove,{SHA}\n'.encode(), r"Line 2 of .* is no CSV"),
        (f"{HEAD}\n{'x' * 200_000},a,b,1,keep,{SHA}\n".encode(), r"is no CSV \(field larger than"),
    ],
)
def test_what_is_no_table_of_decisions_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as refused:
        read_table(path)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(UserError, match=r"is no file; name the table that `rootstock data review` wrote"):
            read_table(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: f"{HEAD}\n{text}".encode())))
def test_anything_is_read_or_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    refused, found = "", tuple[Decision, ...]()
    try:
        found = read_table(path)
    except UserError as error:
        refused = str(error)
    assert not refused or ("; " in refused and refused.endswith("."))
    assert all(one.line > 1 for one in found)
