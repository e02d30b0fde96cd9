// Loaded into the kernel of jsii that a warm process starts (`warm_start.py`), by NODE_OPTIONS.
//
// The kernel takes its folder and its environment when it starts, which is before it is known for what. Its first
// message after the file STAGEDOOR_WARM_ORDER is there comes from the app's program: before the kernel sees it, the
// kernel is put into the program's folder and given the program's environment. Nothing of this is left behind.
"use strict";
const fs = require("fs");
const order = process.env.STAGEDOOR_WARM_ORDER;
const { readSync } = fs;

fs.readSync = (...given) => {
  const count = readSync(...given);
  if (fs.existsSync(order)) {
    fs.readSync = readSync;
    const { cwd, env } = JSON.parse(fs.readFileSync(order, "utf8"));
    process.chdir(cwd);
    delete process.env.NODE_OPTIONS;
    delete process.env.STAGEDOOR_WARM_ORDER;
    Object.assign(process.env, env);
  }
  return count;
};
