import { createServer } from 'node:net';

// Reads what comes for 60 ms, and closes: with nothing unread, so that it looks like an ordinary end, while more is under way.
const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.resume();
  setTimeout(() => socket.destroy(), 60);
});
server.listen(7200, '0.0.0.0', () => console.log(7200));
