"""What the component exports: a class for each of the contract's interfaces."""

import channel_handler  # noqa: F401
from level_filter import Filter  # noqa: F401
from token_auth import Auth  # noqa: F401
from wit_world import exports
from wit_world.exports.info import About


class Info(exports.Info):
    def describe(self) -> About:
        summary = "A chat, users by token and a filter by level, in Python."
        return About("1.0.0", summary, ["chat:{room}", "chat:*"])
