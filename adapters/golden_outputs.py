"""What a packed model said of a few images when it was packed, and whether it says the same today.

The check runs the code that travels with the model, in a process of its own, as a server does: it says what will be
served, whatever has become of this project's code since.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import serving_model
from adapters.json_files import read_plain_json, write_plain_json
from adapters.seen_rows import EVIDENCE
from transfer.errors import EnvironmentFault, UserError

if TYPE_CHECKING:
    from transfer.backbones.backbone import Classifier
    from transfer.backbones.card import ModelCard

OUTPUTS = "golden.json"
TOLERANCE = 1e-3  # of the largest logit: other processors and libraries change the last digits, other weights all
_LIMIT_S = 60.0
_CHILD = """
import importlib.util, json, sys
from pathlib import Path
package = Path(sys.argv[1])
sys.path.insert(0, str(package / "code"))
spec = importlib.util.spec_from_file_location("adapters.serving_model", package / "serving_model.py")
serving = importlib.util.module_from_spec(spec)
spec.loader.exec_module(serving)
contents = [path.read_bytes() for path in map(Path, sys.argv[2:])]
found = serving.logits(*serving.load(package / "artifacts" / serving.ARTIFACT), contents).tolist()
own = (package / "code").resolve()
for name, module in sorted(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if name.partition(".")[0] == "transfer" and file and not Path(file).resolve().is_relative_to(own):
        sys.exit(f"it carries no {name} of its own")
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a packed model says what it said.

    Args:
        holds: True or False; None where it carries nothing that it could be held to.
        sentence: what was found, a phrase.
    """

    holds: bool | None
    sentence: str


def write_golden(folder: Path, classifier: "Classifier", card: "ModelCard") -> None:
    """Write the images and what a model says of them.

    Args:
        folder: exists.
        classifier: in evaluation mode.
        card: its card.
    """
    from transfer.data.golden import golden_images

    images = golden_images()
    for place, content in enumerate(images):
        (folder / _image(place)).write_bytes(content)
    found = serving_model.logits(classifier, card, images).tolist()
    write_plain_json(folder / OUTPUTS, {"classes": list(card.classes), "logits": found})


def prove(package: Path) -> Proof:
    """Ask a packed model about its images again, in a process that runs the model's own code.

    Args:
        package: folder of the MLflow model.
    """
    evidence = package / "artifacts" / EVIDENCE
    if not (evidence / OUTPUTS).is_file():
        if not (package / "MLmodel").is_file():
            return Proof(False, f"its files are gone from {package}")
        return Proof(None, "it was registered without golden outputs")
    try:
        expected: list[list[float]] = read_plain_json(evidence / OUTPUTS)["logits"]
        found = _asked(package, [evidence / _image(place) for place in range(len(expected))])
    except (EnvironmentFault, UserError, KeyError) as error:
        return Proof(False, f"it cannot be asked ({error})")
    return _compared(expected, found)


def _compared(expected: list[list[float]], found: list[list[float]]) -> Proof:
    if not any(expected):
        return Proof(False, "its golden outputs are empty")
    if [len(row) for row in expected] != [len(row) for row in found]:
        return Proof(False, f"it answers with {len(found)} rows of other lengths than its golden outputs")
    pairs = [
        (one, other) for row, again in zip(expected, found, strict=True) for one, other in zip(row, again, strict=True)
    ]
    largest = max(1.0, *(abs(one) for one, _ in pairs))
    apart = max(abs(one - other) for one, other in pairs) / largest
    if not apart <= TOLERANCE:  # not a number is no proof either
        return Proof(False, f"its golden outputs differ by {apart:.1e} of the largest, more than {TOLERANCE:g}")
    how = f"to {apart:.0e} of the largest" if apart else "exactly"
    return Proof(True, f"{len(expected)} golden outputs reproduced {how}")


def _asked(package: Path, images: list[Path]) -> Any:
    command = [sys.executable, "-c", _CHILD, str(package), *map(str, images)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFault(f"it gave no answer within {_LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        complaint = done.stderr.strip().splitlines() or ["no message"]
        raise EnvironmentFault(complaint[-1][:200])
    return json.loads(done.stdout.splitlines()[-1])


def _image(place: int) -> str:
    return f"golden_{place}.png"
