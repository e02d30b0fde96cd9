// What a bridge writes into the function's log: seldom anything.

/** Write a line of the bridge's own. */
export function say(line) {
  process.stderr.write(`stagedoor: ${line}\n`);
}
