"""Trunks of registered models: tensors and a card that are read; nothing that travels with the model is run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.json_files import sha256_of
from adapters.mlflow_aliases import AliasedVersion, aliased, numbered
from adapters.model_files import WEIGHTS, load_card
from adapters.project import find_project
from adapters.registered_models import model_folder
from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError

if TYPE_CHECKING:
    from transfer.records import Preprocess

_URI = re.compile(r"models:/(?P<name>[^/]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")


@dataclass(frozen=True, slots=True)
class RegisteredTrunk:
    """A version of a registered model.

    Args:
        uri: models:/NAME/VERSION.
        folder: with its weights and its card.
        tags: of the version.
    """

    uri: str
    folder: Path
    tags: Mapping[str, str]

    @property
    def weights(self) -> Path:
        """Return the file of its weights, the head's among them."""
        return self.folder / WEIGHTS

    def digest(self) -> str:
        """Return the sha256 of the file of its weights."""
        return sha256_of(self.weights)


def registered_trunk(uri: str, project: Path | None = None) -> RegisteredTrunk:
    """Find a registered model.

    Args:
        uri: models:/NAME@ALIAS or models:/NAME/VERSION.
        project: whose registry; that of the current directory when None.

    Raises:
        UserError: there is no such model, or it is not one of ours.
        EnvironmentFault: the registry cannot be read.
    """
    project, found = project or find_project(), _URI.fullmatch(uri)
    if found is None:
        raise UserError(f"{uri!r} is no registered model; write models:/NAME@ALIAS or models:/NAME/VERSION.")
    version = _version(project, found["name"], found["alias"], found["version"])
    if version is None:
        raise UserError(
            f"There is no registered model {uri} in this project; `rootstock backbones --filter mlflow/` lists those "
            f"that there are."
        )
    folder = model_folder(version.location if Path(version.location).is_dir() else uri)
    return RegisteredTrunk(f"models:/{found['name']}/{version.version}", folder, version.tags)


def resolved(
    reference: BackboneReference, project: Path | None = None
) -> "tuple[BackboneReference, Preprocess | None]":
    """Return a reference that names its architecture, and the version of the model that its weights come from.

    Args:
        reference: any; one without a registered model is returned as it is.
        project: see `registered_trunk`.

    Returns:
        The reference, and what the registered model's images look like; None without one.

    Raises:
        UserError: there is no such model, or its card cannot be read.
    """
    if reference.registered_model is None:
        return reference, None
    trunk = registered_trunk(reference.registered_model, project)
    card, _ = load_card(trunk.folder)
    if reference.source != "mlflow":
        return reference.with_weights(trunk.uri), card.preprocess
    return reference.like(BackboneReference.parse(card.reference), card.preprocess, trunk.uri), card.preprocess


def _version(project: Path, name: str, alias: str | None, number: str | None) -> AliasedVersion | None:
    return aliased(project, name, alias) if alias is not None else numbered(project, name, str(number))
