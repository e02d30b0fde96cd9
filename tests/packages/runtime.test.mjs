// Run by test_runtime.py, which has set the bindings, and put a secret into the local AWS.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NotBound, Secret, Table } from "@stagedoor/runtime";
import { StoredValues } from "./node_modules/@stagedoor/runtime/storedValues.js";

test("a property", () => {
  assert.equal(Table.Notes.tableName, "notes-1");
});

test("what is not bound, and what there is not", () => {
  assert.throws(() => Table.Note, (error) => error instanceof NotBound && error.message ===
    "The function shop-Create is not bound to Table.Note. Add Table.Note where the function is made: bind=[…]. " +
    "It is bound to Secret.Missing, Secret.StripeKey, Table.Notes.");
  assert.throws(() => Table.Notes.tablename, /Table.Notes has no tablename; it has tableName/);
});

test("a secret from the parameter store of AWS, and one that nobody set", async () => {
  assert.equal(await Secret.StripeKey.value(), "sk_test");
  await assert.rejects(Secret.Missing.value(), /Set it: stagedoor secrets set Missing --stage dev/);
});

test("a default serves where nobody has set a value, and is seen to be set within half a minute", async () => {
  const greeting = { parameter_name: "/a/dev/Greeting", fallback_name: "/a/_fallback/Greeting", default: "Hello" };
  let [calls, ms, stored] = [0, 0, []];
  const values = new StoredValues(() => [greeting], async () => (calls++, stored), () => ms);
  for (const _ of [1, 2]) assert.equal(await values.value("Parameter", "Greeting", greeting), "Hello");
  assert.equal(calls, 1);
  stored = [["/a/dev/Greeting", "Hi"]];
  ms += 31_000;
  assert.equal(await values.value("Parameter", "Greeting", greeting), "Hi");
});

test("kept for five minutes, one call for all, and old ones serve while the store is down", async () => {
  const bound = ["Key", "Word"].map((name) => ({ parameter_name: `/a/dev/${name}`, fallback_name: `/a/_fallback/${name}` }));
  const store = new Map([["/a/dev/Key", "own"], ["/a/_fallback/Key", "all"], ["/a/_fallback/Word", "all"]]);
  let [calls, down, ms] = [0, false, 0];
  const read = async (names) => {
    calls += 1;
    if (down) throw new Error("the network is down");
    return names.filter((name) => store.has(name)).map((name) => [name, store.get(name)]);
  };
  const values = new StoredValues(() => bound, read, () => ms);
  assert.deepEqual(await Promise.all([values.value("Secret", "Key", bound[0]), values.value("Secret", "Word", bound[1])]), ["own", "all"]);
  store.set("/a/dev/Key", "rotated");
  ms += 299_000;
  assert.equal(await values.value("Secret", "Key", bound[0]), "own");
  assert.equal(calls, 1);
  ms += 2_000;
  down = true;
  assert.equal(await values.value("Secret", "Key", bound[0]), "own");
  assert.equal(await values.value("Secret", "Key", bound[0]), "own");
  assert.equal(calls, 2);
  down = false;
  ms += 31_000;
  assert.equal(await values.value("Secret", "Key", bound[0]), "rotated");
});
