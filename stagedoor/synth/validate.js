// Holds templates against the rules of the aws-cdk-lib that is named, with its own engine, as its synth does.
//
//     node validate.js LIBRARY FIRST ORDER [KEPT MADE]
//
// Getting the engine ready takes long and a template takes milliseconds. So it is made ready on FIRST, a template of no
// interest, while the app's program still runs; then it waits for the file ORDER, which lists the templates:
// [{templatePath, stackConstructPath, accountId?, region?}]. It prints a line of JSON for each place that breaks a rule,
// and a last one that says that these were all. KEPT is the memory of a ready engine of the same library, where there is
// one; else it is written to MADE (`engine_memory.js`).
"use strict";
const fs = require("fs");
// Compiling for speed would take more of the processor than it gives back, from the program that runs beside.
require("v8").setFlagsFromString("--liftoff-only");

const [library, first, order, kept, made] = process.argv.slice(2);
if (kept) {
  require("./engine_memory.js").use(kept, made);
}
const { CloudFormationValidatePlugin } = require(`${library}/core/lib/validation/cloudformation-validate-plugin`);
const plugin = new CloudFormationValidatePlugin({});
plugin.validate({ stackTemplates: [{ stackConstructPath: "", templatePath: first }] });

const bell = new Int32Array(new SharedArrayBuffer(4));
while (!fs.existsSync(order)) {
  Atomics.wait(bell, 0, 0, 10);
}

const cut = (text, length) => (text === undefined ? "" : String(text).slice(0, length));
const lines = [];
for (const stack of JSON.parse(fs.readFileSync(order, "utf8"))) {
  for (const violation of plugin.validate({ stackTemplates: [stack] }).violations) {
    for (const resource of violation.violatingResources) {
      lines.push({
        stack: stack.stackConstructPath,
        logical_id: cut(resource.resourceLogicalId, 255),
        rule: cut(violation.ruleName, 100),
        severity: cut(violation.severity, 20),
        description: cut(violation.description, 1000),
        fix: cut(violation.fix, 500),
      });
    }
  }
}
lines.push({ findings: lines.length });
fs.writeSync(1, lines.map((line) => JSON.stringify(line) + "\n").join(""));
process.exit(0);
