import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkAddress, composeServer, isLoopback, joinWays, sidecarServer } from "./join-commands";

test("every way has the address and the token, and says what it is", () => {
  const ways = joinWays({ server: "https://mesh.example.com", token: "tmj_secret", version: "1.2.3" });
  expect(ways.map((way) => way.id)).toEqual(["shell", "systemd", "container", "compose", "kubernetes"]);
  for (const way of ways) {
    const all = `${way.steps.map((step) => step.text).join("\n")}\n${way.says}`;
    expect(all).toContain("https://mesh.example.com");
    expect(all).toContain("tmj_secret");
  }
});

test.each([
  ["http://127.0.0.1:7070", true],
  ["http://localhost:7070", true],
  ["http://[::1]:7070", true],
  ["https://mesh.example.com", false],
  ["http://10.0.0.1:7070", false],
  ["nothing", false],
])("%s leads a machine to itself: %s", (address, want) => {
  expect(isLoopback(address)).toBe(want);
});

test.each([
  ["https://mesh.example.com", ""],
  ["http://10.0.0.1:7070/", ""],
  ["mesh.example.com", "“mesh.example.com” is no address: write https://mesh.example.com."],
  ["ftp://mesh.example.com", "An address begins with https:// or http://."],
  ["https://mesh.example.com/a?b", "An address is a name and a port, and nothing after them."],
  ["https://a:b@mesh.example.com", "An address is a name and a port, and nothing after them."],
])("%s: %s", (address, problem) => {
  expect(checkAddress(address)).toBe(problem);
});

const read = (path: string) => readFileSync(join(import.meta.dirname, "../../..", path), "utf8");
const words = (text: string) => text.replaceAll("\\\n", " ").replace(/\s+/g, " ");

test("the commands are those of docs/install.md", () => {
  const docs = words(read("docs/install.md"));
  const ways = joinWays({ server: "https://mesh.example.com", token: "tmj_…", version: "VERSION" });
  const steps = new Map(ways.flatMap((way) => way.steps.map((step, i) => [`${way.id} ${i}`, words(step.text)])));
  for (const name of ["systemd 0", "systemd 1", "container 0"]) expect(docs).toContain(steps.get(name));
  expect(docs).toContain(steps.get("kubernetes 0")?.split("tmj_…")[0]); // there the token is made in the same line
});

test("the files of the packages have what the commands replace", () => {
  const compose = read("packaging/compose.yaml");
  expect(compose.split(composeServer)).toHaveLength(2);
  expect(compose).toContain("join-token: {file: ./join-token}");
  expect(compose).toContain("TESTMESH_VERSION");
  const sidecar = read("packaging/kubernetes/sidecar.yaml");
  expect(sidecar.split(sidecarServer)).toHaveLength(2);
  expect(sidecar).toContain("testmesh-agent:VERSION");
  expect(sidecar).toContain("testmesh-join-token");
});
