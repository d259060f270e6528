import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

// The bundled program beside the tests, which are bundled too.
const program = join(__dirname, "..", "plugin.cjs");

function start(args: string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [program, ...args], { env, encoding: "utf8", timeout: 20_000 });
}

test("started by hand it says what it is", () => {
  const { status, stdout, stderr } = start([]);
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(stderr, /This is the TestMesh plugin checkdigit 0\.1\.0\. It is started by testmesh, not by hand\.\n {2}hint: /);
});

test("describe prints what it can do", () => {
  const { status, stdout } = start(["describe"]);
  assert.equal(status, 0);
  const descriptor = JSON.parse(stdout);
  assert.deepEqual(descriptor.actions.map((a: { name: string }) => a.name), [
    "checkdigit.verify", "checkdigit.find", "checkdigit.take", "checkdigit.taken",
  ]);
  assert.deepEqual(descriptor.actions[2].effects, [{ effect: "EFFECT_ONCE" }]);
  assert.deepEqual(descriptor.functions[0].parameters, ["scheme", "number"]);
});

test("a host that has gone ends it", () => {
  // The shell is the host; it leaves once it has read the handshake.
  const host = `"${process.execPath}" "${program}" >"$0" & plugin=$!; until [ -s "$0" ]; do :; done; echo $plugin`;
  const file = join(__dirname, `handshake-${process.pid}`);
  const { stdout } = spawnSync("sh", ["-c", host, file], {
    env: { TESTMESH_PLUGIN: "b6c1d1f0-testmesh-plugin", PLUGIN_PROTOCOL_VERSIONS: "1" }, encoding: "utf8", timeout: 20_000,
  });
  rmSync(file);
  const pid = Number(stdout);
  assert.ok(pid > 1, `no process: ${stdout}`);
  const until = Date.now() + 3000;
  while (alive(pid)) assert.ok(Date.now() < until, "it lives three seconds after its host");
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
