import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useRef } from "react";
import { Button, linkLook } from "../../components/button";
import { CommandLine } from "../../components/command-line";
import { Empty, Loading, Notice } from "../../components/notice";
import { check, printQuery, type RunQuery } from "../../lib/query-text";
import { useShortcuts } from "../../lib/shortcuts";
import { QueryBar } from "./query-bar";
import { RunList } from "./run-list";
import { useRunRows } from "./use-run-rows";

export function RunsPage() {
  const query = useSearch({ from: "/runs" });
  const navigate = useNavigate();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Runs · TestMesh";
  }, []);
  useShortcuts("Runs", [
    {
      keys: "/",
      does: "Filter",
      run: () => input.current?.select(),
    },
  ]);
  const change = (next: RunQuery) => {
    if (printQuery(next) !== printQuery(query)) void navigate({ to: "/runs", search: next });
  };
  const wrong = check(query);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <QueryBar query={query} change={change} input={input} />
      {wrong === "" ? (
        <Rows key={printQuery(query)} query={query} clear={() => change({})} />
      ) : (
        <Notice problem={{ title: wrong, hint: "", requestId: "" }}>
          <Button onClick={() => change({})}>All runs</Button>
        </Notice>
      )}
    </div>
  );
}

function Rows({ query, clear }: { query: RunQuery; clear: () => void }) {
  const held = useRef(false);
  const rows = useRunRows(
    query,
    useCallback(() => held.current, []),
  );
  if (rows.error !== null && rows.rows.length === 0) {
    return (
      <Notice problem={{ title: rows.error.message, hint: "", requestId: "" }}>
        <Button onClick={clear}>All runs</Button>
      </Notice>
    );
  }
  if (rows.loading && rows.rows.length === 0) return <Loading what="Runs" />;
  if (rows.rows.length === 0) return printQuery(query) === "" ? <FirstRun /> : <Nothing clear={clear} />;
  return (
    <RunList
      rows={rows}
      hold={(on) => {
        held.current = on;
      }}
    />
  );
}

function Nothing({ clear }: { clear: () => void }) {
  return (
    <Empty title="No run is like that">
      <Button onClick={clear}>Show all runs</Button>
    </Empty>
  );
}

function FirstRun() {
  return (
    <Empty title="Nothing was run here yet">
      <p className="text-text-2">In a folder with flows, in another terminal:</p>
      <CommandLine text={`testmesh run --remote --server ${location.origin} .`} label="the command" />
      <p className="text-text-2">The runs appear here as they are queued. Flows that are stored are queued from this page:</p>
      <Link to="/runs/queue" className={linkLook}>
        Queue a run
      </Link>
    </Empty>
  );
}
