import { type Run, RunStatus } from "../../gen/testmesh/api/v1/record_pb";

const rank: Partial<Record<RunStatus, number>> = {
  [RunStatus.FAILED]: 0,
  [RunStatus.ERRORED]: 1,
  [RunStatus.CANCELLED]: 2,
  [RunStatus.SKIPPED]: 4,
  [RunStatus.PASSED]: 5,
};

// orderOf puts what did not pass first, else as they were run. What is no known verdict
// stands before what passed.
export function orderOf(runs: readonly Run[]): Run[] {
  const of = (run: Run) => rank[run.status] ?? 3;
  return [...runs].sort((a, b) => of(a) - of(b) || a.number - b.number);
}

// whyOf is why a run is not passed, in a line.
export function whyOf(run: Run): string {
  if (run.status === RunStatus.PASSED) return "";
  const step = run.stepSummaries.find((one) => one.message !== "" && (one.status === "failed" || one.status === "errored"));
  if (step === undefined || run.status === RunStatus.SKIPPED) return run.reason;
  return `${step.path.join(" › ") || step.stepId}: ${step.message}`;
}

// wordsOf is what a search looks through.
export function wordsOf(run: Run): string {
  const spec = run.spec;
  return [spec?.flow, spec?.label, spec?.file, spec?.environment, ...(spec?.tags ?? []), run.id, whyOf(run)].join("\n").toLowerCase();
}

export type Verdict = "PASS" | "FAIL" | "ERROR" | "STOPPED" | "NOTHING";

// verdictOf a batch is what the command line says of it: green only where something
// passed, nothing else happened and the exit code agrees. One that was cut has no code.
export function verdictOf(runs: readonly Run[], exitCode: number | undefined): Verdict {
  const has = (status: RunStatus) => runs.some((run) => run.status === status);
  if (has(RunStatus.FAILED)) return "FAIL";
  if (has(RunStatus.ERRORED)) return "ERROR";
  if (exitCode === undefined || exitCode >= 128 || exitCode === 5 || has(RunStatus.CANCELLED)) return "STOPPED";
  if (!has(RunStatus.PASSED)) return "NOTHING";
  return exitCode === 0 ? "PASS" : "ERROR";
}
