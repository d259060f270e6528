// Fails where what a browser must load before it shows anything is larger than its bound.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const dist = join(import.meta.dirname, "dist");
const bounds = { ".js": 250_000, ".css": 20_000 };

const page = readFileSync(join(dist, "index.html"), "utf8");
const first = [...page.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css))"/g)].map((match) => match[1] ?? "");
let failed = first.length < 3; // the theme, the script, the style: fewer is another page
for (const [kind, bound] of Object.entries(bounds)) {
  const bytes = first
    .filter((name) => name.endsWith(kind))
    .reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, name)), { level: 9 }).length, 0);
  const fits = bytes > 0 && bytes <= bound;
  failed ||= !fits;
  process.stdout.write(
    `${fits ? "ok  " : "FAIL"} first load of *${kind}: ${bytes.toLocaleString("en")} bytes gzip, bound ${bound.toLocaleString("en")}\n`,
  );
}
process.exit(failed ? 1 : 0);
