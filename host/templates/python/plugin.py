"""What the component exports: `componentize-py` finds each interface by its name."""

import channel_handler  # noqa: F401
from wit_world import exports
from wit_world.exports.info import About


class Info(exports.Info):
    def describe(self) -> About:
        return About("0.1.0", "Counts messages, and refuses long ones.", ["{{name}}:*"])
