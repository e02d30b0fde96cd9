// Loaded by --require into a kernel of jsii that `kernel_start.py` starts, before jsii's own program.
//
// The folder STAGEDOOR_KERNEL holds what an earlier kernel of the same environment left (STAGEDOOR_KERNEL_KEEP=1):
// `code`, V8's compiled code of the files that it loaded from the unpacked packages beside, which nobody changes, the
// names of those of aws-cdk-lib, and where they find each other. V8 refuses what another version of it compiled. While
// the kernel waits for the first request after aws-cdk-lib was loaded, it loads those files: Python imports its own
// half meanwhile. Nothing of this is left behind.
"use strict";
// A thread that the kernel starts is given this file, too: jsii's, which writes the index of a package's types.
if (!require("worker_threads").isMainThread) return;
const fs = require("fs");
const Module = require("module");
const path = require("path");
const vm = require("vm");

const { STAGEDOOR_KERNEL: folder, STAGEDOOR_KERNEL_KEEP: keep } = process.env;
delete process.env.STAGEDOOR_KERNEL;
delete process.env.STAGEDOOR_KERNEL_KEEP;
process.execArgv.splice(process.execArgv.indexOf("--require"), 2);

const BEFORE = "(function (exports, require, module, __filename, __dirname) { ";
const AFTER = "\n});";
const LIBRARY = /\/node_modules\/aws-cdk-lib\/index\.js$/;
const PACKAGE = /^(.*?\/node_modules\/(?:@[^/]+\/)?[^/]+)\/(.*)$/;
const REQUESTS = 3; // the descriptor
const PLACE = "<place>";
const { _compile } = Module.prototype;
const load = Module._extensions[".js"];
const { readSync } = fs;
const packages = real(path.join(path.dirname(folder), "jsii"));
const roots = new Map();
const made = new Map();
const loaded = [];
const known = read(path.join(folder, "code"));
let library = null;
let place = null;

Module.prototype._compile = function (content, filename) {
  if (library === null && LIBRARY.test(filename)) found(this);
  const name = keep || known.files.size > 0 ? nameOf(filename) : null;
  const code = known.files.get(name);
  if (!code && !(keep && name !== null && isPlain(content))) return _compile.call(this, content, filename);
  const script = new vm.Script(BEFORE + content + AFTER, { filename, columnOffset: -BEFORE.length, cachedData: code });
  if (keep) made.set(name, script);
  if (keep && library !== null && filename.startsWith(library.path)) loaded.push(filename.slice(library.path.length + 1));
  const run = script.runInThisContext({ displayErrors: true });
  return run.call(this.exports, this.exports, requireOf(this), this, filename, path.dirname(filename));
};

// A file that is known is no ES module: whether one is, Node asks the package.json of each folder above it.
Module._extensions[".js"] = (module, filename) => {
  if (!known.files.has(nameOf(filename))) return load(module, filename);
  return module._compile(fs.readFileSync(filename, "utf8"), filename);
};

// Node is told where its files find each other. `place` is where packages are linked, another folder each time.
function found(module) {
  library = module;
  place = path.dirname(path.dirname(module.path));
  for (const [key, file] of known.paths) Module._pathCache[key.replaceAll(PLACE, place)] = file.replace(PLACE, place);
}

// Which file of which package; null for any that is not of the unpacked ones: the kernel itself, which lies in another
// folder each time (V8 keeps where code lay, and the CDK asks for that), and the app's own.
function nameOf(filename) {
  const [, root, rest] = PACKAGE.exec(filename) ?? [];
  if (root === undefined) return null;
  if (!roots.has(root)) roots.set(root, real(root));
  return roots.get(root).startsWith(`${packages}/`) ? `${roots.get(root)}/${rest}` : null;
}

function real(place) {
  try {
    return fs.realpathSync(place);
  } catch {
    return "";
  }
}

// Not what begins with a line for the shell, nor what imports by a call, which asks its script where that lies.
function isPlain(content) {
  return !content.startsWith("#!") && !/(?<![.\w$])import\s*\(/.test(content);
}

// As Node makes it for each module.
function requireOf(module) {
  const require = (id) => module.require(id);
  require.resolve = (id, options) => Module._resolveFilename(id, module, false, options);
  require.resolve.paths = (id) => Module._resolveLookupPaths(id, module);
  require.main = process.mainModule;
  require.extensions = Module._extensions;
  require.cache = Module._cache;
  return require;
}

fs.readSync = (...given) => {
  if (library !== null && given[0] === REQUESTS) {
    fs.readSync = readSync;
    for (const name of known.loaded) {
      try {
        library.require(`./${name}`);
      } catch {
        // Whoever needs it is told.
      }
    }
  }
  return readSync(...given);
};

function read(file) {
  try {
    const content = fs.readFileSync(file);
    const head = JSON.parse(content.subarray(4, 4 + content.readUInt32LE(0)).toString());
    const code = content.subarray(4 + content.readUInt32LE(0));
    const files = head.files.map(([name, at, size]) => [name, code.subarray(at, at + size)]);
    return { files: new Map(files), loaded: head.loaded, paths: head.paths };
  } catch {
    return { files: new Map(), loaded: [], paths: [] };
  }
}

if (keep) {
  process.on("exit", () => {
    const all = new Map(known.files); // what an app with other modules left stays
    for (const [name, script] of made) all.set(name, script.createCachedData());
    const files = [];
    let at = 0;
    for (const [name, code] of all) {
      files.push([name, at, code.length]);
      at += code.length;
    }
    const ours = Object.entries(Module._pathCache).filter(([, file]) => place !== null && nameOf(file) !== null);
    const paths = ours.map(([key, file]) => [key.replaceAll(place, PLACE), file.replace(place, PLACE)]);
    const head = Buffer.from(JSON.stringify({ files, loaded, paths }));
    const size = Buffer.alloc(4);
    size.writeUInt32LE(head.length);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, "code.begun"), Buffer.concat([size, head, ...all.values()]));
    fs.renameSync(path.join(folder, "code.begun"), path.join(folder, "code"));
  });
}
