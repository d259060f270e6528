import { useMemo } from "react";
import { Button } from "../../components/button";
import { Loading, Notice } from "../../components/notice";
import { Glyph, StatusMark } from "../../components/status-mark";
import { type Run, RunSchema } from "../../gen/testmesh/api/v1/record_pb";
import { duration, millis, plural, shortId } from "../../lib/format";
import type { Recording } from "../../lib/recording";
import { compareRecordings, type StepPair } from "../../lib/recording-diff";
import { markOf, runWord } from "../../lib/status";
import { decode, useLive } from "../../lib/use-live";
import { ChangesTable } from "./changes-table";
import { OriginsView } from "./origins-view";
import type { RunView } from "./run-view";
import { useOtherRuns } from "./use-other-runs";
import { newestAttempt, useRecording } from "./use-recording";

interface Props {
  run: Run;
  recording: Recording;
  version: number;
  view: RunView;
  go: (view: RunView) => void;
}

// CompareView sets a run beside another of the same flow: at first the last that passed.
export function CompareView({ run, recording, version, view, go }: Props) {
  const others = useOtherRuns(run);
  const id = view.with ?? others.lastPass?.id ?? "";
  const listed = id === "" || others.list.some((one) => one.id === id);
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-y-auto">
      <div className="flex flex-wrap items-center gap-2 border-line border-b px-3 py-2">
        <label className="flex min-w-0 items-center gap-2">
          Compared with
          <select
            value={id}
            onChange={(event) => go({ with: event.target.value === others.lastPass?.id ? undefined : event.target.value })}
            className="h-8 min-w-0 max-w-full rounded-sm border border-control bg-bg px-2"
          >
            {id === "" && <option value="">no run</option>}
            {!listed && <option value={id}>{shortId(id)}</option>}
            {others.list.map((one) => (
              <option key={one.id} value={one.id}>
                {nameOf(one, one.id === others.lastPass?.id)}
              </option>
            ))}
          </select>
        </label>
      </div>
      {others.problem !== "" && <Notice problem={{ title: others.problem, hint: "", requestId: "" }} />}
      {others.loading && view.with === undefined && <Loading what="Runs of this flow" />}
      {!others.loading && id === "" && others.problem === "" && (
        <p className="p-4 text-text-2">
          No other run of this flow{run.spec?.environment ? ` in ${run.spec.environment}` : ""} that passed is kept: none has passed yet, or they were
          removed.
          {others.list.length > 0 && " Another run can be chosen above."}
        </p>
      )}
      {id !== "" && <Beside key={id} id={id} run={run} recording={recording} version={version} go={go} />}
    </div>
  );
}

function nameOf(run: Run, last: boolean): string {
  const when = new Date(millis(run.created)).toLocaleString();
  return [last ? "the last pass:" : runWord[run.status], run.spec?.label, when, shortId(run.id)].filter(Boolean).join(" ");
}

function Beside({ id, run, recording, version, go }: { id: string; run: Run; recording: Recording; version: number; go: (view: RunView) => void }) {
  const { list, error } = useLive("run", { id });
  if (error !== null && list === null)
    return <Notice problem={{ title: error.message, hint: "It was removed, or the address is not whole: choose another above.", requestId: "" }} />;
  if (list === null) return <Loading what="The other run" />;
  return <Sides other={decode(RunSchema, list.value)} run={run} recording={recording} version={version} go={go} />;
}

function Sides({ other, run, recording, version, go }: { other: Run; run: Run; recording: Recording; version: number; go: (view: RunView) => void }) {
  const before = useRecording(other.id, newestAttempt(other));
  // biome-ignore lint/correctness/useExhaustiveDependencies: recordings change in place, their versions say when
  const { pairs, alike } = useMemo(() => compareRecordings(before.recording, recording), [before.recording, before.version, recording, version]);
  if (before.error !== null)
    return <Notice problem={{ title: before.error.message, hint: "What that run said cannot be read now.", requestId: "" }} />;
  // What has come is seen with the next version of the recording.
  const seen = before.version > 0 || before.recording.steps.size === 0;
  if ((!before.whole || !seen) && newestAttempt(other) !== 0) return <Loading what="What the other run said" />;
  return (
    <div className="flex flex-col gap-4 p-3">
      <RunFacts before={other} after={run} />
      <OriginsView before={other} after={run} />
      {before.recording.steps.size === 0 ? (
        <p className="text-text-2">The events of that run are not kept any more: only how it ended is known.</p>
      ) : (
        <>
          {pairs.length === 0 && <p>No step differs in its status, request, response or outputs.</p>}
          <ul aria-label="Steps that differ" className="flex flex-col gap-3">
            {pairs.map((pair) => (
              <Pair key={pair.key} pair={pair} go={go} />
            ))}
          </ul>
          <p className="text-text-2">{plural(alike, "step")} alike. Headers that change with every answer, such as Date, are left out.</p>
        </>
      )}
    </div>
  );
}

