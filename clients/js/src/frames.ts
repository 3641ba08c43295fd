// The wire: what frames look like, and the bytes of a binary one.

import { TidegateError } from './errors.js';

/** Where one stands in a channel with history. */
export interface Position {
  epoch: string;
  offset: number;
}

export interface Message<T = unknown> {
  channel: string;
  data: T;
  event?: string;
  /** A user id. */
  sender?: string;
  offset?: number;
  /** Seconds since 1970, fractional. */
  timestamp?: number;
}

/** A member of a channel: the fields here, and the metadata it joined with. */
export interface Member {
  user_id: string;
  /** Seconds since 1970. */
  joined_at: number;
  [metadata: string]: unknown;
}

/** A frame from the server; which fields there are is its type's matter. */
export interface Frame {
  type: string;
  id?: unknown;
  channel?: string;
  data?: unknown;
  /** Bytes, where they cannot have a frame of their own. */
  base64?: string;
  event?: string;
  sender?: string;
  offset?: number;
  timestamp?: number;
  user?: string;
  delivered?: number;
  filtered?: number;
  excluded?: number;
  epoch?: string;
  recovered?: boolean;
  complete?: boolean;
  count?: number;
  member?: Member;
  members?: Member[];
  messages?: Frame[];
  message?: string;
  code?: string;
  retry_after?: number;
  reason_code?: number;
  details?: unknown;
}

/** A frame to the server. */
export interface Command {
  type: string;
  [field: string]: unknown;
}

/**
 * JSON text that is sent as it stands, where a parsed value could not say the same: numbers
 * beyond 2^53, or a certain way to write them. Throws a `SyntaxError` if it is not JSON.
 */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    JSON.parse(text);
    this.text = text;
  }
}

export function encode(command: Command): string {
  const { data, ...rest } = command;
  if (!(data instanceof JsonText)) return JSON.stringify(command);
  return `${JSON.stringify(rest).slice(0, -1)},"data":${data.text}}`;
}

/** Field by field: objects of one shape are fast, and nothing unknown slips through. */
export function message(frame: Frame, channel: string): Message {
  const { base64, event, sender, offset, timestamp } = frame;
  const data = base64 === undefined ? frame.data : Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const made: Message = { channel, data };
  if (event !== undefined) made.event = event;
  if (sender !== undefined) made.sender = sender;
  if (offset !== undefined) made.offset = offset;
  if (timestamp !== undefined) made.timestamp = timestamp;
  return made;
}

export function refusal(frame: Frame): TidegateError {
  return new TidegateError(frame.code ?? 'unknown', frame.message ?? 'Refused.', {
    channel: frame.channel,
    retryAfter: frame.retry_after,
    reasonCode: frame.reason_code,
    details: frame.details,
  });
}

/** One byte n, n bytes of channel name, and the payload. */
export function encodeBinary(channel: string, payload: Uint8Array): Uint8Array {
  const name = new TextEncoder().encode(channel);
  // The length has one byte; a longer name would spill into the payload.
  if (name.length > 255) {
    throw new TidegateError('invalid_params', 'The channel name is longer than 255 bytes.', { channel });
  }
  const frame = new Uint8Array(1 + name.length + payload.length);
  frame[0] = name.length;
  frame.set(name, 1);
  frame.set(payload, 1 + name.length);
  return frame;
}

export function decodeBinary(frame: Uint8Array): Message<Uint8Array> | undefined {
  const start = 1 + (frame[0] ?? 255);
  if (frame.length < start) return undefined;
  return { channel: new TextDecoder().decode(frame.subarray(1, start)), data: frame.subarray(start) };
}
