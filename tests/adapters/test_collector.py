"""The collector of garbage rests while rows are made, and is as it was afterwards."""

import gc

import pytest

from adapters.collector import paused_collector, resumed_collector


def test_it_rests_and_goes_on() -> None:
    with paused_collector():
        assert not gc.isenabled()
        with paused_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_works_inside_where_it_must() -> None:
    with paused_collector():
        with resumed_collector():
            assert gc.isenabled()
        assert not gc.isenabled()
    with resumed_collector():
        assert gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), paused_collector():
        raise ValueError("broken")
    assert gc.isenabled()


def test_one_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with paused_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
