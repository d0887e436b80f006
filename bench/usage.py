"""What a process used."""

import os
import time
from pathlib import Path
from typing import Final

_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024
_CPU_CLOCK: Final = 2


def cpu_seconds(pid: int) -> float:
    """CPU time since the start, user and system, all threads.

    It is the sum of both in /proc/PID/stat, which has it in steps of 10 ms, too coarse for a second of load. So it is
    read from the process's clock (clock_getcpuclockid(3); the id's form is in the kernel's linux/posix-timers.h).
    """
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def resident_kib(pid: int) -> int:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KIB
