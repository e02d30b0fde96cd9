// Lambda's Runtime API, as a runtime asks it (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).

import { exchanged, Kept, NotReached } from './wire.mjs';

export const API = '/2018-06-01/runtime';

/** The Runtime API does not answer as it must: a runtime ends then, and Lambda starts another. */
export class Gone extends Error {}

/** One event, raw, and the headers that came with it, as a flat list of names and values. */
export class Invocation {
  constructor(rawHeaders, event) {
    this.event = event;
    this.headers = [];
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i].toLowerCase();
      if (name.startsWith('lambda-runtime-') || name === 'content-type') this.headers.push(rawHeaders[i], rawHeaders[i + 1]);
    }
    this.requestId = this.get('lambda-runtime-aws-request-id');
    /** When Lambda ends the sandbox, in milliseconds since the epoch. */
    this.deadlineMs = Number(this.get('lambda-runtime-deadline-ms') || 0);
  }

  get(name) {
    const at = this.headers.findIndex((field, i) => i % 2 === 0 && field.toLowerCase() === name);
    return at < 0 ? '' : this.headers[at + 1];
  }
}

/** A function error in the shape of Lambda's own. */
export function failure(type, message) {
  const headers = { 'Content-Type': 'application/json', 'Lambda-Runtime-Function-Error-Type': type };
  return { kind: 'error', headers, body: Buffer.from(JSON.stringify({ errorType: type, errorMessage: message })) };
}

/** The real Runtime API, on a connection that is kept. */
export class RuntimeApi {
  #kept = new Kept();

  constructor(address) {
    this.address = address;
  }

  /** Wait for the next event; the sandbox may be frozen meanwhile. Rejects with `Gone`. */
  async next() {
    const { status, rawHeaders, body } = await this.#asked('GET', '/invocation/next', {}, undefined);
    if (status !== 200) throw new Gone(`/next was answered with ${status}: ${body.subarray(0, 200)}`);
    return new Invocation(rawHeaders, body);
  }

  /** Post what an invocation ends with; resolve to the status: 202, or 413 for what Lambda finds too large. */
  async post(invocation, result) {
    const where = `/invocation/${invocation.requestId}/${result.kind === 'response' ? 'response' : 'error'}`;
    const answers = invocation.get('lambda-runtime-invocation-id');
    const headers = { ...result.headers, ...(answers ? { 'Lambda-Runtime-Invocation-Id': answers } : {}) };
    headers['Content-Length'] = result.body.length;
    return (await this.#asked('POST', where, headers, result.body)).status;
  }

  async #asked(method, path, headers, body) {
    const url = `http://${this.address}${API}${path}`;
    try {
      return await exchanged(url, { method, headers, body, agent: await this.#kept.agent(url) }, 5000, 0);
    } catch (error) {
      throw new Gone(`the Runtime API ${error instanceof NotReached ? 'cannot be reached' : 'broke off'}: ${error.message}`);
    }
  }
}
