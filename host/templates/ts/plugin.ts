// Refuses messages that are too long, and counts the others.

import type * as contract from "tidegate:plugin/channel-handler@0.1.0";

import { text, utf8 } from "./bytes.js";

/** Of a message, in bytes. */
const LONGEST = 200;

class Channel implements contract.Channel {
  constructor(private messages: number) {}

  static open(_name: string, _captures: contract.Captures, snapshot: Uint8Array | null) {
    return new Channel(snapshot ? Number(text(snapshot)) : 0);
  }

  save() {
    return utf8(String(this.messages));
  }

  onSubscribe(_who: contract.Caller, _params: Uint8Array | null, respond: boolean): contract.Acceptance {
    const payload = utf8(JSON.stringify({ messages: this.messages }));
    return { response: respond ? { event: null, kind: "json", payload } : null, effects: [] };
  }

  onPublish(message: contract.Message): contract.Outcome {
    if (message.payload.length > LONGEST) {
      const denial = { code: 1, reason: `A message has at most ${LONGEST} bytes.` };
      return { verdict: { tag: "deny", val: denial }, effects: [] };
    }
    this.messages += 1;
    return { verdict: { tag: "pass" }, effects: [] };
  }

  onUnsubscribe(_who: contract.Caller, _why: contract.Departure) {
    return [];
  }

  onTimer(_id: number) {
    return [];
  }
}

export const channelHandler: typeof contract = { Channel };

export const info: typeof import("tidegate:plugin/info@0.1.0") = {
  describe: () => ({
    version: "0.1.0",
    summary: "Counts messages, and refuses long ones.",
    channels: ["{{name}}:*"],
  }),
};
