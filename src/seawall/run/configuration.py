"""The configuration as every process of a server sees it: two texts, read once, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seawall.config.master_cf import STANDARD, Service, parse_master
from seawall.config.settings import ConfigTrouble, Settings
from seawall.run.messages import Configuration


@dataclass(frozen=True, slots=True)
class Read:
    """A configuration as it was read: texts, and what they mean."""

    configuration: Configuration
    settings: Settings
    services: tuple[Service, ...]


def settings_of(configuration: Configuration, root: str, directory: str) -> Settings:
    """What the texts mean.  Raises ConfigTrouble."""
    settings = Settings.from_text(configuration.main_cf, root=root, directory=directory)
    return settings.with_overrides(configuration.overrides) if configuration.overrides else settings


def services_of(configuration: Configuration, settings: Settings) -> tuple[Service, ...]:
    """The services of master.cf.  Raises ConfigTrouble."""
    return parse_master(configuration.master_cf, f"{settings.directory}/master.cf", settings)


def read(directory: str, root: str, overrides: Mapping[str, str] | None = None) -> Read:
    """Read and understand a configuration.  Raises ConfigTrouble."""
    main, master = read_texts(directory, root)
    configuration = Configuration(main, STANDARD if master is None else master, dict(overrides or {}))
    settings = settings_of(configuration, root, directory)
    return Read(configuration, settings, services_of(configuration, settings))


def read_texts(directory: str, root: str) -> tuple[str, str | None]:
    """main.cf, and master.cf where there is one.  Raises ConfigTrouble."""
    base = Path(f"{root.rstrip('/')}{directory}")
    try:
        main = (base / "main.cf").read_bytes().decode("utf-8", "surrogateescape")
    except OSError as trouble:
        raise ConfigTrouble(f"cannot read {base / 'main.cf'}: {trouble.strerror}") from trouble
    try:
        master = (base / "master.cf").read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return main, None
    except OSError as trouble:
        raise ConfigTrouble(f"cannot read {base / 'master.cf'}: {trouble.strerror}") from trouble
    return main, master
