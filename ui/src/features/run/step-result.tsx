import { Glyph } from "../../components/status-mark";
import type { Failure } from "../../lib/events";
import { duration } from "../../lib/format";
import type { Step, Try } from "../../lib/recording";
import { AssertionView } from "./assertion-view";
import { FileRow } from "./files-view";
import { UsedValues } from "./variables-view";

// StepResult says why a step is what it is: what went wrong first, then all that was
// judged.
export function StepResult({ step, one }: { step: Step; one: Try | undefined }) {
  const assertions = [...(one?.assertions ?? [])].sort((a, b) => Number(a.passed) - Number(b.passed));
  const quiet = one === undefined || (one.error === undefined && assertions.length === 0);
  return (
    <div className="flex flex-col gap-4">
      {one?.error !== undefined && <FailureView failure={one.error} judged={one.status === "failed"} />}
      {one?.nextInMs !== undefined && <p className="text-text-2">Tried again {one.nextInMs > 0 ? `after ${duration(one.nextInMs)}` : "at once"}.</p>}
      {assertions.length > 0 && (
        <ul aria-label="Assertions" className="flex flex-col gap-2">
          {assertions.map((assertion) => (
            <li key={`${assertion.line} ${assertion.expression}`}>
              <AssertionView assertion={assertion} />
            </li>
          ))}
        </ul>
      )}
      {quiet && <p className="text-text-2">{quietly(step)}</p>}
      {step.values.length > 0 && <UsedValues list={step.values} />}
      {step.files.length > 0 && (
        <section>
          <h3 className="mb-1 font-semibold">Files</h3>
          <ul className="flex flex-col gap-1">
            {step.files.map((file) => (
              <li key={file.name} className="flex">
                <FileRow file={file} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function quietly(step: Step): string {
  if (step.status === "running" && !step.group) return "It runs.";
  if (step.status === "skipped") return "It was not executed.";
  if (step.children.length > 0) return "What it holds was judged step by step.";
  return "Nothing was asserted here.";
}

function FailureView({ failure, judged }: { failure: Failure; judged: boolean }) {
  return (
    <div className={`rounded-md border-l-4 p-3 ${judged ? "border-failed bg-failed-bg" : "border-errored bg-errored-bg"}`}>
      <p className="flex items-start gap-2 font-medium">
        <span className="mt-0.5">
          <Glyph mark={judged ? "failed" : "errored"} />
        </span>
        <bdi className="min-w-0 whitespace-pre-wrap break-words">{failure.message}</bdi>
      </p>
      {failure.hint !== undefined && <p className="mt-1 pl-5.5">{failure.hint}</p>}
      {failure.details !== undefined && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <pre tabIndex={0} className="mono mt-2 overflow-x-auto pl-5.5">
          {failure.details.join("\n")}
        </pre>
      )}
      <p className="mt-2 pl-5.5 text-text-2 text-xs">
        {failure.code}
        {failure.blame !== undefined && ` · ${blames[failure.blame] ?? failure.blame}`}
      </p>
    </div>
  );
}

const blames: Record<string, string> = {
  system: "the system under test",
  plugin: "a fault of the plugin, not of your flow",
  agent: "the agent's machine",
  definition: "the flow is wrong",
  testmesh: "a fault of TestMesh",
};
