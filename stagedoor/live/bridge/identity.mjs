// Who this sandbox is: its settings, its role's credentials, and the proof of them that serves one relay alone; the
// same as identity.py, which names the rules' sources.

import { createHash, createHmac } from 'node:crypto';
import { Broken, exchanged } from './wire.mjs';

const SETTINGS = 'STAGEDOOR_LIVE_';
const PROOF_S = 60;
const CREDENTIALS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_SECURITY_TOKEN'];
const SHAPE = ['AccessKeyId', 'SecretAccessKey', 'Token', 'Expiration'];
const DOMAINS = [
  ['cn-', 'amazonaws.com.cn'],
  ['us-iso-', 'c2s.ic.gov'],
  ['us-isob-', 'sc2s.sgov.gov'],
  ['us-isof-', 'csp.hci.ic.gov'],
  ['eu-isoe-', 'cloud.adc-e.uk'],
  ['eusc-', 'amazonaws.eu'],
];

/** What the rewriting of the assembly has put into the function's environment, and what Lambda has. */
export function settingsOf(environment) {
  return {
    server: environment[`${SETTINGS}SERVER`],
    stage: environment[`${SETTINGS}STAGE`],
    timeoutMs: Number(environment[`${SETTINGS}TIMEOUT`]) * 1000,
    wrapper: environment[`${SETTINGS}WRAPPER`] ?? '',
    function: environment.AWS_LAMBDA_FUNCTION_NAME,
    region: environment.AWS_REGION || environment.AWS_DEFAULT_REGION || 'us-east-1',
    runtimeApi: environment.AWS_LAMBDA_RUNTIME_API,
  };
}

/** The environment as it would be without a bridge in it. */
export function original(environment) {
  const before = Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith(SETTINGS)));
  delete before.AWS_LAMBDA_EXEC_WRAPPER;
  const wrapper = environment[`${SETTINGS}WRAPPER`];
  if (wrapper) before.AWS_LAMBDA_EXEC_WRAPPER = wrapper;
  const options = environment[`${SETTINGS}NODE_OPTIONS`];
  if (options !== undefined) before.NODE_OPTIONS = options;
  return before;
}

/** The role's credentials in a container's shape, from the environment or, with SnapStart, from the endpoint it names. */
export async function credentials(environment) {
  if (environment.AWS_ACCESS_KEY_ID) return picked((name, index) => environment[CREDENTIALS.slice(0, 3)[index]]);
  const url = environment.AWS_CONTAINER_CREDENTIALS_FULL_URI;
  if (!url) return {};
  const Authorization = environment.AWS_CONTAINER_AUTHORIZATION_TOKEN ?? '';
  const { body } = await exchanged(url, { method: 'GET', headers: { Authorization } }, 1000, 2000);
  try {
    const document = JSON.parse(body);
    return picked((name) => document[name]);
  } catch {
    throw new Broken("the credentials' endpoint");
  }
}

function picked(valueOf) {
  return Object.fromEntries(SHAPE.map((name, index) => [name, valueOf(name, index)]).filter(([, value]) => value));
}

/** The sandbox's id, and what the relay is told of it: its environment and credentials, and what it is. */
export function sandbox(environment, held) {
  const plain = original(environment);
  for (const name of CREDENTIALS) delete plain[name];
  const document = {
    function: environment.AWS_LAMBDA_FUNCTION_NAME,
    environment: plain,
    credentials: held,
    memory_mb: Number(environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE || 128),
    runtime: (environment.AWS_EXECUTION_ENV ?? '').replace('AWS_Lambda_', ''),
  };
  return [sha256(JSON.stringify(document)).slice(0, 32), document];
}

/** The URL of a `GetCallerIdentity` signed by the role, good for the relay at `server` (a host) alone. */
export function presigned(environment, held, region, server, now) {
  const endpoint = stsEndpoint(environment, region);
  const stamp = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${stamp.slice(0, 8)}/${region}/sts/aws4_request`;
  const query = {
    Action: 'GetCallerIdentity',
    Version: '2011-06-15',
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${held.AccessKeyId ?? ''}/${scope}`,
    'X-Amz-Date': stamp,
    'X-Amz-Expires': String(PROOF_S),
    'X-Amz-SignedHeaders': 'host;x-stagedoor-server',
    ...(held.Token ? { 'X-Amz-Security-Token': held.Token } : {}),
  };
  const asked = Object.keys(query)
    .sort()
    .map((name) => `${quoted(name)}=${quoted(query[name])}`)
    .join('&');
  const path = `${endpoint.pathname.replace(/\/+$/, '')}/`;
  const headers = `host:${endpoint.host}\nx-stagedoor-server:${server}\n`;
  const request = ['GET', path, asked, headers, 'host;x-stagedoor-server', sha256('')].join('\n');
  const signed = `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(request)}`;
  const first = `AWS4${held.SecretAccessKey ?? ''}`;
  const key = [...scope.split('/'), signed].reduce((by, part) => createHmac('sha256', by).update(part).digest(), first);
  return `${endpoint.origin}${path}?${asked}&X-Amz-Signature=${key.toString('hex')}`;
}

function stsEndpoint(environment, region) {
  const named = environment.AWS_ENDPOINT_URL_STS || environment.AWS_ENDPOINT_URL;
  if (named) return new URL(named);
  const domain = DOMAINS.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'amazonaws.com';
  return new URL(`https://sts.${region}.${domain}`);
}

function quoted(text) {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function sha256(text) {
  return createHash('sha256').update(text).digest('hex');
}
