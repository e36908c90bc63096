"""The catalogue and its cards as tables for people and JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tasks import catalogue
from tasks.cli import console

if TYPE_CHECKING:
    from pathlib import Path

    from transfer.backbones.backbone_card import BackboneCard
    from transfer.backbones.catalogue import Entry

_SHOWN_NAMES = 4
_NOTHING = "-"


def show_list(text: str, *, as_json: bool) -> None:
    """Print the lines of the catalogue.

    Args:
        text: that a reference must hold, in any case; "" for all.
        as_json: print JSON instead of a table.

    Raises:
        UserError: timm's architectures are asked for and timm is not installed.
    """
    lines = catalogue.listed(text)
    if as_json:
        print(json.dumps([{**asdict(entry), "is_here": here} for entry, here in lines], indent=2))
        return
    with console() as out:
        out.print(_table(lines))
        out.print(_footer(text, len(lines)), markup=False, highlight=False)


def show_card(text: str, *, as_json: bool) -> None:
    """Print the card of a backbone.

    Args:
        text: a backbone reference.
        as_json: print JSON instead of a table.

    Raises:
        UserError: the reference, or weights that are here, are at fault.
    """
    shown = catalogue.shown(text)
    if as_json:
        answer = shown.answer and asdict(shown.answer)
        others = [asdict(entry) for entry in shown.others]
        print(
            json.dumps(
                {**shown.card.to_plain(), "answer": answer, "dropped": shown.dropped, "others": others}, indent=2
            )
        )
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, title=escape(text), title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for what, found in _facts(shown):
        table.add_row(what, escape(found))
    with console() as out:
        out.print(table)
        if shown.others:
            out.print(_table([(entry, None) for entry in shown.others], "other weights of the architecture"))


def fetch(texts: Sequence[str]) -> None:
    """Bring published weights here and print where they are.

    Raises:
        UserError: a reference names nothing that can be fetched; weights are out of reach or do not pass customs.
    """
    for text, admitted in catalogue.fetch(texts):
        if admitted.path is not None:
            n_mb = admitted.path.stat().st_size / 1e6
            print(f"{text}: {n_mb:.1f} MB, sha256 {admitted.sha256}, {admitted.path}")


def declare(text: str, licence: str, origin: str, training_data: str | None) -> None:
    """Write what is known of a local weights file beside it, and say where.

    Raises:
        UserError: the reference names no file, or the weights do not pass customs.
    """
    print(f"written: {catalogue.declare(text, licence, origin, training_data)}")


def keep_source(text: str, folder: "Path") -> None:
    """Keep the features of images that weights were trained on beside them, and say where.

    Raises:
        UserError: the weights are random or do not pass customs, or the folder has too few images.
        EnvironmentFault: the file cannot be written.
    """
    from tasks.source_sample import write_source

    path, n_images = write_source(text, folder)
    print(f"written: {path}, the features of {n_images} images")


def _table(lines: "Sequence[tuple[Entry, bool | None]]", title: str | None = None) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("reference", overflow="fold")
    for name in ("params", "MACs", "px", "top-1"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("licence", overflow="fold")
    if not title:
        table.add_column("here", no_wrap=True)
    for entry, here in lines:
        top1 = _NOTHING if entry.top1 is None else f"{entry.top1:.1f}"
        sizes = (_short(entry.n_parameters), _short(entry.macs), _short(entry.input_px), top1)
        row = (escape(entry.reference), *sizes, escape(entry.licence or "unknown"))
        table.add_row(*row, *(() if title else ("yes" if here else "no",)))
    return table


def _footer(text: str, n_lines: int) -> str:
    from transfer.backbones.timm_models import is_installed

    timm = "" if text or not is_installed() else " `--filter timm/` lists timm's architectures."
    found = f"{n_lines} backbones." if n_lines else f"No reference holds {text!r}."
    return f"{found} `rootstock backbones show REFERENCE` prints a card.{timm}"


def _facts(shown: "catalogue.Shown") -> Iterator[tuple[str, str]]:
    """Yield what a card says, line by line."""
    card, known = shown.card, shown.card.provenance
    yield "licence", known.licence or "unknown"
    yield "origin", known.origin or "unknown"
    yield "training data", known.training_data or "unknown"
    if known.recipe:
        yield "recipe", known.recipe
    if known.top1 is not None:
        yield "top-1", f"{known.top1:.1f} % on ImageNet-1K, as published"
    yield "input", _input(card)
    yield "features", f"{card.feature_dim}"
    yield "parameters", f"{card.n_parameters:,} in the trunk"
    yield "multiply-adds", f"{card.macs:,} of the trunk for one image"
    yield "depth groups", ", ".join(f"{name} ({_short(size)})" for name, size in card.depth_groups)
    yield "weights", _weights(shown)
    if shown.admitted is not None:
        yield "sha256", card.file.sha256 or _NOTHING
        yield "customs", _customs(shown)


def _input(card: "BackboneCard") -> str:
    given = card.preprocess
    mean, std = (" ".join(f"{value:.3g}" for value in values) for values in (given.mean, given.std))
    sizes = f"{given.crop_px} px of a short side of {given.resize_px} px, {given.interpolation}"
    return f"{sizes}; mean {mean}, standard deviation {std}"


def _weights(shown: "catalogue.Shown") -> str:
    file = shown.card.file
    if file.path is not None:
        return file.path
    if shown.card.provenance.licence == "none needed":
        return "random"
    published = f" (their sha256 begins with {file.hash_prefix})" if file.hash_prefix else ""
    return f"not here{published}; `rootstock backbones fetch {shown.card.reference}` brings them"


def _customs(shown: "catalogue.Shown") -> str:
    admitted = shown.admitted
    n_values = 0 if admitted is None else len(admitted.names)
    said = [f"{n_values} values, tensors alone; every shape fits"]
    if shown.dropped:
        more = f" and {len(shown.dropped) - _SHOWN_NAMES} more" if len(shown.dropped) > _SHOWN_NAMES else ""
        said.append(f"left out, of its head: {', '.join(shown.dropped[:_SHOWN_NAMES])}{more}")
    if shown.card.known_answer is not None:
        said.append("gives the known answer")
    elif shown.answer is not None:
        said.append("no known answer; gives " + " ".join(f"{value:.5g}" for value in shown.answer.values))
    return "; ".join(said)


def _short(number: int | None) -> str:
    """Return a count in three or four signs: 691704 as 692k."""
    if number is None:
        return _NOTHING
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)
