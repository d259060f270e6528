import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Button } from "../../components/button";
import { Ago } from "../../components/clock";
import { StatusMark } from "../../components/status-mark";
import { type Flow, type Run, RunStatus } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import { duration, millis } from "../../lib/format";
import { median } from "../../lib/stats";
import { markOf, runWord } from "../../lib/status";

// lately is how many runs of a flow its row speaks of.
const lately = 20;
const refresh = 10_000;

const ended = [RunStatus.PASSED, RunStatus.FAILED, RunStatus.ERRORED, RunStatus.CANCELLED];

// FlowRow is a flow with how its newest runs ended. They are asked for once the row is on
// the screen: there may be a thousand.
export function FlowRow({ flow, run }: { flow: Flow; run: () => void }) {
  const row = useRef<HTMLLIElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const watch = new IntersectionObserver((entries) => setSeen(entries.some((entry) => entry.isIntersecting)));
    if (row.current !== null) watch.observe(row.current);
    return () => watch.disconnect();
  }, []);
  const newest = useQuery({
    queryKey: ["flow-runs", flow.name],
    queryFn: () => runs.listRuns({ flow: flow.name, status: ended, pageSize: lately }),
    enabled: seen,
    refetchInterval: seen && refresh,
  });
  const list = newest.data?.runs ?? [];
  const last = list[0];
  return (
    <li ref={row} className="flex min-h-9 flex-wrap items-center gap-x-3 gap-y-1 border-line border-b px-3 py-1">
      <span className="w-24">
        {last !== undefined && (
          <Link
            to="/runs/$id"
            params={{ id: last.id }}
            title="Its newest run"
            className="inline-flex min-h-6 items-center rounded-sm hover:underline"
          >
            <StatusMark mark={markOf(runWord[last.status])} word={runWord[last.status]} />
          </Link>
        )}
        {newest.isSuccess && last === undefined && <span className="text-text-2">no runs</span>}
      </span>
      <Link
        to="/runs"
        search={{ flow: flow.name }}
        title="Its runs"
        className="inline-flex min-h-6 items-center rounded-sm font-medium hover:underline"
      >
        {flow.name}
      </Link>
      <span className="mono min-w-0 truncate text-text-2">{flow.file}</span>
      {flow.tags.map((tag) => (
        <span key={tag} className="rounded-sm border border-line px-1 text-text-2 text-xs">
          {tag}
        </span>
      ))}
      <span className="ml-auto flex items-center gap-3 text-text-2">
        {list.length > 0 && <Lately list={list} />}
        <span className="hidden w-28 text-right md:inline">
          pushed <Ago at={millis(flow.updated)} />
        </span>
        <Button onClick={run} aria-label={`Run ${flow.name}`}>
          Run
        </Button>
      </span>
    </li>
  );
}

const looks: Partial<Record<RunStatus, string>> = {
  [RunStatus.PASSED]: "h-2 bg-passed",
  [RunStatus.FAILED]: "h-4 bg-failed",
  [RunStatus.ERRORED]: "h-3 bg-errored",
  [RunStatus.CANCELLED]: "h-1 bg-control",
};

// Lately are the newest runs as bars, the newest to the right, and what they come to.
function Lately({ list }: { list: Run[] }) {
  const passed = list.filter((run) => run.status === RunStatus.PASSED).length;
  return (
    <>
      <span aria-hidden="true" className="flex h-4 w-24 items-end justify-end gap-px">
        {[...list].reverse().map((run) => (
          <span key={run.id} className={`w-1 ${looks[run.status] ?? ""}`} />
        ))}
      </span>
      <span className="w-24 text-right">
        {passed} of {list.length} passed
      </span>
      <span className="w-14 text-right" title="Half of them took no longer">
        {duration(median(list.map((run) => run.durationMs)))}
      </span>
    </>
  );
}
