"""Hand-off files: whole or not at all, and only from the inputs they say."""

import errno
import json
from pathlib import Path

import pytest

from adapters.json_files import atomic_write, read_json, sha256_of, write_json, write_text
from transfer.errors import EnvironmentFault, UserError


def test_record_names_the_digest_of_what_it_was_made_from(tmp_path: Path) -> None:
    source, record = tmp_path / "in.txt", tmp_path / "deep" / "out.json"
    source.write_bytes(b"abc")
    write_json(record, {"answer": 42}, {"source": source})
    content = json.loads(record.read_text())
    assert content == {
        "version": 1,
        "made_from": {"source": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        "answer": 42,
    }


def test_reader_refuses_a_record_made_from_another_input(tmp_path: Path) -> None:
    source, record = tmp_path / "in.txt", tmp_path / "out.json"
    source.write_text("one")
    write_json(record, {}, {"source": source})
    assert read_json(record, {"source": source})["version"] == 1
    source.write_text("two")
    with pytest.raises(UserError, match=r"was made from another .*in\.txt"):
        read_json(record, {"source": source})


@pytest.mark.parametrize(("content", "words"), [("{", "not valid JSON"), ('{"version": 7}', "record version 7")])
def test_reader_refuses_what_it_cannot_read(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(UserError, match=words):
        read_json(tmp_path / "r.json")


def test_reader_says_which_record_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"r\.json is missing"):
        read_json(tmp_path / "r.json")


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def fail_half_way() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail_half_way()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.txt"]


def test_full_disk_is_the_machines_fault(tmp_path: Path) -> None:
    def write_on_full_disk() -> None:
        with atomic_write(tmp_path / "x"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EnvironmentFault, match="The disk is full"):
        write_on_full_disk()
    assert list(tmp_path.iterdir()) == []


def test_write_keeps_the_mode_of_the_file_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "private.txt"
    path.write_text("a")
    path.chmod(0o600)
    write_text(path, "b")
    assert path.stat().st_mode & 0o777 == 0o600


def test_digest_equals_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_of(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
