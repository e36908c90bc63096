"""Versions as the stage `register` leaves them, and what is told of them."""

import subprocess
from pathlib import Path
from typing import Any

from tasks.lineage import MadeFrom, lineage_of
from tasks.register import publish
from tests.tasks.left_artifacts import compare, leave_artifacts

FIRST, SECOND = "a1b2c3d4" * 4 + ".dir", "f1e2d3c4" * 4 + ".dir"
LOCK = """schema: '2.0'
stages:
  manifest:
    deps:
    - path: data/digits
      md5: {digest}
    params:
      params.yaml:
        data:
          path: data/digits
"""


def commit(project: Path, message: str) -> None:
    for arguments in (("add", "--all", "."), ("commit", "--quiet", "--message", message)):
        subprocess.run(("git", *arguments), cwd=project, check=True)


def publish_from(digest: str, seed: int) -> None:
    leave_artifacts(seed)
    Path("dvc.lock").write_text(LOCK.format(digest=digest), encoding="utf-8")
    compare((20, 2, 40))
    publish()


def told(target: str) -> dict[tuple[str, str], Any]:
    found = lineage_of(target)
    assert not isinstance(found, MadeFrom)
    return {(fact.part, fact.label): fact for fact in found}
