// A chat: takes {"text": "…"}, checks it, and delivers it with the sender's name.

import { json, parse } from "./bytes.js";

/** In characters, once the text is trimmed. */
const LONGEST = 500;

const deny = (code, reason) => ({ tag: "deny", val: { code, reason } });

/** What becomes of a message: a verdict. */
function check(message) {
  const text = message.kind === "json" ? parse(message.payload)?.text : undefined;
  if (typeof text !== "string") return deny(3, 'A message looks like {"text":"hello"}.');
  const said = text.trim();
  if (said === "") return deny(1, "Say something: the text is empty.");
  // A character outside the Basic Multilingual Plane is two units of a string.
  if (said.length > LONGEST) {
    const length = [...said].length;
    if (length > LONGEST) {
      return deny(2, `The text has ${length} characters; at most ${LONGEST} are allowed.`);
    }
  }
  return { tag: "replace", val: json({ text: said, from: message.sender?.user ?? "server" }) };
}

class Channel {
  constructor(room) {
    this.room = room;
  }

  static open(name, captures, _snapshot) {
    const capture = captures.find(([key]) => key === "room");
    return new Channel(capture ? capture[1] : name);
  }

  save() {
    return null;
  }

  onSubscribe(who, _params, respond) {
    const text = `Welcome to ${this.room}, ${who.user}.`;
    const response = respond ? { event: null, kind: "json", payload: json({ text, from: "server" }) } : null;
    return { response, effects: [] };
  }

  onPublish(message) {
    return { verdict: check(message), effects: [] };
  }

  onUnsubscribe(_who, _why) {
    return [];
  }

  onTimer(_id) {
    return [];
  }
}

export const channelHandler = { Channel };
