"""Names under which a model can be registered."""

import shlex

from transfer.errors import UserError

# MLflow refuses / and : in every store, % in a store of files, and names of dots; it reads models:/a@b/1 as the alias b
# of a, and what follows a ? as a query.
FORBIDDEN = "/:%.@?"


def check_name(name: str) -> None:
    """Refuse a name that cannot be registered.

    Raises:
        UserError: the name is empty or holds one of `FORBIDDEN`.
    """
    if not name.strip() or any(character in name for character in FORBIDDEN):
        raise UserError(
            f"A model cannot be registered as {name!r}; choose a name without {' '.join(FORBIDDEN)}, for example "
            f"`rootstock run {shlex.quote(f'register.model_name={clean_name(name)}')}`."
        )


def clean_name(text: str) -> str:
    """Return the nearest name that can be registered."""
    return "".join("-" if character in FORBIDDEN else character for character in text).strip() or "model"
