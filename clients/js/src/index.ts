// tidegate-client: what is exported is what is promised.

export { Tidegate } from './client.js';
export type {
  ClientEvents,
  History,
  HistoryOptions,
  Presence,
  Published,
  PublishOptions,
  Receipt,
  TidegateOptions,
} from './client.js';
export type { State, StateChange, Token, WebSocketConstructor, WebSocketLike } from './connection.js';
export { TidegateError } from './errors.js';
export { JsonText } from './frames.js';
export type { Member, Message, Position } from './frames.js';
export type {
  Dropped,
  Gap,
  Subscribed,
  SubscribeOptions,
  Subscription,
  SubscriptionEvents,
} from './subscription.js';
export type { Timers } from './timers.js';
