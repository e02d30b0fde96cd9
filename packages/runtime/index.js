/**
 * The resources that a function is bound to: what `stagedoor.runtime` is for Python.
 *
 * One variable of the environment for each, `STAGEDOOR_BIND_<kind>_<name>`, holds its properties as JSON.
 * Nothing is imported at a cold start; the AWS SDK's SSM client when a secret is first asked for.
 */
import { StoredValues } from "./storedValues.js";

const VARIABLE = "STAGEDOOR_BIND_";
const STORED = new Set(["Parameter", "Secret"]);
const known = new Map();
const values = new StoredValues(() => bound().filter(([kind]) => STORED.has(kind)).map(([kind, name]) => properties(kind, name)));

/** The code is not bound to what it asks for. */
export class NotBound extends Error {
  name = "NotBound";
}

export const Api = kind("Api");
export const Bucket = kind("Bucket");
export const EventBus = kind("EventBus");
export const Function = kind("Function");
export const Parameter = kind("Parameter");
export const Queue = kind("Queue");
export const Secret = kind("Secret");
export const StaticSite = kind("StaticSite");
export const Table = kind("Table");
export const Topic = kind("Topic");

function kind(name) {
  const get = (_, resource) => (isAsked(resource) ? find(name, resource) : undefined);
  return new Proxy({}, { get });
}

/** Whether a property is one that a person wrote; `await` and printing look for others. */
function isAsked(property) {
  return typeof property === "string" && property !== "then" && property !== "toJSON";
}

function find(kind, name) {
  const variable = `${VARIABLE}${kind}_${name}`;
  const text = process.env[variable];
  if (text === undefined) throw new NotBound(notBound(kind, name));
  if (known.get(variable)?.text !== text) known.set(variable, { text, resource: resource(kind, name) });
  return known.get(variable).resource;
}

function resource(kind, name) {
  const found = properties(kind, name);
  const own = Object.fromEntries(Object.entries(found).map(([key, value]) => [camel(key), value]));
  if (STORED.has(kind)) own.value = () => values.value(kind, name, found);
  const get = (target, property) => {
    if (property in target || !isAsked(property)) return target[property];
    throw new TypeError(`${kind}.${name} has no ${property}; it has ${Object.keys(own).join(", ")}.`);
  };
  return new Proxy(Object.freeze(own), { get });
}

function bound() {
  const names = Object.keys(process.env).filter((variable) => variable.startsWith(VARIABLE)).sort();
  return names.map((variable) => variable.slice(VARIABLE.length).split(/_(.*)/s));
}

function properties(kind, name) {
  return JSON.parse(process.env[`${VARIABLE}${kind}_${name}`]);
}

function camel(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

function notBound(kind, name) {
  const names = bound().map(([kind, name]) => `${kind}.${name}`);
  const has = names.length ? `It is bound to ${names.join(", ")}.` : "It is bound to nothing.";
  const lambda = process.env.AWS_LAMBDA_FUNCTION_NAME;
  const remedy = lambda
    ? `Add ${kind}.${name} where the function is made: bind=[…].`
    : "Run it as `stagedoor shell --stage … -- COMMAND`.";
  return `${lambda ? `The function ${lambda}` : "This process"} is not bound to ${kind}.${name}. ${remedy} ${has}`;
}
