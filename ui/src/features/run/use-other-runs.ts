import { useQuery } from "@tanstack/react-query";
import { type Run, RunStatus } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import { problemOf } from "../../lib/problem";
import { useRecorded } from "../../lib/recording-archive";

export interface OtherRuns {
  loading: boolean;
  problem: string;
  // The newest run of the same flow that passed; undefined: none is kept.
  lastPass: Run | undefined;
  // Runs of the same flow to choose from, the newest first, whatever their verdict.
  list: Run[];
}

const nearest = 50;

// useOtherRuns are the runs that one may be compared with: of the same flow, in the same
// environment, and of the same row where there is one such.
export function useOtherRuns(run: Run): OtherRuns {
  const recorded = useRecorded();
  const ended = [RunStatus.PASSED, RunStatus.FAILED, RunStatus.ERRORED];
  const filter = { flow: run.spec?.flow ?? "", environment: run.spec?.environment ?? "", pageSize: nearest };
  const asked = useQuery({
    queryKey: ["others", run.id],
    enabled: recorded === null,
    queryFn: async () => {
      const [passed, all] = await Promise.all([
        runs.listRuns({ ...filter, status: [RunStatus.PASSED] }),
        runs.listRuns({ ...filter, status: ended }),
      ]);
      return { passed: passed.runs, all: all.runs };
    },
  });
  const fits = (one: Run) => one.id !== run.id && one.spec?.flow === run.spec?.flow && one.spec?.environment === run.spec?.environment;
  const here = recorded?.runs.filter((one) => ended.includes(one.status)) ?? [];
  const passed = (recorded === null ? (asked.data?.passed ?? []) : here.filter((one) => one.status === RunStatus.PASSED)).filter(fits);
  const like = (one: Run) => Number(one.spec?.file === run.spec?.file) * 2 + Number(one.spec?.label === run.spec?.label);
  return {
    loading: recorded === null && asked.isPending,
    problem: asked.error === null ? "" : problemOf(asked.error).title,
    lastPass: [...passed].sort((a, b) => like(b) - like(a))[0],
    list: (recorded === null ? (asked.data?.all ?? []) : here).filter(fits),
  };
}
