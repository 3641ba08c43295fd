// Refuses messages that are too long, and counts the others.

import { text, utf8 } from "./bytes.js";

/** Of a message, in bytes. */
const LONGEST = 200;

class Channel {
  constructor(messages) {
    this.messages = messages;
  }

  static open(_name, _captures, snapshot) {
    return new Channel(snapshot ? Number(text(snapshot)) : 0);
  }

  save() {
    return utf8(String(this.messages));
  }

  onSubscribe(_who, _params, respond) {
    const payload = utf8(JSON.stringify({ messages: this.messages }));
    return { response: respond ? { event: null, kind: "json", payload } : null, effects: [] };
  }

  onPublish(message) {
    if (message.payload.length > LONGEST) {
      const denial = { code: 1, reason: `A message has at most ${LONGEST} bytes.` };
      return { verdict: { tag: "deny", val: denial }, effects: [] };
    }
    this.messages += 1;
    return { verdict: { tag: "pass" }, effects: [] };
  }

  onUnsubscribe(_who, _why) {
    return [];
  }

  onTimer(_id) {
    return [];
  }
}

export const channelHandler = { Channel };

export const info = {
  describe: () => ({
    version: "0.1.0",
    summary: "Counts messages, and refuses long ones.",
    channels: ["{{name}}:*"],
  }),
};
