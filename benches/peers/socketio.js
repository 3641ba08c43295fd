// Socket.IO with its rooms, over WebSockets only.
import { createServer } from "node:http";
import { Server } from "socket.io";
const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => {
  socket.on("subscribe", (channel) => { socket.join(channel); socket.emit("subscribed", channel); });
  socket.on("publish", (channel, data) => io.to(channel).emit("data", data));
});
http.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
