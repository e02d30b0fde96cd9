// The deployed code: the runtime that would have stood here, and the Runtime API that it asks instead of Lambda's; the
// same as runtime.py.

import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import http from 'node:http';
import { pipeline } from 'node:stream/promises';
import { MARGIN_MS } from './attempts.mjs';
import { original } from './identity.mjs';
import { API } from './rapid.mjs';
import { drained, LARGEST_HEAD } from './wire.mjs';

const NEXT = /^\/[^/]+\/runtime\/invocation\/next$/;
const POST = /^\/[^/]+\/runtime\/invocation\/([^/]+)\/(response|error)$/;
const INIT_ERROR = /^\/[^/]+\/runtime\/init\/error$/;

/** One life of the real runtime's process. It has one invocation at a time, as in any sandbox. */
export class Runtime {
  /** What the process ended with, `{code, signal}`; undefined while it runs. */
  status;
  /** Whether it was ended for taking longer than the function may. */
  late = false;
  #changed = new EventEmitter().setMaxListeners(0);
  #first; // its initialization is part of this invocation
  #asks = false; // it waits for an event
  #asked = false; // it ever has
  #offered; // to be handed out
  #given; // it has this one
  #answering = false;
  #answered = false;
  #agent = new http.Agent({ keepAlive: true });

  constructor(settings, address) {
    this.timeoutMs = settings.timeoutMs;
    this.address = address;
  }

  /** Start the command, through the wrapper that was there. */
  static async started(command, settings, environment) {
    const runtime = new Runtime(settings, settings.runtimeApi);
    const limits = { maxHeaderSize: LARGEST_HEAD, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 };
    runtime.server = http.createServer(limits, (request, response) => {
      runtime.#serve(request, response).catch(() => request.destroy());
    });
    await new Promise((listening) => runtime.server.listen(0, '127.0.0.1', listening));
    const told = original(environment);
    told.AWS_LAMBDA_RUNTIME_API = `127.0.0.1:${runtime.server.address().port}`;
    const [program, ...rest] = settings.wrapper ? [settings.wrapper, ...command] : command;
    runtime.process = spawn(program, rest, { env: told, stdio: inherited(told), detached: true });
    runtime.process.once('error', (error) => runtime.#ended({ code: error.code === 'ENOENT' ? 127 : 126 }));
    runtime.process.once('exit', (code, signal) => runtime.#ended({ code, signal }));
    return runtime;
  }

  /**
   * Wait until it asks for an event, has ended or `ends` (monotonic) has come; resolve to whether it asks. With an
   * invocation already under way, `first`, an error in its initialization is that invocation's: Lambda takes none of a
   * runtime that asked for an event before.
   */
  async ready(ends = Infinity, first = undefined) {
    this.#first = first;
    await this.#until(() => this.#asks || this.status, ends);
    return this.#asks && !this.status;
  }

  /**
   * Hand out an invocation and wait for the answer and for the next request for an event. Resolves to false for one that
   * has to be answered in its place: it is past the function's own time-out, or the process is gone without a word.
   */
  async answer(invocation) {
    const now = performance.now();
    const ends = Math.min(now + this.timeoutMs, now + invocation.deadlineMs - Date.now() - MARGIN_MS);
    const done = () => (this.#answered && this.#asks) || this.status;
    if (!this.status) {
      this.#answering = this.#answered = false;
      this.#offered = invocation;
      this.#changed.emit('change');
      await this.#until(done, ends);
      this.late = !done();
    }
    if (this.late) await this.end();
    return this.#answering || this.#answered;
  }

  /** Kill it, with all that it started, and see it dead. */
  async end() {
    this.signal('SIGKILL');
    await this.#until(() => this.status, performance.now() + 2000);
  }

  /** Send a signal to it and what it started. */
  signal(name) {
    try {
      if (!this.status) process.kill(-this.process.pid, name);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }

  #ended(status) {
    this.status = status;
    this.server.close();
    this.server.closeAllConnections?.();
    this.#agent.destroy();
    this.#changed.emit('change');
  }

  async #until(done, ends) {
    while (!done() && performance.now() < ends) {
      await new Promise((go) => {
        const timer = ends === Infinity ? undefined : setTimeout(go, Math.max(ends - performance.now(), 0) + 1);
        this.#changed.once('change', () => {
          clearTimeout(timer);
          go();
        });
      });
    }
  }

