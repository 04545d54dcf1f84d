"""Signals that ask a training to end, obeyed when its state has been saved."""

import os
import signal
import threading

from keras_frcnn.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While it is entered, SIGINT (Ctrl-C) and SIGTERM are noted in `received`.

    A second signal does what it did before, so that nobody has to wait for the end of a step or
    of a save. Python handles signals in the main thread; in any other this does nothing.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error):
        self._restore()

    def check(self, saved: str) -> None:
        """Raise `Interrupted` if a signal has come; `saved` says what is saved where."""
        if self.received is not None:
            raise Interrupted(self.received, f"stopped by {self.received.name}; {saved}")

    def _note(self, number, frame):
        self._restore()
        self.received = signal.Signals(number)
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nending this step or validation and saving; a second signal stops at once\n")

    def _restore(self):
        while self._previous:
            signal.signal(*self._previous.popitem())
