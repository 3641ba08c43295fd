// The one error this library throws: the server's refusals, and the client's own.

export interface ErrorDetails {
  channel?: string | undefined;
  /** Seconds. */
  retryAfter?: number | undefined;
  /** The plugin's own code, with `rejected`. */
  reasonCode?: number | undefined;
  /** Which fields were wrong, with `invalid_params`. */
  details?: unknown;
}

/**
 * `code` is for programs. The server's are listed in its protocol page; the client adds
 * `disconnected`, `queue_full`, `closed`, `unsubscribed`, `token` and `bad_frame`.
 */
export class TidegateError extends Error {
  readonly code: string;
  readonly channel: string | undefined;
  readonly retryAfter: number | undefined;
  readonly reasonCode: number | undefined;
  readonly details: unknown;

  constructor(code: string, message: string, more: ErrorDetails = {}) {
    super(message);
    this.name = 'TidegateError';
    this.code = code;
    this.channel = more.channel;
    this.retryAfter = more.retryAfter;
    this.reasonCode = more.reasonCode;
    this.details = more.details;
  }
}
