"""A wish to stop, by Ctrl-C or SIGTERM, that is heard between two steps."""

import signal
import threading
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While it is open, the first signal is remembered instead of ending the process; the second ends it.

    Outside the main thread, where Python takes no signals, it never hears one.
    """

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.heard = False
        self._before: dict[int, signal.Handlers | object] = {}

    def __enter__(self) -> "StopRequest":
        """Listens."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Listens no more."""
        self._restore()

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.heard = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned
        self._before = {}
