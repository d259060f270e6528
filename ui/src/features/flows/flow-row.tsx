import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { linkLook } from "../../components/button";
import { Ago } from "../../components/clock";
import { Sparkline } from "../../components/sparkline";
import { StatusMark } from "../../components/status-mark";
import { Tags } from "../../components/tags";
import type { Flow } from "../../gen/testmesh/api/v1/record_pb";
import { duration, millis } from "../../lib/format";
import { markOf, runWord } from "../../lib/status";
import { lately, useLately } from "./use-lately";

// flowColumns are those of the rows and of their heading.
export const flowColumns = "md:grid md:grid-cols-[minmax(0,1fr)_9.5rem_6.5rem_4rem_4.5rem_4rem] md:items-center md:gap-3";

// FlowRow is a flow with how its newest runs ended. They are asked for once the row is on
// the screen: there may be a thousand.
export function FlowRow({ flow }: { flow: Flow }) {
  const row = useRef<HTMLLIElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const watch = new IntersectionObserver((entries) => setSeen(entries.some((entry) => entry.isIntersecting)));
    if (row.current !== null) watch.observe(row.current);
    return () => watch.disconnect();
  }, []);
  const { loaded, list, last, passed, judged, rate, p50 } = useLately(flow.name, seen);
  const at = { file: flow.file, index: flow.index === 0 ? undefined : String(flow.index) };
  return (
    <li ref={row} className={`flex min-h-10 flex-wrap items-center gap-x-3 gap-y-1 border-line border-b px-3 py-1.5 ${flowColumns}`}>
      <span className="flex w-full min-w-0 items-center gap-2">
        <Link to="/flows/show" search={at} className="min-w-0 truncate font-medium hover:underline">
          {flow.name}
        </Link>
        <span className="mono hidden min-w-0 shrink truncate text-text-2 xl:inline">{flow.file}</span>
        <span className="hidden sm:inline">
          <Tags tags={flow.tags} />
        </span>
      </span>
      <span className="flex items-center gap-1.5">
        {last !== undefined && (
          <Link to="/runs/$id" params={{ id: last.id }} title="Its newest run" className="inline-flex min-h-6 items-center gap-1.5 hover:underline">
            <StatusMark mark={markOf(runWord[last.status])} word={runWord[last.status]} />
            <span className="text-text-2">
              <Ago at={millis(last.finished)} />
            </span>
          </Link>
        )}
        {loaded && last === undefined && <span className="text-text-2">not run yet</span>}
      </span>
      <span className="hidden md:block">{list.length > 0 && <Sparkline list={list} most={lately} />}</span>
      <span className="text-right" title={judged > 0 ? `${passed} of the newest ${judged} passed` : undefined}>
        {rate}
        {rate !== "" && <span className="text-text-2 md:sr-only"> passed</span>}
      </span>
      <span className="text-right text-text-2" title="Half of them took no longer">
        {judged > 0 && duration(p50)}
      </span>
      <Link to="/runs/queue" search={at} aria-label={`Run ${flow.name}`} className={`${linkLook} ml-auto`}>
        Run
      </Link>
    </li>
  );
}
