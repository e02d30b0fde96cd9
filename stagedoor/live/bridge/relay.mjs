// What is asked of the relay for this sandbox: a token, whether anybody is there, and each attempt's result.

import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Attempt, CONNECT_MS, MARGIN_MS, REST_MS, SILENCE_MS } from './attempts.mjs';
import { credentials, presigned, sandbox } from './identity.mjs';
import { say } from './log.mjs';
import { failure } from './rapid.mjs';
import { asked, Broken, Kept, NotReached, whole } from './wire.mjs';

const [, DEPLOYED, WANTED, ROUTED, , RESULT, DATA, FAILED] = Array(8).keys();
const REFRESH_MS = 60_000;
const PATIENCE_MS = 4000;
const POSTED = /^(content-type|lambda-runtime-function-(error-type|xray-error-cause))$/i;

/** The relay knows better than to serve this function. */
class Refused extends Error {}

/** The relay as one sandbox sees it. */
export class Relay {
  #kept = new Kept();
  #token = '';
  #live;
  #tokenGoodUntil = 0;
  #restsUntil = 0;

  constructor(settings, environment) {
    this.settings = settings;
    this.environment = environment;
    this.url = settings.server.replace(/\/+$/, '');
    this.host = new URL(settings.server).host;
  }

  /** Whether somebody would take this function's next invocation. False where the relay cannot say. */
  async live() {
    try {
      const authorized = await this.#authorized();
      if (this.#live !== undefined) return this.#live; // as the token came with the answer
      const answer = await this.#asked('GET', '/live/presence', authorized);
      return Boolean(parsed(await whole(answer.pieces)).live);
    } catch (error) {
      this.#rest(error.message);
      return false;
    }
  }

  /** The attempt's result, or null: the deployed code answers, for it never left this sandbox. */
  async relayed(invocation) {
    if (Date.now() < this.#restsUntil) return null;
    const now = performance.now();
    const name = `${invocation.requestId}.${randomBytes(4).toString('hex')}`;
    const ends = now + invocation.deadlineMs - Date.now() - MARGIN_MS;
    const attempt = new Attempt(name, invocation.event.length, now, ends);
    attempt.deadlineMs = Math.trunc(Math.min(Date.now() + this.settings.timeoutMs, invocation.deadlineMs));
    for (;;) {
      const outcome = await this.#tried(attempt, invocation);
      if (outcome.result) return outcome.result;
      if (outcome.failed) return failure(outcome.failed.type, outcome.failed.message);
      if (outcome.deployed !== undefined) {
        if (outcome.rest) this.#rest(outcome.deployed);
        return null;
      }
      await pause(outcome.ask);
    }
  }

  /** Ask once, and return what it came to. */
  async #tried(attempt, invocation) {
    if (performance.now() >= attempt.ends) {
      const message = `RequestId: ${invocation.requestId} Error: The relay had no result before Lambda's own time-out.`;
      return { failed: { type: 'Sandbox.Timedout', message } };
    }
    try {
      return await this.#askedOnce(attempt, invocation);
    } catch (error) {
      if (error instanceof NotReached || error instanceof Refused) return attempt.refused(error.message, performance.now());
      this.#kept.drop();
      return attempt.broken(`${this.host} (${error.message})`, performance.now());
    }
  }

  async #askedOnce(attempt, invocation) {
    const authorized = await this.#authorized();
    const held = await credentials(this.environment);
    const [id, document] = sandbox(this.environment, held);
    if (attempt.withSandbox) {
      await this.#putSandbox(id, document, authorized);
      attempt.withSandbox = false;
    }
    const event = attempt.withEvent ? invocation.event : Buffer.alloc(0);
    const headers = { ...authorized, ...this.#headers(attempt, invocation, id) };
    const answer = await this.#asked('POST', `/live/attempts/${encodeURIComponent(attempt.name)}`, headers, event, attempt);
    if (answer.status === 200) return followed(answer.pieces, attempt);
    await whole(answer.pieces);
    if (answer.status === 401) {
      this.#tokenGoodUntil = 0;
      return attempt.unauthorized(performance.now());
    }
    if (answer.status === 503) this.#kept.drop(); // it drains: another process has to take the next request
    return attempt.answered(answer.status, answer.headers['retry-after'] ?? '', performance.now());
  }

  #headers(attempt, invocation, id) {
    const headers = {};
    for (let i = 0; i < invocation.headers.length; i += 2) headers[invocation.headers[i]] = invocation.headers[i + 1];
    headers['Stagedoor-Deadline-Ms'] = String(attempt.deadlineMs);
    headers['Stagedoor-Size'] = String(invocation.event.length);
    headers['Stagedoor-Sandbox'] = id;
    if (attempt.again) headers['Stagedoor-Again'] = String(attempt.again);
    if (attempt.session) headers['Stagedoor-Session'] = attempt.session;
    return headers;
  }

