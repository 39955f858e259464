"""CPU-seconds: what a call costs, whoever else works on the machine."""

import time
from collections.abc import Callable


def cpu_seconds(act: Callable[[], object]) -> float:
    """What all threads of this process spend on it, in the user's and the system's time."""
    started = time.process_time()
    act()
    return time.process_time() - started
