// Requests and the frames that answer them. What was not sent yet waits for a connection;
// what was sent when the connection ended is refused, as nobody knows whether it happened.

import { TidegateError } from './errors.js';
import { encode, refusal, type Command, type Frame } from './frames.js';

interface Waiting {
  /** Called within the frame's own turn: what follows the answer must find it handled. */
  resolve(answer: Frame): void;
  reject(error: TidegateError): void;
}

interface Unsent extends Waiting {
  data: string | Uint8Array;
  /** None: nobody will answer. */
  id: number | undefined;
}

const NO_ANSWER: Frame = { type: '' };

export class Requests {
  #next = 1;
  #open = false;
  #waiting = new Map<unknown, Waiting>();
  #queue: Unsent[] = [];
  readonly #limit: number;
  readonly #send: (data: string | Uint8Array) => void;

  constructor(limit: number, send: (data: string | Uint8Array) => void) {
    this.#limit = limit;
    this.#send = send;
  }

  /** Sends at once; only while the connection is open. */
  ask(command: Command, resolve: Waiting['resolve'], reject: Waiting['reject']): void {
    const id = this.#next++;
    this.#hand({ data: encode({ ...command, id }), id, resolve, reject });
  }

  /** Sends now or once there is a connection. */
  request(command: Command): Promise<Frame> {
    const id = this.#next++;
    return this.tell(encode({ ...command, id }), id);
  }

  /** The same for a frame as it stands; without an `id` the promise ends when it is sent. */
  tell(data: string | Uint8Array, id?: number): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const unsent = { data, id, resolve, reject };
      if (this.#open) return this.#hand(unsent);
      if (this.#queue.length < this.#limit) return void this.#queue.push(unsent);
      reject(
        this.#limit
          ? new TidegateError('queue_full', `Not connected, and ${this.#limit} requests wait already.`)
          : disconnected(),
      );
    });
  }

  /** True if the frame answers a request. */
  answer(frame: Frame): boolean {
    const waiting = this.#waiting.get(frame.id);
    if (!waiting) return false;
    this.#waiting.delete(frame.id);
    if (frame.type === 'error') waiting.reject(refusal(frame));
    else waiting.resolve(frame);
    return true;
  }

  open(): void {
    this.#open = true;
    for (const unsent of this.#queue.splice(0)) this.#hand(unsent);
  }

  lost(): void {
    this.#open = false;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const one of waiting) {
      one.reject(disconnected('The connection ended before the answer: it may or may not have happened.'));
    }
  }

  /** Nothing will be sent any more. */
  close(): void {
    this.lost();
    for (const unsent of this.#queue.splice(0)) unsent.reject(disconnected());
  }

  #hand({ data, id, resolve, reject }: Unsent): void {
    if (id !== undefined) this.#waiting.set(id, { resolve, reject });
    this.#send(data);
    if (id === undefined) resolve(NO_ANSWER);
  }
}

export function disconnected(message = 'Not connected.'): TidegateError {
  return new TidegateError('disconnected', message);
}
