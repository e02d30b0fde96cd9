// HTTP as a bridge speaks it: whether anything was sent before a connection failed, and heads of up to 2 MiB.

import http from 'node:http';
import https from 'node:https';

/** Most bytes of a head; Lambda itself takes one MiB of X-Ray cause in one line. */
export const LARGEST_HEAD = 2 * 1024 * 1024;

/** A connection that was idle for longer is not used again: load balancers and NAT forget it, often without a word. */
const IDLE_MS = 60_000;

/** No connection came about, so nothing was sent. */
export class NotReached extends Error {}

/** The connection ended or fell silent before what was being read or written was whole. */
export class Broken extends Error {}

/** Keeps one connection to an origin. Times are the wall clock's: a frozen sandbox's monotonic clock may be frozen, too. */
export class Kept {
  #agents = new Map();
  #used = 0;

  /** An agent for a URL, whose connection is as good as can be told. */
  async agent(url) {
    await new Promise(setImmediate); // the end of a connection that came while the sandbox was frozen is seen first
    const idle = Date.now() - this.#used;
    if (idle < 0 || idle > IDLE_MS) this.drop();
    this.#used = Date.now();
    const secure = new URL(url).protocol === 'https:';
    if (!this.#agents.has(secure)) {
      this.#agents.set(secure, new (secure ? https : http).Agent({ keepAlive: true, maxSockets: 1 }));
    }
    return this.#agents.get(secure);
  }

  /** Use no connection again that there is. */
  drop() {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}

/**
 * Send a request; resolve to its answer when the head is there: `{status, headers, pieces}`, where `pieces` yields the
 * body. Rejects with `NotReached`, or `Broken`; so does `pieces`.
 */
export async function asked(url, { method, headers, body = Buffer.alloc(0), agent, sent }, connectMs, silenceMs) {
  const { request: send } = new URL(url).protocol === 'https:' ? https : http;
  const request = send(url, { method, headers, agent, maxHeaderSize: LARGEST_HEAD });
  let reached = false;
  const end = (error) => request.destroy(error);
  let timer = setTimeout(() => end(new NotReached(`not connected within ${connectMs / 1000} s`)), connectMs);
  const quiet = () => {
    clearTimeout(timer);
    if (silenceMs) timer = setTimeout(() => end(new Broken(`silent for ${silenceMs / 1000} s`)), silenceMs);
  };
  const connected = () => {
    reached = true;
    sent?.();
    quiet();
  };
  request.on('socket', (socket) => {
    if (request.reusedSocket) connected();
    else socket.once(socket.encrypted ? 'secureConnect' : 'connect', connected);
  });
  const answer = await new Promise((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(reached ? broken(error) : new NotReached(`${new URL(url).host}: ${error.message}`));
    });
    write(request, body, () => reached && quiet()).catch(() => {});
  });
  const { statusCode: status, headers: fields, rawHeaders } = answer;
  return { status, headers: fields, rawHeaders, pieces: pieces(answer, quiet, () => clearTimeout(timer)) };
}

/** Send a request and resolve to the whole answer: `{status, headers, body}`. */
export async function exchanged(url, options, connectMs, silenceMs) {
  const answer = await asked(url, options, connectMs, silenceMs);
  return { ...answer, body: await whole(answer.pieces) };
}

/** The pieces of a body as one. */
export async function whole(pieces) {
  const all = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

/** Resolve when a stream takes more, or never will. */
export function drained(stream) {
  return new Promise((resolve) => {
    const go = () => {
      stream.off('drain', go).off('close', go);
      resolve();
    };
    stream.on('drain', go).on('close', go);
  });
}

async function write(request, body, progress) {
  for (let start = 0; start < body.length; start += 65536) {
    if (!request.write(body.subarray(start, start + 65536))) await drained(request);
    progress();
  }
  request.end();
}

async function* pieces(answer, heard, done) {
  try {
    for await (const piece of answer) {
      heard();
      yield piece;
    }
    if (!answer.complete) throw new Broken('it ended its answer early');
  } catch (error) {
    throw broken(error);
  } finally {
    done();
  }
}

function broken(error) {
  return error instanceof Broken ? error : new Broken(error.message);
}
