"""Libraries that only some tables need, and what is said where one is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from seawall.tables.table import TableUnsupported


def need(module: str, extra: str) -> ModuleType:
    """A module of an extra.  TableUnsupported with the remedy where it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise TableUnsupported(
            f"tables of type {extra} need the package {package}, which is not installed: pip install 'seawall[{extra}]'"
        ) from None
