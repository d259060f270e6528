import { useQuery } from "@tanstack/react-query";
import { RunStatus } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import { median, share } from "../../lib/stats";

// lately is how many runs of a flow its figures speak of.
export const lately = 20;
const refresh = 10_000;

const ended = [RunStatus.PASSED, RunStatus.FAILED, RunStatus.ERRORED, RunStatus.CANCELLED];

// useLately is how the newest runs of a flow ended. Those that were cancelled were judged
// by nobody, and count for no rate.
export function useLately(flow: string, enabled: boolean) {
  const newest = useQuery({
    queryKey: ["flow-runs", flow],
    queryFn: () => runs.listRuns({ flow, status: ended, pageSize: lately }),
    enabled: enabled && flow !== "",
    refetchInterval: enabled && refresh,
  });
  const list = newest.data?.runs ?? [];
  const judged = list.filter((run) => run.status !== RunStatus.CANCELLED);
  const passed = judged.filter((run) => run.status === RunStatus.PASSED).length;
  return {
    loaded: newest.isSuccess,
    list,
    last: list[0],
    passed,
    judged: judged.length,
    rate: share(passed, judged.length),
    p50: median(judged.map((run) => run.durationMs)),
  };
}
