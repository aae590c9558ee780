"""What the figures were measured on, and how much of the machine somebody else used meanwhile."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def device() -> str:
    """Name the processor, its cores and the vector units that matter to engines."""
    info = Path("/proc/cpuinfo").read_text()
    fields = dict(line.split(":", 1) for line in info.split("\n\n")[0].splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    flags = [flag for flag in _FLAGS if flag in named.get("flags", "").split()]
    return f"{named.get('model name', platform.machine())}, {os.cpu_count()} cores, {' '.join(flags)}"


def versions(*packages: str) -> str:
    """Return `python x; package y; ...` of the running environment."""
    found = [f"{package} {metadata.version(package)}" for package in packages]
    return "; ".join([f"python {platform.python_version()}", *found])


def commit() -> str:
    """Return the short commit of the working tree, with + when tracked files differ from it."""
    here = Path(__file__).parent

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")


def now() -> str:
    """Return the date and minute in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")


def busy_s() -> float:
    """CPU seconds spent since boot in programs and stolen by the hypervisor, over all cores.

    Interrupt time is left out: on loopback it belongs to the measured processes but is not booked on them.
    """
    user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")
