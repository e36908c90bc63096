"""What a failed stage leaves for whoever started it."""

import errno
import json
import shutil
from pathlib import Path
from signal import SIGTERM
from types import SimpleNamespace

import pytest
from prefect.exceptions import TerminationSignal

from tasks import failures
from transfer.errors import EnvironmentFault, UserError


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UserError("No images; add some."), 2, "No images; add some."),
        (EnvironmentFault("The store is locked."), 1, "The store is locked."),
        (KeyboardInterrupt(), 130, "select was interrupted; run the same command again to go on."),
        (TerminationSignal(SIGTERM), 130, "select was interrupted"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "The disk is full in select; free some space"),
        (ZeroDivisionError("two\nlines"), 1, "select failed unexpectedly (ZeroDivisionError: two lines)"),
    ],
)
def test_every_error_has_a_code_and_one_line(tmp_path: Path, error: BaseException, code: int, words: str) -> None:
    failure = failures.explain("select", error, tmp_path)
    assert failure.exit_code == code
    assert failure.sentence.startswith(words)
    assert "\n" not in failure.sentence


def test_only_an_unexpected_error_leaves_its_traceback(tmp_path: Path) -> None:
    assert failures.explain("select", UserError("x"), tmp_path).traceback_file is None
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    failure = failures.explain("select", caught.value, tmp_path)
    assert failure.traceback_file is not None
    assert "ZeroDivisionError: division by zero" in Path(failure.traceback_file).read_text(encoding="utf-8")


def test_traceback_that_cannot_be_written_costs_no_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    failure = failures.explain("select", ZeroDivisionError("here"), tmp_path)
    assert failure.sentence.endswith("could not be written (No space left on device).")


def test_record_is_read_back_and_cleared(tmp_path: Path) -> None:
    assert failures.last(tmp_path) is None
    failure = failures.Failure("select", 2, "No images; add some.")
    failures.leave(failure, tmp_path)
    assert failures.last(tmp_path) == failure
    assert json.loads((tmp_path / ".rootstock/failure.json").read_text())["exit_code"] == 2
    failures.clear(tmp_path)
    assert failures.last(tmp_path) is None


def test_disk_too_full_for_the_record_is_no_second_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise EnvironmentFault("The disk is full.")

    monkeypatch.setattr(failures, "write_plain_json", full)
    failures.leave(failures.Failure("select", 1, "The disk is full."), tmp_path)
    assert failures.last(tmp_path) is None


@pytest.mark.parametrize(("free", "words"), [(0, "The disk is full in select"), (1 << 30, "select failed in DVC: no.")])
def test_failure_of_dvc_itself_is_explained_by_the_disk_when_it_is_full(
    project: Path, monkeypatch: pytest.MonkeyPatch, free: int, words: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    sentence = str(failures.unexplained("select", project, "no", project / "log"))
    assert sentence.startswith(words.rstrip("."))
