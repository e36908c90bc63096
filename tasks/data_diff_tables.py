"""What `rootstock data diff` prints."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tasks.cli import console
from tasks.data_diff import Difference, Side, difference
from tasks.data_shift import NumberShift, kind_shifts, number_shifts
from transfer.data.file_changes import Entry, Pair

_EXAMPLES = 3  # paths of a kind, for people
_EXAMPLES_JSON = 10
_MOST_ROWS = 30  # of a table
_NO_CLASS = "(no class)"


def show_difference(first: str, second: str, *, as_json: bool, paths: bool, fetch: bool) -> None:
    """Print what differs between two states of a data set.

    Args:
        first: the one state.
        second: the other.
        as_json: as one JSON object.
        paths: every path, and not some of each kind.
        fetch: whether lists that are not here are fetched.

    Raises:
        UserError: there is no such state, or it cannot be told here which files it had.
        EnvironmentFault: a file, the store or the remote cannot be read.
    """
    found = difference(first, second, fetch=fetch)
    if as_json:
        print(json.dumps(plain(found, None if paths else _EXAMPLES_JSON), indent=2, ensure_ascii=False))
    elif paths:
        for line in path_lines(found):
            print(line)
    else:
        _print(found)


def plain(found: Difference, most: int | None) -> dict[str, Any]:
    """Return what differs as JSON has it.

    Args:
        found: what differs.
        most: paths of each kind that are named; None for all.
    """
    lists = _lists(found)
    return {
        "data": found.after.state.path,
        "before": _side(found.before, found.totals[0]),
        "after": _side(found.after, found.totals[1]),
        "compared_by": found.compared_by,
        "same": len(found.images.kept),
        "counts": {name: len(entries) for name, entries in lists.items()},
        "paths": {name: [_plain_path(one) for one in entries[:most]] for name, entries in lists.items()},
        "paths_are_all": all(most is None or len(entries) <= most for entries in lists.values()),
        "classes": [dict(zip(_CLASS_COLUMNS, row, strict=True)) for row in _class_rows(found)],
        "between_classes": _flows(found.images.relabelled, "class_name"),
        "between_splits": _flows(found.images.resplit, "split") if found.splits_known else None,
        "shift": {
            "kinds": [asdict(one) for one in kind_shifts(found)],
            "numbers": [asdict(one) for one in number_shifts(found)] if not _unknown(found) else None,
            "not_known": _unknown(found) or None,
        },
    }


def path_lines(found: Difference) -> Iterator[str]:
    """Yield a line a file that differs, sorted by path: letter, tab, path; of a moved one the path before and after.

    The letters are git's: A added, D removed, M changed, R moved. L is the same in another class, S in another split.
    """
    lines: list[tuple[str, str]] = []
    for part in (found.images, found.others):
        lines += [(one.path, f"A\t{one.path}") for one in part.added]
        lines += [(one.path, f"D\t{one.path}") for one in part.removed]
        lines += [(pair.after.path, f"M\t{pair.after.path}") for pair in part.changed]
        lines += [(pair.after.path, f"R\t{pair.before.path}\t{pair.after.path}") for pair in part.moved]
    for letter, pairs, name in (("L", found.images.relabelled, "class_name"), ("S", found.images.resplit, "split")):
        for pair in pairs:
            change = f"{getattr(pair.before, name) or _NO_CLASS} -> {getattr(pair.after, name) or _NO_CLASS}"
            lines.append((pair.after.path, f"{letter}\t{pair.after.path}\t{change}"))
    return (line for _, line in sorted(lines))


def _lists(found: Difference) -> dict[str, Sequence[Entry | Pair]]:
    images, others = found.images, found.others
    between_splits = {"moved_between_splits": images.resplit} if found.splits_known else {}
    return {
        "added": images.added,
        "removed": images.removed,
        "changed": images.changed,
        "moved": images.moved,
        "moved_between_classes": images.relabelled,
        **between_splits,
        "copied": found.copies,
        "copied_to_another_class": tuple(one for one in found.copies if one.before.class_name != one.after.class_name),
        "other_files": (*others.added, *others.removed, *others.changed, *others.moved),
    }


_CLASS_COLUMNS = (
    "class",
    "before",
    "after",
    "share_before",
    "share_after",
    "added",
    "removed",
    "moved_in",
    "moved_out",
)


def _class_rows(found: Difference) -> list[tuple[Any, ...]]:
    images = found.images
    before, after = (Counter(one.class_name for one in side) for side in (found.entries_before, found.entries_after))
    added, removed = (Counter(one.class_name for one in part) for part in (images.added, images.removed))
    moved_in = Counter(pair.after.class_name for pair in images.relabelled)
    moved_out = Counter(pair.before.class_name for pair in images.relabelled)
    totals = [max(1, total) for total in found.totals]
    rows = []
    for name in sorted({*before, *after}):
        shares = (before[name] / totals[0], after[name] / totals[1])
        counts = (added[name], removed[name], moved_in[name], moved_out[name])
        rows.append((name, before[name], after[name], *shares, *counts))
    return rows


def _flows(pairs: Iterable[Pair], name: str) -> list[dict[str, Any]]:
    counted = Counter((getattr(pair.before, name), getattr(pair.after, name)) for pair in pairs)
    return [{"from": one[0], "to": one[1], "images": count} for one, count in counted.most_common()]


def _side(side: Side, n_images: int) -> dict[str, Any]:
    return {"path": side.state.path, "source": side.state.source, "digest": side.digest, "images": n_images}


def _plain_path(one: Entry | Pair) -> Any:
    return one.path if isinstance(one, Entry) else {"from": one.before.path, "to": one.after.path}


def _unknown(found: Difference) -> str:
    """Say why nothing is known of the images but their names; "" where it is known."""
    sides = [side for side in (found.before, found.after) if side.recorded is None]
    return "; ".join(f"of {side.state.path} {side.state.source} ({side.digest[:12]}) {side.why}" for side in sides)


def _print(found: Difference) -> None:
    before, after = found.before, found.after
    print(f"{before.state.path} {before.state.source} ({before.digest[:12]}): {found.totals[0]:,} images")
    print(f"{after.state.path} {after.state.source} ({after.digest[:12]}): {found.totals[1]:,} images\n")
    lists = {name: entries for name, entries in _lists(found).items() if entries}
    if not lists:
        print("Nothing differs.")
        return
    _print_counts(lists, len(found.images.kept))
    _print_classes(found)
    _print_flows(found)
    _print_shift(found)


def _print_counts(lists: dict[str, Sequence[Entry | Pair]], n_same: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "files", "for example", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    table.columns[2].overflow = "fold"
    for name, entries in lists.items():
        shown = [_example(one) for one in entries[:_EXAMPLES]]
        more = ["..."] if len(entries) > _EXAMPLES else []
        table.add_row(name.replace("_", " "), f"{len(entries):,}", escape("\n".join([*shown, *more])))
    table.add_row("same place and content", f"{n_same:,}", "")
    with console() as shown_on:
        shown_on.print(table)


def _example(one: Entry | Pair) -> str:
    if isinstance(one, Entry) or one.before.path == one.after.path:
        return one.path if isinstance(one, Entry) else one.after.path
    return f"{one.before.path} -> {one.after.path}"


def _print_classes(found: Difference) -> None:
    from rich.markup import escape
    from rich.table import Table

    rows = [row for row in _class_rows(found) if any(row[5:]) or row[1] != row[2]]
    rows.sort(key=lambda row: (-sum(row[5:]), row[0]))
    if not rows:
        return
    table = Table(
        "class", "before", "after", "share", "added", "removed", "moved in", "moved out", box=None, pad_edge=False
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for name, n_before, n_after, share, share_after, *moves in rows[:_MOST_ROWS]:
        shares = f"{share:.1%} -> {share_after:.1%}"
        cells = (f"{count:,}" if count else "" for count in moves)
        table.add_row(escape(name or _NO_CLASS), f"{n_before:,}", f"{n_after:,}", shares, *cells)
    print()
    with console() as shown:
        shown.print(table)
    if len(rows) > _MOST_ROWS:
        print(f"and {len(rows) - _MOST_ROWS} more classes, which --json lists.")


def _print_flows(found: Difference) -> None:
    kinds = [("classes", _flows(found.images.relabelled, "class_name"))]
    kinds += [("splits", _flows(found.images.resplit, "split"))] if found.splits_known else []
    for kind, flows in kinds:
        if flows:
            named = (f"{one['from'] or _NO_CLASS} -> {one['to'] or _NO_CLASS} {one['images']:,}" for one in flows)
            more = f" and {len(flows) - _MOST_ROWS} more ways" if len(flows) > _MOST_ROWS else ""
            print(f"\nBetween {kind}: {', '.join(list(named)[:_MOST_ROWS])}{more}.")


def _print_shift(found: Difference) -> None:
    from rich.table import Table

    print()
    for one in kind_shifts(found):
        if one.distance > 0:
            print(f"{one.distance:.1%} of the images would have to be of another {one.fact} to be as before.")
    if not found.splits_known:
        print("Splits are not known of both states, so that what moved between them is not either.")
    why = _unknown(found)
    if why:
        print(f"Brightness, size and other facts are not compared: {why}.")
        return
    shifts = number_shifts(found)
    table = Table("", "mean before", "after", "distance", "of what came", "distance", "", box=None, pad_edge=False)
    for column in table.columns[1:6]:
        column.justify = "right"
    table.columns[6].no_wrap = True
    for shift in shifts:
        table.add_row(*_cells(shift))
    with console() as shown:
        shown.print(table)
    if any(shift.apart for shift in shifts):
        print("Unlike: what came differs from what was there by more than chance and by more than a little.")


def _cells(shift: NumberShift) -> tuple[str, ...]:
    whole, came = shift.all_images, shift.newcomers
    first, second, note = ("", "", ""), ("", ""), ""
    if whole is not None:
        first = (_short(whole.mean_before), _short(whole.mean_after), f"{whole.distance:.3f}")
    if came is not None:
        second = (_short(came.mean_after), f"{came.distance:.3f}")
    if came is not None and shift.apart:
        note = f"[yellow]unlike[/], p {'' if came.p_value >= 1e-99 else '< '}{max(came.p_value, 1e-99):.0e}"
    return (shift.fact.removesuffix("_px"), *first, *second, note)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
