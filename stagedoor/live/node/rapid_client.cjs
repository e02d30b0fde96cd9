'use strict';
// Stands in for `rapid-client.node`, the native part of AWS's Node runtime client, which has to be compiled. Same three
// functions, same results (https://github.com/aws/aws-lambda-nodejs-runtime-interface-client, src/rapid-client.cc):
// `next()` gives a promise; `done` and `error` have handed over everything when they return, since the client may end
// the process with the next statement.
const net = require('node:net');
const fs = require('node:fs');

const API = '/2018-06-01/runtime/invocation/';
const [HOST, PORT] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const CAUSE_LIMIT = 8000; // bytes of X-Ray's cause; servers refuse longer headers, and nothing here reads it
const PASSED_ON = [
  'lambda-runtime-client-context',
  'lambda-runtime-cognito-identity',
  'lambda-runtime-aws-tenant-id',
];
const pause = new Int32Array(new SharedArrayBuffer(4));

let socket = null; // of the one connection, while it stands
let received = Buffer.alloc(0);
let chunks = []; // what has come of a body that is not whole yet
let missing = -1; // bytes that it still lacks; -1 while a head is being read
let answer = null; // the head whose body is being read
const waiting = []; // one entry for each request whose answer has not come

function connected() {
  if (socket && !socket.destroyed) return Promise.resolve(socket);
  return new Promise((resolve, reject) => {
    const opening = net.connect({ host: HOST, port: Number(PORT), noDelay: true });
    opening.once('error', reject);
    opening.once('connect', () => {
      opening.off('error', reject);
      opening.on('error', () => {});
      opening.on('close', () => lost(opening));
      opening.on('data', read);
      socket = opening;
      resolve(opening);
    });
  });
}

function lost(closed) {
  if (socket !== closed) return;
  socket = null;
  received = Buffer.alloc(0);
  chunks = [];
  missing = -1;
  for (const { reject } of waiting.splice(0)) reject(new Error('Failed to get next invocation, error -1'));
}

function read(data) {
  received = received.length ? Buffer.concat([received, data]) : data;
  while (received.length || missing === 0) {
    if (missing < 0) {
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      answer = head(received.toString('utf8', 0, end));
      received = received.subarray(end + 4);
      missing = Number(answer.headers['content-length'] ?? 0);
    }
    const part = received.subarray(0, missing);
    if (part.length) chunks.push(part);
    received = received.subarray(part.length);
    missing -= part.length;
    if (missing > 0) return;
    const body = Buffer.concat(chunks);
    chunks = [];
    missing = -1;
    waiting.shift()?.resolve({ ...answer, body });
  }
}

function head(text) {
  const [first, ...lines] = text.split('\r\n');
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(first.split(' ')[1]), headers };
}

function answered() {
  const promise = new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  promise.catch(() => {}); // an answer that nobody waits for
  return promise;
}

// Writes past the event loop, as the process may end before it turns again.
function writeNow(bytes) {
  const descriptor = socket._handle.fd;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += fs.writeSync(descriptor, bytes, at);
    } catch (problem) {
      if (problem.code !== 'EAGAIN') throw problem;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

let posted = Promise.resolve();

function post(path, body, headers) {
  const content = Buffer.from(body);
  const lines = [
    `POST ${API}${path} HTTP/1.1`,
    `Host: ${HOST}:${PORT}`,
    'Content-Type: application/json',
    `Content-Length: ${content.length}`,
    ...headers,
  ];
  const request = Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), content]);
  if (socket && !socket.destroyed) {
    posted = answered();
    writeNow(request);
  } else {
    // The connection was closed while the handler ran: what follows can wait for another, the process's end cannot.
    posted = connected().then((fresh) => {
      const done = answered();
      fresh.write(request);
      return done;
    });
  }
  posted.catch(() => {}); // as the native client: whoever lost it, the next request tells
  return null;
}

async function next() {
  exports.onNext();
  socket?.ref();
  await posted.catch(() => {});
  const connection = await connected();
  connection.ref();
  const invocation = answered();
  connection.write(`GET ${API}next HTTP/1.1\r\nHost: ${HOST}:${PORT}\r\n\r\n`);
  const { status, headers, body } = await invocation;
  connection.unref(); // a handler that leaves nothing to wait for has ended, whatever connection stands
  if (status < 200 || status > 299) throw new Error(`Failed to get next invocation, error ${status}`);
  const given = {
    'lambda-runtime-deadline-ms': Number(headers['lambda-runtime-deadline-ms']),
    'lambda-runtime-aws-request-id': headers['lambda-runtime-aws-request-id'],
    'lambda-runtime-trace-id': headers['lambda-runtime-trace-id'] ?? '',
    'lambda-runtime-invoked-function-arn': headers['lambda-runtime-invoked-function-arn'] ?? '',
  };
  for (const name of PASSED_ON) if (headers[name]) given[name] = headers[name];
  return { bodyJson: body.toString('utf8'), headers: given };
}

function error(id, body, cause) {
  const short = cause && Buffer.byteLength(cause) <= CAUSE_LIMIT;
  return post(`${id}/error`, body, short ? [`Lambda-Runtime-Function-XRay-Error-Cause: ${cause}`] : []);
}

exports.next = next;
exports.done = (id, body) => post(`${id}/response`, body, []);
exports.error = error;
exports.onNext = () => {}; // called before each wait for an invocation: all that the code imports at first is loaded