  async #putSandbox(id, document, authorized) {
    const headers = { ...authorized, 'Content-Type': 'application/json' };
    const answer = await this.#asked('PUT', `/live/sandboxes/${id}`, headers, Buffer.from(JSON.stringify(document)));
    await whole(answer.pieces);
    if (answer.status >= 300) throw new Broken(`the sandbox was not taken (${answer.status})`);
  }

  /** The header that goes with every request; a token is fetched first where there is none for long enough. */
  async #authorized() {
    if (Date.now() >= this.#tokenGoodUntil) {
      const { token, expires_in: seconds, live } = await this.#fetchedToken();
      this.#token = token;
      this.#live = live;
      this.#tokenGoodUntil = Date.now() + seconds * 1000 - Math.min(REFRESH_MS, seconds * 500);
    }
    return { Authorization: `Bearer ${this.#token}` };
  }

  async #fetchedToken() {
    const { region, function: name, stage } = this.settings;
    const held = await credentials(this.environment);
    const url = presigned(this.environment, held, region, this.host, Date.now());
    const body = Buffer.from(JSON.stringify({ function: name, stage, url }));
    const answer = await this.#asked('POST', '/live/token', { 'Content-Type': 'application/json' }, body);
    const said = await whole(answer.pieces);
    if (answer.status === 200) return parsed(said);
    this.#kept.drop();
    if ([429, 502, 503, 504].includes(answer.status)) throw new NotReached(`${this.host}: no token (${answer.status})`);
    throw new Refused(`${this.host} gives no token (${answer.status}: ${said.subarray(0, 200)})`);
  }

  async #asked(method, path, more, body, attempt) {
    const url = this.url + path;
    const headers = { ...more, ...(method === 'GET' ? {} : { 'Content-Length': body.length }) };
    const agent = await this.#kept.agent(url);
    const sent = () => attempt?.said(performance.now());
    return asked(url, { method, headers, body, agent, sent }, CONNECT_MS, attempt ? SILENCE_MS : PATIENCE_MS);
  }

  /** Leave the relay alone for a while; the log says why, once each time. */
  #rest(reason) {
    this.#restsUntil = Date.now() + REST_MS;
    say(`the deployed code answers: ${reason}`);
  }
}

/** What the stream of frames comes to. */
async function followed(stream, attempt) {
  let result;
  let outcome;
  const data = [];
  let length = 0;
  for await (const [type, payload] of frames(stream, attempt)) {
    if (type === DEPLOYED) outcome = { deployed: '', rest: false };
    else if (type === WANTED) outcome = attempt.wanted(parsed(payload));
    else if (type === ROUTED) attempt.session = String(parsed(payload).session ?? '');
    else if (type === FAILED) outcome = { failed: parsed(payload) };
    else if (type === RESULT) result = parsed(payload);
    else if (type === DATA) length += data.push(payload) && payload.length;
    if (result && length >= (result.size ?? 0)) outcome = { result: { ...posted(result), body: Buffer.concat(data) } };
  }
  if (!outcome) throw new Broken('it ended its answer early');
  return outcome;
}

/** What a result is posted with: the headers that a runtime posts, and no other. */
function posted({ kind, headers = {} }) {
  const plain = Object.entries(headers).filter(([name, value]) => POSTED.test(name) && !/[\r\n\0]/.test(value));
  return { kind, headers: Object.fromEntries(plain) };
}

/** The frames of a stream, each whole. */
async function* frames(stream, attempt) {
  let held = Buffer.alloc(0);
  for await (const piece of stream) {
    attempt.hears(performance.now());
    held = held.length ? Buffer.concat([held, piece]) : piece;
    while (held.length >= 5) {
      const end = 5 + held.readUInt32BE(1);
      if (held.length < end) break;
      yield [held[0], held.subarray(5, end)];
      held = held.subarray(end);
    }
  }
}

function parsed(payload) {
  let document;
  try {
    document = JSON.parse(payload);
  } catch {
    throw new Broken('what it said is not JSON');
  }
  if (typeof document !== 'object' || document === null) throw new Broken('what it said is not an object');
  return document;
}
