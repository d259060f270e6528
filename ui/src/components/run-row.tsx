import { memo } from "react";
import type { Run } from "../gen/testmesh/api/v1/record_pb";
import { duration, millis } from "../lib/format";
import { hasEnded, markOf, runWord } from "../lib/status";
import { Ago, Since } from "./clock";
import { Glyph, StatusMark } from "./status-mark";

// columns are those of the rows and of their heading.
const columns = "grid grid-cols-[104px_minmax(0,1fr)_minmax(0,112px)_minmax(0,112px)_72px_84px] items-center gap-3";

interface Props {
  run: Run;
  narrow: boolean;
  selected: boolean;
  inside: boolean;
}

// RunRow is a plain link, and drawn again only when its run changes: while somebody
// scrolls dozens come and go at once. The list follows it within the page.
export const RunRow = memo(function RunRow({ run, narrow, selected, inside }: Props) {
  const word = runWord[run.status];
  const look = `h-full w-full border-line border-b px-3 ${selected ? "bg-selected" : "hover:bg-hover"}`;
  const agent = run.attempts.at(-1)?.agentName ?? "";
  const waits = run.quarantined ? "quarantined" : run.reason;
  if (narrow) {
    return (
      <a href={`/runs/${run.id}`} data-run={run.id} className={`flex flex-col justify-center gap-0.5 ${look}`}>
        <span className="flex items-center gap-2">
          <Glyph mark={markOf(word)} />
          <span className="min-w-0 flex-1 truncate font-medium">{run.spec?.flow}</span>
          <Time run={run} />
        </span>
        <span className="truncate pl-5.5 text-text-2 text-xs">
          {[word, run.spec?.label, run.spec?.environment, agent].filter(Boolean).join(" · ")} · <Ago at={millis(run.created)} />
        </span>
      </a>
    );
  }
  return (
    <a href={`/runs/${run.id}`} data-run={run.id} className={`${columns} ${look}`}>
      <span className={`flex items-center ${inside ? "pl-5" : ""}`}>
        <StatusMark mark={markOf(word)} word={word} />
      </span>
      <span className="flex min-w-0 items-center gap-2">
        <span className="truncate font-medium">{run.spec?.flow}</span>
        <span className="truncate text-text-2">{run.spec?.label}</span>
        {run.spec?.tags.slice(0, 3).map((tag) => (
          <span key={tag} className="hidden shrink-0 rounded-sm border border-line px-1 text-text-2 text-xs xl:inline">
            {tag}
          </span>
        ))}
        {waits !== "" && !hasEnded(run.status) && <span className="truncate text-flaky-text">{waits}</span>}
      </span>
      <span className="truncate text-text-2">{run.spec?.environment}</span>
      <span className="truncate text-text-2">{agent}</span>
      <span className="text-right">
        <Time run={run} />
      </span>
      <span className="text-right text-text-2">
        <Ago at={millis(run.created)} />
      </span>
    </a>
  );
});

function Time({ run }: { run: Run }) {
  if (hasEnded(run.status)) return run.durationMs > 0 ? duration(run.durationMs) : "";
  return (
    <span className="text-text-2">
      <Since at={millis(run.started) || millis(run.created)} />
    </span>
  );
}

// RunColumns is the heading of rows. Who does not see it hears from each row what is what.
export function RunColumns() {
  return (
    <div aria-hidden="true" className={`${columns} h-7 border-line border-b px-3 text-text-2 text-xs`}>
      <span>Status</span>
      <span>Flow</span>
      <span>Environment</span>
      <span>Agent</span>
      <span className="text-right">Duration</span>
      <span className="text-right">Queued</span>
    </div>
  );
}
