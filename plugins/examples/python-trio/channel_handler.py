"""The classes of the contract's resources are looked for in a module of the interface's name."""

from chat import Channel  # noqa: F401
