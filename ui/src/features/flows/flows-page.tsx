import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { CommandLine } from "../../components/command-line";
import { Empty, Loading, Notice } from "../../components/notice";
import type { Flow } from "../../gen/testmesh/api/v1/record_pb";
import { flows } from "../../lib/api";
import { plural } from "../../lib/format";
import { problemOf } from "../../lib/problem";
import { FlowRow } from "./flow-row";
import { QueueRun } from "./queue-run";

export interface FlowQuery {
  name?: string;
  tag?: string;
}

// refresh is how often the list is read anew: stored flows are no topic of the live socket.
const refresh = 5_000;

// FlowsPage are the stored flows, with how each ended last, and a way to run one.
export function FlowsPage() {
  const query = useSearch({ from: "/flows" });
  const [running, setRunning] = useState<Flow | null>(null);
  const list = useQuery({
    queryKey: ["flows", query.name ?? "", query.tag ?? ""],
    queryFn: () => flows.listFlows({ name: query.name ?? "", tags: query.tag ?? "", pageSize: 1_000 }),
    refetchInterval: refresh,
    placeholderData: (before) => before,
  });
  useEffect(() => {
    document.title = "Flows · TestMesh";
  }, []);
  const stored = list.data?.flows ?? [];
  const filtered = query.name !== undefined || query.tag !== undefined;
  return (
    <div className="flex min-h-full flex-col bg-bg">
      <Filters query={query} count={stored.length} more={list.data?.nextPageToken !== undefined && list.data.nextPageToken !== ""} />
      {list.error !== null && <Notice problem={problemOf(list.error)} />}
      {list.isPending && <Loading what="Flows" />}
      {list.isSuccess && stored.length === 0 && (filtered ? <Empty title="No flow is like that" /> : <FirstFlow />)}
      <ul aria-label="Flows">
        {stored.map((flow) => (
          <FlowRow key={`${flow.file} ${flow.index}`} flow={flow} run={() => setRunning(flow)} />
        ))}
      </ul>
      {running !== null && <QueueRun flow={running} close={() => setRunning(null)} />}
    </div>
  );
}

function Filters({ query, count, more }: { query: FlowQuery; count: number; more: boolean }) {
  const navigate = useNavigate();
  const change = (next: FlowQuery) => void navigate({ to: "/flows", search: { ...query, ...next }, replace: true });
  const field = "h-7 min-w-0 rounded-sm border border-control bg-bg px-2 placeholder:text-text-3";
  return (
    <div className="flex flex-wrap items-center gap-2 border-line border-b px-3 py-2">
      <h1 className="w-16 text-lg font-semibold">Flows</h1>
      <input
        value={query.name ?? ""}
        onChange={(event) => change({ name: event.target.value })}
        placeholder="Name"
        aria-label="A part of the name"
        className={`${field} w-48`}
      />
      <input
        value={query.tag ?? ""}
        onChange={(event) => change({ tag: event.target.value })}
        placeholder="Tags, as smoke && !slow"
        aria-label="Tags"
        className={`${field} mono w-56`}
      />
      <span role="status" className="text-text-2">
        {more ? `the first ${plural(count, "flow")}` : count > 0 && plural(count, "flow")}
      </span>
    </div>
  );
}

function FirstFlow() {
  return (
    <Empty title="No flow is stored here">
      <p className="text-text-2">In a folder with flows, in a terminal:</p>
      <CommandLine text={`testmesh push --server ${location.origin}`} label="the command" />
      <p className="text-text-2">Runs need no stored flows: testmesh run --remote brings its own.</p>
    </Empty>
  );
}
