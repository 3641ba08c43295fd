"""The SDK for Python, unmodified. Ends with an error at the first thing that is not as it says."""

import hashlib
import hmac
import json
import os
import time
from urllib.parse import urlparse

import pusher
from pusher.errors import PusherBadAuth, PusherBadRequest, PusherBadStatus

SERVER = urlparse(os.environ["PUSHER_SERVER"])
KEY, SECRET = os.environ["PUSHER_APP"].split(":")
MASTER_KEY = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="


def client(**options):
    options = {"app_id": "1", "key": KEY, "secret": SECRET, "ssl": False, **options}
    return pusher.Pusher(
        host=SERVER.hostname, port=SERVER.port, encryption_master_key_base64=MASTER_KEY, **options
    )


def refused(error, call):
    try:
        call()
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")


sdk = client()

# What the test beside this file listens for.
assert sdk.trigger("room", "App\\Events\\Said", {"list": [1, "ü"]}) == {}
assert sdk.trigger(["room", "other"], "e", "just text", "1.2") == {}
assert sdk.trigger_batch([{"channel": "room", "name": "b", "data": {"n": n}} for n in range(3)]) == {}
assert sdk.send_to_user("ada", "note", {"n": 1}) == {}
assert sdk.trigger("private-encrypted-x", "e", {"secret": 42}) == {}

listed = sdk.channels_info(prefix_filter="presence-", attributes=["user_count"])
assert listed["channels"]["presence-room"] == {"user_count": 2}, listed
assert "room" in sdk.channels_info()["channels"]
assert sdk.channel_info("presence-room", ["user_count"]) == {"occupied": True, "user_count": 2}
assert sdk.channel_info("room", ["subscription_count"]) == {"occupied": True, "subscription_count": 1}
assert sdk.channel_info("nobody") == {"occupied": False}
assert [user["id"] for user in sdk.users_info("presence-room")["users"]] == ["ada", "bob"]

assert sdk.terminate_user_connections("ada") == {}

refused(PusherBadAuth, lambda: client(secret="wrong").trigger("room", "e", 1))
refused(PusherBadAuth, lambda: client(key="other").channels_info())
refused(PusherBadStatus, lambda: client(app_id="2").channels_info())
refused(PusherBadRequest, lambda: sdk.channels_info(attributes=["user_count"]))
refused(PusherBadRequest, lambda: sdk.users_info("room"))
refused(PusherBadStatus, lambda: sdk.trigger("room", "e", "x" * 10_241))

body = json.dumps({"time_ms": int(time.time() * 1000), "events": []})
signature = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()
assert sdk.validate_webhook(KEY, signature, body)["events"] == []

print("all of it works")
