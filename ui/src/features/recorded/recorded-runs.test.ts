import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { RunSchema, RunStatus } from "../../gen/testmesh/api/v1/record_pb";
import { verdictOf } from "./recorded-runs";

const { PASSED, FAILED, ERRORED, SKIPPED, CANCELLED } = RunStatus;

test.each([
  ["something passed and nothing else happened", [PASSED, SKIPPED], 0, "PASS"],
  ["failed beats errored", [ERRORED, FAILED, PASSED], 1, "FAIL"],
  ["errored is not failed", [ERRORED, PASSED], 3, "ERROR"],
  ["cancelled", [CANCELLED, PASSED], 0, "STOPPED"],
  ["interrupted", [PASSED], 130, "STOPPED"],
  ["past its deadline", [PASSED], 5, "STOPPED"],
  ["cut before its end", [PASSED], undefined, "STOPPED"],
  ["nothing", [], 0, "NOTHING"],
  ["all skipped", [SKIPPED], 4, "NOTHING"],
  ["passed, and the code says no", [PASSED], 70, "ERROR"],
] as const)("%s", (_, statuses, exitCode, verdict) => {
  const runs = statuses.map((status) => create(RunSchema, { status }));
  expect(verdictOf(runs, exitCode)).toBe(verdict);
});
