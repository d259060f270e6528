import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Ago, Since } from "../../components/clock";
import { CopyButton } from "../../components/copy-button";
import { Glyph } from "../../components/status-mark";
import type { Run } from "../../gen/testmesh/api/v1/record_pb";
import { duration, millis, shortId } from "../../lib/format";
import type { Recording } from "../../lib/recording";
import { useRecorded } from "../../lib/recording-archive";
import { hasEnded, markOf, runWord } from "../../lib/status";
import { Actions } from "./actions";
import { RunTimeline } from "./run-timeline";

export function RunHeader({ run, step, recording }: { run: Run; step: string; recording: Recording }) {
  const recorded = useRecorded();
  const word = runWord[run.status];
  const attempt = run.attempts.at(-1);
  const why = hasEnded(run.status) ? [run.reason, run.cancelReason].filter(Boolean).join(": ") : "";
  return (
    <header className="flex shrink-0 flex-col gap-2 border-line border-b px-3 pt-2 pb-2">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <Link to="/runs" className="rounded-sm text-text-2 hover:text-text">
          Runs
        </Link>
        <span aria-hidden="true" className="text-text-3">
          /
        </span>
        <h1 className="flex min-w-0 items-center gap-2 text-lg font-semibold">
          <Glyph mark={markOf(word)} />
          <span className="truncate">{run.spec?.flow}</span>
          {run.spec?.label && <span className="truncate font-normal text-text-2">{run.spec.label}</span>}
        </h1>
        {recorded === null && (
          <span className="ml-auto">
            <Actions run={run} step={step} recording={recording} />
          </span>
        )}
      </div>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1 text-text-2">
        <span className="font-medium text-text">
          {word}
          {why !== "" && <span className="font-normal text-text-2">: {why}</span>}
        </span>
        <Fact name="took">{hasEnded(run.status) ? duration(run.durationMs) : run.started !== undefined && <Since at={millis(run.started)} />}</Fact>
        <Fact name="environment">{run.spec?.environment}</Fact>
        <Fact name="agent">{attempt?.agentName}</Fact>
        {run.attempts.length > 1 && <Fact name="attempts">{String(run.attempts.length)}</Fact>}
        {hasEnded(run.status) && <Fact name="assertions">{counted(run)}</Fact>}
        {recorded === null ? (
          <span>
            queued <Ago at={millis(run.created)} />
          </span>
        ) : (
          <Fact name="started">{new Date(millis(run.started)).toLocaleString()}</Fact>
        )}
        {run.spec?.tags.map((tag) => (
          <span key={tag} className="rounded-sm border border-line px-1 text-xs">
            {tag}
          </span>
        ))}
        <span className="flex items-center">
          <span className="mono" title={run.id}>
            {shortId(run.id)}
          </span>
          <CopyButton text={() => run.id} label="Copy the run's id" />
        </span>
      </div>
      {recorded === null && <RunTimeline run={run} />}
    </header>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (!children) return null;
  return (
    <span>
      {name} <span className="text-text">{children}</span>
    </span>
  );
}

function counted(run: Run): string {
  const a = run.assertions;
  const judged = a === undefined ? 0 : a.passed + a.failed + a.errored;
  if (a === undefined || judged === 0) return "";
  const bad = [a.failed > 0 && `${a.failed} failed`, a.errored > 0 && `${a.errored} errored`].filter(Boolean);
  return [`${judged} judged`, ...bad].join(", ");
}
