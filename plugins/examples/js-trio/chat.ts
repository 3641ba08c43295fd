// A chat: takes {"text": "…"}, checks it, and delivers it with the sender's name.

import type * as contract from "tidegate:plugin/channel-handler@0.1.0";

import { json, parse } from "./bytes.js";

/** In characters, once the text is trimmed. */
const LONGEST = 500;

const deny = (code: number, reason: string): contract.Verdict => ({ tag: "deny", val: { code, reason } });

/** What becomes of a message: a verdict. */
function check(message: contract.Message): contract.Verdict {
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

class Channel implements contract.Channel {
  constructor(readonly room: string) {}

  static open(name: string, captures: contract.Captures, _snapshot: Uint8Array | null) {
    const capture = captures.find(([key]) => key === "room");
    return new Channel(capture ? capture[1] : name);
  }

  save() {
    return null;
  }

  onSubscribe(who: contract.Caller, _params: Uint8Array | null, respond: boolean): contract.Acceptance {
    const text = `Welcome to ${this.room}, ${who.user}.`;
    if (!respond) return { response: null, effects: [] };
    return { response: { event: null, kind: "json", payload: json({ text, from: "server" }) }, effects: [] };
  }

  onPublish(message: contract.Message): contract.Outcome {
    return { verdict: check(message), effects: [] };
  }

  onUnsubscribe(_who: contract.Caller, _why: contract.Departure) {
    return [];
  }

  onTimer(_id: number) {
    return [];
  }
}

export const channelHandler: typeof contract = { Channel };
