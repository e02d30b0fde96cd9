// The bridge: takes the place of a function's runtime, and gives each event to whoever is there for it; the same as
// main.py, which the comments are in.

import { setTimeout as pause } from 'node:timers/promises';
import { MARGIN_MS } from './attempts.mjs';
import { settingsOf } from './identity.mjs';
import { say } from './log.mjs';
import { failure, Gone, RuntimeApi } from './rapid.mjs';
import { Relay } from './relay.mjs';
import { Runtime } from './runtime.mjs';

class Bridge {
  constructor(environment, command) {
    this.environment = environment;
    this.command = command;
    this.settings = settingsOf(environment);
    this.api = new RuntimeApi(this.settings.runtimeApi);
    this.relay = new Relay(this.settings, environment);
  }

  async run() {
    process.on('SIGTERM', () => this.#terminated());
    const snapshot = this.environment.AWS_LAMBDA_INITIALIZATION_TYPE === 'snap-start';
    if (snapshot || !(await this.relay.live())) {
      await this.#start();
      if (!(await this.runtime.ready())) await endAs(this.runtime.status);
    }
    for (;;) {
      const invocation = await this.api.next();
      const result = await this.relay.relayed(invocation);
      await (result ? this.#post(invocation, result) : this.#deployed(invocation));
    }
  }

  async #start() {
    this.runtime = await Runtime.started(this.command, this.settings, this.environment);
  }

  async #deployed(invocation) {
    const ends = performance.now() + invocation.deadlineMs - Date.now() - MARGIN_MS;
    if (!this.runtime || this.runtime.status) {
      await this.#start();
      await this.runtime.ready(ends, invocation);
    }
    if (await this.runtime.answer(invocation)) return;
    if (!this.runtime.late) await endAs(this.runtime.status);
    const seconds = `Task timed out after ${(this.settings.timeoutMs / 1000).toFixed(2)} seconds`;
    process.stdout.write(`${new Date().toISOString()} ${invocation.requestId} ${seconds}\n\n`);
    await this.#post(invocation, failure('Sandbox.Timedout', `RequestId: ${invocation.requestId} Error: ${seconds}`));
  }

  async #post(invocation, result) {
    const status = await this.api.post(invocation, result);
    if (status >= 300) say(`Lambda took the result of ${invocation.requestId} with ${status}`);
  }

  async #terminated() {
    const { runtime } = this;
    runtime?.signal('SIGTERM');
    for (let waited = 0; runtime && !runtime.status && waited < 2000; waited += 10) await pause(10);
    process.exit(0);
  }
}

/** End as the runtime ended, so that Lambda says of it what it would have said without us. */
async function endAs({ code, signal }) {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    await pause(1000);
  }
  process.exit(code ?? 1);
}

new Bridge(process.env, process.argv.slice(2)).run().catch((error) => {
  say(error instanceof Gone ? error.message : error.stack);
  process.exit(1);
});
