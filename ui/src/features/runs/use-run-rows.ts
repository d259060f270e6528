import { useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { type Run, RunSchema, RunStatus } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import type { LiveError } from "../../lib/live-frame";
import { problemOf } from "../../lib/problem";
import { type RunQuery, sinceMillis, statusNames } from "../../lib/query-text";
import { append, follow, type Shown } from "../../lib/row-order";
import { runStatusOf } from "../../lib/status";
import { decode, useLive } from "../../lib/use-live";

// headSize is how many of the newest runs are live; those before are read as somebody
// scrolls to them, this many at a time, up to a bound: a narrower query finds the rest.
const headSize = 200;
const pageSize = 500;
export const mostRows = 10_000;

export interface RunRows {
  rows: Run[];
  waiting: number;
  loading: boolean;
  loadingOlder: boolean;
  error: LiveError | null;
  olderProblem: string;
  // more says whether there are older ones that are not loaded.
  more: boolean;
  older(): void;
  // release puts in what waits.
  release(): void;
}

// useRunRows is the list of runs of a query, live, in an order that holds still for as
// long as held says so.
export function useRunRows(query: RunQuery, held: () => boolean): RunRows {
  const text = JSON.stringify(query);
  const filter = useMemo(() => filterOf(JSON.parse(text) as RunQuery), [text]);
  const head = useLive("runs", liveRequest(filter));
  const known = useRef(new Map<string, Run>());
  const [shown, setShown] = useState<Shown>({ order: [], waiting: [] });
  const [wanted, setWanted] = useState(false);
  const list = head.list;
  const full = (list?.order.length ?? 0) >= headSize;

  const put = useCallback(
    (hold: boolean) => {
      if (list === null) return;
      for (const [id, json] of list.items) known.current.set(id, decode(RunSchema, json));
      setShown((was) => follow(was, list.order, list.order.length >= headSize, hold));
    },
    [list],
  );
  useEffect(() => put(held()), [put, held]);

  const older = useInfiniteQuery({
    queryKey: ["runs-older", text],
    enabled: wanted && full,
    initialPageParam: "",
    queryFn: ({ pageParam }) => runs.listRuns({ ...filter, pageSize, pageToken: pageParam }),
    getNextPageParam: (last, all) => (last.nextPageToken !== "" && all.length * pageSize < mostRows ? last.nextPageToken : undefined),
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false, // pages that are there stay the same; nothing is to be compared
  });
  useEffect(() => {
    if (older.data === undefined) return;
    const pages = older.data.pages.flatMap((page) => page.runs);
    for (const run of pages) if (!known.current.has(run.id)) known.current.set(run.id, run);
    setShown((was) =>
      append(
        was,
        pages.map((run) => run.id),
      ),
    );
  }, [older.data]);

  return {
    rows: shown.order.flatMap((id) => known.current.get(id) ?? []),
    waiting: shown.waiting.length,
    loading: list === null && head.error === null,
    loadingOlder: older.isFetching,
    error: head.error,
    olderProblem: older.error === null ? "" : problemOf(older.error).title,
    more: full && shown.order.length < mostRows && (older.data === undefined || older.hasNextPage),
    older: () => {
      if (!wanted) setWanted(true);
      else if (older.hasNextPage && !older.isFetching) void older.fetchNextPage();
    },
    release: () => put(false),
  };
}

interface Filter {
  status: RunStatus[];
  environment: string;
  tags: string;
  flow: string;
  batchId: string;
  since?: { seconds: bigint; nanos: number };
}

function filterOf(query: RunQuery): Filter {
  const past = query.since === undefined ? null : sinceMillis(query.since);
  const since = past === null ? undefined : { seconds: BigInt(Math.floor((Date.now() - past) / 1000)), nanos: 0 };
  const names = query.status?.split(",").flatMap(statusNames) ?? [];
  return {
    status: names.flatMap((name) => runStatusOf[name] ?? []),
    environment: query.env ?? "",
    tags: query.tag ?? "",
    flow: query.flow ?? "",
    batchId: query.batch ?? "",
    since,
  };
}

function liveRequest(filter: Filter): object {
  return {
    status: filter.status.map((status) => `RUN_STATUS_${RunStatus[status]}`),
    environment: filter.environment,
    tags: filter.tags,
    flow: filter.flow,
    batch_id: filter.batchId,
    since: filter.since && new Date(Number(filter.since.seconds) * 1000).toISOString(),
    page_size: headSize,
  };
}
