// `ws` on Node: a set of sockets a channel, a message made into text once.
import { WebSocketServer } from "ws";
const channels = new Map();
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
server.on("connection", (socket) => {
  const mine = [];
  socket.on("message", (text) => {
    const { type, channel, data } = JSON.parse(text);
    if (!channels.has(channel)) channels.set(channel, new Set());
    const members = channels.get(channel);
    if (type === "subscribe") { members.add(socket); mine.push(members); socket.send(JSON.stringify({ type: "subscribed", channel })); }
    else { const out = JSON.stringify({ type: "data", channel, data }); for (const member of members) member.send(out); }
  });
  socket.on("close", () => mine.forEach((members) => members.delete(socket)));
});
server.on("listening", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
