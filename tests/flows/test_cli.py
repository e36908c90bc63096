"""The console script: every ending is one sentence and an exit code, wherever it is called from."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app, main
from tasks import cli
from transfer.errors import EnvironmentFault, UserError


def test_help_names_every_command_and_the_exit_codes() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for word in ("run", "predict", "doctor", "up", "Exit codes: 0 done, 2", "current directory"):
        assert word in shown.output


@pytest.mark.parametrize("command", ["run", "predict", "up"])
def test_help_of_a_command_shows_examples(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"rootstock {command}" in shown.output or "prefect deployment run" in shown.output


def test_help_needs_no_heavy_package(root: Path) -> None:
    code = (
        "import sys, flows.cli\n"
        "heavy = {'prefect', 'torch', 'torchvision', 'mlflow', 'dvc', 'great_expectations', 'pandas', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--version"], 0, ""),
        ([], 2, ""),
        (["zork"], 2, "No such command"),
        (["up", "--prefect-port", "70000"], 2, "prefect-port"),
        (["predict"], 2, "Missing argument"),
    ],
)
def test_usage_errors_end_with_2(
    arguments: list[str], code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rootstock", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UserError("a is 1, but must be 2."), 2, "a is 1, but must be 2."),
        (EnvironmentFault("The disk is full."), 1, "The disk is full."),
        (KeyboardInterrupt(), 130, "Interrupted; run the same command again to go on."),
    ],
)
def test_every_error_is_one_sentence_on_stderr(
    error: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(**_: object) -> None:
        raise error

    assert cli.ending_of(command) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", sentence + "\n")


def test_unexpected_error_leaves_its_traceback_in_the_project(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(**_: object) -> None:
        raise ZeroDivisionError("two\nlines")

    assert cli.ending_of(command) == 1
    sentence = capsys.readouterr().err
    written = project / ".rootstock" / "logs" / "rootstock.traceback"
    assert sentence.startswith("Unexpected ZeroDivisionError: two lines; the traceback is in ")
    assert sentence.count("\n") == 1
    assert str(written) in sentence
    assert "Traceback" in written.read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [["run"], ["doctor"], ["up"]])
def test_commands_outside_a_project_say_so(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rootstock", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    captured = capsys.readouterr().err
    assert "is in no Rootstock project" in captured
    assert captured.count("\n") == 1


def test_refused_override_changes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "params.yaml").read_bytes()
    monkeypatch.setattr(sys, "argv", ["rootstock", "run", "finetune.epoch=3"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert (
        capsys.readouterr().err == "override: there is no parameter 'finetune.epoch'; did you mean finetune.epochs?\n"
    )
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "artifacts").exists()


def test_the_catalogue_is_a_command_with_commands_of_its_own() -> None:
    shown = CliRunner().invoke(app, ["backbones", "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for word in ("show", "fetch", "declare", "--filter", "--json", "rootstock backbones --filter resnet"):
        assert word in shown.output


def test_the_catalogue_is_shown_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["backbones", "--filter", "resnet18", "--json"])
    assert shown.exit_code == 0
    assert '"n_parameters": 11689512' in shown.output
    assert list(tmp_path.iterdir()) == []


def test_what_the_catalogue_refuses_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["show", "torchvision/resnet17"], ["fetch", "rootstock/strokes"], ["show", "mlflow/digits"]):
        monkeypatch.setattr(sys, "argv", ["rootstock", "backbones", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
