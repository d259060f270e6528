import { expect, test } from "vitest";
import { checkAddress, isLoopback, joinWays } from "./join-commands";

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