  async #serve(request, response) {
    // To one that asks with an event in its hands, Lambda says what it says.
    if (request.method === 'GET' && NEXT.test(request.url) && !this.#given) await this.#handOut(request, response);
    else await this.#passOn(request, response);
  }

  async #handOut(request, response) {
    this.#asks = this.#asked = true;
    this.#changed.emit('change');
    await this.#until(() => this.#offered || this.status, Infinity);
    const invocation = this.#offered;
    if (!invocation) return request.destroy();
    this.#offered = undefined;
    this.#given = invocation;
    this.#asks = false;
    const deadline = Math.trunc(Math.min(Date.now() + this.timeoutMs, invocation.deadlineMs));
    const headers = [...invocation.headers, 'Content-Length', String(invocation.event.length)];
    headers.forEach((name, i) => {
      if (i % 2 === 0 && name.toLowerCase() === 'lambda-runtime-deadline-ms') headers[i + 1] = String(deadline);
    });
    response.writeHead(200, headers);
    return response.end(invocation.event);
  }

  /** Pass a request to the real Runtime API and its answer back, byte for byte but for the address. */
  async #passOn(request, response) {
    const [path, answers] = this.#addressed(request);
    const [host, port] = this.address.split(':');
    const headers = replaced(request.rawHeaders, 'host', this.address);
    const options = { host, port, path, method: request.method, headers, agent: this.#agent, maxHeaderSize: LARGEST_HEAD };
    let done = false;
    try {
      const lambda = http.request(options);
      const answer = new Promise((resolve, reject) => {
        lambda.on('response', resolve);
        lambda.on('error', reject);
      });
      const sent = send(request, lambda);
      const taken = await Promise.race([answer, sent.then(() => answer)]);
      done = taken.statusCode < 300 || taken.statusCode === 413;
      if (answers) this.#answeredWith(done);
      response.writeHead(taken.statusCode, taken.rawHeaders);
      await pipeline(taken, response);
    } catch (error) {
      if (answers && !done) this.#answeredWith(false);
      throw error;
    }
  }

  #answeredWith(done) {
    if (done) this.#given = undefined;
    this.#answered = done;
    this.#answering = !done;
    this.#changed.emit('change');
  }

  /** The path as Lambda is to get it, and whether the request answers what the runtime was given. */
  #addressed(request) {
    const given = this.#given;
    let path = request.url;
    if (request.method !== 'POST') return [path, false];
    if (this.#first && !this.#asked && INIT_ERROR.test(path)) path = `${API}/invocation/${this.#first.requestId}/error`;
    else if (!given || POST.exec(path)?.[1] !== given.requestId) return [path, false];
    if (this.late) throw new Error('it is too late');
    this.#answering = true;
    return [path, true];
  }
}

/** Send what comes, trailers too; a runtime that dies in the middle breaks it off. */
async function send(request, lambda) {
  try {
    for await (const piece of request) {
      if (!lambda.write(piece)) await drained(lambda);
    }
    const trailers = [];
    for (let i = 0; i < request.rawTrailers.length; i += 2) trailers.push(request.rawTrailers.slice(i, i + 2));
    if (trailers.length) lambda.addTrailers(trailers);
    lambda.end();
  } catch (error) {
    lambda.destroy(error);
    throw error;
  }
}

function replaced(rawHeaders, name, value) {
  const kept = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (![name, 'expect'].includes(rawHeaders[i].toLowerCase())) kept.push(rawHeaders[i], rawHeaders[i + 1]);
  }
  return ['Host', value, ...kept];
}

/** The descriptors that a runtime gets: the usual three, and the one that Lambda reads logs from. */
function inherited(environment) {
  const stdio = ['inherit', 'inherit', 'inherit'];
  const telemetry = Number(environment._LAMBDA_TELEMETRY_LOG_FD || 0);
  if (telemetry > 2) {
    while (stdio.length < telemetry) stdio.push('ignore');
    stdio.push(telemetry);
  }
  return stdio;
}
