"""What `rootstock data import` prints."""

import shlex
from collections import Counter

from tasks.data_import import Choices, bring

_N_NAMED = 5


def show_import(source: str, choices: Choices) -> None:
    """Import a data set, and say what it holds and what comes next.

    Args:
        source: an archive, a table, Parquet files of images, or `torchvision/NAME`.
        choices: of the command line.
    """
    done = bring(source, choices)
    files, classes = done.listing.files, done.listing.classes
    by_split = Counter(file.split for file in files if file.split)
    splits = f" ({', '.join(f'{by_split[split]} {split}' for split in done.listing.given_splits)})" if by_split else ""
    named = ", ".join(classes[:_N_NAMED]) + (f" and {len(classes) - _N_NAMED} more" if len(classes) > _N_NAMED else "")
    print(f"{done.folder}: {len(files)} images{splits} of {len(classes)} classes ({named}).")
    if done.listing.columns:
        print(f"Columns: {', '.join(done.listing.columns)}.")
    if done.left_out:
        kinds = ", ".join(f"{count} {ending or 'without ending'}" for ending, count in done.left_out.items())
        print(f"Files of other kinds stayed in the archive: {kinds}.")
    print(f"Next: {shlex.join(('rootstock', 'run', *done.overrides))}")
