"""Users by token: a JSON Web Token signed with HS256 says who they are, for how long, and which
channels they may use."""

import base64
import hmac
from typing import Any, List, Optional, Tuple

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.auth import (
    Action,
    Handshake,
    Identity,
    Permission,
    Permission_Granted,
    Permission_Refused,
    Refusal,
)
from wit_world.imports import config, log

from data import parse

# Signs tokens where the server's configuration has no `secret`. Anyone knows it.
DEVELOPMENT_SECRET = "tidegate-development-secret"
LAST_MS = 2**64 - 1

warned = False


def refusal(reason: str) -> Err:
    return Err(Refusal(reason))


def malformed() -> Err:
    return refusal("The token is malformed.")


class Auth(exports.Auth):
    def authenticate(self, request: Handshake) -> Identity:
        if request.token is None:
            if config.get("anonymous") == "false":
                raise refusal("A token is required.")
            return Identity("", [], None)
        sub, end, channels = verify(request.token, secret())
        # An empty list allows nothing, and so does a pattern that no channel's name matches.
        patterns = [] if channels is None else channels or [""]
        return Identity(sub, [("channel", pattern) for pattern in patterns], end)

    def authorize(
        self, who: Identity, action: Action, channel: str, captures: List[Tuple[str, str]]
    ) -> Permission:
        """Without any pattern all channels are allowed, but for those of other users."""
        mine = dict(captures).get("user", who.user) == who.user
        patterns = [pattern for name, pattern in who.claims if name == "channel"]
        allowed = not patterns or any(covers(pattern, channel) for pattern in patterns)
        return Permission_Granted() if mine and allowed else Permission_Refused("")


def covers(pattern: str, channel: str) -> bool:
    """`*` at the end of a pattern stands for the rest of the name."""
    return channel.startswith(pattern[:-1]) if pattern.endswith("*") else channel == pattern


def secret() -> bytes:
    global warned
    configured = config.get("secret")
    if configured == "":
        log.write(log.Level.ERROR, "The setting `secret` is empty: no token is accepted.")
        raise refusal("The server cannot check tokens.")
    if configured is None and not warned:
        warned = True
        words = "tokens are checked with the development secret, which anyone knows."
        log.write(log.Level.WARN, f"The setting `secret` is missing: {words}")
    return (configured or DEVELOPMENT_SECRET).encode()


def verify(token: str, key: bytes) -> Tuple[str, Optional[int], Optional[List[str]]]:
    """User, end in milliseconds and patterns: RFC 7519, as much as is needed here."""
    parts = token.split(".")
    if len(parts) != 3:
        raise malformed()
    header, payload, signature = parts
    if (algorithm := object_in(header).get("alg")) != "HS256":
        raise refusal("The token's algorithm must be HS256.") if isinstance(algorithm, str) else malformed()
    made = hmac.digest(key, f"{header}.{payload}".encode(), "sha256")
    if not hmac.compare_digest(made, from_base64url(signature)):
        raise refusal("The token's signature does not match.")

    claims = object_in(payload)
    sub, end, channels = (claims.get(name) for name in ("sub", "exp", "channels"))
    if channels is not None:
        if not isinstance(channels, list) or not all(isinstance(name, str) for name in channels):
            raise malformed()
    if end is not None:
        if not isinstance(end, (int, float)) or isinstance(end, bool):
            raise malformed()
        # A plugin has no clock: the server ends the identity then, at once if it is past.
        end = int(min(max(end * 1000, 0), LAST_MS))
    if sub is not None and not isinstance(sub, str):
        raise malformed()
    if not sub:
        raise refusal("The token has no 'sub'.")
    return sub, end, channels


def object_in(part: str) -> Any:
    value = parse(from_base64url(part))
    if not isinstance(value, dict):
        raise malformed()
    return value


def from_base64url(part: str) -> bytes:
    """Without padding (RFC 4648, 5)."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise malformed() from None
    # It skips what is not of its alphabet, and bits that no byte has.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise malformed()
    return data
