"""Published weights: the store, torch hub's folder, a real server on this machine, and what goes wrong on the way."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
import torch

from adapters import weight_store
from adapters.published_weights import fetched, names_here, needs_download
from adapters.weights_files import load_weights
from transfer.backbones import torchvision_models
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, UserError

RESNET = BackboneReference.parse("torchvision/resnet18@IMAGENET1K_V1")


def _content() -> bytes:
    buffer = BytesIO()
    torch.save({"0.weight": torch.arange(6.0)}, buffer)
    return buffer.getvalue()


CONTENT = _content()
NAME = f"resnet18-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Site(ThreadingHTTPServer):
    """Answers every address with the same bytes, and counts how often."""

    content, announced, n_asked = CONTENT, len(CONTENT), 0


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.n_asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.announced))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def _serving() -> Iterator[Site]:
    site = Site(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        site.server_close()
        thread.join()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Publish resnet18's weights on a server of this machine."""
    with _serving() as running:
        url = f"http://127.0.0.1:{running.server_port}/models/{NAME}"
        monkeypatch.setattr(torchvision_models, "weights_url", lambda *_: url)
        yield running


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Give an empty store and an empty hub folder."""
    monkeypatch.setenv("ROOTSTOCK_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "store", tmp_path / "torch" / "hub" / "checkpoints"


def test_weights_are_downloaded_once_and_lie_under_their_digest(site: Site, folders: tuple[Path, Path]) -> None:
    reports: list[tuple[int, int | None]] = []
    assert needs_download(RESNET)
    path = fetched(RESNET, lambda done, total: reports.append((done, total)))
    assert path == folders[0] / hashlib.sha256(CONTENT).hexdigest() / NAME
    assert path.read_bytes() == CONTENT
    assert (reports[0], reports[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))
    assert not needs_download(RESNET)
    assert load_weights(RESNET).path == path
    assert (site.n_asked, names_here()) == (1, {NAME})
    assert [one for one in folders[0].iterdir() if one.name.endswith(".part")] == []


@pytest.mark.parametrize("place", ["in the hub", "in the store by hand"])
def test_what_is_here_already_is_not_downloaded(site: Site, folders: tuple[Path, Path], place: str) -> None:
    folder = folders[place == "in the hub"]
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENT)
    assert load_weights(RESNET).path == folder / NAME
    assert (site.n_asked, names_here()) == (0, {NAME})


def test_a_store_that_was_copied_serves_a_machine_without_a_network(
    site: Site, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(RESNET)
    folders[0].rename(tmp_path / "carried")
    monkeypatch.setenv("ROOTSTOCK_WEIGHTS", str(tmp_path / "carried"))
    assert load_weights(RESNET).state_dict is not None
    assert site.n_asked == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda site: setattr(site, "content", b"<html>log in first</html>"), "ended after 25 of"),
        (lambda site: (setattr(site, "content", b"x" * 9), setattr(site, "announced", 9)), "does not have the hash"),
        (lambda site: setattr(site, "announced", len(CONTENT) + 1), "the connection ended after"),
    ],
)
def test_what_is_not_the_published_file_is_not_kept(
    site: Site, folders: tuple[Path, Path], damage: Callable[[Site], None], words: str
) -> None:
    damage(site)
    with pytest.raises(UserError, match=words):
        fetched(RESNET)
    assert names_here() == set()
    assert needs_download(RESNET)


def test_without_a_network_the_file_and_its_place_are_named(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _serving() as gone:
        port = gone.server_port
    monkeypatch.setattr(torchvision_models, "weights_url", lambda *_: f"http://127.0.0.1:{port}/{NAME}")
    with pytest.raises(UserError) as caught:
        load_weights(RESNET)
    for part in (str(RESNET), NAME, f"copy the file to {folders[0] / NAME}", "@PATH", "connect to a network once"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_without_a_connection_is_the_same_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_models, "weights_url", lambda *_: f"https://example.invalid/{NAME}")
    with pytest.raises(UserError, match=r"could not be downloaded from https://example\.invalid"):
        fetched(RESNET)


def test_an_address_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_models, "weights_url", lambda *_: f"ftp://example.invalid/{NAME}")
    with pytest.raises(UserError, match="begins with none of https, http, file"):
        fetched(RESNET)


def test_a_file_changed_in_the_store_is_refused(site: Site) -> None:
    path = fetched(RESNET)
    path.write_bytes(CONTENT + b"x")
    with pytest.raises(UserError, match=r"is damaged \(its sha256 is .*; delete it, and it is downloaded again"):
        load_weights(RESNET)


def test_a_file_with_another_hash_than_its_name_is_refused(site: Site, folders: tuple[Path, Path]) -> None:
    folders[1].mkdir(parents=True)
    (folders[1] / NAME).write_bytes(CONTENT + b"x")
    with pytest.raises(UserError, match="does not have the hash in its name; delete it"):
        load_weights(RESNET)


def test_a_published_file_that_would_run_code_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = tmp_path / "ran"
    site.content = f"cposix\nsystem\n(S'touch {proof}'\ntR.".encode()
    site.announced = len(site.content)
    name = f"resnet18-{hashlib.sha256(site.content).hexdigest()[:8]}.pth"
    monkeypatch.setattr(torchvision_models, "weights_url", lambda *_: f"http://127.0.0.1:{site.server_port}/{name}")
    with pytest.raises(UserError, match="holds more than tensors and was refused, nothing in it was executed"):
        load_weights(RESNET)
    assert not proof.exists()


def test_what_a_killed_download_left_is_written_over(site: Site, folders: tuple[Path, Path]) -> None:
    folders[0].mkdir()
    (folders[0] / f".{NAME}.part").write_bytes(b"half of")
    assert fetched(RESNET).read_bytes() == CONTENT


FILL = """
import sys, time
from pathlib import Path
from adapters import weight_store

def write(part):
    time.sleep(0.3)
    print("wrote", flush=True)
    part.write_bytes(b"tensors")

print(weight_store.fill("w.pth", write))
"""


def test_two_processes_make_one_file(folders: tuple[Path, Path], root: Path) -> None:
    command = [sys.executable, "-c", FILL]
    running = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sum("wrote" in words for words in said) == 1
    assert {words[-1] for words in said} == {str(folders[0] / hashlib.sha256(b"tensors").hexdigest() / "w.pth")}


def test_a_store_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ROOTSTOCK_WEIGHTS", str(tmp_path / "file" / "store"))
    with pytest.raises(EnvironmentFault, match=r"cannot be written .*; set ROOTSTOCK_WEIGHTS to a folder that can"):
        weight_store.fill("w.pth", lambda part: part.touch())
