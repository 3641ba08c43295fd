// What the component exports: one of the contract's interfaces each.

export { channelHandler } from "./chat.js";
export { auth } from "./token-auth.js";
export { filter } from "./level-filter.js";

export const info = {
  describe: () => ({
    version: "1.0.0",
    summary: "A chat, users by token and a filter by level, in JavaScript.",
    channels: ["chat:{room}", "chat:*"],
  }),
};
