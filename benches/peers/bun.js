// Bun's native topics behind the two frames that the load speaks.
const server = Bun.serve({
  port: 0, hostname: "127.0.0.1",
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("a WebSocket, please")),
  websocket: {
    message(socket, text) {
      const { type, channel, data } = JSON.parse(text);
      if (type === "subscribe") { socket.subscribe(channel); socket.send(JSON.stringify({ type: "subscribed", channel })); }
      else server.publish(channel, JSON.stringify({ type: "data", channel, data }));
    },
  },
});
console.log(`listening on http://127.0.0.1:${server.port}`);
