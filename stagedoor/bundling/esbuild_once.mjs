// Bundles one function with esbuild. Arguments: esbuild's main file, and what is wanted as JSON (`esbuild.py`).
// Status 1, and esbuild's own words on the standard error, where it cannot be bundled.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const esbuild = createRequire(import.meta.url)(process.argv[2]);
const wanted = JSON.parse(process.argv[3]);

// Packages of CommonJS ask for Node's own by `require`, which a module has only if it makes it.
const REQUIRE =
  "import{createRequire as __stagedoorRequire}from'node:module';const require=__stagedoorRequire(import.meta.url);";

// Written as if it lay at the repository's root, so that source maps are the same wherever that is.
const written = await esbuild
  .build({
    entryPoints: [path.join(wanted.root, wanted.entry)],
    outfile: path.join(wanted.root, '.stagedoor-bundle', wanted.file),
    absWorkingDir: wanted.root,
    bundle: true,
    platform: 'node',
    format: wanted.format,
    target: wanted.target,
    minify: wanted.minify,
    keepNames: wanted.minify,
    external: wanted.external,
    sourcemap: wanted.sourceMap,
    sourcesContent: false,
    preserveSymlinks: wanted.preserveSymlinks,
    banner: wanted.format === 'esm' ? { js: REQUIRE } : {},
    write: false,
    logLevel: 'warning',
  })
  .catch(() => process.exit(1));

for (const { path: file, contents } of written.outputFiles) {
  fs.writeFileSync(path.join(wanted.output, path.basename(file)), contents);
}
