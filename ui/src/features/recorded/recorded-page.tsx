import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { Button } from "../../components/button";
import { Icon } from "../../components/icon";
import { Empty } from "../../components/notice";
import { Glyph, StatusMark } from "../../components/status-mark";
import type { Run } from "../../gen/testmesh/api/v1/record_pb";
import { duration, plural } from "../../lib/format";
import { type BatchEvents, useRecorded } from "../../lib/recording-archive";
import { useShortcuts } from "../../lib/shortcuts";
import { markOf, runWord } from "../../lib/status";
import { useNarrow } from "../../lib/use-narrow";
import { orderOf, type Verdict, verdictOf, whyOf, wordsOf } from "./recorded-runs";

const verdictTone: Record<Verdict, string> = {
  PASS: "text-passed-text",
  FAIL: "text-failed-text",
  ERROR: "text-errored-text",
  STOPPED: "text-text-2",
  NOTHING: "text-text-2",
};

export interface RecordedQuery {
  status?: string;
  find?: string;
}

// RecordedPage is the list of the runs of a recording: the verdict, and what did not pass
// first, each with why.
export function RecordedPage() {
  const recorded = useRecorded();
  const query = useSearch({ strict: false }) as RecordedQuery;
  const navigate = useNavigate();
  const input = useRef<HTMLInputElement>(null);
  const [find, setFind] = useState(query.find ?? "");
  const wanted = useDeferredValue(find.trim().toLowerCase());
  const all = useMemo(() => orderOf(recorded?.runs ?? []), [recorded]);
  const counts = useMemo(() => Map.groupBy(all, (run) => runWord[run.status]), [all]);
  const shown = useMemo(
    () =>
      all.filter((run) => (query.status === undefined || runWord[run.status] === query.status) && (wanted === "" || wordsOf(run).includes(wanted))),
    [all, query.status, wanted],
  );
  const verdict = verdictOf(all, recorded?.store.batch.finished?.exit_code);
  const title = [verdict, ...[...counts].map(([word, list]) => `${list.length} ${word}`)].join(" ");
  useEffect(() => {
    document.title = `${title} · TestMesh`;
  }, [title]);
  useShortcuts("Runs", [{ keys: "/", does: "Search", run: () => input.current?.select() }]);
  if (recorded === null) return null;
  const choose = (status: string | undefined) => void navigate({ to: "/runs", search: { ...query, status } as never, replace: true });
  const chip = "h-7 rounded-sm px-2 inline-flex items-center gap-1.5";
  return (
    <div className="flex min-h-0 flex-1 flex-col bg-bg">
      <div className="flex flex-col gap-2 border-line border-b px-3 py-2.5">
        <div className="flex flex-wrap items-baseline gap-x-4 gap-y-1">
          <h1 className={`text-xl font-semibold ${verdictTone[verdict]}`}>{verdict}</h1>
          <Facts batch={recorded.store.batch} />
        </div>
        {recorded.store.batch.started?.notes?.map((note) => (
          <p key={note} className="text-text-2">
            {note}
          </p>
        ))}
        <div className="flex flex-wrap items-center gap-2">
          <div role="group" aria-label="Status" className="flex flex-wrap gap-1">
            <button
              type="button"
              aria-pressed={query.status === undefined}
              onClick={() => choose(undefined)}
              className={`${chip} ${query.status === undefined ? "bg-selected font-medium" : "text-text-2 hover:bg-hover"}`}
            >
              {plural(all.length, "run")}
            </button>
            {[...counts].map(([word, list]) => (
              <button
                key={word}
                type="button"
                aria-pressed={query.status === word}
                onClick={() => choose(query.status === word ? undefined : word)}
                className={`${chip} ${query.status === word ? "bg-selected font-medium" : "text-text-2 hover:bg-hover"}`}
              >
                <Glyph mark={markOf(word)} />
                {list.length.toLocaleString("en")} {word}
              </button>
            ))}
          </div>
          <span className="relative min-w-48 flex-1">
            <Icon name="search" className="absolute top-1.5 left-2 text-text-3" />
            <input
              ref={input}
              value={find}
              onChange={(event) => setFind(event.target.value)}
              onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
              placeholder="Search name, file, tag, message"
              aria-label="Search runs"
              className="h-7 w-full rounded-sm border border-control bg-bg pr-2 pl-8 placeholder:text-text-3"
            />
          </span>
          <span role="status" className={shown.length === all.length ? "sr-only" : "text-text-2"}>
            {plural(shown.length, "run")} of {all.length.toLocaleString("en")}
          </span>
        </div>
      </div>
      {shown.length === 0 ? (
        <Empty title={all.length === 0 ? "Nothing was run" : "No run is like that"}>
          {all.length > 0 && (
            <Button
              onClick={() => {
                setFind("");
                choose(undefined);
              }}
            >
              Show all runs
            </Button>
          )}
        </Empty>
      ) : (
        <Rows list={shown} />
      )}
    </div>
  );
}