// RunFacts are what differs between the runs themselves.
function RunFacts({ before, after }: { before: Run; after: Run }) {
  const files = (run: Run) => (run.spec?.bundle ? run.spec.bundle.slice(0, 12) : "");
  const facts: [string, string, string][] = [
    ["Status", runWord[before.status], runWord[after.status]],
    ["Duration", duration(before.durationMs), duration(after.durationMs)],
    ["Agent", before.attempts.at(-1)?.agentName ?? "", after.attempts.at(-1)?.agentName ?? ""],
    ["Attempts", String(before.attempts.length), String(after.attempts.length)],
    ["Environment", before.spec?.environment ?? "", after.spec?.environment ?? ""],
    ["Row", before.spec?.label ?? "", after.spec?.label ?? ""],
    ["Files of the flow", files(before), files(after)],
    ["Outputs", before.outputs, after.outputs],
  ];
  const cell = "border-line border-b py-1 pr-4";
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div tabIndex={0} role="region" aria-label="The runs" className="overflow-x-auto">
      <table className="border-collapse text-left">
        <thead className="text-text-2 text-xs">
          <tr>
            <th scope="col" className={`${cell} font-normal`}>
              <span className="sr-only">What</span>
            </th>
            <th scope="col" className={`${cell} font-normal`}>
              Then
            </th>
            <th scope="col" className={`${cell} font-normal`}>
              Now
            </th>
          </tr>
        </thead>
        <tbody>
          {facts
            .filter(([, a, b]) => a !== "" || b !== "")
            .map(([name, a, b]) => (
              <tr key={name} className={a === b ? "text-text-2" : ""}>
                <th scope="row" className={`${cell} font-normal`}>
                  {name}
                </th>
                <td className={`${cell} max-w-96 break-words`}>{a || "none"}</td>
                <td className={`${cell} max-w-96 break-words ${a === b ? "" : "font-medium"}`}>{a === b ? "the same" : b || "none"}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

function Pair({ pair, go }: { pair: StepPair; go: (view: RunView) => void }) {
  const { before, after } = pair;
  return (
    <li className="panel p-3">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        {after === undefined ? (
          <h2 className="font-semibold">{before?.name}</h2>
        ) : (
          <h2>
            <Button kind="quiet" className="-ml-2 font-semibold text-text" onClick={() => go({ view: undefined, step: after.key })}>
              {after.name}
            </Button>
          </h2>
        )}
        <span className="inline-flex items-center gap-2">
          {before === undefined ? (
            <span className="text-text-2">was not there</span>
          ) : (
            <StatusMark mark={markOf(before.status)} word={before.status} />
          )}
          <span aria-hidden="true" className="text-text-3">
            →
          </span>
          <span className="sr-only">then</span>
          {after === undefined ? <span className="text-text-2">is not there</span> : <StatusMark mark={markOf(after.status)} word={after.status} />}
        </span>
        {before?.durationMs !== undefined && after?.durationMs !== undefined && (
          <span className="text-text-2">
            {duration(before.durationMs)} → {duration(after.durationMs)}
          </span>
        )}
        {after !== undefined && <span className="mono text-text-2">{after.action}</span>}
      </div>
      {pair.differences.map((difference) => (
        <section key={difference.name} className="mt-2">
          <h3 className="mb-0.5 flex items-center gap-1.5 font-medium">
            {difference.name === "Why" && <Glyph mark={markOf(after?.status ?? "errored")} />}
            {difference.name}
          </h3>
          {difference.changes.length === 1 && difference.changes[0]?.path === "$" ? (
            <OneChange expected={difference.changes[0].expected} actual={difference.changes[0].actual} />
          ) : (
            <ChangesTable changes={difference.changes} more={difference.more} heads={["Where", "Then", "Now"]} />
          )}
        </section>
      ))}
    </li>
  );
}

function OneChange({ expected, actual }: { expected: unknown; actual: unknown }) {
  const print = (value: unknown) => (value === undefined ? "nothing" : String(value));
  return (
    <dl className="grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-0.5">
      <dt className="text-text-2">Then</dt>
      <dd className="whitespace-pre-wrap break-words">{print(expected)}</dd>
      <dt className="text-text-2">Now</dt>
      <dd className="whitespace-pre-wrap break-words">{print(actual)}</dd>
    </dl>
  );
}
