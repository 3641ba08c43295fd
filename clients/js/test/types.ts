// Compiled, not run: what an application writes must have the types it thinks it has. The
// package names itself, so this sees what users see, and without the DOM's types.

import { WebSocket } from 'ws';
import { JsonText, Tidegate, TidegateError, type Message, type Position, type Subscription } from 'tidegate-client';

interface Line {
  text: string;
}

export async function application(): Promise<void> {
  const client = new Tidegate('wss://example.test/ws', { WebSocket, token: async () => 'token' });
  client.on('state', ({ state, code }) => console.log(state satisfies 'connecting' | 'open' | 'closed', code));

  const room: Subscription<Line> = client.subscribe<Line>('room', { presence: true, history: 10 });
  const off: () => void = room.on('message', (message: Message<Line>) => console.log(message.data.text));
  room.on('join', (member) => console.log(member.user_id));
  room.on('gap', (gap) => console.log(gap.reason satisfies 'unrecovered' | 'overflow'));
  room.on('dropped', ({ count }) => console.log(count satisfies number));
  // @ts-expect-error there is no such event
  room.on('mesage', () => {});
  // @ts-expect-error nor such an option
  client.subscribe('room', { histroy: 1 });
  // @ts-expect-error nor such a policy
  client.subscribe('room', { policy: 'pause' });
  for await (const message of room) console.log(message.data.text.length);
  off();

  const position: Position | undefined = room.position;
  client.subscribe('other', { recover: position ?? true });
  const sum: number = await client.action<number>('sum', [1, 2]);
  const { offset }: { offset?: number } = await client.publish('room', { text: `${sum}` }, { echo: false });
  const { delivered }: { delivered: number } = await client.publish('room', new JsonText('{"n":1}'), { receipt: true });
  // @ts-expect-error nobody asked for a receipt
  (await client.publish('room', 1)).delivered;
  console.log(client.user satisfies string | undefined, delivered);
  const error: Error & { code: string } = new TidegateError('x', String(offset));
  console.log(error.code, (await client.history<Line>('room')).messages[0]?.data.text);
}
