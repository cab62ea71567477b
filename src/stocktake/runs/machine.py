"""What a run ran on: versions of the libraries that matter, processor, memory."""

import os
import platform
from importlib import metadata

LIBRARIES = (
    "numpy", "pillow", "pyarrow", "scikit-learn", "torch", "timm", "onnx", "onnxruntime", "optuna",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Python's version, ours and those of the installed libraries that decide figures."""
    found = {"python": platform.python_version(), "stocktake": _version("stocktake")}
    for name in LIBRARIES:
        if version := _version(name):
            found[name] = version
    return found


def describe() -> dict[str, object]:
    """The machine: system, processor, cores this process may use, memory in GB."""
    return {
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cpus": cores(),
        "memory_gb": round(_memory_bytes() / 1e9, 1),
    }


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
