"""Data that go to a remote and come back into another clone: a folder, and a server that speaks S3's protocol."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters import data_records, dvc_cache, remote_objects
from adapters.data_lists import listed, present
from tasks.data_diff import difference
from tests.tasks.changed_data import change, digest_of, draw, dvc, git
from transfer.errors import EnvironmentFault, UserError

NEEDED = ("dvc_s3", "moto")
BUCKET = "images"


@pytest.fixture
def two_states(tmp_path: Path, lay_out: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project whose data set was committed twice, and change into it."""
    project = tmp_path / "project"
    lay_out(project)
    monkeypatch.chdir(project)
    for name in "abc":
        for number in range(6):
            draw(project / "data" / "set" / name / f"{number}.png", seed=1000 * ord(name) + number)
    params = project / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("data/digits", "data/set"), encoding="utf-8")
    (project / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    dvc(project, "add", "data/set")
    commit_all(project)
    return project


def commit_all(project: Path) -> None:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "a state")


def push_twice(project: Path) -> tuple[str, str]:
    """Push two states; return their digests."""
    dvc(project, "push")
    first = digest_of(project)
    change(project / "data" / "set")
    dvc(project, "add", "data/set")
    dvc(project, "push")
    commit_all(project)
    return first, digest_of(project)


def join(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clone the project as a colleague does, and change into the clone."""
    clone = project.parent / "clone"
    git(project.parent, "clone", "--quiet", str(project), str(clone))
    monkeypatch.chdir(clone)
    return clone


@dataclass(frozen=True)
class Shared:
    """What a colleague has of a data set that was pushed twice.

    Args:
        pushed: digests of both states.
        compared: digests of the states that the clone compared before it pulled.
        n_added: images that came between them.
        n_fetched: images that comparing brought into the clone.
        pulled: digest of the folder that was pulled.
    """

    pushed: tuple[str, str]
    compared: tuple[str, str]
    n_added: int
    n_fetched: int
    pulled: str


def shared_as_a_team_does(project: Path, monkeypatch: pytest.MonkeyPatch) -> Shared:
    """Push from one clone; compare and pull in another."""
    pushed = push_twice(project)
    clone = join(project, monkeypatch)
    found = difference("HEAD~1", "HEAD", fetch=True)
    compared, n_fetched = (found.before.digest, found.after.digest), dvc_cache.kept(clone, pushed[1]).n_here
    dvc(clone, "pull")
    pulled = dvc_cache.digest_of_folder(present(clone, "data/set"))
    return Shared(pushed, compared, len(found.images.added), n_fetched, pulled)


def test_a_folder_is_a_remote(two_states: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dvc(two_states, "remote", "add", "-d", "store", str(tmp_path / "store"))
    found = shared_as_a_team_does(two_states, monkeypatch)
    assert (found.compared, found.n_added, found.n_fetched) == (found.pushed, 21, 0)  # lists alone
    assert found.pulled == found.pushed[1]


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve S3's protocol on this machine, with a bucket; yield its address."""
    for name, text in (("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, text)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            make_bucket(address, time.monotonic() + 60)
            yield address
        finally:
            server.terminate()


def make_bucket(address: str, deadline: float) -> None:
    request = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")  # noqa: S310 on this machine
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5):  # noqa: S310 on this machine
                return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.service
@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in NEEDED),
    reason="the extras s3 and s3-test are not installed (pip install -e '.[s3,s3-test]')",
)
def test_a_server_that_speaks_s3_is_a_remote(two_states: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dvc(two_states, "remote", "add", "-d", "store", f"s3://{BUCKET}/store")
    dvc(two_states, "remote", "modify", "store", "endpointurl", s3_server)
    found = shared_as_a_team_does(two_states, monkeypatch)
    assert (found.compared, found.n_added, found.n_fetched) == (found.pushed, 21, 0)  # lists alone
    assert found.pulled == found.pushed[1]


@pytest.mark.service
@pytest.mark.skipif(
    not importlib.util.find_spec("dvc_s3"), reason="the extra s3 is not installed (pip install -e '.[s3]')"
)
def test_a_server_that_does_not_answer_is_a_sentence(two_states: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        dvc(two_states, "remote", "add", "-d", "store", f"s3://{BUCKET}/store")
        dvc(two_states, "remote", "modify", "store", "endpointurl", address)
        commit_all(two_states)
        join(two_states, monkeypatch)
        with pytest.raises(EnvironmentFault, match=r"The remote cannot be read: .*; `dvc fetch -v` tells more"):
            difference("HEAD", "HEAD", fetch=True)


@pytest.fixture
def changed(changed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project of a test's own whose first state was pushed and whose cache is empty, and change into it."""
    project = Path(shutil.copytree(changed_once, tmp_path / "one", symlinks=True)) / "project"
    shutil.rmtree(project / ".dvc" / "cache")
    monkeypatch.chdir(project)
    return project


def pushed(project: Path) -> str:
    return str(data_records.at_commit(project, "data/set", "v1"))


def test_a_list_comes_alone_and_read_only(changed: Path) -> None:
    digest = pushed(changed)
    assert remote_objects.fetch(changed, digest)
    files = listed(changed, digest)
    assert files is not None
    assert dvc_cache.digest_of_folder(files) == digest
    place = dvc_cache.object_place(changed, digest)
    assert place.stat().st_mode & 0o777 == 0o444
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert not remote_objects.fetch(changed, "0" * 32 + ".dir")


def test_a_damaged_object_is_not_kept(changed: Path) -> None:
    digest = pushed(changed)
    stored = changed.parent / "store" / "files" / "md5" / digest[:2] / digest[2:]
    stored.chmod(0o644)
    stored.write_text("[]", encoding="utf-8")
    with pytest.raises(EnvironmentFault, match=r"The remote gave another object for \w+\.dir; push that state again"):
        remote_objects.fetch(changed, digest)
    assert listed(changed, digest) is None


def test_a_damaged_list_of_the_cache_counts_as_none(changed: Path) -> None:
    place = dvc_cache.object_place(changed, pushed(changed))
    place.parent.mkdir(parents=True)
    for text in ("[{", '{"relpath": 1}', '["a"]'):
        place.write_text(text, encoding="utf-8")
        assert listed(changed, pushed(changed)) is None


def test_without_a_default_remote_nothing_can_be_asked(changed: Path) -> None:
    (changed / ".dvc" / "config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"The remote cannot be asked: .*no remote specified"):
        remote_objects.fetch(changed, pushed(changed))
