import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type RefObject, useEffect, useRef } from "react";
import { primaryLook } from "../../components/button";
import { CommandLine } from "../../components/command-line";
import { Icon } from "../../components/icon";
import { Empty, Loading, Notice } from "../../components/notice";
import { flows } from "../../lib/api";
import { plural } from "../../lib/format";
import { problemOf } from "../../lib/problem";
import { useShortcuts } from "../../lib/shortcuts";
import { FlowRow, flowColumns } from "./flow-row";

export interface FlowQuery {
  name?: string;
  tag?: string;
}

// refresh is how often the list is read anew: stored flows are no topic of the live socket.
const refresh = 5_000;

// FlowsPage are the stored flows, with how each ended last, and a way to run one.
export function FlowsPage() {
  const query = useSearch({ from: "/flows" });
  const input = useRef<HTMLInputElement>(null);
  const list = useQuery({
    queryKey: ["flows", query.name ?? "", query.tag ?? ""],
    queryFn: () => flows.listFlows({ name: query.name ?? "", tags: query.tag ?? "", pageSize: 1_000 }),
    refetchInterval: refresh,
    placeholderData: (before) => before,
  });
  useEffect(() => {
    document.title = "Flows · TestMesh";
  }, []);
  useShortcuts("Flows", [{ keys: "/", does: "Find by name", run: () => input.current?.select() }]);
  const stored = list.data?.flows ?? [];
  const filtered = query.name !== undefined || query.tag !== undefined;
  return (
    <div className="flex min-h-full flex-col bg-bg">
      <Filters query={query} input={input} count={stored.length} more={(list.data?.nextPageToken ?? "") !== ""} />
      {list.error !== null && <Notice problem={problemOf(list.error)} />}
      {list.isPending && list.error === null && <Loading what="Flows" />}
      {list.isSuccess && stored.length === 0 && (filtered ? <Empty title="No flow is like that" /> : <FirstFlow />)}
      {stored.length > 0 && (
        <div aria-hidden="true" className={`hidden h-7 border-line border-b px-3 text-text-2 text-xs ${flowColumns}`}>
          <span>Flow</span>
          <span>Last run</span>
          <span className="text-right">Newest 20</span>
          <span className="text-right">Passed</span>
          <span className="text-right">Median</span>
          <span />
        </div>
      )}
      <ul aria-label="Flows">
        {stored.map((flow) => (
          <FlowRow key={`${flow.file} ${flow.index}`} flow={flow} />
        ))}
      </ul>
    </div>
  );
}

function Filters({ query, input, count, more }: { query: FlowQuery; input: RefObject<HTMLInputElement | null>; count: number; more: boolean }) {
  const navigate = useNavigate();
  const change = (next: FlowQuery) => void navigate({ to: "/flows", search: { ...query, ...next }, replace: true });
  const field = "h-7 min-w-0 rounded-sm border border-control bg-bg px-2 placeholder:text-text-3";
  return (
    <div className="flex flex-wrap items-center gap-2 border-line border-b px-3 py-2">
      <h1 className="w-16 text-lg font-semibold">Flows</h1>
      <input
        ref={input}
        value={query.name ?? ""}
        onChange={(event) => change({ name: event.target.value })}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        placeholder="Name"
        aria-label="A part of the name"
        className={`${field} order-1 w-full sm:order-none sm:w-56`}
      />
      <input
        value={query.tag ?? ""}
        onChange={(event) => change({ tag: event.target.value })}
        placeholder="Tags, as smoke && !slow"
        aria-label="Tags"
        spellCheck={false}
        className={`${field} mono order-1 w-full sm:order-none sm:w-64`}
      />
      <span role="status" className="text-text-2">
        {more ? `the first ${plural(count, "flow")}` : count > 0 && plural(count, "flow")}
      </span>
      {count > 0 && (
        <Link to="/runs/queue" search={query.tag === undefined ? {} : { tag: query.tag }} className={`${primaryLook} ml-auto`}>
          <Icon name="plus" /> Queue a run
        </Link>
      )}
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
