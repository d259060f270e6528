import { type Run, RunStatus } from "../gen/testmesh/api/v1/record_pb";

// Heights tell the ends of runs apart as colours do.
const looks: Partial<Record<RunStatus, string>> = {
  [RunStatus.PASSED]: "h-2 bg-passed",
  [RunStatus.FAILED]: "h-4 bg-failed",
  [RunStatus.ERRORED]: "h-3 bg-errored",
  [RunStatus.CANCELLED]: "h-1 bg-control",
};

// Sparkline is how the newest runs ended, the newest to the right.
export function Sparkline({ list, most }: { list: readonly Run[]; most: number }) {
  return (
    <span aria-hidden="true" className="flex h-4 items-end justify-end gap-px">
      {Array.from({ length: Math.max(most - list.length, 0) }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: what is not there has no name
        <span key={i} className="h-px w-1 bg-line" />
      ))}
      {[...list].reverse().map((run) => (
        <span key={run.id} className={`w-1 ${looks[run.status] ?? ""}`} />
      ))}
    </span>
  );
}
