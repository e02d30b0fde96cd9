// Loaded before the emulator (`node --import`). It listens on every interface and on a port that the caller must know to
// be free; here it gets loopback and whatever port the system gives, which is told on standard output. It ends when its
// parent does, however that happens: the pipe on standard input closes.
import net from "node:net";

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (_port, ..._rest) {
  return listen.call(this, 0, "127.0.0.1", () => console.log(`listening on ${this.address().port}`));
};
process.stdin.on("end", () => process.exit(0)).resume();
