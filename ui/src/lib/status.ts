import { AgentState, BatchStatus, RunStatus } from "../gen/testmesh/api/v1/record_pb";

// Mark is how something looks: never by colour alone, always with a glyph and a word.
export type Mark = "passed" | "failed" | "errored" | "running" | "waiting" | "skipped" | "cancelled" | "paused";

export const runWord: Record<RunStatus, string> = {
  [RunStatus.UNSPECIFIED]: "unknown",
  [RunStatus.QUEUED]: "queued",
  [RunStatus.OFFERED]: "offered",
  [RunStatus.RUNNING]: "running",
  [RunStatus.FINISHING]: "finishing",
  [RunStatus.PASSED]: "passed",
  [RunStatus.FAILED]: "failed",
  [RunStatus.ERRORED]: "errored",
  [RunStatus.CANCELLED]: "cancelled",
  [RunStatus.SKIPPED]: "skipped",
};

const marks: Record<string, Mark> = {
  queued: "waiting",
  offered: "waiting",
  running: "running",
  finishing: "running",
  passed: "passed",
  failed: "failed",
  errored: "errored",
  cancelled: "cancelled",
  skipped: "skipped",
};

// markOf is how a status looks; one that is not known never looks passed.
export function markOf(word: string): Mark {
  return marks[word] ?? "errored";
}

export function hasEnded(status: RunStatus): boolean {
  return status >= RunStatus.PASSED;
}

export const runStatusOf: Record<string, RunStatus> = Object.fromEntries(Object.entries(runWord).map(([status, word]) => [word, Number(status)]));

export const batchWord: Record<BatchStatus, string> = {
  [BatchStatus.UNSPECIFIED]: "unknown",
  [BatchStatus.ACTIVE]: "running",
  [BatchStatus.PASSED]: "passed",
  [BatchStatus.FAILED]: "failed",
  [BatchStatus.ERRORED]: "errored",
  [BatchStatus.CANCELLED]: "cancelled",
  [BatchStatus.SKIPPED]: "skipped",
};

export const agentWord: Record<AgentState, string> = {
  [AgentState.UNSPECIFIED]: "unknown",
  [AgentState.ONLINE]: "online",
  [AgentState.STALE]: "stale",
  [AgentState.OFFLINE]: "offline",
  [AgentState.PAUSED]: "paused",
  [AgentState.DRAINING]: "draining",
  [AgentState.REVOKED]: "revoked",
};

export const agentMark: Record<AgentState, Mark> = {
  [AgentState.UNSPECIFIED]: "errored",
  [AgentState.ONLINE]: "passed",
  [AgentState.STALE]: "errored",
  [AgentState.OFFLINE]: "failed",
  [AgentState.PAUSED]: "paused",
  [AgentState.DRAINING]: "paused",
  [AgentState.REVOKED]: "cancelled",
};
