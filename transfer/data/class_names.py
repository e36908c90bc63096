"""Names of classes that people and programs mistake for each other, or for something that is no class."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

# Folders that data sets, file managers and tools leave beside the classes: never the name of what an image shows.
_FOLDERS = frozenset(
    (
        *(
            "__macosx",
            "annotation",
            "annotations",
            "backup",
            "bak",
            "copy",
            "data",
            "dataset",
            "image",
            "images",
            "img",
        ),
        *("imgs", "label", "labels", "new_folder", "test", "testing", "tmp", "train", "training", "val", "valid"),
        *("validation", "unlabeled", "unlabelled", "unsorted", "untitled_folder"),
    )
)
_JOINERS = "\u200c\u200d"
_SHORTEST_ALIKE = 4  # letters; shorter names differ in one letter by nature: cat, bat, rat


def folded(name: str) -> str:
    """Return what is left of a name where case, Unicode form, blanks, hyphens and underscores do not count.

    Args:
        name: of a class.

    Source: Unicode Standard Annex 15 (NFKD) and section 3.13 (caseless matching).
    """
    before, plain = None, name
    while plain != before:  # what one letter is taken apart into may have to be folded itself; twice is enough
        before = plain
        taken_apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", plain).casefold())
        plain = "".join(one for one in taken_apart if not (one.isspace() or one in "-_" or _is_invisible(one)))
    return plain


def distinct(names: Sequence[str]) -> list[bool]:
    """Say of each name whether no other one is the same once folded."""
    shapes = [folded(name) for name in names]
    times = Counter(shapes)
    return [times[shape] == 1 for shape in shapes]


def unlike(names: Sequence[str]) -> list[bool]:
    """Say of each name whether no other one is that name with one letter more, less or different, or two swapped.

    Names that are the same once folded, names that differ in digits alone, and names of fewer than 4 letters are left
    out.

    Args:
        names: of all classes.

    Source: Damerau 1964, "A technique for computer detection and correction of spelling errors", CACM: one error;
    found by the deletions that two such names have in common, in a time that grows with the number of names.
    """
    words = [folded(name) for name in names]
    holders: dict[str, set[str]] = defaultdict(set)
    for word in {word for word in words if len(word) >= _SHORTEST_ALIKE}:
        for shorter in _deletions(word):
            holders[shorter].add(word)
    alike: set[str] = set()
    for same in holders.values():
        for one in same:
            if one not in alike and any(_one_error(one, other) for other in same if other != one):
                alike.add(one)
    return [word not in alike for word in words]


def tidy(name: str) -> bool:
    """Say whether a name has no blank at an end, no two in a row, and no character that nobody sees.

    Joiners are part of how some scripts are written.
    """
    seen = name.translate(dict.fromkeys(map(ord, _JOINERS)))
    return name == " ".join(name.split()) and not any(_is_invisible(letter) for letter in seen)


def no_folder(name: str) -> bool:
    """Say whether a name is not that of a folder of images, of a split or of a tool: then its images are no class."""
    return "_".join(name.casefold().split()) not in _FOLDERS and not name.startswith(".")


def numbers_in_order(names: Sequence[str]) -> list[bool]:
    """Say of each name whether it is no number that misleads about the index of its class.

    Where all names are whole numbers, their order as text, which is that of the indices, has to be that of the numbers
    ("2" comes after "10"). Where only some are, the rarer kind is what does not fit.

    Args:
        names: of all classes, in the order of their indices.
    """
    values = [int(name) if name.isascii() and name.isdigit() else None for name in names]
    numbers = sorted(value for value in values if value is not None)
    if not numbers:
        return [True] * len(names)
    if len(numbers) < len(names):
        numbers_are_rare = 2 * len(numbers) <= len(names)
        return [(value is None) == numbers_are_rare for value in values]
    return [value == in_order for value, in_order in zip(values, numbers, strict=True)]


def _deletions(word: str) -> Iterator[str]:
    yield word
    for place in range(len(word)):
        yield word[:place] + word[place + 1 :]


def _one_error(one: str, other: str) -> bool:
    """Say whether one error turns one word into the other, and not a digit into another."""
    short, long = sorted((one, other), key=len)
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    rest = next((i for i, (a, b) in enumerate(zip(short[::-1], long[::-1], strict=False)) if a != b), len(short))
    rest = min(rest, len(short) - start)
    left, right = short[start : len(short) - rest], long[start : len(long) - rest]
    if any(letter.isdigit() for letter in left + right):
        return False
    return (len(left), len(right)) in {(0, 1), (1, 1)} or (len(right) == 2 and left == right[::-1])


def _is_invisible(letter: str) -> bool:
    return unicodedata.category(letter) in {"Cc", "Cf", "Cn", "Co", "Cs"}
