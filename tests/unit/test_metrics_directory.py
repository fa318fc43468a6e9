"""Leases, and the figures of processes that have ended."""

import os
from pathlib import Path

import pytest

from app.core.telemetry.metrics_directory import (
    VARIABLE,
    AliveLock,
    metrics_directory,
    remove_ended,
    shared_metrics_directory,
)

OURS = os.getpid()


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    """Files as prometheus-client leaves them, of this process."""
    for name in ("gauge_livesum", "gauge_livemostrecent", "gauge_all", "counter", "histogram"):
        (tmp_path / f"{name}_{OURS}.db").touch()
    return tmp_path


def left(figures: Path) -> set[str]:
    return {file.name.removesuffix(f"_{OURS}.db") for file in figures.glob("*.db")}


def test_gauges_of_live_processes_stay(figures):
    lease = AliveLock(figures)

    remove_ended(figures)

    assert len(left(figures)) == 5
    lease.release()


def test_counters_of_dead_processes_stay_and_gauges_are_removed(figures):
    AliveLock(figures).release()

    remove_ended(figures)

    assert left(figures) == {"gauge_all", "counter", "histogram"}
    assert list(figures.glob("*.alive")) == []


def test_a_lease_that_was_removed_too_early_is_taken_again(figures):
    AliveLock(figures).release()
    remove_ended(figures)

    lease = AliveLock(figures)
    remove_ended(figures)

    assert [file.stem for file in figures.glob("*.alive")] == [str(OURS)]
    lease.release()


def test_each_start_has_a_fresh_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    with shared_metrics_directory():
        first = metrics_directory()
        assert first is not None
        (first / "counter_1.db").touch()
    with shared_metrics_directory():
        second = metrics_directory()
        assert second is not None
        assert list(second.iterdir()) == []

    assert metrics_directory() is None
    assert not first.exists()


def test_it_is_made_in_the_folder_that_was_named(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with shared_metrics_directory():
        fresh = metrics_directory()

    assert fresh is not None
    assert fresh.parent == tmp_path
    assert metrics_directory() == tmp_path