function Facts({ batch }: { batch: BatchEvents }) {
  const { started, finished } = batch;
  const took = started && finished ? Date.parse(finished.time) - Date.parse(started.time) : 0;
  const facts = [
    started && new Date(started.time).toLocaleString(),
    took > 0 && duration(took),
    finished && `exit code ${finished.exit_code}`,
    finished?.reason,
    started?.seed !== undefined && `seed ${started.seed}`,
  ];
  return <p className="text-text-2">{facts.filter(Boolean).join(" · ")}</p>;
}

// Rows are only those that are on the screen.
function Rows({ list }: { list: Run[] }) {
  const narrow = useNarrow();
  const navigate = useNavigate();
  const scroller = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(-1);
  const virtual = useVirtualizer({ count: list.length, getScrollElement: () => scroller.current, estimateSize: () => 48, overscan: 8 });
  const move = (by: number) => {
    const next = Math.min(Math.max(at + by, 0), list.length - 1);
    setAt(next);
    virtual.scrollToIndex(next);
  };
  useShortcuts("Runs", [
    { keys: "j", does: "Next run", run: () => move(1) },
    { keys: "k", does: "Previous run", run: () => move(-1) },
    {
      keys: "Enter",
      does: "Open the run",
      run: () => {
        const run = list[at];
        if (run !== undefined) void navigate({ to: "/runs/$id", params: { id: run.id } });
      },
    },
  ]);
  return (
    <div ref={scroller} className="min-h-0 flex-1 overflow-y-auto">
      <ul aria-label="Runs" className="relative w-full" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start, size }) => {
          const run = list[index];
          if (run === undefined) return null;
          return (
            <li
              key={run.id}
              aria-setsize={list.length}
              aria-posinset={index + 1}
              className="absolute top-0 left-0 w-full"
              style={{ height: size, transform: `translateY(${start}px)` }}
            >
              <Row run={run} narrow={narrow} selected={index === at} />
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function Row({ run, narrow, selected }: { run: Run; narrow: boolean; selected: boolean }) {
  const word = runWord[run.status];
  const why = whyOf(run);
  return (
    <Link
      to="/runs/$id"
      params={{ id: run.id }}
      className={`grid h-full items-center gap-x-3 border-line border-b px-3 ${narrow ? "grid-cols-[minmax(0,1fr)_auto]" : "grid-cols-[96px_minmax(0,1fr)_minmax(0,96px)_72px]"} ${selected ? "bg-selected" : "hover:bg-hover"}`}
    >
      {!narrow && <StatusMark mark={markOf(word)} word={word} />}
      <span className="flex min-w-0 flex-col">
        <span className="flex min-w-0 items-center gap-2">
          {narrow && <StatusMark mark={markOf(word)} word={word} quiet />}
          <span className="truncate font-medium">{run.spec?.flow}</span>
          <span className="truncate text-text-2">{run.spec?.label}</span>
          {run.spec?.tags.slice(0, 3).map((tag) => (
            <span key={tag} className="hidden shrink-0 rounded-sm border border-line px-1 text-text-2 text-xs sm:inline">
              {tag}
            </span>
          ))}
        </span>
        <span className="truncate text-text-2 text-xs">{why || run.spec?.file}</span>
      </span>
      {!narrow && <span className="truncate text-text-2">{run.spec?.environment}</span>}
      <span className="text-right">{run.durationMs > 0 ? duration(run.durationMs) : ""}</span>
    </Link>
  );
}
