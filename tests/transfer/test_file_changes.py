"""What differs between two lists of files: against sets, and against changes that were made on purpose."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from transfer.data.file_changes import Changes, Entry, Pair, compare, copies

NAMES = st.sampled_from([f"{folder}/{name}" for folder in "abc" for name in "1234"])
STATES = st.dictionaries(NAMES, st.sampled_from("uvwxyz"), max_size=10)


def state(files: dict[str, str]) -> list[Entry]:
    return [Entry(path, digest, path.partition("/")[0]) for path, digest in files.items()]


def paths(pairs: tuple[Pair, ...]) -> list[tuple[str, str]]:
    return [(pair.before.path, pair.after.path) for pair in pairs]


def changes(before: dict[str, str], after: dict[str, str]) -> Changes:
    return compare(state(before), state(after))


def test_each_kind_of_change_is_told_from_the_others() -> None:
    before = {"a/1": "one", "a/2": "two", "a/3": "three", "a/4": "four", "b/5": "five"}
    after = {"a/1": "one", "b/2": "two", "a/3": "other", "b/5": "five", "b/6": "six", "a/new name": "four"}
    found = changes(before, after)
    assert paths(found.kept) == [("a/1", "a/1"), ("b/5", "b/5")]
    assert paths(found.moved) == [("a/4", "a/new name"), ("a/2", "b/2")]
    assert paths(found.changed) == [("a/3", "a/3")]
    assert [one.path for one in found.added] == ["b/6"]
    assert found.removed == ()
    assert paths(found.relabelled) == [("a/2", "b/2")]


def test_a_renumbered_folder_is_moved_and_not_changed() -> None:
    before = {f"a/{number}": f"content {number}" for number in range(5)}
    after = {f"a/{number + 1}": f"content {number}" for number in range(5)} | {"a/0": "new"}
    found = changes(before, after)
    assert paths(found.moved) == [(f"a/{number}", f"a/{number + 1}") for number in range(5)]
    assert [one.path for one in found.added] == ["a/0"]
    assert (found.changed, found.removed) == ((), ())


def test_of_the_same_content_the_same_name_is_the_same_file_then_the_same_class() -> None:
    before = {"a/1": "x", "b/2": "x", "a/3": "x"}
    after = {"c/2": "x", "a/9": "x", "c/1": "x"}
    assert sorted(paths(changes(before, after).moved)) == [("a/1", "c/1"), ("a/3", "a/9"), ("b/2", "c/2")]


def test_the_same_file_may_be_in_another_class_and_another_split() -> None:
    before = [Entry("1.png", "x", "cat", "train"), Entry("2.png", "y", "cat", "train"), Entry("3.png", "z", "dog")]
    after = [Entry("1.png", "x", "dog", "train"), Entry("2.png", "y", "cat", "test"), Entry("3.png", "z", "dog", "val")]
    found = compare(before, after)
    assert len(found.kept) == 3
    assert paths(found.relabelled) == [("1.png", "1.png")]
    assert paths(found.resplit) == [("2.png", "2.png")]


def test_copies_name_what_they_are_of_the_same_class_first() -> None:
    before = {"a/1": "x", "b/1": "x", "c/1": "y"}
    after = before | {"b/copy": "x", "c/copy": "x", "c/new": "z"}
    assert paths(copies(changes(before, after), state(before))) == [("b/1", "b/copy"), ("a/1", "c/copy")]


@given(STATES, STATES)
def test_every_file_is_in_one_list(before: dict[str, str], after: dict[str, str]) -> None:
    found = changes(before, after)
    pairs = (*found.kept, *found.moved, *found.changed)
    assert Counter([*(pair.before.path for pair in pairs), *(one.path for one in found.removed)]) == Counter([*before])
    assert Counter([*(pair.after.path for pair in pairs), *(one.path for one in found.added)]) == Counter([*after])
    assert all(pair.before.digest == pair.after.digest for pair in (*found.kept, *found.moved))
    assert {pair.after.path for pair in found.kept} == {path for path in before if before[path] == after.get(path, "")}
    assert {one.digest for one in found.added} & {one.digest for one in found.removed} == set()


@given(STATES, STATES)
def test_the_way_back_is_the_way_there_turned_round(before: dict[str, str], after: dict[str, str]) -> None:
    there, back = changes(before, after), changes(after, before)
    assert there.added == back.removed
    assert len(there.moved) == len(back.moved)
    assert [pair.before for pair in there.changed] == [pair.after for pair in back.changed]


@given(STATES)
def test_nothing_differs_from_itself(files: dict[str, str]) -> None:
    found = changes(files, files)
    assert (found.moved, found.changed, found.added, found.removed) == ((), (), (), ())
