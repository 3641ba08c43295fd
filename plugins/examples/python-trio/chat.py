"""A chat: takes {"text": "…"}, checks it, and delivers it with the sender's name."""

from typing import List, Optional, Self, Tuple

from wit_world import exports
from wit_world.exports.channel_handler import (
    Acceptance,
    Departure,
    Message,
    Outcome,
    Response,
    Verdict,
    Verdict_Deny,
    Verdict_Replace,
)
from wit_world.imports.types import Caller, Denial, Effect, PayloadKind

from data import encode, parse

# In characters, once the text is trimmed.
LONGEST = 500


def deny(code: int, reason: str) -> Verdict:
    return Verdict_Deny(Denial(code, reason))


def check(message: Message) -> Verdict:
    said = parse(message.payload) if message.kind == PayloadKind.JSON else None
    text = said.get("text") if isinstance(said, dict) else None
    if not isinstance(text, str):
        return deny(3, 'A message looks like {"text":"hello"}.')
    text = text.strip()
    if not text:
        return deny(1, "Say something: the text is empty.")
    if len(text) > LONGEST:
        return deny(2, f"The text has {len(text)} characters; at most {LONGEST} are allowed.")
    sender = message.sender.user if message.sender else "server"
    return Verdict_Replace(encode({"text": text, "from": sender}))


class Channel(exports.channel_handler.Channel):
    def __init__(self, room: str):
        self.room = room

    @classmethod
    def open(cls, name: str, captures: List[Tuple[str, str]], snapshot: Optional[bytes]) -> Self:
        return cls(dict(captures).get("room", name))

    def save(self) -> Optional[bytes]:
        return None

    def on_subscribe(self, who: Caller, params: Optional[bytes], respond: bool) -> Acceptance:
        response = None
        if respond:
            line = {"text": f"Welcome to {self.room}, {who.user}.", "from": "server"}
            response = Response(None, PayloadKind.JSON, encode(line))
        return Acceptance(response, [])

    def on_publish(self, message: Message) -> Outcome:
        return Outcome(check(message), [])

    def on_unsubscribe(self, who: Caller, why: Departure) -> List[Effect]:
        return []

    def on_timer(self, id: int) -> List[Effect]:
        return []
