// Gets the engine of `@aws/cloudformation-validate` ready from a copy of its memory.
//
// The engine's constructor reads the schemas of all resource types, which takes seconds and ends the same each time. All
// that it leaves behind is in the memory and in one table of a WebAssembly instance (its one mutable global that Rust
// makes is the stack pointer, which is at its beginning again when no call is under way). So a copy of both, put into a
// new instance of the same code, is a ready engine: what https://github.com/bytecodealliance/wizer does at build time.
// A library that looks otherwise than is known here, or holds what cannot be copied, gets ready by itself.
"use strict";
const crypto = require("crypto");
const fs = require("fs");

const CREATE = "wasmcompositeengine_new";
const TABLE = "__wbindgen_externrefs";
const HEAD_BYTES = 65536;
const PAGE_BYTES = 65536;
// The objects that are the same in every process; the table may name them.
const OBJECTS = { globalThis, performance: globalThis.performance };

// See to it that the engine, when it is next made, gets ready from the file `kept`, or else leaves a copy in `made`.
exports.use = (kept, made) => {
  const { Module, Instance } = WebAssembly;
  let code;
  WebAssembly.Module = function (bytes) {
    code = bytes;
    return new Module(bytes);
  };
  WebAssembly.Instance = function (module, imports) {
    const instance = new Instance(module, imports);
    const { [CREATE]: create, [TABLE]: table, memory } = instance.exports;
    if (!code || !create || !table || !memory) {
      return instance;
    }
    const ready = (config) => {
      const of = crypto.createHash("sha256").update(code).update(JSON.stringify(config)).digest("hex");
      const known = restored(kept, of, memory, table);
      if (known) {
        return known;
      }
      const result = create(config);
      keep(made, of, memory, table, result);
      return result;
    };
    return { exports: { ...instance.exports, [CREATE]: ready } };
  };
};

// The file is a head of JSON, padded to HEAD_BYTES, and the memory.
function keep(file, of, memory, table, result) {
  const slots = written(table);
  const bytes = memory.buffer.byteLength;
  const head = JSON.stringify({ of, bytes, length: table.length, slots, result });
  if (!slots || Buffer.byteLength(head) > HEAD_BYTES) {
    return;
  }
  try {
    fs.writeFileSync(file, head.padEnd(HEAD_BYTES - Buffer.byteLength(head) + head.length));
    fs.appendFileSync(file, new Uint8Array(memory.buffer));
  } catch {
    fs.rmSync(file, { force: true }); // a full disk costs the next process its time, nothing else
  }
}

// Return what `create` returned when the copy was made; nothing where there is no copy of the same.
function restored(file, of, memory, table) {
  let descriptor, head;
  try {
    const start = Buffer.alloc(HEAD_BYTES);
    descriptor = fs.openSync(file);
    fs.readSync(descriptor, start);
    head = JSON.parse(start.toString());
  } catch {
    return undefined;
  }
  if (head.of !== of || fs.fstatSync(descriptor).size !== HEAD_BYTES + head.bytes) {
    return undefined;
  }
  memory.grow((head.bytes - memory.buffer.byteLength) / PAGE_BYTES);
  table.grow(head.length - table.length);
  const whole = new Uint8Array(memory.buffer);
  for (let at = 0; at < head.bytes; ) {
    at += fs.readSync(descriptor, whole, at, head.bytes - at, HEAD_BYTES + at);
  }
  for (const { at, value, name } of head.slots) {
    table.set(at, name ? OBJECTS[name] : value);
  }
  return head.result;
}

// Return what is in the table; nothing where another process could not have the same in it.
function written(table) {
  const slots = [];
  for (let at = 0; at < table.length; at++) {
    const value = table.get(at);
    const name = Object.keys(OBJECTS).find((known) => value !== undefined && OBJECTS[known] === value);
    if (name) {
      slots.push({ at, name });
    } else if (value === null || ["string", "boolean"].includes(typeof value)) {
      slots.push({ at, value });
    } else if (value !== undefined) {
      return undefined;
    }
  }
  return slots;
}
