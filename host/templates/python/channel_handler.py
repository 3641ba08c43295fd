"""Refuses messages that are too long, and counts the others."""

import json
from typing import List, Optional, Self, Tuple

from wit_world import exports
from wit_world.exports.channel_handler import (
    Acceptance,
    Departure,
    Message,
    Outcome,
    Response,
    Verdict_Deny,
    Verdict_Pass,
)
from wit_world.imports.types import Caller, Denial, Effect, PayloadKind

# Of a message, in bytes.
LONGEST = 200


class Channel(exports.channel_handler.Channel):
    def __init__(self, messages: int):
        self.messages = messages

    @classmethod
    def open(cls, name: str, captures: List[Tuple[str, str]], snapshot: Optional[bytes]) -> Self:
        return cls(int(snapshot) if snapshot else 0)

    def save(self) -> Optional[bytes]:
        return str(self.messages).encode()

    def on_subscribe(self, who: Caller, params: Optional[bytes], respond: bool) -> Acceptance:
        payload = json.dumps({"messages": self.messages}).encode()
        return Acceptance(Response(None, PayloadKind.JSON, payload) if respond else None, [])

    def on_publish(self, message: Message) -> Outcome:
        if len(message.payload) > LONGEST:
            return Outcome(Verdict_Deny(Denial(1, f"A message has at most {LONGEST} bytes.")), [])
        self.messages += 1
        return Outcome(Verdict_Pass(), [])

    def on_unsubscribe(self, who: Caller, why: Departure) -> List[Effect]:
        return []

    def on_timer(self, id: int) -> List[Effect]:
        return []
