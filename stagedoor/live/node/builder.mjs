// Builds functions with esbuild, incrementally: one process for all of them, one context each. A line of JSON on the
// standard input asks for a build, a line on the standard output answers it; the end of the input is the end of this.
// Argument: esbuild's main file.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const esbuild = createRequire(import.meta.url)(process.argv[2]);
const contexts = new Map(); // by output file: { context, asked, external }

const UNRESOLVED = /^Could not resolve "([^"]+)"/;

function options({ entry, output, format, target, external }) {
  return {
    entryPoints: [entry],
    outfile: output,
    absWorkingDir: path.dirname(entry),
    bundle: true,
    platform: 'node',
    format,
    target,
    external,
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    write: false,
    logLevel: 'silent',
  };
}

async function contextFor(request, external) {
  const asked = JSON.stringify({ ...request, id: 0 });
  const known = contexts.get(request.output);
  if (known?.asked === asked && external.every((name) => known.external.includes(name))) return known;
  await known?.context.dispose();
  const all = [...new Set([...request.external, ...(known?.asked === asked ? known.external : []), ...external])];
  const made = { asked, external: all, context: await esbuild.context(options({ ...request, external: all })) };
  contexts.set(request.output, made);
  return made;
}

async function build(request, external = []) {
  const { context } = await contextFor(request, external);
  const absolute = (file) => path.resolve(path.dirname(request.entry), file);
  try {
    const { metafile, outputFiles } = await context.rebuild();
    // The map is there before the file that names it.
    for (const { path: file, contents } of [...outputFiles].reverse()) replace(file, contents);
    const inputs = Object.keys(metafile.inputs).filter((file) => !/^[(<]|^[\w-]+:/.test(file));
    return { inputs: inputs.map(absolute), problem: null };
  } catch (failure) {
    const problems = failure.errors ?? [{ text: String(failure) }];
    // A package that is not here may be one that Lambda or a layer brings: whoever imports it finds out.
    const missing = problems.map(({ text }) => UNRESOLVED.exec(text)?.[1]).filter((name) => name && !/^[./]/.test(name));
    const fresh = missing.filter((name) => !external.includes(name));
    if (fresh.length && missing.length === problems.length) return build(request, [...external, ...fresh]);
    const [first] = await esbuild.formatMessages(problems.slice(0, 1), { kind: 'error' });
    const inputs = problems.flatMap(({ location }) => (location ? [absolute(location.file)] : []));
    return { inputs, problem: said(first) };
  }
}

// In one step: a worker of the build before may be loading the file just now, and half of it has no handler.
function replace(file, contents) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const fresh = `${file}.${process.pid}`; // another agent may be building the same function
  fs.writeFileSync(fresh, contents);
  fs.renameSync(fresh, file);
}

function said(text) {
  return text.replace(/^[✘X] \[ERROR\] /, '').trimEnd();
}

// What cannot be built fails as a file with a mistake does in Lambda: when it is loaded.
function failing({ output, format }, problem) {
  const line = `throw new SyntaxError(${JSON.stringify(problem)});\n`;
  fs.rmSync(`${output}.map`, { force: true });
  replace(output, format === 'esm' ? `${line}export {};\n` : line);
}

async function answer(line) {
  const request = JSON.parse(line);
  const built = await build(request).catch((failure) => ({ inputs: [], problem: String(failure?.stack ?? failure) }));
  if (built.problem !== null) failing(request, built.problem);
  process.stdout.write(`${JSON.stringify({ id: request.id, ...built })}\n`);
}

const lines = readline.createInterface({ input: process.stdin, terminal: false });
lines.on('line', answer);
lines.once('close', () => process.exit(0));
