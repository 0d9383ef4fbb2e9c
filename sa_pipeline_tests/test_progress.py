"""Progress as someone at a terminal sees it."""

import pytest

from sa_pipeline.progress import LogProgress, TerminalProgress, watched_by, with_watcher


def test_work_within_work_is_shown_below_it_and_goes_when_it_is_done(monkeypatch, capfd) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    progress = TerminalProgress()
    for _ in progress.track([1], description="shards", total=1):
        assert list(progress.track("ab", description="images [0]", total=2)) == ["a", "b"]
    assert list(progress.track([1, 2], description="again", total=2)) == [1, 2]
    shown = capfd.readouterr().err
    assert "images [0]" in shown
    assert "2/2" in shown
    last_frame = shown.split("again")[0].rsplit("shards", 1)[1]
    assert "images" not in last_frame


def test_bars_are_closed_when_work_fails(monkeypatch, capfd) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    progress = TerminalProgress()
    with pytest.raises(ZeroDivisionError):
        sum(1 / number for number in progress.track([0], description="first", total=1))
    assert list(progress.track([1], description="second", total=1)) == [1]
    assert "second" in capfd.readouterr().err


def test_dagsters_log_and_the_terminal_are_told_of_the_same_work(capfd) -> None:
    lines: list[str] = []
    with watched_by(TerminalProgress()):
        assert list(with_watcher(LogProgress(lines.append)).track("abc", description="masks", total=3)) == list("abc")
    assert lines[0].startswith("masks: 3 of 3 done")
    assert "masks: 3 of 3 done" in capfd.readouterr().err
    assert list(with_watcher(LogProgress(lines.append)).track("a", description="later")) == ["a"]
    assert "later" not in capfd.readouterr().err
