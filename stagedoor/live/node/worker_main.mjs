// A worker for one Node function: AWS's own runtime client, fed by the agent's Runtime API. It is started ahead of
// need: it loads the client, and nothing of the function before its standard input says `go`.
// Arguments: the client's entry file, and the path of its native part, which ours stands in for.
import fs from 'node:fs';
import module, { createRequire } from 'node:module';
import readline from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [client, native] = process.argv.splice(2, 2);
process.env._LAMBDA_TELEMETRY_LOG_FD = '1'; // log in Lambda's frames, into the same pipe as what is printed
const require = createRequire(import.meta.url);
const standIn = require('./rapid_client.cjs');
require.cache[native] = { id: native, filename: native, loaded: true, exports: standIn, children: [], paths: [] };

const own = new Set([client, native, fileURLToPath(import.meta.url), require.resolve('./rapid_client.cjs')]);
const told = new Set(own);
const imported = new Set();

function reportTo(descriptor) {
  return () => {
    for (const file of Object.keys(require.cache)) imported.add(file);
    const files = [...imported].filter((file) => !told.has(file));
    if (!files.length) return;
    for (const file of files) told.add(file);
    try {
      fs.writeSync(descriptor, `${JSON.stringify({ files })}\n`);
    } catch {
      // The agent has gone, and its end of the input will tell.
    }
  };
}

// ES modules are in no cache that can be read; Node tells of them since 22.15.
module.registerHooks?.({
  load(url, context, nextLoad) {
    if (url.startsWith('file:')) imported.add(fileURLToPath(url));
    return nextLoad(url, context);
  },
});

async function run() {
  const loaded = await loading;
  // Version 3 offers a function; version 4 runs when it is imported.
  if (loaded) await loaded.run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
  else await import(pathToFileURL(client));
}

// Before `go`, the environment may not be the function's yet: version 4 reads it as it loads.
const loading = client.endsWith('/dist/index.mjs') ? import(pathToFileURL(client)) : Promise.resolve(null);
const lines = readline.createInterface({ input: process.stdin, terminal: false });
lines.once('line', (first) => {
  const report = reportTo(JSON.parse(first).reports);
  standIn.onNext = report;
  process.on('exit', report);
  lines.once('line', () => {
    process.stdin.unref();
    // As where AWS awaits it at the top of a module: code that cannot be loaded is an uncaught exception.
    run().catch((error) => setImmediate(() => { throw error; }));
  });
});
lines.once('close', () => process.exit(0));
