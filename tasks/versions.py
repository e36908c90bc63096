"""Which version of a registered model a person names: NAME@ALIAS, NAME/VERSION, or NAME alone."""

import re
from pathlib import Path

from adapters import mlflow_lineage
from adapters.mlflow_aliases import AliasedVersion, aliased, all_aliases, numbered
from adapters.promotions import CHAMPION
from adapters.version_records import Version
from transfer.errors import UserError

NAMED = re.compile(r"(?:models:/)?(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")


def named_version(project: Path, target: str) -> tuple[str, AliasedVersion]:
    """Return the model and the version that a text names.

    Args:
        project: the project's folder.
        target: NAME@ALIAS or NAME/VERSION, with or without models:/ before it.

    Raises:
        UserError: the text names no version, or there is none.
        EnvironmentFault: the store cannot be read.
    """
    parts = NAMED.fullmatch(target)
    if parts is None:
        raise UserError(f"{target!r} names no version; write NAME@challenger or NAME/VERSION, for example digits/3.")
    name, alias, number = parts.group("name", "alias", "version")
    found = numbered(project, name, number) if number else aliased(project, name, alias)
    if found is None:
        known = ", ".join(f"{model}@{named}" for model, named in all_aliases(project)) or "nothing"
        raise UserError(f"There is no {target} in the registry; it has {known}.")
    return name, found


def resolve(project: Path, target: str) -> Version:
    """Return the version that a text names, with what is known of it.

    Args:
        project: the project's folder.
        target: NAME (its champion, or its newest version where it has none), NAME@ALIAS or NAME/VERSION, with or
            without models:/ before it.

    Raises:
        UserError: there is none.
        EnvironmentFault: the store cannot be read.
    """
    mlflow_lineage.prepare(project)
    name = target.removeprefix("models:/")
    if NAMED.fullmatch(target):
        name, found = named_version(project, target)
        number: str | None = found.version
    else:
        champion = aliased(project, name, CHAMPION)
        newest = next((one for one, _ in mlflow_lineage.versions_of(project, name)), None)
        number = newest if champion is None else champion.version
    version = None if number is None else mlflow_lineage.version(project, name, number)
    if version is None:
        known = ", ".join(mlflow_lineage.names(project)) or "nothing"
        raise UserError(
            f"There is no model {name} in the registry, which has {known}; write NAME, NAME@ALIAS or NAME/VERSION, or "
            f"data/NAME@REVISION for a data set."
        )
    return version
