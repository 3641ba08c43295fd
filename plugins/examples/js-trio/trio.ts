// What the component exports: one of the contract's interfaces each.

export { channelHandler } from "./chat.js";
export { auth } from "./token-auth.js";
export { filter } from "./level-filter.js";

export const info: typeof import("tidegate:plugin/info@0.1.0") = {
  describe: () => ({
    version: "1.0.0",
    summary: "A chat, users by token and a filter by level, in TypeScript.",
    channels: ["chat:{room}", "chat:*"],
  }),
};
