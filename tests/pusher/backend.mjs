// An application's back end on the SDK for Node, as it comes from its registry.

import Pusher from "pusher";

const [key, secret] = process.env.PUSHER_APP.split(":");
const SERVER = new URL(process.env.PUSHER_SERVER);

export const MASTER_KEY = Buffer.alloc(32, 7).toString("base64");

export const backend = (options = {}) =>
  new Pusher({
    appId: "1",
    key,
    secret,
    host: SERVER.hostname,
    port: SERVER.port,
    useTLS: false,
    encryptionMasterKeyBase64: MASTER_KEY,
    ...options,
  });

/// An answer of the API, which must be 200.
export async function read(path, params) {
  const answer = await backend().get({ path, params });
  return answer.json();
}

/// What the application's own endpoint would answer.
export function authorize(user) {
  return ({ channelName, socketId }, callback) => {
    const member = channelName.startsWith("presence-")
      ? { user_id: user.id, user_info: user.user_info }
      : undefined;
    callback(null, backend().authorizeChannel(socketId, channelName, member));
  };
}

export function authenticate(user) {
  return ({ socketId }, callback) => callback(null, backend().authenticateUser(socketId, user));
}
