"""How much memory this process takes; Linux only."""

from pathlib import Path

PAGE = 4096  # bytes


def resident_memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def peak_memory() -> int:
    """The most that `resident_memory` has been since the process began, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024
